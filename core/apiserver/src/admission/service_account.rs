//! ServiceAccount: every Pod runs as one, and finds its token, the cluster's
//! certificate and its namespace in a projected volume.

mod references;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rand::Rng;
use serde_json::{Value, json};

use super::{Cluster, Operation, Plugin, Request, is_mirror_pod, items, list_mut};
use crate::authz::{Refusal, find};

const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// One hour, and so odd that the token endpoint recognizes the volume by it.
const EXPIRATION_SECONDS: i64 = 3607;
/// How often, and how long apart, a namespace's own account is looked for, in all for a second as
/// kube-apiserver does.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// No vowels, no look-alikes: as in all generated names.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

pub struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.is("", "pods") || !request.creates() || is_mirror_pod(request.new_object()) {
            return Ok(());
        }
        let name = match request.new_object()["spec"]["serviceAccountName"].as_str() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => "default".to_owned(),
        };
        let account = account(cluster, request, &name).await?;
        let Some(pod) = request.object.as_deref_mut() else { return Ok(()) };
        pod["spec"]["serviceAccountName"] = name.clone().into();
        pod["spec"]["serviceAccount"] = name.into();
        if wants_token(&pod["spec"], &account) {
            mount_token(&mut pod["spec"]);
        }
        if items(&pod["spec"]["imagePullSecrets"]).next().is_none() && account["imagePullSecrets"].is_array()
        {
            pod["spec"]["imagePullSecrets"] = account["imagePullSecrets"].clone();
        }
        Ok(())
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        let pod = request.new_object();
        let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
        let refused = match (request.group, request.resource, request.subresource, request.operation) {
            ("", "pods", "", Operation::Create) if is_mirror_pod(pod) => references::of_mirror_pod(pod),
            ("", "pods", "", Operation::Create) => {
                let account = account(cluster, request, name).await?;
                references::beyond_account(pod, &account)
            }
            ("", "pods", "ephemeralcontainers", Operation::Update) if !is_mirror_pod(pod) => {
                let account = account(cluster, request, name).await?;
                references::of_ephemeral_containers(pod, &account)
            }
            _ => None,
        };
        refused.map_or(Ok(()), |why| Err(request.forbid(&why)))
    }
}

/// The account. A namespace's own comes a moment after the namespace, from a controller: who makes
/// both in one go, as `kubectl apply` of one file does, must not be refused for that.
async fn account(cluster: &Cluster, request: &Request<'_>, name: &str) -> Result<Arc<Value>, Refusal> {
    let namespace = request.namespace;
    let looks = if name == "default" { LOOKS } else { 1 };
    for look in 0..looks {
        if look > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        if let Some(found) = find(&*cluster.objects, "", "serviceaccounts", namespace, name).await {
            return Ok(found);
        }
    }
    let why =
        format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
    Err(request.forbid(&why))
}

/// The Pod decides, else the service account, else yes.
fn wants_token(spec: &Value, account: &Value) -> bool {
    let field = "automountServiceAccountToken";
    spec[field].as_bool().or(account[field].as_bool()).unwrap_or(true)
}

fn mount_token(spec: &mut Value) {
    let existing = items(&spec["volumes"])
        .filter_map(|volume| volume["name"].as_str())
        .find(|name| name.starts_with(VOLUME_PREFIX))
        .map(String::from);
    let is_new = existing.is_none();
    let name = existing.unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", random_suffix()));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if items(&container["volumeMounts"]).any(|mount| mount["mountPath"] == MOUNT_PATH) {
                continue;
            }
            let mount = json!({ "name": name, "readOnly": true, "mountPath": MOUNT_PATH });
            list_mut(container, "volumeMounts").push(mount);
            mounted = true;
        }
    }
    if is_new && mounted {
        list_mut(spec, "volumes").push(volume(&name));
    }
}

fn volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                { "serviceAccountToken": { "path": "token", "expirationSeconds": EXPIRATION_SECONDS } },
                { "configMap": {
                    "name": "kube-root-ca.crt",
                    "items": [{ "key": "ca.crt", "path": "ca.crt" }],
                }},
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }]}},
            ],
        },
    })
}

fn random_suffix() -> String {
    let mut random = rand::rng();
    (0..5).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

//! Workloads that Tiphys brings along: the log collector, DNS's Service, the sample app.
//!
//! They are manifests in deploy/, applied by server-side apply like anybody's,
//! so a user can look at them, and change what the server doesn't set.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use tiphys_api::names::SYSTEM_NAMESPACE;

const COLLECTOR: &str = include_str!("../../../deploy/addons/collector.yaml");
const METRICS: &str = include_str!("../../../deploy/addons/metrics.yaml");
const DNS: &str = include_str!("../../../deploy/addons/dns.yaml");
const SAMPLE: &str = include_str!("../../../deploy/samples/hello.yaml");

/// The name of the Secret that collectors and server share, and its key.
pub const COLLECTOR_SECRET: &str = "tiphys-collector";
pub const COLLECTOR_TOKEN: &str = "token";

/// Applies what every cluster has; gives the token that collectors ask for.
///
/// # Errors
/// The API server's.
pub async fn apply_system(client: &Client) -> anyhow::Result<String> {
    let token = collector_token(client).await?;
    apply(client, DNS).await?;
    apply(client, COLLECTOR).await?;
    Ok(token)
}

/// The collector's manifest, object by object.
///
/// # Errors
/// None in practice: the manifest comes along.
pub fn collector() -> anyhow::Result<Vec<DynamicObject>> {
    documents(COLLECTOR)
}

/// A new token for collectors: 256 bits by chance, in hexadecimal digits.
pub fn new_token() -> String {
    (0..32).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

/// Applies what metrics by SQL need: their kind, and who may use it.
///
/// # Errors
/// The API server's.
pub async fn apply_metrics(client: &Client) -> anyhow::Result<()> {
    apply(client, METRICS).await
}

/// # Errors
/// The API server's.
pub async fn apply_sample(client: &Client) -> anyhow::Result<()> {
    apply(client, SAMPLE).await
}

/// The token from its Secret, which is made when it isn't there.
async fn collector_token(client: &Client) -> anyhow::Result<String> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    if let Some(token) = secrets.get_opt(COLLECTOR_SECRET).await?.as_ref().and_then(token_of) {
        return Ok(token);
    }
    let token = new_token();
    let secret = Secret {
        metadata: kube::api::ObjectMeta { name: Some(COLLECTOR_SECRET.to_owned()), ..Default::default() },
        string_data: Some(BTreeMap::from([(COLLECTOR_TOKEN.to_owned(), token.clone())])),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(token),
        // Another server was first.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let secret = secrets.get(COLLECTOR_SECRET).await?;
            token_of(&secret).context("the collector's Secret has no token")
        }
        Err(error) => Err(error.into()),
    }
}

/// The token that a collectors' Secret holds.
pub fn token_of(secret: &Secret) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(COLLECTOR_TOKEN)?;
    String::from_utf8(bytes.0.clone()).ok()
}

/// Applies each document of a manifest.
async fn apply(client: &Client, manifest: &str) -> anyhow::Result<()> {
    for document in documents(manifest)? {
        let types = document.types.as_ref().context("a manifest lacks its kind")?;
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
        let name = document.metadata.name.clone().context("a manifest lacks its name")?;
        let api: Api<DynamicObject> = match &document.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        api.patch(&name, &PatchParams::apply("tiphys").force(), &Patch::Apply(&document))
            .await
            .with_context(|| format!("{} {name} can't be applied", types.kind))?;
    }
    Ok(())
}

fn documents(manifest: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let mut documents = Vec::new();
    for text in manifest.split("\n---\n") {
        documents.push(serde_saphyr::from_str(text).context("a built-in manifest is not valid")?);
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tiphys_api::names::{COLLECTOR_APP, COLLECTOR_PORT};

    use super::*;

    #[test]
    fn collectors_are_found_and_asked_as_their_manifest_says() {
        let all = documents(COLLECTOR).expect("valid");
        let mut templates = all.iter().map(|document| &document.data["spec"]["template"]);
        let template = templates.find(|template| template.is_object()).expect("a DaemonSet");
        assert_eq!(template["metadata"]["labels"]["app"], COLLECTOR_APP);
        let container = &template["spec"]["containers"][0];
        assert_eq!(container["ports"][0]["containerPort"], COLLECTOR_PORT);
        let mut variables = container["env"].as_array().expect("variables").iter();
        let token = variables.find(|variable| variable["name"] == "TIPHYS_COLLECTOR_TOKEN").expect("a token");
        let kept = json!({ "name": COLLECTOR_SECRET, "key": COLLECTOR_TOKEN });
        assert_eq!(token["valueFrom"]["secretKeyRef"], kept);
    }

    #[test]
    fn the_manifests_that_come_along_can_be_read() {
        for (manifest, count) in [(COLLECTOR, 5), (METRICS, 3), (DNS, 1), (SAMPLE, 3)] {
            assert_eq!(documents(manifest).expect("valid").len(), count);
        }
    }
}

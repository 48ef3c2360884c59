//! Upstream's sample of an extension server, compiled against Kubernetes 1.17: it asks this API
//! server about its users, and its kind is used like any other.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tiphys_tests::{Cluster, clients::sample_apiserver, eventually, run};

use crate::Shared;

const IMAGE: &str = "test.local/sample-apiserver:1";
const GROUP: &str = "/apis/wardle.example.com/v1alpha1";
const SERVICE: &str = "v1alpha1.wardle.example.com";
const LIMIT: Duration = Duration::from_secs(120);

/// The server beside an etcd of its own, and what it may do: have its users reviewed, read by whom to
/// know the front proxy, and watch what its admission looks at.
const MANIFEST: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: sample}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sample-delegator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: 'system:auth-delegator'}
subjects: [{kind: ServiceAccount, name: sample, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sample-reader, namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: extension-apiserver-authentication-reader}
subjects: [{kind: ServiceAccount, name: sample, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: sample-watcher}
rules:
- {apiGroups: [''], resources: [namespaces], verbs: [get, list, watch]}
- {apiGroups: [admissionregistration.k8s.io], resources: ['*'], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: sample-watcher}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sample-watcher}
subjects: [{kind: ServiceAccount, name: sample, namespace: default}]
---
apiVersion: v1
kind: Service
metadata: {name: sample}
spec:
  selector: {app: sample}
  ports: [{port: 7443, targetPort: 8443}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sample}
spec:
  selector: {matchLabels: {app: sample}}
  template:
    metadata: {labels: {app: sample}}
    spec:
      serviceAccountName: sample
      terminationGracePeriodSeconds: 1
      volumes: [{name: identity, secret: {secretName: sample}}]
      containers:
      - name: server
        image: test.local/sample-apiserver:1
        command: [/bin/server, --etcd-servers=http://127.0.0.1:2379, --secure-port=8443, --tls-cert-file=/identity/tls.crt, --tls-private-key-file=/identity/tls.key]
        volumeMounts: [{name: identity, mountPath: /identity, readOnly: true}]
        readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1, timeoutSeconds: 60}
      - name: store
        image: test.local/sample-apiserver:1
        command: [/bin/etcd, --data-dir=/store]
";

/// The server and etcd, with the libraries that the latter needs.
fn image(cluster: &Cluster, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("bin"))?;
    fs::copy(sample_apiserver()?, folder.join("bin/server"))?;
    fs::copy("/usr/bin/etcd", folder.join("bin/etcd")).context("etcd is missing: make setup")?;
    let libraries = run(std::process::Command::new("ldd").arg("/usr/bin/etcd"), "")?.ok()?;
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let to = folder.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().context("a library lies in a folder")?)?;
        fs::copy(library, to)?;
    }
    let from = folder.to_string_lossy();
    cluster.tiphys(&["image", "build", "--from", &from, "--name", IMAGE])?.ok().map(drop)
}

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let folder = tempfile::TempDir::new()?;
    image(&cluster, folder.path())?;
    let identity = rcgen::generate_simple_self_signed(vec!["sample.default.svc".to_owned()])?;
    let certificate = identity.cert.pem();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sample"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": identity.signing_key.serialize_pem()}});
    cluster.apply(&secret.to_string())?;
    cluster.apply(MANIFEST)?;
    cluster.rolled_out("deployment/sample").with_context(|| {
        cluster.kubectl(&["logs", "deployment/sample", "--all-containers"]).unwrap_or_default()
    })?;
    let service = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": SERVICE, "labels": {"of": "sample"}},
        "spec": {"group": "wardle.example.com", "version": "v1alpha1", "groupPriorityMinimum": 2000,
            "versionPriority": 200, "caBundle": encoded(&certificate),
            "service": {"namespace": "default", "name": "sample", "port": 7443}}});
    cluster.apply(&service.to_string())?;
    cluster
        .kubectl(&["wait", "apiservice", SERVICE, "--for=condition=Available", "--timeout=120s"])
        .with_context(|| {
            cluster.kubectl(&["get", "apiservice", SERVICE, "-o", "yaml"]).unwrap_or_default()
        })?;
    objects(&cluster)?;
    registration(&cluster)?;
    cluster.kubectl(&["delete", "deployment,service,serviceaccount,secret", "sample"])?;
    cluster.kubectl(&["delete", "clusterrolebinding", "sample-delegator", "sample-watcher"])?;
    cluster.kubectl(&["delete", "clusterrole", "sample-watcher"])?;
    cluster.kubectl(&["delete", "rolebinding", "sample-reader", "-n", "kube-system"])?;
    cluster.gone(&["pods", "-l", "app=sample"], LIMIT)
}

fn encoded(text: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};

    BASE64_STANDARD.encode(text)
}

/// Flunders come and go, and what is no Flunder is refused by the server itself.
fn objects(cluster: &Cluster) -> Result<()> {
    let resources = cluster.kubectl(&["get", "--raw", GROUP])?;
    ensure!(resources.contains("\"flunders\"") && resources.contains("\"fischers\""), "{resources}");
    let names = || cluster.kubectl(&["get", "flunders", "-o", "name"]);
    let flunder = |name: &str| {
        format!(
            "apiVersion: wardle.example.com/v1alpha1\nkind: Flunder\nmetadata: {{name: {name}, labels: {{a: b}}}}\n"
        )
    };
    // The groups that kubectl knows from before are asked for again.
    eventually(LIMIT, || cluster.apply(&flunder("one")))?;
    cluster.apply(&flunder("two"))?;
    ensure!(names()?.lines().count() == 2, "{}", names()?);
    let one = cluster.get(&["flunder", "one"])?;
    ensure!(one["metadata"]["labels"]["a"] == "b" && one["metadata"]["uid"].is_string(), "{one}");
    cluster.kubectl(&["label", "flunder", "one", "c=d"])?;
    ensure!(cluster.kubectl(&["get", "flunders", "-l", "c=d", "-o", "name"])?.lines().count() == 1, "labels");
    let path = format!("{GROUP}/namespaces/default/flunders");
    let list: serde_json::Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &path])?)?;
    ensure!(list["kind"] == "FlunderList" && list["items"].as_array().map(Vec::len) == Some(2), "{list}");
    cluster.kubectl(&["delete", "flunder", "one"])?;
    cluster.kubectl(&["delete", "--raw", &path])?;
    ensure!(names()?.is_empty(), "{}", names()?);
    Ok(())
}

/// The registration itself: its status is read, patched and updated; listed by its label it is deleted
/// with the group.
fn registration(cluster: &Cluster) -> Result<()> {
    let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{SERVICE}");
    let status = || -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&cluster.kubectl(&["get", "--raw", &format!("{path}/status")])?)?)
    };
    ensure!(status()?["status"]["conditions"][0]["type"] == "Available", "{}", status()?);
    let has = |kind: &str| -> Result<bool> {
        let status = status()?;
        let conditions = status["status"]["conditions"].as_array().context("conditions")?;
        Ok(conditions.iter().any(|condition| condition["type"] == kind))
    };
    let condition = r#"{"type": "Patched", "status": "True", "reason": "Tested", "message": "by hand", "lastTransitionTime": "2026-01-01T00:00:00Z"}"#;
    let patch = format!(r#"[{{"op": "add", "path": "/status/conditions/-", "value": {condition}}}]"#);
    cluster.kubectl(&[
        "patch",
        "apiservice",
        SERVICE,
        "--subresource=status",
        "--type=json",
        "-p",
        &patch,
    ])?;
    ensure!(has("Patched")? && has("Available")?, "{}", status()?);
    let replace = ["replace", "--raw", &format!("{path}/status"), "-f", "-"];
    // Who looks after the group may write meanwhile.
    eventually(LIMIT, || {
        let updated = serde_json::to_string(&status()?)?.replace("\"Patched\"", "\"Updated\"");
        run(&mut cluster.kubectl_command(&replace), &updated)?.ok()
    })?;
    ensure!(has("Updated")? && !has("Patched")?, "{}", status()?);
    let labelled = ["get", "apiservices", "-l", "of=sample", "-o", "name"];
    ensure!(cluster.kubectl(&labelled)?.lines().count() == 1, "by its label");
    cluster.kubectl(&[
        "delete",
        "--raw",
        "/apis/apiregistration.k8s.io/v1/apiservices?labelSelector=of%3Dsample",
    ])?;
    ensure!(cluster.kubectl(&labelled)?.is_empty(), "deleted by its label");
    eventually(LIMIT, || {
        let groups = cluster.kubectl(&["get", "--raw", "/apis"])?;
        ensure!(!groups.contains("wardle.example.com"), "the group is still there");
        Ok(())
    })
    .map(drop)
}

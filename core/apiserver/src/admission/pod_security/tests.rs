//! What a namespace enforces and warns of, over a cluster.

use serde_json::{Value, json};

use super::super::{
    Notes,
    tests::{Write, over},
};

fn namespace(name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: Value = labels
        .iter()
        .map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), json!(value)))
        .collect();
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

fn account() -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "ns", "name": "default" } })
}

fn pod(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "ns", "name": name },
            "spec": { "hostNetwork": true, "containers": [{ "name": "c", "image": "a" }] } })
}

async fn made(labels: &[(&str, &str)], path: &str, object: Value) -> (Result<Value, String>, Notes) {
    let cluster = over([namespace("ns", labels), account()]);
    let (done, notes) = Write::create(path).on(&cluster, Some(object)).await;
    (done.map_err(|refusal| refusal.message), notes)
}

#[tokio::test]
async fn what_is_enforced_is_refused() {
    let (done, notes) = made(&[("enforce", "baseline")], "pods ns/web", pod("web")).await;
    assert_eq!(
        done.unwrap_err(),
        "pods \"web\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
    );
    assert!(notes.warnings().is_empty());
    assert_eq!(notes.annotations()["pod-security.kubernetes.io/enforce-policy"], "baseline:latest");
}

#[tokio::test]
async fn what_is_warned_of_is_made() {
    let labels = &[("warn", "baseline"), ("warn-version", "v1.30"), ("audit", "baseline")];
    let (done, notes) = made(labels, "pods ns/web", pod("web")).await;
    assert!(done.is_ok());
    assert_eq!(
        notes.warnings(),
        ["would violate PodSecurity \"baseline:v1.30\": host namespaces (hostNetwork=true)"]
    );
    assert_eq!(
        notes.annotations()["pod-security.kubernetes.io/audit-violations"],
        "would violate PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"
    );
}

#[tokio::test]
async fn a_workload_is_warned_of_what_its_pods_will_meet() {
    let template = json!({ "spec": pod("x")["spec"] });
    let labels = &[("enforce", "baseline")];
    for (path, object) in [
        (
            "apps:deployments ns/web",
            json!({ "metadata": { "name": "web" }, "spec": { "template": template } }),
        ),
        (
            "batch:cronjobs ns/web",
            json!({ "metadata": { "name": "web" }, "spec": { "jobTemplate": { "spec": { "template": template } } } }),
        ),
        ("podtemplates ns/web", json!({ "metadata": { "name": "web" }, "template": template })),
    ] {
        let (done, notes) = made(labels, path, object).await;
        assert!(done.is_ok(), "{path}");
        assert_eq!(
            notes.warnings(),
            ["would violate PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"],
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_pod_that_runs_is_looked_at_when_its_image_changes() {
    let cluster = over([namespace("ns", &[("enforce", "baseline")]), account()]);
    let update = Write::update("pods ns/web", pod("web"));
    let mut labelled = pod("web");
    labelled["metadata"]["labels"] = json!({ "a": "b" });
    assert!(update.on(&cluster, Some(labelled)).await.0.is_ok());
    let mut changed = pod("web");
    changed["spec"]["containers"][0]["image"] = "b".into();
    assert!(update.on(&cluster, Some(changed)).await.0.is_err());
}

#[tokio::test]
async fn labels_without_sense_are_refused() {
    let cluster = over([]);
    let bad = namespace("ns", &[("enforce", "none"), ("warn-version", "1.30")]);
    let (done, _) = Write::create("namespaces /ns").on(&cluster, Some(bad.clone())).await;
    let refused = done.unwrap_err();
    assert_eq!(refused.code, 422);
    assert_eq!(
        refused.message,
        "Namespace \"ns\" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"none\": \
         must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: \
         Invalid value: \"1.30\": must be \"latest\" or \"v1.x\"]"
    );
    let (done, _) = Write::update("namespaces /ns", bad.clone()).on(&cluster, Some(bad)).await;
    assert!(done.is_ok(), "what is wrong already may stay");
}

#[tokio::test]
async fn a_stricter_namespace_tells_which_pods_would_be_refused() {
    let owned = |name: &str| {
        let mut pod = pod(name);
        pod["metadata"]["ownerReferences"] = json!([{ "uid": "u", "controller": true }]);
        pod
    };
    let cluster = over([pod("b"), owned("c"), owned("a")]);
    let update = Write::update("namespaces /ns", namespace("ns", &[]));
    let (done, notes) = update.on(&cluster, Some(namespace("ns", &[("enforce", "baseline")]))).await;
    assert!(done.is_ok());
    assert_eq!(
        notes.warnings(),
        [
            "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "a (and 2 other pods): host namespaces",
        ]
    );
    let relaxed = Write::update("namespaces /ns", namespace("ns", &[("enforce", "restricted")]));
    let (_, notes) = relaxed.on(&cluster, Some(namespace("ns", &[("enforce", "baseline")]))).await;
    assert!(notes.warnings().is_empty());
}

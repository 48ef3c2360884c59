//! What counts, as tables.

use serde_json::json;

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn counted(name: &'static str) -> Counted<'static> {
    let (resource, group) = name.split_once('.').unwrap_or((name, ""));
    Counted { group, resource }
}

#[track_caller]
fn check(resource: &'static str, object: Value, expected: &str) {
    assert_eq!(amounts::shown(&counted(resource).usage(&object, now())), expected, "{object}");
}

fn pod(more: Value) -> Value {
    let mut pod = json!({ "metadata": {}, "spec": { "containers": [{ "name": "a", "resources": {
        "requests": { "cpu": "100m", "memory": "1Gi", "example.com/gpu": "2", "hugepages-2Mi": "4Mi" },
        "limits": { "cpu": "1" },
    }}]}});
    for (part, fields) in more.as_object().unwrap() {
        for (key, value) in fields.as_object().unwrap() {
            pod[part][key] = value.clone();
        }
    }
    pod
}

#[test]
fn objects_and_what_they_count() {
    check(
        "pods",
        pod(json!({})),
        "count/pods=1,cpu=100m,hugepages-2Mi=4Mi,limits.cpu=1,memory=1Gi,pods=1,requests.cpu=100m,\
         requests.example.com/gpu=2,requests.hugepages-2Mi=4Mi,requests.memory=1Gi",
    );
    check("pods", pod(json!({ "status": { "phase": "Succeeded" } })), "count/pods=1");
    let lost = json!({ "metadata": { "deletionTimestamp": "2025-12-31T23:00:00Z", "deletionGracePeriodSeconds": 30 } });
    check("pods", pod(lost), "count/pods=1");
    check("deployments.apps", json!({}), "count/deployments.apps=1");
    check("secrets", json!({}), "count/secrets=1,secrets=1");
    let service = |kind: &str, more: Value| {
        let mut service =
            json!({ "spec": { "type": kind, "ports": [{ "port": 1 }, { "port": 2, "nodePort": 30000 }] } });
        service["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service
    };
    let shown = |node_ports: u8, balancers: u8| {
        format!(
            "count/services=1,services=1,services.loadbalancers={balancers},services.nodeports={node_ports}"
        )
    };
    check("services", service("ClusterIP", json!({})), &shown(0, 0));
    check("services", service("NodePort", json!({})), &shown(2, 0));
    check("services", service("LoadBalancer", json!({})), &shown(2, 1));
    check(
        "services",
        service("LoadBalancer", json!({ "allocateLoadBalancerNodePorts": false })),
        &shown(1, 1),
    );
    let claim = json!({
        "spec": { "storageClassName": "gold", "resources": { "requests": { "storage": "1Gi" } } },
        "status": { "allocatedResources": { "storage": "2Gi" } },
    });
    check(
        "persistentvolumeclaims",
        claim,
        "count/persistentvolumeclaims=1,gold.storageclass.storage.k8s.io/persistentvolumeclaims=1,\
         gold.storageclass.storage.k8s.io/requests.storage=2Gi,persistentvolumeclaims=1,requests.storage=2Gi",
    );
}

#[test]
fn names_lead_to_the_resource_they_count() {
    let table = [
        ("count/deployments.apps", Some(("apps", "deployments"))),
        ("count/pods", Some(("", "pods"))),
        ("pods", Some(("", "pods"))),
        ("requests.cpu", Some(("", "pods"))),
        ("requests.example.com/gpu", Some(("", "pods"))),
        ("hugepages-1Gi", Some(("", "pods"))),
        ("services.nodeports", Some(("", "services"))),
        ("requests.storage", Some(("", "persistentvolumeclaims"))),
        ("gold.storageclass.storage.k8s.io/requests.storage", Some(("", "persistentvolumeclaims"))),
        ("configmaps", Some(("", "configmaps"))),
        ("limits.example.com/gpu", None),
        ("nonsense", None),
    ];
    for (name, expected) in table {
        assert_eq!(resource_of(name), expected, "{name}");
        if let Some((group, resource)) = expected {
            assert!(Counted { group, resource }.is_counted_by(name), "{name}");
        }
    }
    assert!(!counted("services").is_counted_by("pods"));
}

#[test]
fn scopes_choose_pods_and_claims() {
    let with = |spec: Value| pod(json!({ "spec": spec }));
    let affinity = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "namespaces": ["x"] }] } });
    let table = [
        (json!({ "scopes": ["Terminating"] }), with(json!({ "activeDeadlineSeconds": 5 })), true),
        (json!({ "scopes": ["NotTerminating"] }), with(json!({ "activeDeadlineSeconds": 5 })), false),
        (json!({ "scopes": ["NotTerminating", "NotBestEffort"] }), pod(json!({})), true),
        (json!({ "scopes": ["BestEffort"] }), json!({ "spec": { "containers": [{ "name": "a" }] } }), true),
        (json!({ "scopes": ["CrossNamespacePodAffinity"] }), with(json!({ "affinity": affinity })), true),
        (json!({ "scopes": ["PriorityClass"] }), pod(json!({})), false),
        (selector("PriorityClass", "In", &["high"]), with(json!({ "priorityClassName": "high" })), true),
        (selector("PriorityClass", "In", &["high"]), with(json!({ "priorityClassName": "low" })), false),
        (selector("PriorityClass", "NotIn", &["high"]), pod(json!({})), true),
        (selector("PriorityClass", "DoesNotExist", &[]), pod(json!({})), true),
    ];
    for (spec, pod, expected) in table {
        let quota = json!({ "spec": spec });
        assert_eq!(counted("pods").is_in_scope(&quota, &pod), expected, "{quota} {pod}");
    }
    let claim = json!({ "spec": { "volumeAttributesClassName": "fast" } });
    let quota = json!({ "spec": selector("VolumeAttributesClass", "In", &["fast"]) });
    assert!(counted("persistentvolumeclaims").is_in_scope(&quota, &claim));
    assert!(!counted("secrets").is_in_scope(&quota, &claim));
}

fn selector(scope: &str, operator: &str, values: &[&str]) -> Value {
    json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": scope, "operator": operator, "values": values }] } })
}

#[test]
fn a_quota_of_cpu_obliges_containers() {
    let names: Vec<String> = ["cpu", "limits.memory", "pods"].map(String::from).to_vec();
    let spec = json!({ "containers": [{ "name": "b" }, { "name": "a", "resources": { "requests": { "cpu": "1" } } }] });
    let missing = counted("pods").missing(&names, &json!({ "spec": spec }));
    assert_eq!(missing.as_deref(), Some("must specify cpu for: b; limits.memory for: a,b"));
    assert_eq!(counted("services").missing(&names, &json!({})), None);
}

#[test]
fn writes_that_can_change_usage() {
    let object = json!({});
    let charged = |resource: &'static str, subresource: &str, creates: bool| {
        let old = (!creates).then_some(&object);
        counted(resource).is_charged(Write { subresource, new: &object, old })
    };
    assert!(charged("pods", "", true) && charged("pods", "resize", false) && charged("services", "", false));
    assert!(
        !charged("pods", "", false) && !charged("pods", "binding", true) && !charged("pods", "status", false)
    );
    assert!(charged("deployments.apps", "", true) && !charged("deployments.apps", "", false));
    assert!(!charged("persistentvolumeclaims", "status", false));
}

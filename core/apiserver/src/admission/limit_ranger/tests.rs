//! Limit ranges and the Pods and claims under them, as tables.

use serde_json::{Value, json};

use super::bounds;
use crate::admission::tests::{Write, over};

fn range(limits: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "LimitRange", "metadata": { "namespace": "ns", "name": "r" },
            "spec": { "limits": limits } })
}

fn resources(requests: Value, limits: Value) -> Value {
    json!({ "requests": requests, "limits": limits })
}

fn pod(resources: Value) -> Value {
    json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "c", "resources": resources }] } })
}

#[test]
fn containers_stay_between_the_bounds() {
    let limit = json!({
        "type": "Container", "min": { "cpu": "100m" }, "max": { "cpu": "1", "memory": "1Gi" },
        "maxLimitRequestRatio": { "cpu": "2" },
    });
    let table = [
        (json!({ "cpu": "500m" }), json!({ "cpu": "1", "memory": "1Gi" }), vec![]),
        (
            json!({}),
            json!({}),
            vec![
                "minimum cpu usage per Container is 100m.  No request is specified",
                "maximum cpu usage per Container is 1.  No limit is specified",
                "maximum memory usage per Container is 1Gi.  No limit is specified",
                "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
            ],
        ),
        (
            json!({ "cpu": "50m" }),
            json!({ "cpu": "90m", "memory": "2Gi" }),
            vec![
                "minimum cpu usage per Container is 100m, but request is 50m",
                "maximum memory usage per Container is 1Gi, but limit is 2Gi",
            ],
        ),
        (
            json!({ "cpu": "300m" }),
            json!({ "cpu": "1", "memory": "1" }),
            vec!["cpu max limit to request ratio per Container is 2, but provided ratio is 3.333333"],
        ),
    ];
    for (requests, limits, expected) in table {
        let pod = pod(resources(requests, limits));
        assert_eq!(bounds::of_containers(&limit, &pod, None), expected, "{pod}");
        assert!(bounds::of_containers(&limit, &pod, Some(&pod)).is_empty(), "nothing changes");
    }
}

#[test]
fn a_pod_is_bounded_as_a_whole() {
    let limit = json!({ "type": "Pod", "max": { "memory": "2Gi" } });
    let container = |memory: &str| json!({ "name": memory, "resources": resources(json!({ "memory": memory }), json!({ "memory": memory })) });
    let two = json!({ "spec": { "containers": [container("1Gi"), container("1536Mi")] } });
    assert_eq!(
        bounds::of_pod(&limit, &two, None),
        ["maximum memory usage per Pod is 2Gi, but limit is 2560Mi"]
    );
    let first = json!({ "spec": { "containers": [container("1Gi")], "initContainers": [container("2Gi")] } });
    assert!(bounds::of_pod(&limit, &first, None).is_empty());
}

#[test]
fn a_claim_is_bounded_by_what_it_requests() {
    let limit =
        json!({ "type": "PersistentVolumeClaim", "min": { "storage": "1Gi" }, "max": { "storage": "2Gi" } });
    let claim = |storage: &str| json!({ "spec": { "resources": { "requests": { "storage": storage } } } });
    let check = |storage: &str| bounds::of_claim(&limit, &claim(storage), None);
    assert!(check("1Gi").is_empty() && check("2Gi").is_empty());
    assert_eq!(check("3Gi"), ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]);
    assert_eq!(check("1"), ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1"]);
    assert!(bounds::of_claim(&limit, &claim("3Gi"), Some(&claim("3Gi"))).is_empty());
    assert_eq!(bounds::of_claim(&limit, &claim("4Gi"), Some(&claim("3Gi"))).len(), 1);
}

#[tokio::test]
async fn what_is_missing_is_filled_in_and_told() {
    let limits = json!([{ "type": "Container", "default": { "cpu": "1", "memory": "1Gi" }, "defaultRequest": { "cpu": "500m" } }]);
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "ns", "name": "default" },
        "automountServiceAccountToken": false });
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "ns" } });
    let cluster = over([range(limits), account, namespace]);
    let mut wanted = pod(json!({ "limits": { "memory": "2Gi" } }));
    wanted["spec"]["initContainers"] = json!([{ "name": "i" }]);
    let (made, _) = Write::create("pods ns/web").on(&cluster, Some(wanted)).await;
    let made = made.unwrap();
    assert_eq!(
        made["spec"]["containers"][0]["resources"],
        resources(json!({ "cpu": "500m" }), json!({ "cpu": "1", "memory": "2Gi" }))
    );
    assert_eq!(
        made["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu request for container c; cpu limit for container c; \
         cpu request for init container i; cpu, memory limit for init container i"
    );
    let (again, _) = Write::create("pods ns/web").on(&cluster, Some(made.clone())).await;
    assert_eq!(again.unwrap(), made);
}

#[tokio::test]
async fn several_faults_are_told_together() {
    let limits =
        json!([{ "type": "Container", "max": { "cpu": "1" } }, { "type": "Pod", "max": { "cpu": "1" } }]);
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "ns" } });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "ns", "name": "default" } });
    let cluster = over([range(limits), namespace, account]);
    let large = pod(resources(json!({ "cpu": "2" }), json!({ "cpu": "2" })));
    let (refused, _) = Write::create("pods ns/web").on(&cluster, Some(large.clone())).await;
    assert_eq!(
        refused.unwrap_err().message,
        "pods \"web\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, \
         maximum cpu usage per Pod is 1, but limit is 2]"
    );
    let (updated, _) = Write::update("pods ns/web", large.clone()).on(&cluster, Some(large)).await;
    assert!(updated.is_ok(), "a Pod that exists is left alone");
}

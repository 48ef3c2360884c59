//! Tables over strategic merge patches, the traps among them.

use proptest::prelude::*;
use serde_json::{Value, json};
use tiphys_api::schema;

use super::{PatchError, samples, strategic::apply};

fn pod_spec(document: Value, patch: Value) -> Result<Value, PatchError> {
    let schema = schema::of("io.k8s.api.core.v1.Pod").unwrap();
    apply(&json!({ "spec": document }), &json!({ "spec": patch }), &schema).map(|pod| pod["spec"].clone())
}

#[track_caller]
fn check(document: Value, patch: Value, expected: Value) {
    assert_eq!(pod_spec(document.clone(), patch.clone()), Ok(expected), "{document} with {patch}");
}

#[test]
fn lists_merge_by_their_key() {
    let two = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
    check(
        two.clone(),
        json!({"containers": [{"name": "b", "image": "2"}]}),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}]}),
    );
    check(
        two.clone(),
        json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "c", "image": "3"}]}),
        json!({"containers": [{"name": "b", "image": "1"}, {"name": "c", "image": "3"}]}),
    );
    check(
        two.clone(),
        json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
        json!({"containers": [{"name": "c"}]}),
    );
    check(
        two,
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "http"}], "image": null}]}),
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "http"}]}, {"name": "b", "image": "1"}]}),
    );
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    check(
        json!({"containers": [{"name": "a", "args": ["x", "y"]}], "tolerations": [{"key": "a"}]}),
        json!({"containers": [{"name": "a", "args": ["z"]}], "tolerations": [{"key": "b"}]}),
        json!({"containers": [{"name": "a", "args": ["z"]}], "tolerations": [{"key": "b"}]}),
    );
}

#[test]
fn order_is_the_patchs_and_the_servers_own_keep_their_place() {
    check(
        json!({"containers": [{"name": "a"}, {"name": "injected"}, {"name": "b"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "c"}, {"name": "a"}], "containers": [{"name": "c"}]}),
        json!({"containers": [{"name": "injected"}, {"name": "b"}, {"name": "c"}, {"name": "a"}]}),
    );
    check(
        json!({"containers": [{"name": "a"}, {"name": "b"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
        json!({"containers": [{"name": "b"}, {"name": "a"}]}),
    );
}

#[test]
fn a_volume_that_changes_its_type_keeps_only_what_it_retains() {
    check(
        json!({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}),
        json!({"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]}),
        json!({"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}),
    );
    let wrong =
        pod_spec(json!({}), json!({"volumes": [{"name": "v", "$retainKeys": ["name"], "hostPath": {}}]}));
    assert!(matches!(wrong, Err(PatchError::Malformed(_))));
}

#[test]
fn objects_can_be_replaced_and_emptied() {
    check(
        json!({"securityContext": {"runAsUser": 1, "fsGroup": 2}, "nodeSelector": {"a": "b"}}),
        json!({"securityContext": {"$patch": "replace", "runAsUser": 3}, "nodeSelector": {"$patch": "delete"}}),
        json!({"securityContext": {"runAsUser": 3}, "nodeSelector": {}}),
    );
    check(json!({"hostname": "a"}), json!({"hostname": null, "dnsPolicy": null}), json!({}));
}

#[test]
fn finalizers_are_added_and_taken_one_by_one() {
    let schema = schema::of("io.k8s.api.core.v1.Pod").unwrap();
    let pod = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    let added = apply(&pod(json!(["a", "b"])), &pod(json!(["b", "c"])), &schema).unwrap();
    assert_eq!(added, pod(json!(["a", "b", "c"])));
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b"]}});
    assert_eq!(apply(&added, &patch, &schema).unwrap(), pod(json!(["c", "b"])));
}

#[test]
fn what_is_no_patch() {
    for patch in [
        json!({"containers": [{"image": "no name"}]}),
        json!({"containers": [{"name": "a", "$patch": "explode"}]}),
        json!({"containers": [{"name": "a"}, "b"]}),
        json!({"$retainKeys": 1}),
        json!({"$setElementOrder/containers": 1}),
    ] {
        let result = pod_spec(json!({"containers": []}), patch.clone());
        assert!(matches!(result, Err(PatchError::Malformed(_))), "{patch}: {result:?}");
    }
    let schema = schema::of("io.k8s.api.core.v1.Pod").unwrap();
    assert!(apply(&json!({}), &json!([]), &schema).is_err());
}

proptest! {
    #[test]
    fn an_objects_own_content_is_a_patch_that_makes_it(from in samples::deployment(), to in samples::deployment()) {
        let schema = schema::of("io.k8s.api.apps.v1.Deployment").unwrap();
        let patched = apply(&from, &to, &schema).unwrap();
        // Whatever the patch says is so afterwards; and saying it again changes nothing.
        prop_assert_eq!(apply(&patched, &to, &schema).unwrap(), patched);
        prop_assert_eq!(apply(&json!({}), &to, &schema).unwrap(), to);
    }
}

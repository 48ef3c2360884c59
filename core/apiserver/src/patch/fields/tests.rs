//! Sets: their JSON, their algebra, their paths.

use proptest::prelude::*;
use serde_json::json;
use tiphys_api::schema;

use super::*;
use crate::patch::samples;

fn deployment() -> std::sync::Arc<schema::Schema> {
    schema::of("io.k8s.api.apps.v1.Deployment").unwrap()
}

#[test]
fn a_configuration_claims_what_it_names() {
    let config = json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]}, "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"spec": {"containers": [{"name": "web", "ports": [{"containerPort": 80}]}], "securityContext": {}}},
    }});
    let set = of::applied(&config, &deployment());
    let expected = json!({
        "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
        "f:spec": {"f:selector": {}, "f:template": {"f:spec": {
            "f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}},
            "f:securityContext": {},
        }}},
    });
    assert_eq!(set.encode(), expected);
    assert_eq!(Set::decode(&expected), set);
    let paths = set.paths();
    assert!(paths.contains(
        &".spec.template.spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"]".into()
    ));
    assert!(paths.contains(&".metadata.finalizers[=\"x/y\"]".into()), "{paths:?}");
}

#[test]
fn keys_of_other_writers_are_brought_into_one_form() {
    let spaced = json!({"f:ports": {"k:{\"protocol\": \"TCP\", \"containerPort\": 80}": {}}});
    let set = Set::decode(&spaced);
    assert!(set.children["f:ports"].children.contains_key("k:{\"containerPort\":80,\"protocol\":\"TCP\"}"));
    assert!(Set::decode(&json!({})).is_empty() && Set::decode(&json!("x")).is_empty());
}

#[test]
fn a_change_is_what_was_touched() {
    let old = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"replicas": 1, "paused": true,
        "template": {"spec": {"containers": [{"name": "x", "image": "1"}]}}}});
    let new = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 1,
        "template": {"spec": {"containers": [{"name": "x", "image": "1"}, {"name": "y", "image": "1"}]}}}});
    let change = compare::change(&old, &new, &deployment());
    assert_eq!(
        change.changed.paths(),
        [
            ".metadata.labels.b",
            ".spec.template.spec.containers[name=\"y\"]",
            ".spec.template.spec.containers[name=\"y\"].image",
            ".spec.template.spec.containers[name=\"y\"].name",
        ]
    );
    assert_eq!(change.removed.paths(), [".spec.paused"]);
    assert_eq!(compare::change(&old, &old, &deployment()), compare::Change::default());
}

#[test]
fn elements_that_cannot_be_told_apart_are_refused() {
    let env =
        |env: Value| json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": env}]}}}});
    let check = |config: Value| merge::check_keys(&config, &deployment(), "");
    assert_eq!(check(env(json!([{"name": "A"}, {"name": "B"}]))), Ok(()));
    let twice = check(env(json!([{"name": "A"}, {"name": "A"}]))).unwrap_err();
    assert_eq!(
        twice,
        ".spec.template.spec.containers[name=\"a\"].env: duplicate entries for key [name=\"A\"]"
    );
    assert!(check(env(json!([{"value": "x"}]))).unwrap_err().contains("omits key field \"name\""));
}

fn set() -> impl Strategy<Value = Set> {
    samples::deployment().prop_map(|object| of::added(&object, &deployment()))
}

proptest! {
    #[test]
    fn encoding_loses_nothing(set in set()) {
        prop_assert_eq!(Set::decode(&set.encode()), set);
    }

    #[test]
    fn sets_have_their_algebra(a in set(), b in set()) {
        let mut both = a.clone();
        both.union(&b);
        prop_assert_eq!(both.intersection(&a), a.clone());
        let mut rest = both.clone();
        rest.subtract(&b);
        prop_assert!(rest.intersection(&b).is_empty());
        prop_assert!(a.clone().intersection(&rest) == rest);
    }

    #[test]
    fn what_changed_and_what_went_explain_the_new_object(old in samples::deployment(), new in samples::deployment()) {
        let schema = deployment();
        let change = compare::change(&old, &new, &schema);
        let mut explained = of::added(&old, &schema);
        explained.subtract_trees(&change.removed);
        explained.union(&change.changed);
        prop_assert_eq!(explained, of::added(&new, &schema));
    }
}

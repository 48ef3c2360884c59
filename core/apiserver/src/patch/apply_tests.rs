//! Stories of several writers over one object, and the rules that hold for all.

use proptest::prelude::*;
use serde_json::{Value, json};
use tiphys_api::schema::{self, Schema};

use super::{
    PatchError,
    apply::{Writer, apply, conflict_message, track_update},
    fields::{Set, of},
    managed, samples,
};

fn schema() -> std::sync::Arc<Schema> {
    schema::of("io.k8s.api.apps.v1.Deployment").unwrap()
}

fn writer(manager: &'static str, now: &'static str) -> Writer<'static> {
    Writer { manager, subresource: "", api_version: "apps/v1", now, ignored: &["status"] }
}

const T1: &str = "2026-01-01T00:00:01Z";
const T2: &str = "2026-01-01T00:00:02Z";

fn config(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
}

fn applied(live: Option<&Value>, spec: Value, manager: &'static str) -> Result<Value, PatchError> {
    apply(live, &config(spec), &writer(manager, T1), false, &schema())
}

/// `manager/operation: paths`, for each entry.
fn owners(object: &Value) -> Vec<String> {
    let entries = managed::read(object);
    entries
        .iter()
        .map(|e| format!("{}/{}: {}", e.manager, e.operation.as_str(), e.set.paths().join(" ")))
        .collect()
}

fn containers(containers: Value) -> Value {
    json!({"template": {"spec": {"containers": containers}}})
}

#[test]
fn an_applier_owns_what_it_names_and_not_the_defaults() {
    let mut object = applied(None, json!({"replicas": 3}), "a").unwrap();
    assert_eq!(owners(&object), ["a/Apply: .spec.replicas"]);
    object["spec"]["revisionHistoryLimit"] = json!(10);
    let again =
        apply(Some(&object), &config(json!({"replicas": 3})), &writer("a", T2), false, &schema()).unwrap();
    assert_eq!(again, object, "applying again changes nothing, not even a time");
}

#[test]
fn what_an_applier_drops_goes_unless_another_wants_it() {
    let first = applied(None, json!({"replicas": 3, "paused": true, "minReadySeconds": 1}), "a").unwrap();
    let shared = applied(Some(&first), json!({"paused": true}), "b").unwrap();
    let dropped = applied(Some(&shared), json!({"minReadySeconds": 1}), "a").unwrap();
    assert_eq!(dropped["spec"], json!({"paused": true, "minReadySeconds": 1}));
    assert_eq!(owners(&dropped), ["a/Apply: .spec.minReadySeconds", "b/Apply: .spec.paused"]);
}

#[test]
fn dropping_never_takes_what_an_updater_set() {
    let first = applied(None, json!({"replicas": 3}), "a").unwrap();
    let mut updated = first.clone();
    updated["spec"]["paused"] = json!(true);
    track_update(Some(&first), &mut updated, &writer("edit", T2), &schema());
    let dropped = applied(Some(&updated), json!({}), "a").unwrap();
    assert_eq!(dropped["spec"], json!({"paused": true}));
}

#[test]
fn an_element_goes_with_its_defaults_and_others_keep_theirs() {
    let two = containers(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]));
    let mut first = applied(None, two, "me").unwrap();
    for container in first["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap() {
        container["imagePullPolicy"] = json!("Always");
    }
    let mut injected = first.clone();
    let list = injected["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    list.insert(0, json!({"name": "sidecar", "image": "s"}));
    track_update(Some(&first), &mut injected, &writer("injector", T2), &schema());
    let one = applied(Some(&injected), containers(json!([{"name": "b", "image": "2"}])), "me").unwrap();
    assert_eq!(
        one["spec"]["template"]["spec"]["containers"],
        json!([{"name": "sidecar", "image": "s"}, {"name": "b", "image": "2", "imagePullPolicy": "Always"}])
    );
}

#[test]
fn conflicts_name_the_owner_and_force_takes_over() {
    let mut created = config(json!({"replicas": 1, "paused": true}));
    track_update(None, &mut created, &writer("kubectl-client-side-apply", T1), &schema());
    let refused = applied(Some(&created), json!({"replicas": 3}), "me").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using apps/v1: .spec.replicas"
    );
    let PatchError::Conflicts(mut both) =
        applied(Some(&created), json!({"replicas": 3, "paused": false}), "me").unwrap_err()
    else {
        panic!("no conflicts")
    };
    both.sort_by(|a, b| a.field.cmp(&b.field));
    assert_eq!(
        conflict_message(&both),
        "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n\
         - .spec.paused\n- .spec.replicas"
    );
    let forced =
        apply(Some(&created), &config(json!({"replicas": 3})), &writer("me", T2), true, &schema()).unwrap();
    assert_eq!(forced["spec"]["replicas"], 3);
    assert_eq!(
        owners(&forced),
        ["me/Apply: .spec.replicas", "kubectl-client-side-apply/Update: .spec.paused"]
    );
    let same = applied(Some(&created), json!({"replicas": 1}), "me").unwrap();
    assert_eq!(
        owners(&same),
        ["me/Apply: .spec.replicas", "kubectl-client-side-apply/Update: .spec.paused .spec.replicas"]
    );
}

#[test]
fn an_update_owns_what_it_changes() {
    let created = applied(None, json!({"replicas": 1, "paused": true}), "me").unwrap();
    let mut scaled = created.clone();
    scaled["spec"]["replicas"] = json!(5);
    scaled["status"] = json!({"replicas": 1});
    track_update(Some(&created), &mut scaled, &writer("scaler", T2), &schema());
    assert_eq!(owners(&scaled), ["me/Apply: .spec.paused", "scaler/Update: .spec.replicas"]);
    let mut same = scaled.clone();
    track_update(Some(&scaled), &mut same, &writer("other", T2), &schema());
    assert_eq!(same, scaled, "a write that changes nothing owns nothing");
    let mut gone = scaled.clone();
    gone["spec"] = json!({"paused": true});
    track_update(Some(&scaled), &mut gone, &writer("other", T2), &schema());
    assert_eq!(owners(&gone), ["me/Apply: .spec.paused"]);
}

#[test]
fn a_status_is_its_subresources() {
    let mut created = config(json!({"replicas": 1}));
    track_update(None, &mut created, &writer("user", T1), &schema());
    let mut reported = created.clone();
    reported["status"] = json!({"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]});
    let controller = Writer { subresource: "status", ignored: &["spec"], ..writer("controller", T2) };
    track_update(Some(&created), &mut reported, &controller, &schema());
    let entry = &reported["metadata"]["managedFields"][1];
    assert_eq!((entry["subresource"].as_str(), entry["time"].as_str()), (Some("status"), Some(T2)));
    let condition = &entry["fieldsV1"]["f:status"]["f:conditions"]["k:{\"type\":\"Available\"}"];
    assert_eq!(*condition, json!({".": {}, "f:status": {}, "f:type": {}}));
    assert!(entry["fieldsV1"].get("f:spec").is_none());
}

#[test]
fn clients_may_rewrite_and_reset_the_entries() {
    let created = applied(None, json!({"replicas": 1}), "me").unwrap();
    let mut renamed = created.clone();
    renamed["metadata"]["managedFields"][0]["manager"] = json!("you");
    track_update(Some(&created), &mut renamed, &writer("kubectl", T2), &schema());
    assert_eq!(owners(&renamed), ["you/Apply: .spec.replicas"]);
    for (given, expected) in [(json!([{}]), 0), (json!([]), 1), (Value::Null, 1)] {
        let mut object = created.clone();
        object["metadata"]["managedFields"] = given;
        track_update(Some(&created), &mut object, &writer("kubectl", T2), &schema());
        assert_eq!(managed::read(&object).len(), expected);
    }
    let mut config = config(json!({}));
    config["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    let refused = apply(None, &config, &writer("me", T1), false, &schema());
    assert_eq!(refused, Err(PatchError::Malformed("metadata.managedFields must be nil".into())));
}

#[test]
fn many_updaters_are_put_together() {
    let mut object = config(json!({}));
    track_update(None, &mut object, &writer("first", T1), &schema());
    for i in 0..30 {
        let mut next = object.clone();
        next["metadata"]["labels"][format!("l{i}")] = json!("x");
        let name = format!("m{i}");
        let writer = Writer { manager: &name, ..writer("", T2) };
        track_update(Some(&object), &mut next, &writer, &schema());
        object = next;
    }
    let entries = managed::read(&object);
    assert!(entries.len() <= 10, "{}", entries.len());
    let mut all = Set::default();
    entries.iter().for_each(|entry| all.union(&entry.set));
    assert_eq!(all.children["f:metadata"].children["f:labels"].children.len(), 30);
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(live in samples::deployment(), config in samples::deployment()) {
        let schema = schema();
        let mut live = live;
        track_update(None, &mut live, &writer("creator", T1), &schema);
        let once = apply(Some(&live), &config, &writer("me", T1), true, &schema).unwrap();
        let twice = apply(Some(&once), &config, &writer("me", T2), false, &schema).unwrap();
        prop_assert_eq!(&twice, &once);
        // What was applied is so, and owned.
        let entry = managed::read(&once).into_iter().find(|e| e.manager == "me");
        let wanted = managed::ownable(of::applied(&config, &schema), &["status"]);
        prop_assert_eq!(entry.map(|e| e.set), Some(wanted));
        prop_assert_eq!(super::fields::merge::merge(&once, &config, &schema), once);
    }

    #[test]
    fn an_applier_alone_gets_exactly_its_last_configuration(a in samples::deployment(), b in samples::deployment()) {
        let schema = schema();
        let first = apply(None, &a, &writer("me", T1), false, &schema).unwrap();
        let mut second = apply(Some(&first), &b, &writer("me", T2), false, &schema).unwrap();
        second["metadata"].as_object_mut().unwrap().remove("managedFields");
        prop_assert_eq!(second, b);
    }

    #[test]
    fn every_field_has_an_owner_after_updates(a in samples::deployment(), b in samples::deployment()) {
        let schema = schema();
        let mut first = a;
        track_update(None, &mut first, &writer("one", T1), &schema);
        let mut second = b;
        second["metadata"]["managedFields"] = first["metadata"]["managedFields"].clone();
        track_update(Some(&first), &mut second, &writer("two", T2), &schema);
        let mut owned = Set::default();
        managed::read(&second).iter().for_each(|entry| owned.union(&entry.set));
        let wanted = managed::ownable(of::added(&second, &schema), &[]);
        prop_assert_eq!(owned, wanted);
    }
}

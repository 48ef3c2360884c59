//! Tables over schemas, and what must hold for any object.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{check, default, embedded, lists, path::Path, prune, structural::Structural};
use crate::test_rows::{json_of, rows};

fn schema() -> Structural {
    Structural::parse(&json!({
        "type": "object",
        "properties": {"spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]*$"},
                "replicas": {"type": "integer", "minimum": 1, "maximum": 10, "format": "int32", "default": 1},
                "ratio": {"type": "number", "exclusiveMinimum": true, "minimum": 0, "multipleOf": 0.5},
                "mode": {"type": "string", "enum": ["On", "Off"], "default": "On"},
                "port": {"x-kubernetes-int-or-string": true},
                "maybe": {"type": "string", "nullable": true},
                "address": {"type": "string", "format": "ipv4"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"known": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 2},
                "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "x-kubernetes-list-type": "set"},
                "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "proto"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"}, "proto": {"type": "string", "default": "TCP"}, "n": {"type": "integer"}}}},
                "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
                "any": {"type": "integer", "anyOf": [{"maximum": 1}, {"minimum": 10}]},
                "not": {"type": "string", "not": {"enum": ["no"]}},
                "object": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            },
        }},
    }))
}

fn shown(spec: Value) -> Vec<String> {
    let object = json!({"spec": spec});
    let mut errors = check::check(&schema(), &object, None, &Path::Root);
    errors.extend(embedded::check(&schema(), &object));
    errors.extend(lists::check(&schema(), &object));
    errors.iter().map(ToString::to_string).collect()
}

/// Specs, and what is said of each.
const MISTAKES: &str = r##"
{} => spec.name: Required value
{"name": "a"} => spec.name: Invalid value: "a": spec.name in body should be at least 2 chars long
{"name": "abcdef"} => spec.name: Too long: may not be more than 5 bytes
{"name": "ABC"} => spec.name: Invalid value: "ABC": spec.name in body should match '^[a-z]*$'
{"name": 1} => spec.name: Invalid value: "integer": spec.name in body must be of type string: "integer"
{"name": null} => spec.name: Invalid value: "null": spec.name in body must be of type string: "null"
{"replicas": 0} => spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1
{"replicas": 11} => spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10
{"replicas": 1.5} => spec.replicas: Invalid value: "number": spec.replicas in body must be of type integer: "number"
{"ratio": 0} => spec.ratio: Invalid value: 0: spec.ratio in body should be greater than 0
{"ratio": 0.7} => spec.ratio: Invalid value: 0.7: spec.ratio in body should be a multiple of 0.5
{"mode": "x"} => spec.mode: Unsupported value: "x": supported values: "On", "Off"
{"port": true} => spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"
{"address": "x"} => spec.address: Invalid value: "x": spec.address in body must be of type ipv4: "x"
{"labels": {"a": "", "b": "", "c": ""}} => spec.labels: Too many: 3: must have at most 2 items
{"labels": {"a": 1}} => spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string: "integer"
{"tags": ["a", "b", "c", "d"]} => spec.tags: Too many: 4: must have at most 3 items
{"tags": ["a", "b", "a"]} => spec.tags[2]: Duplicate value: "a"
{"tags": [1]} => spec.tags[0]: Invalid value: "integer": spec.tags[0] in body must be of type string: "integer"
{"ports": [{"name": "a", "proto": "TCP"}, {"name": "a", "proto": "TCP"}]} => spec.ports[1]: Duplicate value: {"name":"a","proto":"TCP"}
{"either": {}} => <nil>: Invalid value: "": "spec.either" must validate one and only one schema (oneOf). Found none valid
{"either": {"a": "", "b": ""}} => <nil>: Invalid value: "": "spec.either" must validate one and only one schema (oneOf). Found 2 valid alternatives
{"any": 5} => <nil>: Invalid value: "": "spec.any" must validate at least one schema (anyOf)
{"not": "no"} => <nil>: Invalid value: "": "spec.not" must not validate the schema (not)
{"object": {"kind": "Pod"}} => spec.object.apiVersion: Required value
{"object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b"}}} => spec.object.metadata.name: Invalid value: "a/b": may not contain '/'
"##;

#[test]
fn values_are_checked_in_the_words_users_know() {
    for (spec, message) in rows(MISTAKES) {
        let mut spec = json_of(spec);
        if spec.get("name").is_none() && !message.starts_with("spec.name") {
            spec["name"] = json!("good");
        }
        let errors = shown(spec);
        assert!(errors.iter().any(|error| error == message), "{message}\n{errors:#?}");
    }
    let good = json!({
        "name": "good", "replicas": 3.0, "ratio": 1.5, "mode": "Off", "port": "http", "maybe": null,
        "address": "10.0.0.1", "free": {"x": [1]}, "labels": {"a": "b"}, "tags": ["a"],
        "ports": [{"name": "a", "proto": "TCP"}, {"name": "a", "proto": "UDP"}], "either": {"a": ""}, "any": 12,
        "object": {"apiVersion": "v1", "kind": "Pod"},
    });
    assert_eq!(shown(good), Vec::<String>::new());
}

#[test]
fn what_was_wrong_before_and_is_untouched_may_stay() {
    let old = json!({"spec": {"name": "TOO LONG", "replicas": 3, "ports": [{"name": "a", "n": "x"}]}});
    let mut new = old.clone();
    new["spec"]["replicas"] = json!(4);
    assert!(check::check(&schema(), &new, Some(&old), &Path::Root).is_empty());
    new["spec"]["ports"] = json!([{"name": "b", "n": 1}, {"name": "a", "n": "x"}]);
    assert!(check::check(&schema(), &new, Some(&old), &Path::Root).is_empty());
    new["spec"]["name"] = json!("ALSO LONG");
    assert!(!check::check(&schema(), &new, Some(&old), &Path::Root).is_empty());
}

#[test]
fn unknown_fields_go_unless_they_are_wanted() {
    let mut object = json!({
        "apiVersion": "a/v1", "kind": "K", "metadata": {"name": "x", "whatever": 1}, "more": {},
        "spec": {
            "name": "a", "foo": 1, "ports": [{"name": "a", "bar": 2}],
            "free": {"x": {"y": 1}, "known": {"a": 1, "b": 2}},
            "object": {"metadata": {"name": "a"}, "spec": {"any": 1}},
        },
    });
    let unknown = prune::prune(&schema(), &mut object);
    assert_eq!(unknown, ["more", "spec.foo", "spec.free.known.b", "spec.ports[0].bar"]);
    assert_eq!(object["spec"]["free"], json!({"x": {"y": 1}, "known": {"a": 1}}));
    assert_eq!(object["spec"]["object"]["spec"], json!({"any": 1}));
    assert_eq!(object["metadata"]["whatever"], 1);
}

#[test]
fn defaults_fill_what_is_absent_or_null() {
    let mut object =
        json!({"spec": {"mode": null, "maybe": null, "address": null, "ports": [{"name": "a"}]}});
    default::default(&schema(), &mut object);
    let expected = json!({"spec": {"replicas": 1, "mode": "On", "maybe": null, "ports": [{"name": "a", "proto": "TCP"}]}});
    assert_eq!(object, expected);
}

#[test]
fn metadata_is_brought_into_form() {
    let mut object = json!({
        "metadata": {"name": "a", "odd": 1, "labels": null},
        "spec": {"object": {"metadata": {"name": "b", "odder": 1}}},
    });
    let unknown = embedded::shape(&schema(), &mut object, crate::schema::check).unwrap();
    assert_eq!(unknown, ["metadata.odd", "spec.object.metadata.odder"]);
    assert_eq!(object["metadata"], json!({"name": "a"}));
    let mut wrong = json!({"metadata": {"labels": {"a": 1}}});
    assert!(
        embedded::shape(&schema(), &mut wrong, crate::schema::check)
            .unwrap_err()
            .message
            .contains("ObjectMeta.labels")
    );
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..12).prop_map(Value::from),
        "[a-zA-Z]{0,4}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "spec", "name", "replicas", "mode", "free", "known", "a", "ports", "proto", "tags", "labels",
            "object", "metadata",
        ])
        .prop_map(String::from),
        "[a-z]{1,3}",
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn pruning_twice_is_pruning_once(object in anything()) {
        let mut object = json!({"spec": object});
        prune::prune(&schema(), &mut object);
        let once = object.clone();
        prop_assert_eq!(prune::prune(&schema(), &mut object), Vec::<String>::new());
        prop_assert_eq!(object, once);
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(object in anything()) {
        let mut object = json!({"spec": object});
        default::default(&schema(), &mut object);
        let once = object.clone();
        default::default(&schema(), &mut object);
        prop_assert_eq!(object, once);
    }

    #[test]
    fn defaults_are_known_fields(object in anything()) {
        let mut object = json!({"spec": object});
        prune::prune(&schema(), &mut object);
        default::default(&schema(), &mut object);
        let defaulted = object.clone();
        prune::prune(&schema(), &mut object);
        prop_assert_eq!(object, defaulted);
    }
}

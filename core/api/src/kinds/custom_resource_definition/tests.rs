//! Definitions that are refused, and why; names and conditions.

use serde_json::{Value, json};

use super::{
    KIND, conditions,
    names::{self, Taken},
};
use crate::test_rows::{json_of, rows};

/// A good definition, with its schema.
fn with_schema(schema: Value) -> Value {
    let mut definition = json!({
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"]},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    });
    (KIND.default)(&mut definition);
    (KIND.prepare_create)(&mut definition);
    definition
}

fn good() -> Value {
    with_schema(json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "replicas": {"type": "integer"}, "selector": {"type": "string"}}}}}))
}

fn shown(definition: &Value) -> Vec<String> {
    KIND.check_create(definition).iter().map(ToString::to_string).collect()
}

/// The definition after a change at a pointer.
fn changed(mut definition: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = definition.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    definition
}

#[test]
fn what_is_left_out_is_filled_in() {
    let definition = good();
    assert_eq!(definition["spec"]["names"]["listKind"], "CronTabList");
    assert_eq!(definition["spec"]["names"]["singular"], "crontab");
    assert_eq!(definition["spec"]["conversion"], json!({"strategy": "None"}));
    assert_eq!(definition["status"], json!({"storedVersions": ["v1"]}));
    assert_eq!(shown(&definition), Vec::<String>::new());
}

/// What is put where, and what is said of it.
const MISTAKES: &str = r##"
/metadata/name <- "x.y" => metadata.name: Invalid value: "x.y": must be spec.names.plural+"."+spec.group
/spec/group <- "single" => spec.group: Invalid value: "single": should be a domain with at least one dot
/spec/scope <- "Galaxy" => spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"
/spec/names/kind <- "Cron_Tab" => spec.names.kind: Invalid value: "Cron_Tab": may have mixed case, but should otherwise match: a DNS-1035 label
/spec/names/listKind <- "CronTab" => spec.names.listKind: Invalid value: "CronTab": kind and listKind may not be the same
/spec/names/shortNames <- ["C"] => spec.names.shortNames[0]: Invalid value: "C": a DNS-1035 label
/spec/names/categories <- ["a b"] => spec.names.categories[0]: Invalid value: "a b": a DNS-1035 label
/spec/versions <- [] => spec.versions: Invalid value: []: must have exactly one version marked as storage version
/spec/versions <- [ {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}, {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}} ] => spec.versions: Invalid value:
/spec/versions/0/name <- "1" => spec.versions[0].name: Invalid value: "1": a DNS-1035 label
/spec/versions/0/schema <- {} => spec.versions[0].schema.openAPIV3Schema: Required value
/spec/versions/0/deprecationWarning <- "x" => spec.versions[0].deprecationWarning: Invalid value: "x": can only be set for deprecated versions
/spec/versions/0/additionalPrinterColumns <- [{"name": "a", "type": "text", "jsonPath": "spec"}] => spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string
/spec/versions/0/additionalPrinterColumns <- [{"name": "a", "type": "string", "jsonPath": "spec"}] => spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec": must be a simple json path starting with .
/spec/versions/0/additionalPrinterColumns <- [{"name": "a", "type": "string", "jsonPath": ".a["}] => spec.additionalPrinterColumns[0].JSONPath: Invalid value: ".a[": must be a json path: unterminated array
/spec/versions/0/subresources <- {"scale": {"specReplicasPath": ".status.a", "statusReplicasPath": ".status.b"}} => spec.subresources.scale.specReplicasPath: Invalid value: ".status.a": should be a json path under .spec
/spec/versions/0/subresources <- {"scale": {}} => spec.subresources.scale.statusReplicasPath: Required value
/spec/versions/0/selectableFields <- [{"jsonPath": ".spec.none"}] => spec.selectableFields[0].jsonPath: Invalid value: ".spec.none": is an invalid path: does not refer to a valid field
/spec/versions/0/selectableFields <- [{"jsonPath": ".spec"}] => spec.selectableFields[0].jsonPath: Invalid value: ".spec": must point to a field of type string, boolean or integer
/spec/versions/0/selectableFields <- [{"jsonPath": ".spec.selector"}, {"jsonPath": ".spec.selector"}] => spec.selectableFields[1].jsonPath: Duplicate value: ".spec.selector"
/spec/preserveUnknownFields <- true => spec.preserveUnknownFields: Invalid value: true: cannot set to true
/spec/conversion <- {"strategy": "Webhook"} => spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook
/spec/conversion <- {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "http://a.b"}, "conversionReviewVersions": ["v1"]}} => spec.conversion.webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme
/spec/conversion <- {"strategy": "Webhook", "webhook": {"clientConfig": {"url": "https://a.b"}, "conversionReviewVersions": ["v9"]}} => spec.conversion.conversionReviewVersions: Invalid value: ["v9"]: must include at least one of v1
/status/storedVersions <- ["v0", "v1"] => status.storedVersions[0]: Invalid value: "v0": missing from spec.versions; v0 was previously a storage version
/status/storedVersions <- ["v0"] => status.storedVersions: Invalid value: ["v0"]: must have the storage version v1
"##;

#[test]
fn mistakes_outside_of_schemas_are_named() {
    for (change, message) in rows(MISTAKES) {
        let (pointer, value) = change.split_once(" <- ").unwrap();
        let errors = shown(&changed(good(), pointer, json_of(value)));
        assert!(errors.iter().any(|error| error.starts_with(message)), "{message}\n{errors:#?}");
    }
    let mut protected = changed(good(), "/spec/group", json!("example.k8s.io"));
    protected["metadata"]["name"] = json!("crontabs.example.k8s.io");
    assert!(
        shown(&protected)[0].starts_with("metadata.annotations[api-approved.kubernetes.io]: Required value")
    );
    protected["metadata"]["annotations"] =
        json!({"api-approved.kubernetes.io": "https://github.com/x/y/pull/1"});
    assert_eq!(shown(&protected), Vec::<String>::new());
}

/// Schemas, of the whole or of a field `a`, and what is said of each.
const UNSTRUCTURAL: &str = r##"
{"properties": {}} => .type: Required value: must not be empty at the root
{"type": "string"} => .type: Invalid value: "string": must be object at the root
{"type": "object", "nullable": true} => .nullable: Forbidden: nullable cannot be true at the root
{"type": "object", "additionalProperties": {"type": "string"}} => .additionalProperties: Forbidden: must not be used at the root
field {} => .properties[a].type: Required value: must not be empty for specified object fields
field {"type": "null"} => .properties[a].type: Forbidden: type cannot be set to null, use nullable as an alternative
field {"type": "text"} => .properties[a].type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"
field {"type": "array"} => .properties[a].items: Required value: must be specified
field {"type": "array", "items": {}} => .properties[a].items.type: Required value: must not be empty for specified array items
field {"type": "string", "pattern": "("} => .properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn't
field {"type": "string", "anyOf": [{"type": "string"}]} => .properties[a].anyOf[0].type: Forbidden: must be empty to be structural
field {"type": "object", "oneOf": [{"properties": {"b": {}}}]} => .properties[a].properties[b]: Required value: because it is defined in spec.validation.openAPIV3Schema.properties[a].oneOf[0]
field {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": {"type": "string"}} => .properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive
field {"type": "array", "items": {"type": "string"}, "uniqueItems": true} => .properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true
field {"type": "object", "$ref": "#/x"} => .properties[a].$ref: Forbidden: $ref is not supported
field {"type": "object", "x-kubernetes-preserve-unknown-fields": false} => .properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined
field {"type": "object", "x-kubernetes-embedded-resource": true} => .properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true
field {"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true} => .properties[a].x-kubernetes-preserve-unknown-fields: Invalid value: true: must be false if x-kubernetes-int-or-string is true
field {"type": "string", "x-kubernetes-list-type": "set"} => .properties[a].type: Invalid value: "string": must be array if x-kubernetes-list-type is specified
field {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"} => .properties[a].items.x-kubernetes-map-type: Invalid value: "": must be atomic as item of a list with x-kubernetes-list-type=set
field {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]} => .properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys
field {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]} => .properties[a].x-kubernetes-list-map-keys: Invalid value: ["k"]: entries must all be names of item properties
field {"type": "string", "default": 1} => .properties[a].default: Invalid value: "integer":  in body must be of type string: "integer"
field {"type": "object", "properties": {"b": {"type": "integer"}}, "default": {"c": 1}} => .properties[a].default: Invalid value: {"c":1}: must not have unknown fields
{"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}} => .properties[metadata]: Forbidden: must not specify anything other than name and generateName
{"type": "object", "properties": {"kind": {"type": "string", "default": "x"}}} => .properties[kind].default: Forbidden: must not be set in top-level kind
field {"type": "object", "x-kubernetes-validations": [{"rule": " "}]} => .properties[a].x-kubernetes-validations[0].rule: Required value: rule is not specified
field {"type": "object", "x-kubernetes-validations": [{"rule": "true", "reason": "Why"}]} => .properties[a].x-kubernetes-validations[0].reason: Unsupported value: "Why"
field {"type": "object", "x-kubernetes-validations": [{"rule": "true", "fieldPath": ".b"}]} => .properties[a].x-kubernetes-validations[0].fieldPath: Invalid value: ".b": must be a valid path
"##;

#[test]
fn schemas_must_be_structural() {
    let field = |schema: Value| json!({"type": "object", "properties": {"a": schema}});
    let at = "spec.validation.openAPIV3Schema";
    for (schema, message) in rows(UNSTRUCTURAL) {
        let schema = match schema.strip_prefix("field ") {
            Some(of_field) => field(json_of(of_field)),
            None => json_of(schema),
        };
        let errors = shown(&with_schema(schema));
        let message = format!("{at}{message}");
        assert!(errors.iter().any(|error| error.starts_with(&message)), "{message}\n{errors:#?}");
    }
    let fine = [
        field(
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
        field(
            json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}, {"pattern": "^a$"}]}),
        ),
        field(
            json!({"type": "object", "properties": {"b": {"type": "string"}}, "oneOf": [{"required": ["b"]}, {"properties": {"b": {"enum": ["x"]}}}]}),
        ),
        field(json!({"x-kubernetes-preserve-unknown-fields": true})),
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}}}}}),
    ];
    for schema in fine {
        assert_eq!(shown(&with_schema(schema.clone())), Vec::<String>::new(), "{schema}");
    }
}

#[test]
fn abuse_18_patterns_too_large_to_compile_are_refused() {
    for pattern in ["a".repeat(20_000), "(a{1000}){1000}".to_owned()] {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}});
        let errors = shown(&with_schema(schema));
        assert!(errors[0].contains("must be a valid regular expression, but isn't"), "{errors:?}");
        assert!(errors[0].len() < 1000);
    }
}

#[test]
fn what_is_kept_cannot_be_renamed() {
    let mut old = good();
    let accepted = names::accept(&old, &Taken::default());
    names::write(&mut old, &accepted, "2026-01-01T00:00:00Z");
    let new = changed(changed(old.clone(), "/spec/scope", json!("Cluster")), "/spec/group", json!("a.b"));
    let errors: Vec<String> = KIND.check_update(&new, &old).iter().map(ToString::to_string).collect();
    assert!(
        errors.contains(&"spec.scope: Invalid value: \"Cluster\": field is immutable".to_owned()),
        "{errors:?}"
    );
    assert!(
        errors.contains(&"spec.group: Invalid value: \"a.b\": field is immutable".to_owned()),
        "{errors:?}"
    );
}

#[test]
fn a_name_belongs_to_who_came_first() {
    let mut taken = Taken::default();
    taken.add(&json!({"plural": "others", "singular": "other", "shortNames": ["ct"], "kind": "Other", "listKind": "OtherList"}));
    let mut definition = good();
    let accepted = names::accept(&definition, &taken);
    assert_eq!(accepted.conflict, Some(("ShortNamesConflict", "\"ct\" is already in use".to_owned())));
    assert_eq!(accepted.names["plural"], "crontabs");
    assert!(accepted.names.get("shortNames").is_none());
    names::write(&mut definition, &accepted, "2026-01-01T00:00:00Z");
    assert!(!crate::access::condition(&definition, "Established"));
    let free = names::accept(&definition, &Taken::default());
    names::write(&mut definition, &free, "2026-01-02T00:00:00Z");
    assert!(crate::access::condition(&definition, "Established"));
    let conditions = definition["status"]["conditions"].as_array().unwrap();
    assert_eq!(conditions[0]["lastTransitionTime"], "2026-01-02T00:00:00Z");
    let before = definition.clone();
    names::write(&mut definition, &free, "2026-01-03T00:00:00Z");
    assert_eq!(definition, before);
}

#[test]
fn a_deleted_definition_waits_for_its_instances() {
    let mut definition = good();
    conditions::hold(&mut definition, "2026-01-01T00:00:00Z");
    conditions::hold(&mut definition, "2026-01-01T00:00:00Z");
    assert_eq!(definition["metadata"]["finalizers"], json!([conditions::FINALIZER]));
    assert!(crate::access::condition(&definition, "Terminating"));
}

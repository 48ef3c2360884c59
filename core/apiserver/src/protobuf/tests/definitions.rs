//! CustomResourceDefinitions: a schema recurses, and has members that are a schema
//! or something else, any JSON, and names that are no word of protobuf.

use k8s_pb::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use serde_json::{Value, json};

use super::{
    against_prost::{check, text},
    *,
};

const VERSION: &str = "apiextensions.k8s.io/v1";
const KIND: &str = "CustomResourceDefinition";

/// A definition with this schema.
fn definition(schema: &Value) -> Value {
    json!({
        "apiVersion": VERSION, "kind": KIND, "metadata": {"name": "as.b.example"},
        "spec": {"group": "b.example", "scope": "Cluster", "names": {"plural": "as", "kind": "A"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    })
}

/// Every word of a schema.
fn schema() -> Value {
    let text = r#"{
        "id": "i", "$schema": "s", "$ref": "", "description": "d", "type": "object", "format": "f", "title": "t",
        "default": {"a": [1, null, {"b": 2.5}]}, "maximum": 100, "exclusiveMaximum": true, "minimum": -0.5,
        "exclusiveMinimum": true, "maxLength": 0, "minLength": 1, "pattern": "^a", "maxItems": 2, "minItems": 0,
        "uniqueItems": true, "multipleOf": 3, "enum": ["a", 1, null, {"x": []}], "maxProperties": 4,
        "minProperties": 0, "required": ["spec", ""], "items": {"type": "string"},
        "allOf": [{"minimum": 0}], "oneOf": [{}, {"type": "a"}], "anyOf": [{"x-kubernetes-int-or-string": true}],
        "not": {"type": "null"}, "properties": {"spec": {"type": "array", "items": [{"type": "string"}, {}]}, "": {}},
        "additionalProperties": {"type": "integer", "additionalProperties": true, "additionalItems": false},
        "patternProperties": {"^a": {"additionalProperties": false}},
        "dependencies": {"a": ["b", "c"], "d": {"type": "object"}},
        "additionalItems": {"additionalItems": true}, "definitions": {"x": {"title": "x"}},
        "externalDocs": {"description": "d", "url": "u"}, "example": "text", "nullable": true,
        "x-kubernetes-preserve-unknown-fields": false, "x-kubernetes-embedded-resource": true,
        "x-kubernetes-int-or-string": true, "x-kubernetes-list-map-keys": ["k"], "x-kubernetes-list-type": "map",
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-validations": [{"rule": "self.a", "message": "m", "messageExpression": "'e'",
            "reason": "FieldValueInvalid", "fieldPath": ".a", "optionalOldSelf": false}]
    }"#;
    serde_json::from_str(text).expect("JSON")
}

fn whole() -> Value {
    let names = json!({"plural": "as", "singular": "a", "shortNames": ["x"], "kind": "A", "listKind": "AList",
        "categories": ["all"]});
    json!({
        "apiVersion": VERSION, "kind": KIND, "metadata": {"name": "as.b.example", "generation": 1},
        "spec": {
            "group": "b.example", "names": names, "scope": "Namespaced", "preserveUnknownFields": true,
            "versions": [{
                "name": "v1", "served": true, "storage": false, "deprecated": true, "deprecationWarning": "",
                "schema": {"openAPIV3Schema": schema()},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.r",
                    "statusReplicasPath": ".status.r", "labelSelectorPath": ".status.s"}},
                "additionalPrinterColumns": [{"name": "C", "type": "integer", "format": "int32",
                    "description": "d", "priority": 1, "jsonPath": ".spec.c"}],
                "selectableFields": [{"jsonPath": ".spec.c"}],
            }],
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {
                "url": "https://h", "caBundle": "YWJj",
                "service": {"namespace": "n", "name": "s", "path": "/p", "port": 443}}}},
        },
        "status": {
            "conditions": [{"type": "Established", "status": "True", "reason": "r", "message": "m",
                "lastTransitionTime": "2026-02-03T04:05:06Z", "observedGeneration": 1}],
            "acceptedNames": names, "storedVersions": ["v1"], "observedGeneration": 1,
        },
    })
}

#[test]
fn every_field_is_where_prost_has_it() {
    let read: apiextensions::CustomResourceDefinition = check(&whole());
    let spec = read.spec.expect("a spec");
    let version = &spec.versions[0];
    assert_eq!((text(&version.name), version.served, version.storage), ("v1", Some(true), Some(false)));
    assert_eq!(version.deprecation_warning.as_deref(), Some(""));
    let subresources = version.subresources.as_ref().expect("subresources");
    assert!(subresources.status.is_some());
    let webhook = spec.conversion.and_then(|conversion| conversion.webhook).expect("a webhook");
    assert_eq!(webhook.client_config.and_then(|config| config.service).and_then(|s| s.port), Some(443));
    let schema = version.schema.as_ref().and_then(|of| of.open_apiv3_schema.as_ref()).expect("a schema");
    assert_eq!((schema.maximum, schema.minimum, schema.max_length), (Some(100.0), Some(-0.5), Some(0)));
    assert_eq!((schema.r#ref.as_deref(), schema.schema.as_deref()), (Some(""), Some("s")));
    let raw = |json: &apiextensions::Json| json.raw.clone().unwrap_or_default();
    assert_eq!(schema.default.as_ref().map(raw).as_deref(), Some(br#"{"a":[1,null,{"b":2.5}]}"#.as_slice()));
    let values: Vec<_> = schema.r#enum.iter().map(raw).collect();
    assert_eq!(values, [b"\"a\"".as_slice(), b"1", b"", br#"{"x":[]}"#]);
    let spec = &schema.properties["spec"];
    assert_eq!(
        spec.items.as_ref().map(|items| (items.schema.is_some(), items.j_son_schemas.len())),
        Some((false, 2))
    );
    let additional = schema.additional_properties.as_ref().expect("a schema");
    assert_eq!(additional.allows, Some(true));
    let inner = additional.schema.as_ref().expect("a schema");
    let allows =
        |of: &Option<Box<apiextensions::JsonSchemaPropsOrBool>>| of.as_ref().and_then(|of| of.allows);
    assert_eq!(
        (allows(&inner.additional_properties), allows(&inner.additional_items)),
        (Some(true), Some(false))
    );
    assert_eq!(schema.dependencies["a"].property, ["b", "c"]);
    assert!(schema.dependencies["d"].schema.is_some());
    assert_eq!(schema.x_kubernetes_preserve_unknown_fields, Some(false));
    assert_eq!(schema.x_kubernetes_validations[0].optional_old_self, Some(false));
}

/// As Go's bytes are: numbers that no word of the schema names, and all that isn't omitted.
#[test]
fn a_definition_out_of_bytes() {
    let boolean = [bytes(5, b"boolean"), number(37, 0), number(39, 0), number(40, 0)].concat();
    let any = [number(1, 1), bytes(2, &bytes(5, b"string"))].concat();
    let rule = [bytes(1, b"self"), bytes(2, b""), bytes(3, b""), bytes(5, b""), number(6, 1)].concat();
    let default = bytes(1, b" {\"b\" : true} ");
    let maximum = [varint(9 << 3 | 1), 7_f64.to_le_bytes().to_vec()].concat();
    let schema = [
        bytes(5, b"object"),
        bytes(8, &default),
        maximum,
        bytes(29, &[bytes(1, b"b"), bytes(2, &boolean)].concat()),
        bytes(30, &any),
        number(38, 1),
        bytes(44, &rule),
    ]
    .concat();
    let version =
        [bytes(1, b"v1"), number(2, 1), number(3, 0), bytes(4, &bytes(1, &schema)), number(7, 0)].concat();
    let names = [bytes(1, b"as"), bytes(2, b""), bytes(4, b"A"), bytes(5, b"")].concat();
    let spec =
        [bytes(1, b"b.example"), bytes(3, &names), bytes(4, b"Cluster"), bytes(7, &version), number(10, 0)]
            .concat();
    let object = decode(&wrapped(VERSION, KIND, &bytes(2, &spec))).expect("a definition");
    let expected = json!({
        "group": "b.example", "scope": "Cluster", "names": {"plural": "as", "kind": "A"},
        "versions": [{"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {
            "type": "object", "default": {"b": true}, "maximum": 7, "properties": {"b": {"type": "boolean"}},
            "additionalProperties": {"type": "string"}, "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-validations": [{"rule": "self", "optionalOldSelf": true}]}}}],
    });
    assert_eq!(object["spec"], expected);
}

#[test]
fn what_is_neither_a_schema_nor_what_may_stand_for_one_is_an_error() {
    for wrong in [
        json!({"items": true}),
        json!({"items": "a"}),
        json!({"additionalProperties": []}),
        json!({"additionalItems": 1}),
        json!({"dependencies": {"a": false}}),
        json!({"dependencies": {"a": [{}]}}),
    ] {
        assert_eq!(encode(&definition(&wrong)).expect_err("no schema").code.as_u16(), 500, "{wrong}");
    }
    for (place, empty) in [(24, None), (30, Some(json!(false)))] {
        let raw = bytes(2, &bytes(7, &bytes(4, &bytes(1, &bytes(place, b"")))));
        let object = decode(&wrapped(VERSION, KIND, &raw)).expect("a definition");
        let schema = &object["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(schema.as_object().and_then(|schema| schema.values().next().cloned()), empty);
    }
}

/// Each level of properties is two of JSON's.
fn nested(levels: usize, innermost: Value) -> Value {
    (0..levels).fold(innermost, |inner, _| json!({"properties": {"p": inner}}))
}

#[test]
fn abuse_16_a_schema_nests_no_deeper_than_its_json_can_be_read() {
    let deep = |levels, innermost| {
        let object = definition(&nested(levels, innermost));
        decode(&encode(&object).expect("a message")).map(|read| assert_eq!(read, object))
    };
    deep(58, json!({"type": "string"})).expect("as deep as JSON");
    assert_eq!(deep(62, json!({"type": "string"})).expect_err("too deep").code.as_u16(), 400);
    // Each is readable, and not both together.
    let data = (0..60).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(deep(40, json!({"default": data})).expect_err("too deep").code.as_u16(), 400);
    for place in [28, 24, 30] {
        let mut schema = Vec::new();
        for _ in 0..5_000 {
            schema = if place == 28 {
                bytes(28, &schema)
            } else {
                bytes(place, &bytes(if place == 30 { 2 } else { 1 }, &schema))
            };
        }
        let raw = bytes(2, &bytes(7, &bytes(4, &bytes(1, &schema))));
        assert_eq!(decode(&wrapped(VERSION, KIND, &raw)).expect_err("too deep").code.as_u16(), 400);
    }
}

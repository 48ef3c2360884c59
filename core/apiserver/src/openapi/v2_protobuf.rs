//! The OpenAPI v2 document in the protobuf form of gnostic (`openapi.v2.Document`),
//! which kubectl and older client-go ask for. Pure.
//!
//! Numbers are those of gnostic's `OpenAPIv2.proto`. Where the format allows
//! several things in one place, gnostic has a message around each; a map is a
//! list of names and values; what is open in shape, such as a default or an
//! extension, is YAML, of which JSON is a part.

use serde_json::{Map, Value};

use crate::protobuf::wire::{close, open, put_bytes, put_head, put_integer};

pub const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The same, as it was written before `@` was found to be no part of a media type.
pub const OLD_MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

type Object = Map<String, Value>;
/// Names and numbers of fields that are what their value is.
type Plain = &'static [(&'static str, u32)];

const DOCUMENT: Plain =
    &[("swagger", 1), ("host", 3), ("basePath", 4), ("schemes", 5), ("consumes", 6), ("produces", 7)];
const INFO: Plain = &[("title", 1), ("version", 2), ("description", 3), ("termsOfService", 4)];
const OPERATION: Plain = &[
    ("tags", 1),
    ("summary", 2),
    ("description", 3),
    ("operationId", 5),
    ("produces", 6),
    ("consumes", 7),
    ("schemes", 10),
    ("deprecated", 11),
];
const BODY: Plain = &[("description", 1), ("name", 2), ("in", 3), ("required", 4)];
const HEADER_OR_PATH: Plain = &[
    ("required", 1),
    ("in", 2),
    ("description", 3),
    ("name", 4),
    ("type", 5),
    ("format", 6),
    ("pattern", 16),
    ("uniqueItems", 19),
];
const QUERY: Plain = &[
    ("required", 1),
    ("in", 2),
    ("description", 3),
    ("name", 4),
    ("allowEmptyValue", 5),
    ("type", 6),
    ("format", 7),
    ("pattern", 17),
    ("uniqueItems", 20),
];
const SCHEMA: Plain = &[
    ("$ref", 1),
    ("format", 2),
    ("title", 3),
    ("description", 4),
    ("exclusiveMaximum", 8),
    ("exclusiveMinimum", 10),
    ("maxLength", 11),
    ("minLength", 12),
    ("pattern", 13),
    ("maxItems", 14),
    ("minItems", 15),
    ("uniqueItems", 16),
    ("maxProperties", 17),
    ("minProperties", 18),
    ("required", 19),
    ("discriminator", 26),
    ("readOnly", 27),
];
/// Fields of a schema that are floating-point numbers.
const NUMBERS: Plain = &[("multipleOf", 6), ("maximum", 7), ("minimum", 9)];

/// The document's bytes.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(document) = document.as_object() else { return out };
    plain(&mut out, document, DOCUMENT);
    member(&mut out, 2, document, "info", |out, info| plain(out, info, INFO));
    member(&mut out, 8, document, "paths", |out, paths| named(out, 2, paths, path_item));
    member(&mut out, 9, document, "definitions", |out, all| named(out, 1, all, schema));
    extensions(&mut out, 16, document);
    out
}

fn path_item(out: &mut Vec<u8>, item: &Object) {
    plain(out, item, &[("$ref", 1)]);
    let methods =
        [("get", 2), ("put", 3), ("post", 4), ("delete", 5), ("options", 6), ("head", 7), ("patch", 8)];
    for (method, number) in methods {
        member(out, number, item, method, operation);
    }
    parameters(out, 9, item);
    extensions(out, 10, item);
}

fn operation(out: &mut Vec<u8>, operation: &Object) {
    plain(out, operation, OPERATION);
    parameters(out, 8, operation);
    member(out, 9, operation, "responses", |out, responses| {
        named(out, 1, responses, |out, response| {
            within(out, &[1], |out| {
                plain(out, response, &[("description", 1)]);
                member(out, 2, response, "schema", |out, inner| within(out, &[1], |out| schema(out, inner)));
                extensions(out, 5, response);
            });
        });
    });
    extensions(out, 13, operation);
}

/// Each in the messages that say of which sort it is.
fn parameters(out: &mut Vec<u8>, number: u32, owner: &Object) {
    for parameter in owner.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let Some(parameter) = parameter.as_object() else { continue };
        match parameter.get("in").and_then(Value::as_str).unwrap_or_default() {
            "body" => within(out, &[number, 1, 1], |out| {
                plain(out, parameter, BODY);
                member(out, 5, parameter, "schema", schema);
                extensions(out, 6, parameter);
            }),
            "query" => within(out, &[number, 1, 2, 3], |out| plain(out, parameter, QUERY)),
            "path" => within(out, &[number, 1, 2, 4], |out| plain(out, parameter, HEADER_OR_PATH)),
            "header" => within(out, &[number, 1, 2, 1], |out| plain(out, parameter, HEADER_OR_PATH)),
            _ => within(out, &[number, 2], |out| plain(out, parameter, &[("$ref", 1), ("description", 2)])),
        }
    }
}

fn schema(out: &mut Vec<u8>, of: &Object) {
    plain(out, of, SCHEMA);
    for (name, number) in NUMBERS {
        if let Some(value) = of.get(*name).and_then(Value::as_f64) {
            put_head(out, *number, 1);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
    for (name, number) in [("default", 5), ("example", 30)] {
        if let Some(value) = of.get(name) {
            any(out, number, value);
        }
    }
    for value in of.get("enum").and_then(Value::as_array).into_iter().flatten() {
        any(out, 20, value);
    }
    match of.get("additionalProperties") {
        Some(Value::Bool(truth)) => within(out, &[21], |out| put_integer(out, 2, (*truth).into())),
        Some(Value::Object(values)) => within(out, &[21, 1], |out| schema(out, values)),
        _ => {}
    }
    if of.contains_key("type") {
        within(out, &[22], |out| plain(out, of, &[("type", 1)]));
    }
    member(out, 23, of, "items", |out, items| within(out, &[1], |out| schema(out, items)));
    for part in of.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        if let Some(part) = part.as_object() {
            within(out, &[24], |out| schema(out, part));
        }
    }
    member(out, 25, of, "properties", |out, properties| named(out, 1, properties, schema));
    extensions(out, 31, of);
}

/// Texts, lists of texts, truths and integers.
fn plain(out: &mut Vec<u8>, object: &Object, fields: Plain) {
    for (name, number) in fields {
        match object.get(*name) {
            Some(Value::String(text)) => put_bytes(out, *number, text.as_bytes()),
            Some(Value::Bool(truth)) => put_integer(out, *number, (*truth).into()),
            Some(Value::Number(value)) => put_integer(out, *number, value.as_i64().unwrap_or_default()),
            Some(Value::Array(texts)) => {
                texts
                    .iter()
                    .filter_map(Value::as_str)
                    .for_each(|text| put_bytes(out, *number, text.as_bytes()));
            }
            _ => {}
        }
    }
}

/// A member that is an object, as a message.
fn member(
    out: &mut Vec<u8>,
    number: u32,
    owner: &Object,
    name: &str,
    fill: impl FnOnce(&mut Vec<u8>, &Object),
) {
    if let Some(object) = owner.get(name).and_then(Value::as_object) {
        within(out, &[number], |out| fill(out, object));
    }
}

/// A map: each entry a message of name and value.
fn named(out: &mut Vec<u8>, number: u32, map: &Object, fill: impl Fn(&mut Vec<u8>, &Object)) {
    for (name, value) in map {
        let Some(object) = value.as_object() else { continue };
        within(out, &[number], |out| {
            put_bytes(out, 1, name.as_bytes());
            within(out, &[2], |out| fill(out, object));
        });
    }
}

/// Messages one in the other, the innermost filled.
fn within(out: &mut Vec<u8>, numbers: &[u32], fill: impl FnOnce(&mut Vec<u8>)) {
    let begins: Vec<usize> = numbers.iter().map(|number| open(out, *number)).collect();
    fill(out);
    begins.into_iter().rev().for_each(|begin| close(out, begin));
}

fn extensions(out: &mut Vec<u8>, number: u32, owner: &Object) {
    for (name, value) in owner.iter().filter(|(name, _)| name.starts_with("x-")) {
        within(out, &[number], |out| {
            put_bytes(out, 1, name.as_bytes());
            any(out, 2, value);
        });
    }
}

fn any(out: &mut Vec<u8>, number: u32, value: &Value) {
    within(out, &[number], |out| put_bytes(out, 2, value.to_string().as_bytes()));
}

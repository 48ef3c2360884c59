//! A message as a JSON value, by the OpenAPI schema of its definition.
//!
//! Go writes fields that are no pointers even when they are empty, and leaves
//! them out of JSON. So an empty scalar is taken for absent, except where a
//! pointer makes it a statement of its own ([`STATEMENTS`]).

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tiphys_api::schema::definitions;

use super::{
    Malformed, table,
    table::{Fields, Place},
    wire::{Payload, fields, packed},
};

/// Deeper than any object is; a message that nests further is an attack.
const DEEPEST: usize = 64;

/// Optional fields whose zero, false or empty text says something else than their absence.
const STATEMENTS: &[&str] = &[
    "activeDeadlineSeconds",
    "allocateLoadBalancerNodePorts",
    "allowPrivilegeEscalation",
    "allowVolumeExpansion",
    "automountServiceAccountToken",
    "backoffLimit",
    "backoffLimitPerIndex",
    "blockOwnerDeletion",
    "completions",
    "controller",
    "defaultMode",
    "enableServiceLinks",
    "failedJobsHistoryLimit",
    "fsGroup",
    "gracePeriodSeconds",
    "hostUsers",
    "immutable",
    "ingressClassName",
    "maxFailedIndexes",
    "minReplicas",
    "mode",
    "optional",
    "orphanDependents",
    "parallelism",
    "partition",
    "privileged",
    "progressDeadlineSeconds",
    "readOnlyRootFilesystem",
    "replicas",
    "requireAttachment",
    "revisionHistoryLimit",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "stabilizationWindowSeconds",
    "startingDeadlineSeconds",
    "storageClassName",
    "successfulJobsHistoryLimit",
    "suspend",
    "terminationGracePeriodSeconds",
    "tolerationSeconds",
    "ttlSecondsAfterFinished",
    "value",
];

/// The message of a definition.
pub fn read(definition: &str, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    if depth > DEEPEST {
        return Err(Malformed("the message nests too deep"));
    }
    if let Some(value) = special(definition, bytes)? {
        return Ok(value);
    }
    let mut object = Map::new();
    if let (Some(numbers), Some(schema)) = (table::of(definition), definitions().get(definition)) {
        let properties = schema["properties"].as_object();
        collect(&mut object, numbers, properties, bytes, depth)?;
    }
    Ok(Value::Object(object))
}

fn collect(
    object: &mut Map<String, Value>,
    numbers: &Fields,
    properties: Option<&Map<String, Value>>,
    bytes: &[u8],
    depth: usize,
) -> Result<(), Malformed> {
    for field in fields(bytes) {
        let (number, payload) = field?;
        match numbers.get(number) {
            Some(Place::Inline(inner)) => collect(object, inner, properties, payload.bytes()?, depth + 1)?,
            Some(Place::Property(name)) => {
                if let Some(schema) = properties.and_then(|properties| properties.get(*name)) {
                    add(object, name, schema, payload, depth)?;
                }
            }
            None => {}
        }
    }
    Ok(())
}

/// Adds one occurrence of a field.
fn add(
    object: &mut Map<String, Value>,
    name: &str,
    schema: &Value,
    payload: Payload<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    if schema["type"] == "array" {
        let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        return items(list, &schema["items"], payload, depth);
    }
    if let Some(values) = schema.get("additionalProperties") {
        let (key, value) = entry(values, payload.bytes()?, depth)?;
        let map = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
        map[key.as_str()] = value;
        return Ok(());
    }
    let value = value(schema, payload, depth)?;
    let empty = match &value {
        Value::Null => true,
        Value::Bool(truth) => !truth && !STATEMENTS.contains(&name),
        Value::Number(number) => number.as_f64() == Some(0.0) && !STATEMENTS.contains(&name),
        Value::String(text) => text.is_empty() && !STATEMENTS.contains(&name),
        _ => false,
    };
    if !empty {
        object.insert(name.to_owned(), value);
    }
    Ok(())
}

fn items(list: &mut Value, schema: &Value, payload: Payload<'_>, depth: usize) -> Result<(), Malformed> {
    let Value::Array(list) = list else { return Ok(()) };
    match payload {
        Payload::Bytes(bytes) if schema["type"] == "integer" => {
            for number in packed(bytes) {
                list.push(number?.into());
            }
        }
        payload => list.push(value(schema, payload, depth)?),
    }
    Ok(())
}

/// An entry of a map: a message of key and value.
fn entry(schema: &Value, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let (mut key, mut found) = (String::new(), None);
    for field in fields(bytes) {
        match field? {
            (1, payload) => key = payload.text()?.to_owned(),
            (2, payload) => found = Some(value(schema, payload, depth + 1)?),
            _ => {}
        }
    }
    let found = match found {
        Some(found) => found,
        // A value that is empty may be left out.
        None => value(schema, Payload::Bytes(&[]), depth + 1)?,
    };
    Ok((key, found))
}

fn value(schema: &Value, payload: Payload<'_>, depth: usize) -> Result<Value, Malformed> {
    if let Some(definition) = reference(schema) {
        return read(definition, payload.bytes()?, depth + 1);
    }
    Ok(match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("byte")) => BASE64_STANDARD.encode(payload.bytes()?).into(),
        (Some("string"), _) => payload.text()?.into(),
        (Some("boolean"), _) => (payload.integer()? != 0).into(),
        (Some("integer"), _) => payload.integer()?.into(),
        (Some("number"), _) => payload.float()?.into(),
        // A list inside a map is wrapped into a message of its own.
        (Some("array"), _) => {
            let mut list = Value::Array(Vec::new());
            for field in fields(payload.bytes()?) {
                if let (1, item) = field? {
                    items(&mut list, &schema["items"], item, depth + 1)?;
                }
            }
            list
        }
        _ => Value::Null,
    })
}

/// The definition that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    let target = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str())?;
    target.rsplit('/').next()
}

/// Messages with a JSON form of their own.
fn special(definition: &str, bytes: &[u8]) -> Result<Option<Value>, Malformed> {
    let name = definition.strip_prefix("io.k8s.apimachinery.pkg.").unwrap_or_default();
    Ok(Some(match name {
        "api.resource.Quantity" => {
            find(bytes, 1)?.map(|text| text.text()).transpose()?.unwrap_or_default().into()
        }
        "util.intstr.IntOrString" => int_or_string(bytes)?,
        "apis.meta.v1.Time" => time(bytes, "%Y-%m-%dT%H:%M:%SZ")?,
        "apis.meta.v1.MicroTime" => time(bytes, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
        "apis.meta.v1.FieldsV1" | "runtime.RawExtension" => match find(bytes, 1)? {
            Some(raw) => {
                serde_json::from_slice(raw.bytes()?).map_err(|_| Malformed("embedded JSON is not valid"))?
            }
            None => Value::Null,
        },
        _ => return Ok(None),
    }))
}

fn find(bytes: &[u8], wanted: u32) -> Result<Option<Payload<'_>>, Malformed> {
    let mut found = None;
    for field in fields(bytes) {
        let (number, payload) = field?;
        if number == wanted {
            found = Some(payload);
        }
    }
    Ok(found)
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
    let is_text = find(bytes, 1)?.map(Payload::integer).transpose()? == Some(1);
    if is_text {
        return Ok(find(bytes, 3)?.map(Payload::text).transpose()?.unwrap_or_default().into());
    }
    Ok(find(bytes, 2)?.map(Payload::integer).transpose()?.unwrap_or(0).into())
}

/// A time that isn't set is an empty message.
fn time(bytes: &[u8], format: &str) -> Result<Value, Malformed> {
    let number = |wanted| find(bytes, wanted)?.map(Payload::integer).transpose();
    let Some(seconds) = number(1)? else { return Ok(Value::Null) };
    let nanoseconds = i32::try_from(number(2)?.unwrap_or(0)).unwrap_or(0);
    let time = Timestamp::new(seconds, nanoseconds).map_err(|_| Malformed("a time is out of range"))?;
    Ok(time.strftime(format).to_string().into())
}

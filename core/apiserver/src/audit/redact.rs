//! What no record may hold, taken out of a document: values of Secrets, tokens. Pure.

use serde_json::{Map, Value};

const REDACTED: &str = "redacted";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Takes secrets out of a document that was sent to or came from `resource`.
/// `None` where they can't be told from the rest: a patch of a Secret.
pub fn document(resource: &str, is_patch: bool, mut document: Value) -> Option<Value> {
    if resource == "secrets" {
        if is_patch {
            return None;
        }
        secret(&mut document);
        for item in document["items"].as_array_mut().into_iter().flatten() {
            secret(item);
        }
    }
    // What is sent need not say its kind.
    if let Some(fields) = document.as_object_mut() {
        match resource {
            "tokenreviews" => text(fields, "spec", "token"),
            "serviceaccounts" => text(fields, "status", "token"),
            _ => {}
        }
    }
    walk(&mut document);
    Some(document)
}

/// `metadata.managedFields` of an object or of the objects of a list, taken out.
pub fn managed_fields(document: &mut Value) {
    let strip = |object: &mut Value| {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    strip(document);
    if let Some(items) = document.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(strip);
    }
}

/// Objects that say their kind, wherever they stand (in a List, in a row of a table).
fn walk(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Object(fields) => {
            match fields.get("kind").and_then(Value::as_str) {
                Some("Secret") => secret_fields(fields),
                Some("TokenRequest") => text(fields, "status", "token"),
                Some("TokenReview") => text(fields, "spec", "token"),
                _ => {}
            }
            // What a row shows of a Secret is names and counts.
            fields.iter_mut().filter(|(key, _)| *key != "cells").for_each(|(_, inner)| walk(inner));
        }
        _ => {}
    }
}

fn secret(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        secret_fields(fields);
    }
}

fn secret_fields(fields: &mut Map<String, Value>) {
    for key in ["data", "stringData"] {
        for (_, value) in fields.get_mut(key).and_then(Value::as_object_mut).into_iter().flatten() {
            *value = REDACTED.into();
        }
    }
    let annotations = fields.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
}

fn text(fields: &mut Map<String, Value>, outer: &str, inner: &str) {
    if let Some(value) = fields.get_mut(outer).and_then(|value| value.get_mut(inner)) {
        *value = REDACTED.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(resource: &str, given: Value) {
        let shown = document(resource, false, given.clone()).unwrap().to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("name"), "{shown}");
    }

    #[test]
    fn abuse_28_secrets_and_tokens_are_taken_out() {
        let data = json!({"password": "hunter2"});
        let annotations = json!({LAST_APPLIED: "{\"data\": \"hunter2\"}"});
        let secret =
            json!({"metadata": {"name": "a", "annotations": annotations}, "data": data, "stringData": data});
        check("secrets", secret.clone());
        check("secrets", json!({"kind": "SecretList", "metadata": {"name": ""}, "items": [secret.clone()]}));
        let mut typed = secret;
        typed["kind"] = "Secret".into();
        check("secrets", json!({"kind": "Table", "name": "", "rows": [{"cells": ["a"], "object": typed}]}));
        check("things", json!({"name": "", "kind": "List", "items": [typed]}));
        check("serviceaccounts", json!({"kind": "TokenRequest", "name": "", "status": {"token": "hunter2"}}));
        check("tokenreviews", json!({"name": "", "spec": {"token": "hunter2"}}));
        assert_eq!(document("secrets", true, json!([{"op": "add", "value": "hunter2"}])), None);
        let map = json!({"kind": "ConfigMap", "data": {"a": "b"}});
        assert_eq!(document("configmaps", false, map.clone()), Some(map));
    }

    #[test]
    fn managed_fields_go_from_objects_and_lists() {
        let mut list = json!({"items": [{"metadata": {"name": "a", "managedFields": [1]}}]});
        managed_fields(&mut list);
        assert_eq!(list, json!({"items": [{"metadata": {"name": "a"}}]}));
    }
}

//! What is taken out before it is recorded: the values of Secrets (and the copy of
//! them that `kubectl apply` keeps in an annotation), tokens that are asked for,
//! reviewed, or sent in a query. Pure.
//!
//! Only where they belong: a password in a ConfigMap or a Pod's environment is
//! not known for one, and is recorded with it.

use percent_encoding::percent_decode_str;
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
        each_object(&mut document, secret);
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

/// A path with its query, without the tokens in it.
pub fn uri(text: &str) -> String {
    let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
    let shown = query.split('&').map(|pair| {
        let (key, _) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode_str(key).decode_utf8_lossy();
        let is_token = ["access_token", "token"].iter().any(|token| name.eq_ignore_ascii_case(token));
        if is_token { format!("{key}={REDACTED}") } else { pair.to_owned() }
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

/// `metadata.managedFields` of an object or of the objects of a list or a table, taken out.
pub fn managed_fields(document: &mut Value) {
    each_object(document, |object| {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    });
}

/// The document itself, the items of a list, and what a table's rows hold beside their cells
/// (the whole object or its metadata alone: neither need say its kind).
fn each_object(document: &mut Value, change: impl Fn(&mut Value)) {
    change(document);
    for item in document.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        change(item);
    }
    for row in document.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten() {
        row.get_mut("object").into_iter().for_each(&change);
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
        let partial = json!({"kind": "PartialObjectMetadata", "metadata": typed["metadata"]});
        check("secrets", json!({"kind": "Table", "rows": [{"cells": ["a"], "object": partial}]}));
        check("things", json!({"name": "", "kind": "List", "items": [typed]}));
        check("serviceaccounts", json!({"kind": "TokenRequest", "name": "", "status": {"token": "hunter2"}}));
        check("tokenreviews", json!({"name": "", "spec": {"token": "hunter2"}}));
        assert_eq!(document("secrets", true, json!([{"op": "add", "value": "hunter2"}])), None);
        let map = json!({"kind": "ConfigMap", "data": {"a": "b"}});
        assert_eq!(document("configmaps", false, map.clone()), Some(map));
    }

    #[test]
    fn abuse_28_tokens_are_taken_out_of_a_query() {
        for (given, shown) in [
            ("/a?x=1&token=hunter2&y", "/a?x=1&token=redacted&y"),
            ("/a?access%5Ftoken=hunter2", "/a?access%5Ftoken=redacted"),
            ("/a?Token=hunter2=hunter2", "/a?Token=redacted"),
            ("/token=a?continue=token", "/token=a?continue=token"),
            ("/a", "/a"),
        ] {
            assert_eq!(uri(given), shown);
        }
    }

    #[test]
    fn managed_fields_go_from_objects_and_lists() {
        let mut list = json!({"items": [{"metadata": {"name": "a", "managedFields": [1]}}]});
        managed_fields(&mut list);
        assert_eq!(list, json!({"items": [{"metadata": {"name": "a"}}]}));
        let mut table = json!({"rows": [{"object": {"metadata": {"name": "a", "managedFields": [1]}}}]});
        managed_fields(&mut table);
        assert_eq!(table, json!({"rows": [{"object": {"metadata": {"name": "a"}}}]}));
    }
}

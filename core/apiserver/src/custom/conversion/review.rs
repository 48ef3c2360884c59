//! ConversionReview: what a webhook is asked, and what of its answer is believed. Pure.
//!
//! An object keeps its kind, name, namespace and UID in every version, and all of
//! its metadata but labels and annotations.

use serde_json::{Value, json};

pub fn request(uid: &str, api_version: &str, objects: &[Value]) -> Value {
    json!({
        "kind": "ConversionReview",
        "apiVersion": "apiextensions.k8s.io/v1",
        "request": { "uid": uid, "desiredAPIVersion": api_version, "objects": objects },
    })
}

/// The converted objects, in the order in which they were asked for.
///
/// # Errors
/// Why the answer isn't believed.
pub fn converted(
    uid: &str,
    api_version: &str,
    asked: &[Value],
    mut answer: Value,
) -> Result<Vec<Value>, String> {
    if answer["kind"] != "ConversionReview" || answer["apiVersion"] != "apiextensions.k8s.io/v1" {
        return Err("expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview".into());
    }
    let response = answer["response"].take();
    if response["uid"] != uid {
        return Err(format!("expected response.uid={uid:?}, got {}", response["uid"]));
    }
    if response["result"]["status"] != "Success" {
        let message = response["result"]["message"].as_str().unwrap_or("no message");
        return Err(message.chars().take(1024).collect());
    }
    let Value::Array(objects) = response["convertedObjects"].clone() else {
        return Err("webhook returned no objects".into());
    };
    if objects.len() != asked.len() {
        return Err(format!("webhook returned {} objects, expected {}", objects.len(), asked.len()));
    }
    let each = objects.into_iter().zip(asked).enumerate();
    each.map(|(index, (object, before))| one(index, api_version, object, before)).collect()
}

fn one(index: usize, api_version: &str, mut object: Value, before: &Value) -> Result<Value, String> {
    let wrong = |what: &str, found: &Value, wanted: &Value| {
        Err(format!("webhook returned invalid {what} at index {index}: {found} (expected {wanted})"))
    };
    if object["apiVersion"] != api_version {
        return wrong("apiVersion", &object["apiVersion"], &api_version.into());
    }
    if object["kind"] != before["kind"] {
        return wrong("kind", &object["kind"], &before["kind"]);
    }
    for key in ["name", "namespace", "uid"] {
        if object["metadata"][key] != before["metadata"][key] {
            return wrong(&format!("metadata.{key}"), &object["metadata"][key], &before["metadata"][key]);
        }
    }
    let mut metadata = before["metadata"].clone();
    for key in ["labels", "annotations"] {
        let given = object["metadata"][key].take();
        let Some(fields) = metadata.as_object_mut() else { continue };
        match given {
            Value::Object(map) if !map.is_empty() => drop(fields.insert(key.into(), map.into())),
            _ => drop(fields.remove(key)),
        }
    }
    object["metadata"] = metadata;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before() -> Value {
        json!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n", "uid": "u", "generation": 3}, "spec": {}})
    }

    fn answer(object: Value) -> Value {
        json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": {
            "uid": "1", "result": {"status": "Success"}, "convertedObjects": [object]}})
    }

    #[test]
    fn an_answer_changes_what_it_may() {
        let object = json!({"apiVersion": "a/v2", "kind": "K", "spec": {"new": 1},
            "metadata": {"name": "n", "uid": "u", "generation": 9, "labels": {"l": "1"}}});
        let found = converted("1", "a/v2", &[before()], answer(object)).unwrap();
        let expected = json!({"apiVersion": "a/v2", "kind": "K", "spec": {"new": 1},
            "metadata": {"name": "n", "uid": "u", "generation": 3, "labels": {"l": "1"}}});
        assert_eq!(found, [expected]);
    }

    #[test]
    fn other_answers_are_not_believed() {
        let good = json!({"apiVersion": "a/v2", "kind": "K", "metadata": {"name": "n", "uid": "u"}});
        let with = |pointer: &str, value: Value| {
            let mut answer = answer(good.clone());
            *answer.pointer_mut(pointer).unwrap() = value;
            answer
        };
        let object = "/response/convertedObjects/0";
        let table = [
            (json!({}), "expected webhook response of"),
            (with("/response/uid", json!("2")), "expected response.uid"),
            (with("/response/result", json!({"status": "Failure", "message": "no"})), "no"),
            (with("/response/convertedObjects", json!([])), "webhook returned 0 objects, expected 1"),
            (with(&format!("{object}/apiVersion"), json!("a/v1")), "invalid apiVersion at index 0"),
            (with(&format!("{object}/kind"), json!("X")), "invalid kind at index 0"),
            (with(&format!("{object}/metadata/name"), json!("x")), "invalid metadata.name at index 0"),
            (with(&format!("{object}/metadata/uid"), json!("x")), "invalid metadata.uid at index 0"),
        ];
        for (answer, message) in table {
            let why = converted("1", "a/v2", &[before()], answer).unwrap_err();
            assert!(why.contains(message), "{why}");
        }
    }
}

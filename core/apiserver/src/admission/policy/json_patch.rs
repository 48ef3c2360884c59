//! JSONPatch: operations that an expression makes. Pure.

use kube_cel::cel::Value as Cel;
use serde_json::{Value, json};

use super::apply::unmarked;
use crate::{
    cel::{TYPE_MARK, to_json},
    patch::json,
    request::body,
};

/// The object after the operations; as it was, when one of their tests fails.
///
/// # Errors
/// They are none, or can't be made to this object.
pub fn apply(object: &Value, made: &Cel) -> Result<Value, String> {
    let Cel::List(elements) = made else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".into());
    };
    let patch = elements.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
    match json::apply(object, &Value::Array(patch.clone()), body::LIMIT) {
        Ok(patched) => Ok(patched),
        Err(_) if fails_a_test(object, &patch) => Ok(object.clone()),
        Err(why) => Err(format!("JSON Patch: {why}")),
    }
}

/// Whether everything before the first failing operation can be made, and that is a test.
fn fails_a_test(object: &Value, patch: &[Value]) -> bool {
    let made = |count: usize| json::apply(object, &Value::from(&patch[..count]), body::LIMIT).is_ok();
    let failing = (1..=patch.len()).find(|count| !made(*count));
    failing.is_some_and(|count| patch[count - 1]["op"] == "test")
}

fn operation(made: &Cel) -> Result<Value, String> {
    let unmarshalled =
        || "JSONPath valueExpression evaluated to a type that could not marshal to JSON".to_owned();
    let made = to_json(made).ok_or_else(unmarshalled)?;
    if made[TYPE_MARK] != "JSONPatch" {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch".into());
    }
    let mut operation = json!({ "op": made["op"], "path": made["path"] });
    if made["from"].as_str().is_some_and(|from| !from.is_empty()) {
        operation["from"] = made["from"].clone();
    }
    if let Some(value) = made.get("value") {
        operation["value"] = unmarked(value.clone()).map_err(|why| format!("type mismatch: {why}"))?;
    }
    Ok(operation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::from_json;

    #[test]
    fn operations_are_made_in_their_order() {
        let object = json!({ "a": 1, "labels": { "x": "y" } });
        let one = |op: &str, path: &str, value: Value| json!({ "@type": "JSONPatch", "op": op, "path": path, "value": value });
        let table = [
            (
                json!([one("add", "/labels/b", json!("c"))]),
                Ok(json!({ "a": 1, "labels": { "x": "y", "b": "c" } })),
            ),
            (
                json!([one("add", "/o", json!({ "@type": "Object.o", "p": 1 }))]),
                Ok(json!({ "a": 1, "labels": { "x": "y" }, "o": { "p": 1 } })),
            ),
            (json!([one("replace", "/a", json!(3)), one("test", "/a", json!(1))]), Ok(object.clone())),
            (
                json!([{ "op": "remove" }]),
                Err("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch"
                    .to_owned()),
            ),
        ];
        for (patch, expected) in table {
            assert_eq!(apply(&object, &from_json(&patch)), expected, "{patch}");
        }
        let missing = apply(&object, &from_json(&json!([one("replace", "/no/where", json!(1))])));
        assert!(missing.unwrap_err().starts_with("JSON Patch: "));
    }
}

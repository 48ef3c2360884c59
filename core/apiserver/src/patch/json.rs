//! JSON patch (RFC 6902), with bounds: a short patch can copy its way to gigabytes
//! or to a nesting that overflows the stack, so each operation is measured before it is made.

use json_patch::{PatchErrorKind, PatchOperation};
use serde_json::Value;

use super::PatchError;

/// More operations than this are refused.
const OPERATIONS_LIMIT: usize = 10_000;

/// Deeper objects could not be decoded again.
const DEPTH_LIMIT: usize = 120;

/// The document after the patch; refused when it would grow beyond `limit` bytes of JSON.
pub fn apply(document: &Value, patch: &Value, limit: usize) -> Result<Value, PatchError> {
    let operations: Vec<PatchOperation> = serde_json::from_value(patch.clone())
        .map_err(|error| PatchError::Malformed(format!("error decoding patch: {error}")))?;
    if operations.len() > OPERATIONS_LIMIT {
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_LIMIT}, got {}",
            operations.len()
        )));
    }
    let mut result = document.clone();
    // Of what is removed nothing is taken off again: the bound is on the work too.
    let mut budget = limit.saturating_sub(size(document, limit));
    for operation in &operations {
        if tests_absence(&result, operation) {
            continue;
        }
        budget = measure(&result, operation, budget, limit)?;
        json_patch::patch(&mut result, std::slice::from_ref(operation))
            .map_err(|e| refusal(operation, &e.kind))?;
    }
    Ok(result)
}

/// A test for null that finds no such member: it holds, as upstream, where clients
/// use it to say that nobody has set the member (kube-rs its first finalizer).
fn tests_absence(document: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let Some((parent, name)) = test.path.split_back() else { return false };
    let parent = document.pointer(parent.as_str()).and_then(Value::as_object);
    test.value.is_null() && parent.is_some_and(|members| !members.contains_key(&*name.decoded()))
}

/// What is left of the budget after this operation.
fn measure(
    document: &Value,
    operation: &PatchOperation,
    budget: usize,
    limit: usize,
) -> Result<usize, PatchError> {
    let (value, path, costs) = match operation {
        PatchOperation::Add(add) => (Some(&add.value), &add.path, true),
        PatchOperation::Replace(replace) => (Some(&replace.value), &replace.path, true),
        PatchOperation::Copy(copy) => (document.pointer(copy.from.as_str()), &copy.path, true),
        PatchOperation::Move(from) => (document.pointer(from.from.as_str()), &from.path, false),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => return Ok(budget),
    };
    let Some(value) = value else { return Ok(budget) };
    let above = path.as_str().matches('/').count();
    if above + depth(value, DEPTH_LIMIT) > DEPTH_LIMIT {
        return Err(PatchError::TooLarge(format!(
            "the patched object is nested deeper than {DEPTH_LIMIT} levels"
        )));
    }
    let cost = if costs { size(value, budget) } else { 0 };
    budget.checked_sub(cost).ok_or_else(|| {
        PatchError::TooLarge(format!("the patched object is larger than the limit of {limit} bytes"))
    })
}

/// The bytes of the value as JSON, about; counting ends beyond `enough`.
fn size(value: &Value, enough: usize) -> usize {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| {
        let mut total = 2;
        for size in sizes {
            total += size + 1;
            if total > enough {
                break;
            }
        }
        total
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 5,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => sum(&mut items.iter().map(|v| size(v, enough))),
        Value::Object(map) => sum(&mut map.iter().map(|(k, v)| k.len() + 3 + size(v, enough))),
    }
}

/// How deep the value is nested; counting ends beyond `enough`.
fn depth(value: &Value, enough: usize) -> usize {
    if enough == 0 {
        return 1;
    }
    let below: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => return 0,
    };
    1 + below.map(|v| depth(v, enough - 1)).max().unwrap_or_default()
}

fn refusal(operation: &PatchOperation, kind: &PatchErrorKind) -> PatchError {
    let name = match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    };
    PatchError::Unprocessable(format!("{name} operation does not apply at path {}: {kind}", operation.path()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIMIT: usize = 1_000_000;

    #[test]
    fn operations_apply_or_say_why_not() {
        let document = json!({"a": {"b": [1, 2]}});
        let table = [
            (json!([{"op": "add", "path": "/a/b/-", "value": 3}]), Ok(json!({"a": {"b": [1, 2, 3]}}))),
            (json!([{"op": "test", "path": "/a/c~1d", "value": null}]), Ok(document.clone())),
            (
                json!([{"op": "test", "path": "/a/b", "value": null}]),
                Err("test operation does not apply at path /a/b"),
            ),
            (
                json!([{"op": "test", "path": "/c/d", "value": null}]),
                Err("test operation does not apply at path /c/d"),
            ),
            (
                json!([{"op": "test", "path": "/a/b/2", "value": null}]),
                Err("test operation does not apply at path /a/b/2"),
            ),
            (
                json!([{"op": "test", "path": "/a/c", "value": 1}]),
                Err("test operation does not apply at path /a/c"),
            ),
            (json!([{"op": "remove", "path": "/a/b/0"}]), Ok(json!({"a": {"b": [2]}}))),
            (json!([{"op": "move", "from": "/a/b", "path": "/c"}]), Ok(json!({"a": {}, "c": [1, 2]}))),
            (json!([{"op": "test", "path": "/a/b/0", "value": 1}]), Ok(document.clone())),
            (
                json!([{"op": "test", "path": "/a/b/0", "value": 2}]),
                Err("test operation does not apply at path /a/b/0"),
            ),
            (json!([{"op": "remove", "path": "/x"}]), Err("remove operation does not apply at path /x")),
            (json!([{"op": "grow", "path": "/x"}]), Err("error decoding patch: ")),
            (json!({"op": "add"}), Err("error decoding patch: ")),
        ];
        for (patch, expected) in table {
            match (apply(&document, &patch, LIMIT), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.to_string().starts_with(expected), "{found}"),
                (found, expected) => panic!("{patch}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn abuse_17_a_patch_that_copies_its_way_to_gigabytes() {
        let doubling: Vec<Value> =
            (0..40).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/a/x{i}")})).collect();
        let wide: Vec<Value> =
            (0..9_000).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/x{i}")})).collect();
        let text = "x".repeat(1_000);
        for patch in [doubling, wide] {
            let result = apply(&json!({"a": {"b": text}}), &patch.into(), LIMIT);
            assert!(matches!(result, Err(PatchError::TooLarge(_))), "{result:?}");
        }
        let many: Vec<Value> = (0..10_001).map(|_| json!({"op": "test", "path": "/a", "value": 1})).collect();
        assert!(matches!(apply(&json!({"a": 1}), &many.into(), LIMIT), Err(PatchError::TooLarge(_))));
    }

    #[test]
    fn abuse_16_a_patch_that_nests_its_way_down() {
        let mut path = String::from("/a");
        let nesting: Vec<Value> = (0..500)
            .map(|_| {
                path.push_str("/a");
                json!({"op": "add", "path": path, "value": {}})
            })
            .collect();
        let result = apply(&json!({"a": {}}), &nesting.into(), LIMIT);
        assert!(matches!(result, Err(PatchError::TooLarge(_))), "{result:?}");
    }
}

//! Whether a write changes anything. One that doesn't keeps the
//! resourceVersion and wakes nobody. Pure.

use serde_json::Value;

/// Equal but for the times in `managedFields`, and for `resourceVersion`.
pub fn is_unchanged(new: &Value, old: &Value) -> bool {
    let (Some(after), Some(before)) = (new.as_object(), old.as_object()) else { return new == old };
    after.len() == before.len()
        && after.iter().all(|(key, value)| match before.get(key) {
            Some(other) if key == "metadata" => same_metadata(value, other),
            other => other == Some(value),
        })
}

fn same_metadata(new: &Value, old: &Value) -> bool {
    let (Some(after), Some(before)) = (new.as_object(), old.as_object()) else { return new == old };
    let keys = after.keys().chain(before.keys()).filter(|key| *key != "resourceVersion");
    keys.into_iter().all(|key| match key.as_str() {
        "managedFields" => same_managers(after.get(key), before.get(key)),
        _ => after.get(key) == before.get(key),
    })
}

fn same_managers(new: Option<&Value>, old: Option<&Value>) -> bool {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (after, before) = (list(new), list(old));
    let parts = ["manager", "operation", "apiVersion", "fieldsType", "fieldsV1", "subresource"];
    after.len() == before.len()
        && after.iter().zip(&before).all(|(a, b)| parts.iter().all(|part| a.get(part) == b.get(part)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_of_managers_do_not_count() {
        let object = |time: &str, manager: &str, data: &str| json!({"metadata": {"name": "a", "managedFields": [{"manager": manager, "time": time}]}, "data": data});
        assert!(is_unchanged(&object("1", "m", "d"), &object("2", "m", "d")));
        assert!(!is_unchanged(&object("1", "m", "d"), &object("1", "n", "d")));
        assert!(!is_unchanged(&object("1", "m", "d"), &object("1", "m", "e")));
        assert!(!is_unchanged(&json!({"metadata": {}, "a": 1}), &json!({"metadata": {}})));
    }
}

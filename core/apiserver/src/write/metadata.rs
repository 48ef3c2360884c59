//! What the server owns in an object's metadata: identity, times, generation.
//! Pure.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::status::{ApiError, GroupResource, Result};

/// A moment as the API writes it: RFC 3339 in whole seconds, UTC.
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub fn now() -> String {
    rfc3339(Timestamp::now())
}

/// The metadata of an object, made if it isn't there.
pub fn of(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    match &mut object["metadata"] {
        Value::Object(metadata) => metadata,
        _ => unreachable!("set to an object above"),
    }
}

pub fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// Identity of a new object. Name and namespace are set already.
pub fn begin(object: &mut Value, now: &str) {
    let metadata = of(object);
    for key in
        ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"]
    {
        metadata.remove(key);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), now.into());
}

/// Carries what a client can't change from the old object into the new one.
pub fn carry(new: &mut Value, old: &Value) {
    let owned = [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "resourceVersion",
    ];
    let metadata = of(new);
    metadata.remove("selfLink");
    for key in owned {
        match old["metadata"].get(key) {
            Some(value) => metadata.insert(key.into(), value.clone()),
            None => metadata.remove(key),
        };
    }
}

/// A write of the status may bring metadata along, but for what the kind keeps. `object` has
/// the stored one.
pub fn with_status(object: &mut Value, written: &Value, keeps: &[&str]) {
    let Some(written) = written["metadata"].as_object() else { return };
    let metadata = of(object);
    // Who sends none writes nothing into it.
    let kept = |key: &str| keeps.contains(&key) || key == "managedFields" && !written.contains_key(key);
    metadata.retain(|key, _| kept(key));
    metadata.extend(
        written.iter().filter(|(key, _)| !kept(key)).map(|(key, value)| (key.clone(), value.clone())),
    );
}

/// The caller's resourceVersion and uid, if given, must be the stored ones.
pub fn check_identity(new: &Value, old: &Value, resource: GroupResource<'_>, name: &str) -> Result<()> {
    let (given, stored) = (text(new, "resourceVersion"), text(old, "resourceVersion"));
    if !given.is_empty() && given != "0" && given != stored {
        return Err(ApiError::modified(resource, name));
    }
    let (given, stored) = (text(new, "uid"), text(old, "uid"));
    if !given.is_empty() && given != stored {
        let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {stored}");
        return Err(ApiError::conflict(resource, name, &why));
    }
    Ok(())
}

/// The next generation: one more when a top-level field other than the ignored ones changed.
pub fn bump_generation(new: &mut Value, old: &Value, ignored: &[&str]) {
    let (Some(after), Some(before)) = (new.as_object(), old.as_object()) else { return };
    let own = |map: &Map<String, Value>| {
        map.keys().filter(|key| !ignored.contains(&key.as_str())).cloned().collect::<Vec<_>>()
    };
    let changed = own(after).iter().chain(&own(before)).any(|key| after.get(key) != before.get(key));
    if changed {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        of(new).insert("generation".into(), generation.into());
    }
}

/// Whether an object that is to be deleted has nothing left that holds it.
pub fn is_released(object: &Value) -> bool {
    let empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    let deleting = object["metadata"]["deletionTimestamp"].is_string();
    let grace = object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let is_namespace = object["kind"] == "Namespace" && object["apiVersion"] == "v1";
    let namespace_held = is_namespace && !empty(&object["spec"]["finalizers"]);
    deleting && grace == 0 && empty(&object["metadata"]["finalizers"]) && !namespace_held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_moves_with_the_spec_only() {
        let old = json!({"metadata": {"generation": 3, "labels": {}}, "spec": {"a": 1}, "status": {"b": 1}});
        let mut new = json!({"metadata": {"generation": 3, "labels": {"x": "y"}}, "spec": {"a": 1}, "status": {"b": 2}});
        bump_generation(&mut new, &old, &["metadata", "status"]);
        assert_eq!(new["metadata"]["generation"], 3);
        new["spec"]["a"] = 2.into();
        bump_generation(&mut new, &old, &["metadata", "status"]);
        assert_eq!(new["metadata"]["generation"], 4);
    }

    #[test]
    fn the_server_s_fields_are_carried_over() {
        let old =
            json!({"metadata": {"name": "a", "uid": "u", "creationTimestamp": "t", "resourceVersion": "5"}});
        let mut new =
            json!({"metadata": {"name": "b", "uid": "x", "deletionTimestamp": "now", "labels": {"l": "1"}}});
        carry(&mut new, &old);
        let expected = json!({"metadata": {
            "name": "a", "uid": "u", "creationTimestamp": "t", "resourceVersion": "5", "labels": {"l": "1"}}});
        assert_eq!(new, expected);
    }

    #[test]
    fn a_stale_version_or_another_uid_is_a_conflict() {
        let pods = GroupResource { group: "", resource: "pods" };
        let old = json!({"metadata": {"resourceVersion": "5", "uid": "u"}});
        let table = [
            (json!({"metadata": {"resourceVersion": "5", "uid": "u"}}), true),
            (json!({"metadata": {}}), true),
            (json!({"metadata": {"resourceVersion": "4"}}), false),
            (json!({"metadata": {"uid": "v"}}), false),
        ];
        for (new, good) in table {
            assert_eq!(check_identity(&new, &old, pods, "x").is_ok(), good, "{new}");
        }
    }

    #[test]
    fn an_object_goes_when_nothing_holds_it() {
        let table = [
            (json!({"metadata": {}}), false),
            (json!({"metadata": {"deletionTimestamp": "t"}}), true),
            (json!({"metadata": {"deletionTimestamp": "t", "finalizers": ["a"]}}), false),
            (json!({"metadata": {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 30}}), false),
            (
                json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"deletionTimestamp": "t"}, "spec": {"finalizers": ["k"]}}),
                false,
            ),
        ];
        for (object, gone) in table {
            assert_eq!(is_released(&object), gone, "{object}");
        }
    }
}

//! What to send to the API so that it shows a status: a strategic merge patch. Pure.
//!
//! Conditions are merged by their type, so those that others wrote in the meantime
//! stay; so do the fields of others. Addresses merge by their value there, which would keep the old ones: these
//! lists are replaced.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};
use tiphys_api::schema;

use super::conditions::is_own;

/// Lists that the API would merge.
const REPLACED: [&str; 2] = ["podIPs", "hostIPs"];
/// Fields that are for others to write.
const FOREIGN: [&str; 3] = ["nominatedNodeName", "resourceClaimStatuses", "extendedResourceClaimStatus"];

/// `None` when the API shows all of it already. `before` is what it showed last.
pub fn status_patch(before: Option<&PodStatus>, after: &PodStatus) -> Option<Value> {
    let (mut old, mut new) = (fields(before), fields(Some(after)));
    let (old_conditions, new_conditions) = (conditions(&mut old), conditions(&mut new));
    let gone: Vec<String> = old.keys().filter(|key| !new.contains_key(*key)).cloned().collect();
    let mut patch: Map<String, Value> =
        new.into_iter().filter(|(key, value)| old.get(key) != Some(value)).collect();
    for key in REPLACED {
        if let Some(Value::Array(list)) = patch.get_mut(key) {
            list.insert(0, json!({"$patch": "replace"}));
        }
    }
    patch.extend(gone.into_iter().map(|key| (key, Value::Null)));
    let changed = new_conditions.into_iter().filter(|(kind, condition)| {
        let before = old_conditions.get(kind);
        before != Some(condition)
    });
    let changed: Vec<Value> = changed.map(|(_, condition)| explicit(condition)).collect();
    if !changed.is_empty() {
        patch.insert("conditions".into(), changed.into());
    }
    (!patch.is_empty()).then(|| patch.into())
}

fn fields(status: Option<&PodStatus>) -> Map<String, Value> {
    let mut status = status.and_then(|status| serde_json::to_value(status).ok());
    // The API has no empty lists and texts: they are no news.
    if let (Some(status), Some(schema)) = (&mut status, schema::of("io.k8s.api.core.v1.PodStatus")) {
        schema::leave_out(&schema, status);
    }
    match status {
        Some(Value::Object(mut fields)) => {
            fields.retain(|key, _| !FOREIGN.contains(&key.as_str()));
            fields
        }
        _ => Map::new(),
    }
}

/// Takes out the conditions, and keeps the kubelet's own, by type.
fn conditions(fields: &mut Map<String, Value>) -> BTreeMap<String, Value> {
    let Some(Value::Array(list)) = fields.remove("conditions") else { return BTreeMap::new() };
    let typed = list
        .into_iter()
        .filter_map(|condition| Some((condition.get("type")?.as_str()?.to_owned(), condition)));
    typed.filter(|(kind, _)| is_own(kind)).collect()
}

/// A field that is not there is to go: the API would keep it.
fn explicit(mut condition: Value) -> Value {
    if let Some(fields) = condition.as_object_mut() {
        for field in ["reason", "message"] {
            fields.entry(field).or_insert(Value::Null);
        }
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).expect("a status")
    }

    #[test]
    fn a_patch_holds_what_changed_and_what_is_gone() {
        let before = status(json!({"phase": "Pending", "message": "x", "qosClass": "Burstable"}));
        let after =
            status(json!({"phase": "Running", "qosClass": "Burstable", "podIPs": [{"ip": "10.0.0.2"}]}));
        let ips = json!([{"$patch": "replace"}, {"ip": "10.0.0.2"}]);
        let expected = json!({"phase": "Running", "message": null, "podIPs": ips});
        assert_eq!(status_patch(Some(&before), &after), Some(expected));
        assert_eq!(status_patch(Some(&after), &after), None);
        let empty = status(json!({"hostIPs": [], "containerStatuses": [], "reason": ""}));
        assert_eq!(status_patch(Some(&PodStatus::default()), &empty), None);
        assert_eq!(status_patch(None, &status(json!({"phase": "Failed"}))), Some(json!({"phase": "Failed"})));
    }

    #[test]
    fn conditions_of_others_are_never_sent() {
        let own = |status: &str| json!({"type": "Ready", "status": status, "reason": "ContainersNotReady"});
        let target = json!({"type": "DisruptionTarget", "status": "True"});
        let before = status(json!({"conditions": [own("False"), {"type": "Initialized", "status": "True"}]}));
        let ready = json!({"type": "Ready", "status": "True"});
        let after = status(
            json!({"nominatedNodeName": "n", "conditions": [target, {"type": "Initialized", "status": "True"}, ready]}),
        );
        let expected = json!({"type": "Ready", "status": "True", "reason": null, "message": null});
        assert_eq!(status_patch(Some(&before), &after), Some(json!({"conditions": [expected]})));
        // One that another took back is not made again, nor is it noticed.
        assert_eq!(
            status_patch(
                Some(&after),
                &status(json!({"conditions": [
                    {"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"},
                ]}))
            ),
            None
        );
    }
}

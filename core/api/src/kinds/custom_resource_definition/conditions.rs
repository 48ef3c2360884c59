//! Conditions of a definition, and the finalizer that keeps it until its instances are gone.

use serde_json::{Value, json};

use crate::access::{ensure, find, list};

pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Why a condition is as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'a> {
    pub kind: &'static str,
    pub holds: bool,
    pub reason: &'static str,
    pub message: &'a str,
}

/// Sets a condition; its time moves only when its status does. `now` is RFC 3339.
pub fn set(definition: &mut Value, condition: Condition<'_>, now: &str) {
    let status = if condition.holds { "True" } else { "False" };
    let mut conditions = list(definition, "/status/conditions").to_vec();
    let before = find(&conditions, "type", condition.kind);
    let since = before.filter(|old| old["status"] == status).map(|old| old["lastTransitionTime"].clone());
    let set = json!({
        "type": condition.kind,
        "status": status,
        "lastTransitionTime": since.unwrap_or_else(|| now.into()),
        "reason": condition.reason,
        "message": condition.message,
    });
    match conditions.iter_mut().find(|old| old["type"] == condition.kind) {
        Some(old) => *old = set,
        None => conditions.push(set),
    }
    if let Some(status) = ensure(definition, "status") {
        crate::access::set(status, "conditions", conditions.into());
    }
}

/// Makes a definition that is being deleted wait for its instances.
pub fn hold(definition: &mut Value, now: &str) {
    let mut finalizers = list(definition, "/metadata/finalizers").to_vec();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
    if let Some(metadata) = ensure(definition, "metadata") {
        crate::access::set(metadata, "finalizers", finalizers.into());
    }
    let pending = Condition {
        kind: "Terminating",
        holds: true,
        reason: "InstanceDeletionPending",
        message: "CustomResourceDefinition marked for deletion; CustomResource deletion will be initiated soon",
    };
    set(definition, pending, now);
}

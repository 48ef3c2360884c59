//! What changed in the cluster, as far as it may make an unschedulable Pod fit.
//!
//! A filter names the changes that may undo its refusal; a Pod that it refused
//! waits for one of those, instead of being tried again by the clock.

use k8s_openapi::api::core::v1::Node;
use std::ops::BitOrAssign;

/// A set of kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes(u16);

impl Changes {
    pub const NODE_ADDED: Self = Self(1);
    pub const NODE_ALLOCATABLE: Self = Self(1 << 1);
    pub const NODE_LABELS: Self = Self(1 << 2);
    /// Taints, and whether it is cordoned.
    pub const NODE_TAINTS: Self = Self(1 << 3);
    pub const POD_REMOVED: Self = Self(1 << 4);
    pub const POD_PLACED: Self = Self(1 << 5);
    pub const POD_LABELS: Self = Self(1 << 6);

    /// Both, in constants.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Any of these is in both.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOrAssign for Changes {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What an update of a Node changed; a heartbeat changes nothing.
pub fn of_node(before: Option<&Node>, after: &Node) -> Changes {
    let Some(before) = before else { return Changes::NODE_ADDED };
    let mut changes = Changes::default();
    let allocatable = |node: &Node| node.status.as_ref().and_then(|status| status.allocatable.clone());
    if allocatable(before) != allocatable(after) {
        changes |= Changes::NODE_ALLOCATABLE;
    }
    if before.metadata.labels != after.metadata.labels {
        changes |= Changes::NODE_LABELS;
    }
    let taints = |node: &Node| node.spec.as_ref().map(|spec| (spec.taints.clone(), spec.unschedulable));
    if taints(before) != taints(after) {
        changes |= Changes::NODE_TAINTS;
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::node;
    use serde_json::json;

    #[test]
    fn an_update_says_what_it_changed() {
        let before = node("a", json!({}));
        for (after, expected) in [
            (json!({}), Changes::default()),
            (json!({"cpu": "8"}), Changes::NODE_ALLOCATABLE),
            (json!({"labels": {"a": "b"}}), Changes::NODE_LABELS),
            (json!({"unschedulable": true}), Changes::NODE_TAINTS),
        ] {
            assert_eq!(of_node(Some(&before), &node("a", after)), expected);
        }
        assert_eq!(of_node(None, &before), Changes::NODE_ADDED);
    }
}

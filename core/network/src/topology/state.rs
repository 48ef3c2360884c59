//! What was built, in a form that outlives the process that built it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClusterNet, Holder};

/// The record of a cluster's network on this machine, stored as JSON by the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetState {
    pub cluster: ClusterNet,
    /// Whether the host forwarded IPv4 before any cluster of Tiphys was there.
    pub forwarding_was_on: bool,
    /// The attached nodes by their number.
    #[serde(default)]
    pub nodes: BTreeMap<u8, Holder>,
}

//! Deleting a namespace's logs on demand: what is asked, and what became of it.
//!
//! ```text
//! DELETE /tiphys/v1/logs?namespace=NS&before=TIME    the right to deletecollection pods/log in NS
//!   -> POST /v1/delete of every collector, and the archive
//! ```

use serde::{Deserialize, Serialize};

use crate::wire::NodeError;

/// Parameters of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteRequest {
    pub namespace: String,
    /// RFC 3339, or a span back from now; exclusive. Absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// What a collector is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteOrder {
    pub namespace: String,
    /// Nanoseconds, exclusive.
    pub before: i64,
}

/// What became of it. From now on no answer has the records; they leave the disks soon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeleteAnswer {
    pub namespace: String,
    /// Records of an earlier time are gone. RFC 3339.
    pub before: String,
    /// Nodes that carry it out.
    pub nodes: Vec<String>,
    /// The archive carries it out, and tells the nodes below when they come back.
    pub archive: bool,
    /// Nodes that still have records, and why.
    pub partial: Vec<NodeError>,
}

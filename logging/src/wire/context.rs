//! What stands around a record: `POST /tiphys/v1/logs/context`.

use serde::{Deserialize, Serialize};

use super::{LogRecord, NodeError};

/// Records before and after when the request doesn't say.
pub const DEFAULT_CONTEXT: usize = 10;
/// The most records on either side.
pub const MAX_CONTEXT: usize = 1000;

/// In which order records are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By time, from the newest.
    #[default]
    Newest,
    /// By time, from the oldest.
    Oldest,
    /// By their number in one stream, from the last: exact where a clock was set back.
    Last,
    /// By their number in one stream, from the first.
    First,
}

/// The streams that are looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    /// The one with this key.
    Stream(String),
    /// Those of the Pod with this UID.
    Pod(String),
    /// Those of the node.
    Node(String),
}

/// Around what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextScope {
    /// The record's stream, in the order in which it was written.
    #[default]
    Stream,
    /// All containers of the record's Pod, by time.
    Pod,
    /// Everything on the record's node that the user may read, by time.
    Node,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextRequest {
    /// The `id` of a record.
    pub id: String,
    /// At most [`MAX_CONTEXT`]; [`DEFAULT_CONTEXT`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<usize>,
    pub scope: ContextScope,
    /// How long each node may take: see [`within()`](super::within()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextAnswer {
    /// Oldest first, as all of the answer.
    pub before: Vec<LogRecord>,
    /// The record itself; absent when a node that may have it didn't answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<LogRecord>,
    pub after: Vec<LogRecord>,
    /// There are older ones yet, and newer ones.
    pub more_before: bool,
    pub more_after: bool,
    pub partial: Vec<NodeError>,
    pub restricted: bool,
    pub took_ms: u64,
}

//! The JSON shapes of logs, shared by collector, server and clients.
//!
//! Users speak to the server (`/tiphys/v1/logs/...`) in [`SearchRequest`],
//! [`HistogramRequest`], [`FacetsRequest`] and [`StatsRequest`]; the server speaks to collectors
//! in [`NodeRequest`], which is the same with times resolved and the namespaces
//! that the user may see. Answers have one shape on both ways.

mod context;
mod stats;
mod within;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use context::*;
pub use stats::*;
pub use within::*;

/// Records of an answer when the request names no limit.
pub const DEFAULT_LIMIT: usize = 100;
/// The most records in one answer; the cursor leads to the next.
pub const MAX_LIMIT: usize = 10_000;
/// The most fields that facets are asked for at once.
pub const MAX_FIELDS: usize = 10;

/// `POST /tiphys/v1/logs/search`; also the parameters of `GET /tiphys/v1/logs/tail`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchRequest {
    /// The query language of [`crate::query`]; empty matches all.
    pub query: String,
    /// RFC 3339, or a span back from now such as `15m`; inclusive. Absent: from the first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// As `since`; exclusive. Absent: up to the newest record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// At most [`MAX_LIMIT`]; [`DEFAULT_LIMIT`] when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The `cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only this namespace; absent: all that the user may see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Records come with an empty body: it is not read where the query doesn't need it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_body: bool,
    /// From the oldest record on instead of from the newest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oldest_first: bool,
    /// How long each node may take: see [`within()`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Of a tail: [`TailLine::Watermark`] tells each second how far every node's records have come.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub watermarks: bool,
    /// Of a tail: nodes that begin at another time than `since`, as `NODE=TIME` with commas between; times
    /// are RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_of: Option<String>,
}

/// `POST /tiphys/v1/logs/histogram`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistogramRequest {
    pub query: String,
    /// Absent: one hour before `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How many bars, 1 to 1,000; 60 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<usize>,
    /// Tells apart the most frequent values of this field: a name of the stream, a label of
    /// the Pod, a field of the body, `level`, `stream` or `pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// How many values, 1 to 100; 10 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top: Option<usize>,
    /// How long each node may take: see [`within()`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// `POST /tiphys/v1/logs/facets`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FacetsRequest {
    pub query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// How many values a field, 1 to 1,000; 20 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Adds the field `pattern`: lines that differ only in numbers, ids, times and addresses are one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub patterns: bool,
    /// Marks patterns that don't occur in the time before `since`: a span such as `1d`, or
    /// `same` for as long as the range is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<String>,
    /// Adds these fields: names of the stream, labels of the Pod, fields of the body. At most
    /// [`MAX_FIELDS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Adds the facet `field`: the names of all fields, with the records that have them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub names: bool,
    /// How long each node may take: see [`within()`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// One record, as users see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogRecord {
    /// RFC 3339 in UTC with nine decimals.
    pub time: String,
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub node: String,
    /// Which instance of the container wrote it: how often it had been restarted before, 0 of the first.
    pub restart: u32,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// trace, debug, info, warn, error, fatal or unknown.
    pub level: String,
    /// What the container wrote, without the line end; bytes that are not UTF-8 show as U+FFFD.
    /// A line that is too long for one record goes on in the next of its stream: [`crate::parse::part`].
    pub body: String,
    /// The exact bytes, when `body` could not hold them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// The Pod's labels, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Names the record for good: its position in the order of all records, and a cursor.
    pub id: String,
}

/// A node that gave nothing or not everything, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeError {
    pub node: String,
    pub error: String,
}

/// Records in the order that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchAnswer {
    pub records: Vec<LogRecord>,
    /// Leads to the next, older page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What is missing from this answer.
    pub partial: Vec<NodeError>,
    /// The user may see some namespaces only.
    pub restricted: bool,
    /// Records that were looked at one by one.
    pub scanned: u64,
    pub took_ms: u64,
}

/// One bar.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bucket {
    /// Its start, RFC 3339.
    pub time: String,
    pub count: u64,
    /// Level name to count; levels without a record are absent.
    pub by_level: BTreeMap<String, u64>,
    /// With `by`: the counts of the answer's `values`; absent ones have none here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_value: BTreeMap<String, u64>,
    /// With `by`: records with another value.
    #[serde(skip_serializing_if = "is_default")]
    pub others: u64,
    /// With `by`: records without the field.
    #[serde(skip_serializing_if = "is_default")]
    pub without: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistogramAnswer {
    /// Oldest first, without gaps.
    pub buckets: Vec<Bucket>,
    /// The width of a bar, nanoseconds.
    pub step_ns: i64,
    /// With `by`: the values that are told apart, the most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<FacetValue>,
    /// A node had more values than it tells apart: some of `others` may belong to `values`.
    #[serde(skip_serializing_if = "is_default")]
    pub capped: bool,
    pub partial: Vec<NodeError>,
    pub restricted: bool,
    pub scanned: u64,
    pub took_ms: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FacetValue {
    pub value: String,
    pub count: u64,
    /// Of a pattern: the times of its first and last record in the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// Of a pattern, when asked for: its records in the time that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// A pattern that has no record in that time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FacetsAnswer {
    /// Keys `namespace`, `pod`, `container`, `level`, `node`, and what was asked for beside;
    /// most frequent value first.
    pub facets: BTreeMap<String, Vec<FacetValue>>,
    /// All records that matched.
    pub count: u64,
    /// The blocks they are in, and about how many bytes they have.
    pub blocks: u64,
    pub bytes: u64,
    pub partial: Vec<NodeError>,
    pub restricted: bool,
    pub scanned: u64,
    pub took_ms: u64,
}

/// One line of a live tail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TailLine {
    /// So many records were passed over unseen because the reader was slow.
    Dropped {
        dropped: u64,
        node: String,
        /// None of them is older, nanoseconds; a collector says so to the server, which searches for them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<i64>,
    },
    /// A node is missing from here on.
    Partial {
        partial: NodeError,
    },
    /// All that was written on the node before this time, RFC 3339, has come: who loses the stream asks
    /// for what is newer, and for two minutes before it. What a sender or a runtime gave its time, and what
    /// waits for the rest of a trace, comes a while later.
    Watermark {
        watermark: String,
        node: String,
    },
    /// The last line, when the server ends the stream, and why.
    Ended {
        ended: String,
    },
    Record(Box<LogRecord>),
}

/// What a collector is asked: any of its POST paths, and tail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeRequest {
    pub query: String,
    /// Nanoseconds, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Nanoseconds, exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only these namespaces, absent: all. An empty list sees nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Bars of a histogram.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<usize>,
    /// Facets with patterns.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub patterns: bool,
    /// As in [`SearchRequest`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_body: bool,
    /// Patterns are compared with those from here to `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_since: Option<i64>,
    /// Facets of these fields too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Facets with the names of fields.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub names: bool,
    /// How a search orders its records.
    #[serde(skip_serializing_if = "is_default")]
    pub order: Order,
    /// Only these streams; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// What statistics are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<NodeStatsRequest>,
    /// Milliseconds that the answer may take; absent: [`QUERY_TIME`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

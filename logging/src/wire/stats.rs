//! Statistics over the records that match: `POST /tiphys/v1/logs/stats`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NodeError;
use crate::search::Sketch;

/// Keys that records are grouped by, at most.
pub const MAX_KEYS: usize = 3;
/// Quantiles of an answer, at most.
pub const MAX_QUANTILES: usize = 10;
/// Groups of an answer when the request names no limit.
pub const DEFAULT_GROUPS: usize = 100;
/// The most groups of an answer.
pub const MAX_GROUPS: usize = 1000;
/// The most steps of a range.
pub const MAX_STEPS: usize = 11_000;

/// What is counted and measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatsRequest {
    pub query: String,
    /// Absent: one hour before `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A field whose numbers are measured; times are seconds, sizes are bytes. `_bytes` is
    /// the length of the body. Absent: records are counted only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// At most [`MAX_KEYS`] of ns, pod, container, node, uid, restart, app, stream, level, pattern,
    /// a Pod's label, or a field of the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// Each from 0 to 1, at most [`MAX_QUANTILES`]; they want a `field`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<f64>,
    /// A span such as `1m`: numbers for each step of the range. Absent: for the whole of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// How many groups, those with the most records; 1 to [`MAX_GROUPS`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// How long each node may take: see [`within()`](super::within()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// Numbers of one group in one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsPoint {
    /// The begin of the step, RFC 3339.
    pub time: String,
    /// Records.
    pub count: u64,
    /// Records a second.
    pub rate: f64,
    /// Records that have a number in the field; the rest of the point is about them.
    #[serde(skip_serializing_if = "is_zero")]
    pub numbers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg: Option<f64>,
    /// In the order of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<f64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One group. Steps without a record are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsSeries {
    /// A key that the group's records don't have is absent.
    pub group: BTreeMap<String, String>,
    pub count: u64,
    /// Oldest first; one when the request has no step.
    pub points: Vec<StatsPoint>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsAnswer {
    /// The group with the most records first; one without keys when the request has none.
    pub series: Vec<StatsSeries>,
    /// All groups that are not in `series`, as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<StatsSeries>,
    /// A node had more groups than it tells apart: what it counted as `other` may
    /// belong to groups of `series`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub capped: bool,
    /// All records that matched.
    pub count: u64,
    pub step_ns: i64,
    /// How far a quantile may be off, as a share of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile_error: Option<f64>,
    pub partial: Vec<NodeError>,
    pub restricted: bool,
    pub scanned: u64,
    pub took_ms: u64,
}

/// What a collector counts: see [`StatsRequest`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeStatsRequest {
    pub field: Option<String>,
    pub by: Vec<String>,
    pub step_ns: i64,
    /// Where a step begins; without it, where the range does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<i64>,
    /// Quantiles are wanted.
    pub sketch: bool,
}

/// Numbers of one group in one step, as nodes add them up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cell {
    pub count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub numbers: u64,
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sketch: Option<Sketch>,
}

impl Cell {
    /// Adds what another node counted.
    pub fn merge(&mut self, other: Cell) {
        self.count += other.count;
        let Some(more) = other.measured else { return };
        let Some(own) = &mut self.measured else {
            self.measured = Some(more);
            return;
        };
        own.numbers += more.numbers;
        own.sum += more.sum;
        own.min = own.min.min(more.min);
        own.max = own.max.max(more.max);
        match (&mut own.sketch, more.sketch) {
            (Some(sketch), Some(more)) => sketch.merge(more),
            (none, more) => *none = none.take().or(more),
        }
    }
}

/// A group of a node: the value of each key, and cells by the number of their step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSeries {
    pub group: Vec<Option<String>>,
    pub cells: BTreeMap<u32, Cell>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStats {
    pub series: Vec<NodeSeries>,
    /// Records of the groups beyond those that a node tells apart.
    pub other: BTreeMap<u32, Cell>,
    pub partial: Vec<NodeError>,
    pub scanned: u64,
}

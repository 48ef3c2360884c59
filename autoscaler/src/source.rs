//! What the autoscaler asks of the outside: readings in, decisions out.

use std::{collections::HashMap, fmt, ops::Range};

use async_trait::async_trait;
use tiphys_api::{decisions::Decision, selector::LabelSelector, ways::Ways};
use tokio::sync::watch;

/// One current figure of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// In thousandths: of a core, a byte, a byte a second.
    pub milli: i64,
    /// When the newest sample was taken, microseconds since the Unix epoch.
    pub time: i64,
    /// The time that a rate was computed over, in microseconds.
    pub window: i64,
    /// By which ways it came.
    pub ways: Ways,
}

/// A metric by name, and which of its series count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pub name: String,
    pub selector: LabelSelector,
}

/// An object of the API that a metric describes, in the autoscaler's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

/// Where a metric's figure comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricName {
    /// `cpu` (cores) or `memory` (working set in bytes), of the Pod or of one container.
    Resource { resource: String, container: Option<String> },
    /// A figure that each Pod has.
    Pods(Series),
    /// One figure, of an object.
    Object { object: Described, series: Series },
    /// One figure or several to be added up, of something outside.
    External(Series),
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource { resource, container: None } => f.write_str(resource),
            Self::Resource { resource, container: Some(container) } => {
                write!(f, "{resource} of container {container}")
            }
            Self::Pods(series) | Self::External(series) => f.write_str(&series.name),
            Self::Object { object, series } => {
                write!(f, "{} of {} {}", series.name, object.kind, object.name)
            }
        }
    }
}

/// Current figures, from memory. Errors are sentences for conditions, events and rows.
#[async_trait]
pub trait MetricSource: Send + Sync + 'static {
    /// The figure of each of the Pods that has one, a rate of sampled figures over about `window`
    /// microseconds. Pods without two samples, or not as old, are left out.
    ///
    /// # Errors
    /// A metric of this name does not exist; the sentence names those that do.
    async fn resource(
        &self,
        namespace: &str,
        pods: &[&str],
        resource: &str,
        container: Option<&str>,
        window: i64,
    ) -> Result<HashMap<String, Reading>, String>;

    /// The same for a metric by name.
    ///
    /// # Errors
    /// As above.
    async fn pods(
        &self,
        namespace: &str,
        pods: &[&str],
        series: &Series,
        window: i64,
    ) -> Result<HashMap<String, Reading>, String>;

    /// The figure of one object.
    ///
    /// # Errors
    /// There is none.
    async fn object(&self, namespace: &str, object: &Described, series: &Series) -> Result<Reading, String>;

    /// The figures of an external metric, one a series.
    ///
    /// # Errors
    /// There is no such metric, or it can't be told at the moment.
    async fn external(&self, namespace: &str, series: &Series) -> Result<Vec<Reading>, String>;

    /// Changes whenever new samples are there.
    fn fresh(&self) -> watch::Receiver<u64>;
}

/// Keeps decisions.
#[async_trait]
pub trait DecisionSink: Send + Sync + 'static {
    /// Must not block.
    fn record(&self, decision: Decision);

    /// The most replicas that an autoscaler's metrics asked for in each of the ranges of time
    /// (microseconds since the Unix epoch); nothing where it decided nothing.
    async fn asked(&self, namespace: &str, autoscaler: &str, ranges: &[Range<i64>]) -> Vec<Option<i32>>;
}

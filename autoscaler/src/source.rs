//! What the autoscaler asks of the outside: readings in, decisions out.

use std::{collections::HashMap, fmt};

use tiphys_api::decisions::Decision;
use tokio::sync::watch;

/// One Pod's current figure of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// In thousandths: of a core, a byte, a byte a second.
    pub milli: i64,
    /// When the newest sample was taken, microseconds since the Unix epoch.
    pub time: i64,
    /// The time that a rate was computed over, in microseconds.
    pub window: i64,
}

/// Which figure of a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MetricName {
    /// `cpu` (cores) or `memory` (working set in bytes), of the Pod or of one container.
    Resource { resource: String, container: Option<String> },
    /// A figure by name: `disk_read_bytes_per_second`, `disk_write_bytes_per_second`,
    /// `network_receive_bytes_per_second`, `network_transmit_bytes_per_second`.
    Pods { name: String },
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource { resource, container: None } => f.write_str(resource),
            Self::Resource { resource, container: Some(container) } => {
                write!(f, "{resource} of container {container}")
            }
            Self::Pods { name } => f.write_str(name),
        }
    }
}

/// Current figures of Pods, from memory.
pub trait MetricSource: Send + Sync + 'static {
    /// The figure of each of the Pods that has one. Pods without two samples are left out.
    ///
    /// # Errors
    /// A metric of this name does not exist; the sentence names those that do.
    fn read(
        &self,
        namespace: &str,
        pods: &[&str],
        metric: &MetricName,
    ) -> Result<HashMap<String, Reading>, String>;

    /// Changes whenever new samples are there.
    fn fresh(&self) -> watch::Receiver<u64>;
}

/// Keeps decisions. Must not block.
pub trait DecisionSink: Send + Sync + 'static {
    fn record(&self, decision: Decision);
}

//! What a node measures each second, in the shape in which it travels from the
//! agent to the metrics server: one JSON line a second, newest last.
//!
//! Counters are since the start of what they count and never fall while it
//! lives; a reader takes differences. Sources: cgroup v1 and v2 files, /proc.

use serde::{Deserialize, Serialize};

/// All figures of one node at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSamples {
    /// Microseconds since the Unix epoch, when the figures were read.
    pub time: i64,
    pub node: String,
    /// The whole machine (or the node's share of it, where nodes share one).
    pub usage: Usage,
    /// What the node offers to Pods.
    pub capacity: Capacity,
    pub pods: Vec<PodSample>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    pub cpu_cores: f64,
    pub memory_bytes: u64,
    pub filesystem_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSample {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    /// The Pod's cgroup: the sum of its containers, with the Pod's network.
    pub usage: Usage,
    pub containers: Vec<ContainerSample>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSample {
    pub container: String,
    /// The runtime's id: a restarted container is another series.
    pub container_id: String,
    /// Microseconds since the Unix epoch.
    pub started_at: i64,
    /// Network figures are the Pod's; here they are zero.
    pub usage: Usage,
}

/// Figures of one cgroup (or machine).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    pub cpu_usage_nanos_total: u64,
    pub cpu_throttled_nanos_total: u64,
    pub memory_usage_bytes: u64,
    /// Usage less inactive file cache, as the kubelet defines it.
    pub memory_working_set_bytes: u64,
    pub memory_rss_bytes: u64,
    pub disk_read_bytes_total: u64,
    pub disk_write_bytes_total: u64,
    pub disk_reads_total: u64,
    pub disk_writes_total: u64,
    pub network_receive_bytes_total: u64,
    pub network_transmit_bytes_total: u64,
    pub network_receive_packets_total: u64,
    pub network_transmit_packets_total: u64,
    pub network_errors_total: u64,
    pub filesystem_used_bytes: u64,
    pub processes: u64,
}

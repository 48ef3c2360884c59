//! What a kubelet is told when it starts.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1::Taint;
use tiphys_telemetry::Component;

use crate::Arriving;

/// Everything but the API client and the runtime's socket.
#[derive(Clone)]
pub struct KubeletConfig {
    pub node_name: String,
    /// The node's addresses, the first one is shown as `hostIP`.
    pub node_ips: Vec<String>,
    /// Labels the node is registered with, beside those of architecture, system and host name.
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub capacity: NodeCapacity,
    /// The group below which Pods' groups are made: `/tiphys/node-1/kubepods`.
    pub pods_group: String,
    /// The node's share of the machine, for its own figures: `/tiphys/node-1`, or `/` for all of it.
    pub node_group: String,
    /// Volumes and other files of Pods. Standard: /var/lib/kubelet
    pub root: PathBuf,
    /// Standard: /var/log/pods
    pub log_root: PathBuf,
    pub log_max_bytes: u64,
    /// Files kept a container, the current one included.
    pub log_max_files: usize,
    /// How often log files are looked at.
    pub log_monitor_interval: Duration,
    /// Manifests of Pods that run without the API, if any.
    pub static_pods: Option<PathBuf>,
    pub cluster_dns: Vec<String>,
    pub cluster_domain: String,
    pub resolv_conf: PathBuf,
    pub listen: SocketAddr,
    /// The node's other parts; their figures are served at `/metrics/<name>`.
    pub neighbours: Vec<Component>,
    pub identity: ServerIdentity,
    /// Images that are just being imported.
    pub arriving: Arriving,
    /// As `kubectl get nodes` shows it.
    pub version: String,
}

/// What the node offers to Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeCapacity {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub pods: u32,
    /// Kept back from Pods for the node itself.
    pub reserved_cpu_millis: u64,
    pub reserved_memory_bytes: u64,
}

/// The server's certificate, and who may call it. All PEM.
#[derive(Clone)]
pub struct ServerIdentity {
    pub certificate: String,
    pub key: String,
    /// Clients' certificates must be of this authority.
    pub client_ca: String,
}

impl KubeletConfig {
    /// Standard paths and sizes; the rest is the caller's.
    pub fn standard(node_name: impl Into<String>, node_ips: Vec<String>, identity: ServerIdentity) -> Self {
        Self {
            node_name: node_name.into(),
            node_ips,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            capacity: NodeCapacity::of_machine(),
            pods_group: "/kubepods".into(),
            node_group: "/".into(),
            root: "/var/lib/kubelet".into(),
            log_root: "/var/log/pods".into(),
            log_max_bytes: 10 << 20,
            log_max_files: 5,
            log_monitor_interval: Duration::from_secs(5),
            static_pods: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".into(),
            resolv_conf: "/etc/resolv.conf".into(),
            listen: SocketAddr::from(([0, 0, 0, 0], tiphys_api::names::KUBELET_PORT)),
            neighbours: Vec::new(),
            identity,
            arriving: Arriving::default(),
            version: format!("v1.37.0+tiphys-{}", env!("CARGO_PKG_VERSION")),
        }
    }
}

impl NodeCapacity {
    /// The whole machine, for 110 Pods, with nothing kept back.
    pub fn of_machine() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let total = total.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Self {
            cpu_millis: 1000 * cores as u64,
            memory_bytes: total.unwrap_or(0) * 1024,
            pods: 110,
            reserved_cpu_millis: 0,
            reserved_memory_bytes: 0,
        }
    }
}

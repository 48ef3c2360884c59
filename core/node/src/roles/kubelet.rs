//! The kubelet's part of a node: its configuration out of the agent's options.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use kube::Client;
use tiphys_kubelet::{Arriving, Kubelet, KubeletConfig, ServerIdentity};
use tiphys_lifecycle::Tasks;
use tiphys_telemetry::{Component, Requests};

use crate::cli::AgentOptions;

/// What the rest of the node hands to its kubelet.
pub struct Parts {
    /// Whose figures it serves beside its own.
    pub neighbours: Vec<Component>,
    pub arriving: Arriving,
    /// What the whole node asks of the API; told as the kubelet's.
    pub requests: Requests,
}

/// Starts the kubelet on the runtime behind `socket`.
///
/// # Errors
/// Its certificate can't be read, its port is taken, there are no control groups, the
/// folder of static Pods can't be made.
pub async fn start(
    options: &AgentOptions,
    client: Client,
    socket: &Path,
    parts: Parts,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let read = |name: &str| {
        let path = options.data_dir.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))
    };
    let identity = ServerIdentity {
        certificate: read("kubelet.crt")?,
        key: read("kubelet.key")?,
        client_ca: read("ca.crt")?,
    };
    if let Some(folder) = &options.pod_manifest_path {
        let hint = || format!("--pod-manifest-path {} is no folder, and none can be made", folder.display());
        std::fs::create_dir_all(folder).with_context(hint)?;
    }
    let root = options.cgroup_root.trim_end_matches('/');
    let config = KubeletConfig {
        pods_group: format!("{root}/kubepods"),
        node_group: if root.is_empty() { "/".to_owned() } else { root.to_owned() },
        cluster_dns: vec![options.cluster_dns.to_string()],
        cluster_domain: options.cluster_domain.clone(),
        log_max_bytes: options.container_log_max_size,
        log_max_files: options.container_log_max_files as usize,
        log_monitor_interval: Duration::from_secs(options.container_log_monitor_interval),
        static_pods: options.pod_manifest_path.clone(),
        neighbours: parts.neighbours,
        arriving: parts.arriving,
        ..KubeletConfig::standard(&options.node_name, vec![options.node_ip.to_string()], identity)
    };
    let kubelet =
        Kubelet::start(config, client, socket, tasks).await.context("the kubelet does not start")?;
    parts.requests.register(kubelet.component());
    Ok(())
}

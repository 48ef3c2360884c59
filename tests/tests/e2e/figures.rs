//! `/metrics` of each component: its own figures, and nobody else's.

use anyhow::{Context, Result, ensure};
use tiphys_tests::Cluster;

use crate::Shared;

/// Where a component is asked through the API server, and what its names begin with.
const COMPONENTS: &[(&str, &str)] = &[
    ("/metrics", "apiserver_"),
    ("/metrics/controllers", "controller_"),
    ("/metrics/scheduler", "scheduler_"),
    ("/metrics/metrics", "tiphys_metrics_"),
    ("/metrics/autoscaler", "tiphys_autoscaler_"),
    ("/api/v1/nodes/node-1/proxy/metrics", "tiphys_kubelet_"),
    ("/api/v1/nodes/node-1/proxy/metrics/proxy", "proxy_"),
    ("/api/v1/nodes/node-1/proxy/metrics/dns", "dns_"),
];

pub fn components(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    for (path, prefix) in COMPONENTS {
        alone(&cluster, path, prefix)?;
    }
    Ok(())
}

fn alone(cluster: &Cluster, path: &str, prefix: &str) -> Result<()> {
    let text = cluster.kubectl(&["get", "--raw", path])?;
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    names.first().with_context(|| format!("{path} names no figure:\n{text}"))?;
    let foreign: Vec<_> = names.iter().filter(|name| !name.starts_with(prefix)).collect();
    ensure!(foreign.is_empty(), "{path} shows figures of others: {foreign:?}");
    Ok(())
}

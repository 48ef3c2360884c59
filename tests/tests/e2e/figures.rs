//! `/metrics` of each component: its own figures, and nobody else's; and those of the log
//! collectors, which answer the metrics server only.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

use crate::Shared;

/// Where a component is asked through the API server, and what its names begin with.
const COMPONENTS: &[(&str, &str)] = &[
    ("/metrics", "apiserver_"),
    ("/metrics/controllers", "controller_"),
    ("/metrics/scheduler", "scheduler_"),
    ("/metrics/metrics", "tiphys_metrics_"),
    ("/metrics/autoscaler", "tiphys_autoscaler_"),
    ("/metrics/logs", "tiphys_logs_archive_"),
    ("/api/v1/nodes/node-1/proxy/metrics", "tiphys_kubelet_"),
    ("/api/v1/nodes/node-1/proxy/metrics/proxy", "proxy_"),
    ("/api/v1/nodes/node-1/proxy/metrics/dns", "dns_"),
];

pub fn components(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    for (path, prefix) in COMPONENTS {
        alone(&cluster, path, prefix)?;
    }
    eventually(Duration::from_secs(60), || collectors(&cluster)).map(drop)
}

/// That of each node, and the server's own, which is on no node.
fn collectors(cluster: &Cluster) -> Result<()> {
    let path = "/prometheus/api/v1/targets?scrapePool=tiphys-collector";
    let told: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", path])?)?;
    let targets = told["data"]["activeTargets"].as_array().context("targets")?;
    ensure!(targets.iter().all(|target| target["health"] == "up"), "{targets:?}");
    let nodes = ["", "node-1", "node-2", "node-3"];
    let scraped: Vec<_> = targets.iter().filter_map(|target| target["labels"]["node"].as_str()).collect();
    ensure!(targets.len() == nodes.len() && scraped.len() == 3, "{targets:?}");
    let rows = cluster.sql(
        "select distinct node, name from samples
         where name like 'tiphys_logs_%' and job = 'tiphys-collector' and value > 0",
    )?;
    let reading = rows.iter().filter(|row| row["name"] == "tiphys_logs_records_total");
    let reading: BTreeSet<_> = reading.map(|row| row["node"].as_str().unwrap_or_default()).collect();
    ensure!(reading == BTreeSet::from(nodes), "{rows:?}");
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

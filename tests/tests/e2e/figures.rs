//! `/metrics` of each component: its own figures, and nobody else's, under the names and jobs that
//! dashboards know; those of nodes for a Prometheus from elsewhere; and those of the log
//! collectors, which answer the metrics server only. What is told of a container is what the
//! kernel tells.

mod kernel;

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually, run};

use crate::Shared;

/// Where a component is asked through the API server, and what its names begin with.
const COMPONENTS: &[(&str, &[&str])] = &[
    ("/metrics", &["apiserver_", "etcd_"]),
    ("/metrics/controllers", &["controller_", "workqueue_"]),
    ("/metrics/scheduler", &["scheduler_"]),
    ("/metrics/metrics", &["tiphys_metrics_"]),
    ("/metrics/autoscaler", &["tiphys_autoscaler_"]),
    ("/metrics/logs", &["tiphys_logs_archive_"]),
    ("/api/v1/nodes/node-1/proxy/metrics", &["kubelet_", "tiphys_kubelet_"]),
    ("/api/v1/nodes/node-1/proxy/metrics/proxy", &["kubeproxy_", "proxy_"]),
    ("/api/v1/nodes/node-1/proxy/metrics/dns", &["coredns_", "dns_"]),
];

/// What any component may say, of its process and of what it asks of the API.
const OF_ALL: &[&str] = &["process_", "rest_client_"];

/// What the process says, of every component.
const PROCESS: &[&str] = &[
    "process_cpu_seconds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
];

/// By which job the own scraper brings which series.
const JOBS: &[(&str, &str)] = &[
    ("apiserver", "apiserver_request_total"),
    ("apiserver", "apiserver_request_sli_duration_seconds_count"),
    ("apiserver", "apiserver_current_inflight_requests"),
    ("kube-controller-manager", "workqueue_adds_total"),
    ("kube-controller-manager", "workqueue_depth"),
    ("kube-controller-manager", "workqueue_queue_duration_seconds_count"),
    ("kube-controller-manager", "workqueue_work_duration_seconds_count"),
    ("kube-controller-manager", "rest_client_requests_total"),
    ("kube-scheduler", "scheduler_schedule_attempts_total"),
    ("kube-scheduler", "scheduler_scheduling_attempt_duration_seconds_count"),
    ("kube-scheduler", "scheduler_pending_pods"),
    ("kubelet", "kubelet_node_name"),
    ("kubelet", "kubelet_running_pods"),
    ("kubelet", "kubelet_running_containers"),
    ("kubelet", "kubelet_pod_start_duration_seconds_count"),
    ("kubelet", "kubelet_started_containers_total"),
    ("kubelet", "rest_client_requests_total"),
    ("kube-proxy", "kubeproxy_sync_proxy_rules_duration_seconds_count"),
    ("apiserver", "process_resident_memory_bytes"),
    ("kube-controller-manager", "process_resident_memory_bytes"),
    ("kube-scheduler", "process_resident_memory_bytes"),
    ("kubelet", "process_resident_memory_bytes"),
    ("kube-proxy", "process_resident_memory_bytes"),
    ("coredns", "process_resident_memory_bytes"),
];

const READERS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: figures}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: figures}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: other, namespace: figures}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: figures-reader}
rules: [{apiGroups: [''], resources: [nodes/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: figures-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: figures-reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: figures}]
";

pub fn components(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    kernel::compare(&cluster)?;
    for (path, prefixes) in COMPONENTS {
        alone(&cluster, path, prefixes)?;
    }
    cluster.apply(READERS)?;
    let read = from_elsewhere(&cluster);
    cluster.kubectl(&["delete", "clusterrole,clusterrolebinding", "figures-reader"])?;
    cluster.kubectl(&["delete", "namespace", "figures", "--timeout=120s"])?;
    read?;
    eventually(Duration::from_secs(120), || jobs(&cluster))?;
    eventually(Duration::from_secs(120), || collectors(&cluster)).map(drop)
}

/// As a Prometheus does it: a token, at the kubelet's own port.
fn from_elsewhere(cluster: &Cluster) -> Result<()> {
    let node = cluster.get(&["node", "node-2"])?;
    let address = node["status"]["addresses"][0]["address"].as_str().context("an address")?;
    let token = |account: &str| cluster.kubectl(&["create", "token", account, "-n", "figures"]);
    let (reader, other) = (token("reader")?, token("other")?);
    let ask = |path: &str, token: Option<&str>| curl(&format!("https://{address}:10250{path}"), token);
    let read = |path: &str| -> Result<String> {
        let (code, text) = ask(path, Some(&reader))?;
        ensure!(code == "200", "{path}: {code} {text}");
        Ok(text)
    };
    for (path, token, expected) in [
        ("/metrics/cadvisor", None, "401"),
        ("/metrics/cadvisor", Some("wrong"), "401"),
        ("/metrics/cadvisor", Some(other.as_str()), "403"),
        ("/pods", Some(reader.as_str()), "404"),
        ("/pods", None, "401"),
    ] {
        let (code, text) = ask(path, token)?;
        ensure!(code == expected, "{path}: {code} instead of {expected}: {text}");
    }
    let collector = r#"namespace="tiphys-system",pod="tiphys-collector-"#;
    let (cadvisor, _) = eventually(Duration::from_secs(120), || {
        let text = read("/metrics/cadvisor")?;
        ensure!(text.contains(collector), "the collector is not in {text}");
        Ok(text)
    })?;
    for name in [
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_memory_rss",
        "container_memory_cache",
        "container_network_receive_bytes_total",
        "container_fs_usage_bytes",
        "container_spec_memory_limit_bytes",
        "machine_memory_bytes",
    ] {
        ensure!(
            cadvisor.contains(&format!("\n{name}{{")) || cadvisor.contains(&format!("\n{name} ")),
            "no {name}"
        );
    }
    eventually(Duration::from_secs(120), || {
        let resource = read("/metrics/resource")?;
        ensure!(resource.contains("\nnode_cpu_usage_seconds_total "), "{resource}");
        let collector = r#"container_memory_working_set_bytes{container="collector","#;
        ensure!(resource.contains(collector), "{resource}");
        Ok(())
    })?;
    ensure!(read("/metrics/slis")?.contains("kubernetes_healthcheck{"), "no check of health");
    ensure!(read("/metrics")?.contains(r#"kubelet_node_name{node="node-2"} 1"#), "another node's figures");
    read("/metrics/probes").map(drop)
}

/// Code and body.
fn curl(url: &str, token: Option<&str>) -> Result<(String, String)> {
    let mut command = Command::new("curl");
    command.args(["-sSk", "--max-time", "120", "--write-out", "\n%{http_code}", url]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {}", token.trim())]);
    }
    let said = run(&mut command, "")?.ok()?;
    let (text, code) = said.rsplit_once('\n').context("a code")?;
    Ok((code.to_owned(), text.to_owned()))
}

/// The own scraper brings them, of each node those of its parts.
fn jobs(cluster: &Cluster) -> Result<()> {
    let names: BTreeSet<_> = JOBS.iter().map(|(_, name)| format!("'{name}'")).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let rows = cluster.sql(&format!(
        "select distinct job, name, node from samples
         where name in ({names}) and time > now() - interval '10 minutes'"
    ))?;
    let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    let told: BTreeSet<_> = rows.iter().map(|row| (text(row, "job"), text(row, "name"))).collect();
    let missing: Vec<_> =
        JOBS.iter().filter(|(job, name)| !told.contains(&((*job).to_owned(), (*name).to_owned()))).collect();
    ensure!(missing.is_empty(), "not scraped: {missing:?} of {told:?}");
    for job in ["kubelet", "kube-proxy", "coredns"] {
        let nodes: BTreeSet<_> =
            rows.iter().filter(|row| row["job"] == job).map(|row| text(row, "node")).collect();
        let expected = ["node-1", "node-2", "node-3"].map(str::to_owned);
        ensure!(nodes == BTreeSet::from(expected), "{job} is scraped on {nodes:?}");
    }
    Ok(())
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

fn alone(cluster: &Cluster, path: &str, prefixes: &[&str]) -> Result<()> {
    let text = cluster.kubectl(&["get", "--raw", path])?;
    let names: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap_or_default())
        .collect();
    let is_own = |name: &&str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let is_of_all = |name: &&str| OF_ALL.iter().any(|prefix| name.starts_with(prefix));
    names
        .iter()
        .copied()
        .find(is_own)
        .with_context(|| format!("{path} names no figure of its own:\n{text}"))?;
    let foreign: Vec<_> = names.iter().copied().filter(|name| !is_own(name) && !is_of_all(name)).collect();
    ensure!(foreign.is_empty(), "{path} shows figures of others: {foreign:?}");
    let missing: Vec<_> = PROCESS.iter().filter(|name| !names.contains(*name)).collect();
    ensure!(missing.is_empty(), "{path} says nothing of its process: {missing:?}");
    Ok(())
}

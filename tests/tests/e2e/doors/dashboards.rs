//! What the usual dashboards for Kubernetes ask, of a cluster, a namespace, a Pod, a node and of
//! Kubernetes' parts: each question has an answer, but for those that are named with a reason.
//!
//! Rows behind `RULES` ask for what recording rules tell. The rules stand in a namespace that is
//! marked for the whole cluster, as an administrator puts them there.

use std::{fmt::Write, time::Duration};

use anyhow::{Context, Result, ensure};
use tiphys_tests::{Cluster, eventually};

use super::json;

/// Dashboard, question.
const ASKED: &[(&str, &str)] = &[
    ("cluster", r#"1 - avg(rate(node_cpu_seconds_total{mode="idle"}[2m]))"#),
    (
        "cluster",
        r#"sum(kube_pod_container_resource_requests{resource="cpu"}) / sum(kube_node_status_allocatable{resource="cpu"})"#,
    ),
    ("cluster", r#"sum(kube_node_status_allocatable{job="kube-state-metrics",resource="memory"})"#),
    ("cluster", r#"1 - sum(node_memory_MemAvailable_bytes) / sum(node_memory_MemTotal_bytes)"#),
    (
        "cluster",
        r#"sum(container_memory_rss{job="kubelet",metrics_path="/metrics/cadvisor",container!=""}) by (namespace)"#,
    ),
    ("cluster", r#"count(avg(kube_pod_info{namespace!=""}) by (namespace, pod)) by (namespace)"#),
    (
        "cluster",
        r#"sum(rate(container_network_receive_bytes_total{job="kubelet",metrics_path="/metrics/cadvisor",namespace=~".+"}[2m])) by (namespace)"#,
    ),
    (
        "cluster",
        r#"avg(irate(container_network_transmit_bytes_total{job="kubelet",metrics_path="/metrics/cadvisor",namespace=~".+"}[2m])) by (namespace)"#,
    ),
    (
        "cluster",
        r#"ceil(sum by (namespace) (rate(container_fs_reads_total{job="kubelet",metrics_path="/metrics/cadvisor",container!=""}[2m]) + rate(container_fs_writes_total{job="kubelet",metrics_path="/metrics/cadvisor",container!=""}[2m])))"#,
    ),
    (
        "namespace",
        r#"sum(rate(container_cpu_usage_seconds_total{job="kubelet",metrics_path="/metrics/cadvisor",namespace="tiphys-system",container!=""}[2m])) by (pod)"#,
    ),
    (
        "namespace",
        r#"sum(container_memory_working_set_bytes{job="kubelet",metrics_path="/metrics/cadvisor",namespace="tiphys-system",container!=""}) by (pod)"#,
    ),
    (
        "namespace",
        r#"sum(container_memory_cache{job="kubelet",metrics_path="/metrics/cadvisor",namespace="tiphys-system",container!=""}) by (pod)"#,
    ),
    (
        "namespace",
        r#"sum(kube_pod_container_resource_requests{job="kube-state-metrics",namespace="tiphys-system",resource="memory"}) by (pod)"#,
    ),
    (
        "pod",
        r#"sum(rate(container_cpu_usage_seconds_total{job="kubelet",metrics_path="/metrics/cadvisor",pod=~"tiphys-collector-.*",container!=""}[2m])) by (container)"#,
    ),
    (
        "pod",
        r#"sum(container_memory_working_set_bytes{job="kubelet",metrics_path="/metrics/cadvisor",pod=~"tiphys-collector-.*",container!="",image!=""}) by (container)"#,
    ),
    (
        "pod",
        r#"sum(irate(container_network_receive_packets_total{job="kubelet",metrics_path="/metrics/cadvisor",pod=~"tiphys-collector-.*"}[2m])) by (pod)"#,
    ),
    (
        "pod",
        r#"sum(irate(container_network_transmit_packets_dropped_total{job="kubelet",metrics_path="/metrics/cadvisor",pod=~"tiphys-collector-.*"}[2m])) by (pod)"#,
    ),
    ("node", r#"sum(container_memory_rss{node="node-1",container!=""}) by (pod)"#),
    ("node", r#"sum(kube_node_status_capacity{job="kube-state-metrics",node="node-1",resource="cpu"})"#),
    ("node", r#"node_load1{job="node-exporter"}"#),
    ("node", r#"rate(node_disk_io_time_seconds_total{job="node-exporter",device!=""}[2m])"#),
    ("node", r#"rate(node_disk_io_time_weighted_seconds_total{job="node-exporter",device!=""}[2m])"#),
    (
        "node",
        r#"node_memory_MemFree_bytes{job="node-exporter"} + node_memory_Slab_bytes{job="node-exporter"}"#,
    ),
    (
        "node",
        r#"max by (instance, mountpoint) (node_filesystem_size_bytes{job="node-exporter",fstype!=""} - node_filesystem_avail_bytes{job="node-exporter",fstype!=""})"#,
    ),
    ("node", r#"rate(node_network_receive_bytes_total{job="node-exporter",device!="lo"}[2m]) * 8"#),
    ("node", r#"rate(node_vmstat_pgmajfault{job="node-exporter"}[2m])"#),
    ("kubelet", r#"sum(kubelet_node_name{job="kubelet",metrics_path="/metrics"})"#),
    ("kubelet", r#"sum(kubelet_running_pods{job="kubelet",metrics_path="/metrics"}) by (instance)"#),
    ("kubelet", r#"sum(kubelet_running_containers{job="kubelet",metrics_path="/metrics"})"#),
    (
        "kubelet",
        r#"sum(rate(kubelet_runtime_operations_total{job="kubelet",metrics_path="/metrics"}[2m])) by (operation_type, instance)"#,
    ),
    (
        "kubelet",
        r#"histogram_quantile(0.99, sum(rate(kubelet_runtime_operations_duration_seconds_bucket{job="kubelet",metrics_path="/metrics"}[2m])) by (instance, operation_type, le))"#,
    ),
    (
        "kubelet",
        r#"histogram_quantile(0.99, sum(kubelet_pod_start_duration_seconds_bucket{job="kubelet",metrics_path="/metrics"}) by (instance, le))"#,
    ),
    (
        "kubelet",
        r#"sum(rate(rest_client_requests_total{job="kubelet",metrics_path="/metrics",code=~"2.."}[2m]))"#,
    ),
    ("kubelet", r#"rate(process_cpu_seconds_total{job="kubelet",metrics_path="/metrics"}[2m])"#),
    ("API server", r#"sum by (code) (rate(apiserver_request_total{job="apiserver",verb=~"LIST|GET"}[2m]))"#),
    (
        "API server",
        r#"sum by (code) (rate(apiserver_request_total{job="apiserver",verb=~"POST|PUT|PATCH|DELETE"}[2m]))"#,
    ),
    (
        "API server",
        r#"histogram_quantile(0.99, sum by (le, resource) (rate(apiserver_request_sli_duration_seconds_bucket{job="apiserver",verb=~"LIST|GET"}[5m])))"#,
    ),
    ("API server", r#"process_resident_memory_bytes{job="apiserver"}"#),
    ("API server", r#"sum(up{job="apiserver"})"#),
    ("scheduler", r#"sum(up{job="kube-scheduler"})"#),
    ("scheduler", r#"sum(rate(scheduler_schedule_attempts_total{job="kube-scheduler"}[2m])) by (instance)"#),
    (
        "scheduler",
        r#"histogram_quantile(0.99, sum(scheduler_scheduling_attempt_duration_seconds_bucket{job="kube-scheduler"}) by (instance, le))"#,
    ),
    ("scheduler", r#"sum(rate(rest_client_requests_total{job="kube-scheduler",code=~"2.."}[2m]))"#),
    ("controller manager", r#"sum(up{job="kube-controller-manager"})"#),
    (
        "controller manager",
        r#"sum(rate(workqueue_adds_total{job="kube-controller-manager"}[2m])) by (instance, name)"#,
    ),
    (
        "controller manager",
        r#"sum(rate(workqueue_depth{job="kube-controller-manager"}[2m])) by (instance, name)"#,
    ),
    (
        "controller manager",
        r#"histogram_quantile(0.99, sum(rate(workqueue_queue_duration_seconds_bucket{job="kube-controller-manager"}[5m])) by (instance, name, le))"#,
    ),
    ("proxy", r#"sum(up{job="kube-proxy"})"#),
    ("proxy", r#"sum(rate(kubeproxy_sync_proxy_rules_duration_seconds_count{job="kube-proxy"}[2m]))"#),
    (
        "proxy",
        r#"histogram_quantile(0.99, sum(kubeproxy_sync_proxy_rules_duration_seconds_bucket{job="kube-proxy"}) by (instance, le))"#,
    ),
    ("proxy", r#"process_resident_memory_bytes{job="kube-proxy"}"#),
];

/// Of rules: what they record, from what, and what dashboards ask of it.
const RULES: &[(&str, &str, &str)] = &[
    (
        "node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m",
        r#"sum by (cluster, namespace, pod, container) (rate(container_cpu_usage_seconds_total{job="kubelet",metrics_path="/metrics/cadvisor",image!=""}[5m])) * on (cluster, namespace, pod) group_left(node) topk by (cluster, namespace, pod) (1, max by (cluster, namespace, pod, node) (kube_pod_info{node!=""}))"#,
        r#"sum(node_namespace_pod_container:container_cpu_usage_seconds_total:sum_rate5m{cluster=""}) by (namespace)"#,
    ),
    (
        "node_namespace_pod_container:container_memory_working_set_bytes",
        r#"container_memory_working_set_bytes{job="kubelet",metrics_path="/metrics/cadvisor",image!=""} * on (cluster, namespace, pod) group_left(node) topk by (cluster, namespace, pod) (1, max by (cluster, namespace, pod, node) (kube_pod_info{node!=""}))"#,
        r#"sum(node_namespace_pod_container:container_memory_working_set_bytes{cluster="",node=~"node-1",container!=""}) by (pod)"#,
    ),
    (
        "namespace_workload_pod:kube_pod_owner:relabel",
        r#"max by (cluster, namespace, workload, pod) (label_replace(kube_pod_owner{job="kube-state-metrics",owner_kind="DaemonSet"}, "workload", "$1", "owner_name", "(.*)"))"#,
        r#"count(namespace_workload_pod:kube_pod_owner:relabel{cluster="",namespace="tiphys-system"}) by (workload)"#,
    ),
    (
        "code_resource:apiserver_request_total:rate5m",
        r#"sum by (cluster, code, resource) (rate(apiserver_request_total{job="apiserver",verb=~"LIST|GET"}[5m]))"#,
        r#"sum by (code) (code_resource:apiserver_request_total:rate5m{cluster=""})"#,
    ),
];

/// Asked for by dashboards and not told, and why. What comes to be told goes from here.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("go_goroutines", "no part is written in Go"),
    ("kubelet_pleg_relist_duration_seconds_count", "what runs is told by events, and no list is made anew"),
    ("storage_operation_duration_seconds_count", "volumes have no queue of operations"),
    ("kubelet_cgroup_manager_duration_seconds_count", "groups are made by the runtime"),
    ("volume_manager_total_volumes", "volumes are a part of their Pod's start"),
    ("rest_client_request_duration_seconds_count", "requests of parts are counted and not timed"),
];

const NAMESPACE: &str = "rules-of-dashboards";

pub fn ask(cluster: &Cluster) -> Result<()> {
    cluster.apply(&manifest()?)?;
    let ofs = ASKED.iter().map(|(dashboard, question)| (*dashboard, *question));
    let all: Vec<_> = ofs.chain(RULES.iter().map(|(record, _, question)| (*record, *question))).collect();
    let asked = eventually(Duration::from_secs(300), || {
        let mut silent = Vec::new();
        for (of, question) in &all {
            if answers(cluster, question)? == 0 {
                silent.push(format!("{of}: {question}"));
            }
        }
        ensure!(
            silent.is_empty(),
            "{} of {} have no answer:\n{}",
            silent.len(),
            all.len(),
            silent.join("\n")
        );
        Ok(())
    });
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--timeout=120s"])?;
    asked?;
    for (name, why) in EXCEPTIONS {
        let found = answers(cluster, name)?;
        ensure!(found == 0, "{name} is told by now ({found} series), and was not because {why}");
    }
    Ok(())
}

/// How many series are answered.
fn answers(cluster: &Cluster, question: &str) -> Result<usize> {
    let told = json(cluster, &format!("/prometheus/api/v1/query?query={}", in_a_url(question)))?;
    let series = told["data"]["result"].as_array();
    Ok(series.with_context(|| format!("{question} is answered {told}"))?.len())
}

fn in_a_url(text: &str) -> String {
    let mut written = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() {
            true => written.push(byte.into()),
            false => {
                // Writing into a string can't fail.
                let _ = write!(written, "%{byte:02X}");
            }
        }
    }
    written
}

/// The rules. JSON is YAML, and needs no thought of what is quoted how.
fn manifest() -> Result<String> {
    let rules: Vec<_> =
        RULES.iter().map(|(record, from, _)| serde_json::json!({"record": record, "expr": from})).collect();
    let rules = serde_json::json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "dashboards", "namespace": NAMESPACE},
        "spec": {"groups": [{"name": "dashboards", "interval": "5s", "rules": rules}]},
    });
    let namespace = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "annotations": {"metrics.tiphys.io/rules": "cluster"}},
    });
    let all = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [namespace, rules]});
    Ok(serde_json::to_string(&all)?)
}

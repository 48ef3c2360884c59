//! Metrics that Pods expose and that others send: `tests/clients/send_metrics.py` says which senders.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, clients, eventually, run};

use crate::Shared;

const EXPOSED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: metrics}
---
apiVersion: v1
kind: Pod
metadata:
  name: shop
  namespace: metrics
  labels: {app: shop}
  annotations: {prometheus.io/scrape: 'true', prometheus.io/port: '8080', prometheus.io/path: /figures.txt}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'mkdir /www; printf \"# TYPE shop_open gauge\\nshop_open{door=\\\"front\\\"} 3\\n\" > /www/figures.txt; httpd -f -p 8080 -h /www']
    ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: metrics, labels: {app: shop}}
spec:
  selector: {app: shop}
  ports: [{name: web, port: 80, targetPort: http}]
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: shop, namespace: metrics}
spec:
  selector: {matchLabels: {app: shop}}
  endpoints:
  - port: web
    path: /figures.txt
    interval: 2s
    metricRelabelings: [{sourceLabels: [door], regex: front, targetLabel: side, replacement: street}]
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: shop, namespace: metrics}
spec:
  groups:
  - name: doors
    interval: 1s
    rules: [{record: 'shop:open:sum', expr: 'sum by (door) (shop_open{side=\"street\"})'}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sender, namespace: metrics}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sender, namespace: metrics}
rules:
- apiGroups: [metrics.tiphys.io]
  resources: [otlp]
  verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sender, namespace: metrics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sender}
subjects: [{kind: ServiceAccount, name: sender, namespace: metrics}]
---
apiVersion: v1
kind: Service
metadata: {name: metric-doors, namespace: tiphys-system}
spec:
  type: NodePort
  selector: {app: tiphys-collector}
  ports:
  - {name: grpc, port: 4317}
  - {name: http, port: 4318}
";

pub fn scraped_and_sent(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(EXPOSED)?;
    cluster.kubectl(&["wait", "-n", "metrics", "pod/shop", "--for=condition=Ready", "--timeout=60s"])?;
    for pool in ["kubernetes-pods", "serviceMonitor/metrics/shop/0", "apiserver", "kubelet"] {
        eventually(Duration::from_secs(60), || up(&cluster, pool))?;
    }
    let rows = "select distinct value, namespace, labels from samples where name = 'shop_open'";
    eventually(Duration::from_secs(60), || {
        let rows = cluster.sql(rows)?;
        let found =
            |part: &str| rows.iter().any(|row| row["labels"].as_str().is_some_and(|it| it.contains(part)));
        ensure!(found("kubernetes-pods") && found("street"), "what was scraped is not there: {rows:?}");
        let all = rows.iter().all(|row| row["value"] == 3.0 && row["namespace"] == "metrics");
        ensure!(all, "{rows:?}");
        Ok(())
    })?;
    eventually(Duration::from_secs(60), || recorded(&cluster))?;
    send(&cluster)?;
    cluster.kubectl(&["delete", "-n", "tiphys-system", "service/metric-doors"])?;
    cluster.kubectl(&["delete", "namespace", "metrics", "--timeout=60s"]).map(drop)
}

/// All targets of a pool are scraped.
fn up(cluster: &Cluster, pool: &str) -> Result<()> {
    let path = format!("/prometheus/api/v1/targets?scrapePool={pool}");
    let told: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &path])?)?;
    let targets = told["data"]["activeTargets"].as_array().context("targets")?;
    let all = targets.iter().all(|target| target["health"] == "up");
    ensure!(all && !targets.is_empty(), "{pool} is not up: {targets:?}");
    Ok(())
}

/// A rule's series is there, and the rule says that it is well.
fn recorded(cluster: &Cluster) -> Result<()> {
    let rows =
        cluster.sql("select value, namespace, labels from samples where name = 'shop:open:sum' limit 1")?;
    let row = rows.first().context("nothing was recorded")?;
    let told = row["labels"].as_str().is_some_and(|labels| labels.contains("front"));
    ensure!(row["value"] == 3.0 && row["namespace"] == "metrics" && told, "{row}");
    let told: Value =
        serde_json::from_str(&cluster.kubectl(&["get", "--raw", "/prometheus/api/v1/rules"])?)?;
    let rule = &told["data"]["groups"][0]["rules"][0];
    ensure!(rule["name"] == "shop:open:sum" && rule["health"] == "ok", "{told}");
    Ok(())
}

fn send(cluster: &Cluster) -> Result<()> {
    let address = cluster.get(&["node", "node-2"])?["status"]["addresses"][0]["address"].clone();
    let address = address.as_str().context("an address")?;
    let ports = cluster.get(&["service", "-n", "tiphys-system", "metric-doors"])?["spec"]["ports"].clone();
    let port = |at: usize| ports[at]["nodePort"].as_u64().context("a node port").map(|port| port.to_string());
    let token = cluster.kubectl(&["create", "token", "sender", "-n", "metrics"])?;
    let script = tiphys_tests::package_folder().join("clients/send_metrics.py");
    let mut python = Command::new(clients::senders()?);
    python.arg(script).args([address, &port(0)?, &port(1)?, token.trim()]);
    let said = run(&mut python, "")?.ok()?;
    ensure!(said.lines().last() == Some("done"), "the senders ended early:\n{said}");
    // What was acknowledged is found at once.
    for (name, value) in [("orders_total", 42.0), ("queue_size", 7.0), ("latency_seconds_sum", 0.3)] {
        let rows =
            cluster.sql(&format!("select value, namespace, labels from samples where name = '{name}'"))?;
        let by = |how: &str| rows.iter().any(|row| row["labels"].as_str().is_some_and(|it| it.contains(how)));
        ensure!(by("by-grpc") && by("by-http"), "{name} is not there: {rows:?}");
        let all = rows.iter().all(|row| row["value"] == value && row["namespace"] == "metrics");
        ensure!(all, "{name}: {rows:?}");
    }
    Ok(())
}

//! Metrics that Pods expose and that others send: `tests/clients/send_metrics.py` says which senders.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{
    Cluster,
    doors::{Doors, OTLP, Right},
    eventually,
};

use crate::Shared;

const EXPOSED: &str = "
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
";

pub fn scraped_and_sent(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let right = Right { group: "metrics.tiphys.io", resources: &["otlp"] };
    let doors = Doors::open(&cluster, "metrics", right, &OTLP)?;
    cluster.apply(EXPOSED)?;
    cluster.kubectl(&["wait", "-n", "metrics", "pod/shop", "--for=condition=Ready", "--timeout=120s"])?;
    for pool in ["kubernetes-pods", "serviceMonitor/metrics/shop/0", "apiserver", "kubelet"] {
        eventually(Duration::from_secs(120), || up(&cluster, pool))?;
    }
    let rows = "select distinct value, namespace, labels from samples where name = 'shop_open'";
    eventually(Duration::from_secs(120), || {
        let rows = cluster.sql(rows)?;
        let found =
            |part: &str| rows.iter().any(|row| row["labels"].as_str().is_some_and(|it| it.contains(part)));
        ensure!(found("kubernetes-pods") && found("street"), "what was scraped is not there: {rows:?}");
        let all = rows.iter().all(|row| row["value"] == 3.0 && row["namespace"] == "metrics");
        ensure!(all, "{rows:?}");
        Ok(())
    })?;
    eventually(Duration::from_secs(120), || recorded(&cluster))?;
    doors.send("send_metrics.py", &doors.ports, &[])?;
    found(&cluster)?;
    doors.close()
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

/// What was acknowledged is found at once.
fn found(cluster: &Cluster) -> Result<()> {
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

//! What is collected beside containers' lines, and what annotations make of those.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

use crate::Shared;

/// The server's own log and the machine's, and those of every node.
pub fn system(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    for node in ["node-1", "node-2", "node-3"] {
        for part in ["kubelet", "containerd"] {
            found(&cluster, &format!("ns:kube-system container:{part} node:{node}"))?;
        }
    }
    // The nodes share one kernel.
    found(&cluster, "container:kernel node:node-1")?;
    found(&cluster, "pod:tiphys-server \"collector started\"")
}

fn found(cluster: &Cluster, query: &str) -> Result<()> {
    let looked = || {
        let records = cluster.logs(&[query, "--limit", "1"])?;
        ensure!(records.len() == 1, "nothing is found by `{query}`");
        Ok(())
    };
    eventually(Duration::from_secs(120), looked).map(drop)
}

const SPEAKERS: &str = r#"
apiVersion: v1
kind: Namespace
metadata:
  name: hushed
  annotations: {logs.tiphys.io/redact: email}
---
apiVersion: v1
kind: Pod
metadata: {name: careful, namespace: hushed}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'echo puffin of ada@example.org; sleep 3600']
---
apiVersion: v1
kind: Pod
metadata:
  name: silent
  namespace: hushed
  annotations: {logs.tiphys.io/collect: "false"}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'echo puffin that nobody hears; sleep 3600']
---
apiVersion: v1
kind: Pod
metadata:
  name: chatty
  namespace: hushed
  annotations: {logs.tiphys.io/rate-limit: "10"}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    # All at once, however slow the machine is; then less than the limit, until one is kept.
    command: [sh, -c, 'echo "$(seq 5000 | sed "s/^/gull /")"; while true; do sleep 2; echo gull at rest; done']
"#;

/// From the first line of a new Pod.
pub fn policies(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(SPEAKERS)?;
    for pod in ["careful", "silent", "chatty"] {
        let pod = format!("pod/{pod}");
        cluster.kubectl(&["wait", "-n", "hushed", "--for=condition=Ready", &pod, "--timeout=120s"])?;
    }
    let bodies = |query: &str| -> Result<Vec<String>> {
        let records = cluster.logs(&[query, "--limit", "0"])?;
        Ok(records.iter().filter_map(|record| Some(record["body"].as_str()?.to_owned())).collect())
    };
    eventually(Duration::from_secs(120), || {
        let (puffins, gulls) = (bodies("ns:hushed puffin")?, bodies("ns:hushed pod:chatty")?);
        ensure!(puffins == ["puffin of [redacted]"], "{puffins:?}");
        ensure!(gulls.iter().any(|body| body == "gull at rest"), "{gulls:?}");
        let notes = gulls.iter().filter(|body| body.contains("records left out: the limit is 10 a second"));
        ensure!(notes.count() > 0 && gulls.len() < 500, "{} records, {gulls:?}", gulls.len());
        Ok(())
    })?;
    ensure!(bodies("ada OR example.org")?.is_empty(), "an address was indexed");
    eventually(Duration::from_secs(120), || counted(&cluster))?;
    cluster.kubectl(&["delete", "namespace", "hushed", "--timeout=120s"]).map(drop)
}

/// What annotations did, where docs/logs-collecting.md says that it is seen.
fn counted(cluster: &Cluster) -> Result<()> {
    let rows = cluster.sql(
        "select pod, labels ->> 'reason' as reason, max(value) as records from samples
         where name = 'tiphys_logs_pod_left_out_total' and namespace = 'hushed'
           and time > now() - interval '1 minute'
         group by 1, 2 order by 1",
    )?;
    let told: Vec<_> = rows.iter().map(|row| (row["pod"].as_str(), row["reason"].as_str())).collect();
    let expected = [(Some("chatty"), Some("over the rate limit")), (Some("silent"), Some("opted out"))];
    ensure!(told == expected, "{rows:?}");
    ensure!(rows[0]["records"].as_f64().is_some_and(|records| records > 4_000.0), "{rows:?}");
    ensure!(rows[1]["records"] == 1.0, "{rows:?}");
    let redacted = "tiphys_logs_pod_redacted_total%7Bnamespace=%22hushed%22%7D";
    let pods = values(cluster, redacted, "pod")?;
    ensure!(pods == ["careful"], "{pods:?}");
    let left_out = "tiphys_logs_left_out_total%7Bnamespace=%22hushed%22%7D";
    let reasons = values(cluster, left_out, "reason")?;
    ensure!(reasons == ["opted out", "over the rate limit"], "{reasons:?}");
    Ok(())
}

/// The values that a label has in the answer to a PromQL query.
fn values(cluster: &Cluster, query: &str, label: &str) -> Result<Vec<String>> {
    let path = format!("/prometheus/api/v1/query?query=sum%20by%20({label})%20({query})");
    let told: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &path])?)?;
    let series = told["data"]["result"].as_array().context("no vector")?.iter();
    let mut values: Vec<_> =
        series.filter_map(|one| Some(one["metric"][label].as_str()?.to_owned())).collect();
    values.sort_unstable();
    Ok(values)
}

//! What is collected beside containers' lines, and what annotations make of those.

use std::time::Duration;

use anyhow::{Result, ensure};
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
    eventually(Duration::from_secs(30), looked).map(drop)
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
    command: [sh, -c, 'for i in $(seq 5000); do echo gull $i; done; sleep 2; echo gull at rest; sleep 3600']
"#;

/// From the first line of a new Pod.
pub fn policies(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(SPEAKERS)?;
    for pod in ["careful", "silent", "chatty"] {
        let pod = format!("pod/{pod}");
        cluster.kubectl(&["wait", "-n", "hushed", "--for=condition=Ready", &pod, "--timeout=60s"])?;
    }
    let bodies = |query: &str| -> Result<Vec<String>> {
        let records = cluster.logs(&[query, "--limit", "0"])?;
        Ok(records.iter().filter_map(|record| Some(record["body"].as_str()?.to_owned())).collect())
    };
    eventually(Duration::from_secs(30), || {
        let (puffins, gulls) = (bodies("ns:hushed puffin")?, bodies("ns:hushed pod:chatty")?);
        ensure!(puffins == ["puffin of [redacted]"], "{puffins:?}");
        ensure!(gulls.iter().any(|body| body == "gull at rest"), "{gulls:?}");
        let notes = gulls.iter().filter(|body| body.contains("records left out: the limit is 10 a second"));
        ensure!(notes.count() > 0 && gulls.len() < 500, "{} records, {gulls:?}", gulls.len());
        Ok(())
    })?;
    ensure!(bodies("ada OR example.org")?.is_empty(), "an address was indexed");
    cluster.kubectl(&["delete", "namespace", "hushed", "--timeout=60s"]).map(drop)
}

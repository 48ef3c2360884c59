//! Autoscalers follow real CPU load up and back, and say why: of a Deployment and, beside it,
//! of a StatefulSet.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tiphys_tests::{Cluster, eventually};

use crate::Shared;

const LIMIT: Duration = Duration::from_secs(180);

/// Kind and name.
const WORKLOADS: [(&str, &str); 2] = [("Deployment", "busy"), ("StatefulSet", "steady")];

fn manifest(kind: &str, name: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}, load: real}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: test.local/busybox:1
        # Computes while the file is there.
        command: [sh, -c, 'while true; do if [ -e /load/on ]; then seq 1 20000 > /dev/null; else sleep 1; fi; done']
        resources: {{requests: {{cpu: 100m}}, limits: {{cpu: 400m}}}}
        volumeMounts: [{{name: load, mountPath: /load}}]
      volumes:
      - name: load
        hostPath: {{path: /var/lib/kubelet/e2e-load, type: DirectoryOrCreate}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: {kind}, name: {name}}}
  minReplicas: 1
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}
  behavior:
    scaleDown: {{stabilizationWindowSeconds: 5}}
"
    )
}

pub fn load(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    for (kind, name) in WORKLOADS {
        cluster.apply(&manifest(kind, name))?;
    }
    rolled_out(&cluster)?;
    switch(&cluster, "touch /load/on")?;
    let began = Instant::now();
    for (kind, name) in WORKLOADS {
        eventually(LIMIT, || {
            let now = replicas(&cluster, kind, name)?;
            ensure!(now > 1, "{kind} {name} still has {now} replica");
            Ok(())
        })?;
        eprintln!("{kind} scaled up {:.1} s after the load began", began.elapsed().as_secs_f64());
    }
    rolled_out(&cluster)?;
    switch(&cluster, "rm -f /load/on")?;
    let ended = Instant::now();
    for (kind, name) in WORKLOADS {
        eventually(LIMIT, || {
            let now = replicas(&cluster, kind, name)?;
            ensure!(now == 1, "{kind} {name} still has {now} replicas");
            Ok(())
        })?;
        eprintln!("{kind} scaled back {:.1} s after the load ended", ended.elapsed().as_secs_f64());
    }
    for (kind, name) in WORKLOADS {
        eventually(LIMIT, || told(&cluster, kind, name))?;
        let (workload, autoscaler) = (format!("{kind}/{name}"), format!("hpa/{name}"));
        cluster.kubectl(&["delete", &workload, &autoscaler, "--timeout=120s"])?;
    }
    Ok(())
}

fn rolled_out(cluster: &Cluster) -> Result<()> {
    WORKLOADS.iter().try_for_each(|(kind, name)| cluster.rolled_out(&format!("{kind}/{name}")))
}

fn replicas(cluster: &Cluster, kind: &str, name: &str) -> Result<u64> {
    Ok(cluster.get(&[kind, name])?["spec"]["replicas"].as_u64().unwrap_or(0))
}

fn switch(cluster: &Cluster, command: &str) -> Result<()> {
    in_each(cluster, "load=real", command)
}

/// Runs a command, which may run twice, in every Pod with this label that runs.
pub fn in_each(cluster: &Cluster, label: &str, command: &str) -> Result<()> {
    // One of them may go meanwhile, as the command makes its autoscaler let it go.
    let in_all = || -> Result<()> {
        let pods = cluster.get(&["pods", "-l", label, "--field-selector=status.phase=Running"])?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            cluster.kubectl(&["exec", name, "--", "sh", "-c", command])?;
        }
        Ok(())
    };
    eventually(LIMIT, in_all).map(drop)
}

/// The decisions, the events and the words about them.
fn told(cluster: &Cluster, kind: &str, name: &str) -> Result<()> {
    let rows = cluster.sql(&format!(
        "select desired_replicas, current_replicas, reason from decisions \
         where autoscaler = '{name}' and scaled order by time"
    ))?;
    ensure!(rows.len() >= 2, "the decisions of {name} are missing: {rows:?}");
    let first = &rows[0];
    ensure!(first["desired_replicas"].as_i64() > first["current_replicas"].as_i64(), "{first}");
    ensure!(first["reason"].as_str().is_some_and(|reason| reason.contains("cpu is at")), "{first}");
    let described = cluster.kubectl(&["describe", "hpa", name])?;
    ensure!(described.contains("SuccessfulRescale"), "describe lacks the event:\n{described}");
    let why = cluster.tiphys(&["why", "hpa", name])?.ok()?;
    ensure!(why.contains(&format!("scales {kind}/{name} between 1 and 3 replicas")), "{why}");
    Ok(())
}

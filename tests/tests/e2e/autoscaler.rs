//! An autoscaler follows real CPU load up and back, and says why.

use std::time::Duration;

use anyhow::{Result, ensure};
use tiphys_tests::eventually;

use crate::Shared;

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  replicas: 1
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: test.local/busybox:1
        # Computes while the file is there.
        command: [sh, -c, 'while true; do if [ -e /load/on ]; then seq 1 20000 > /dev/null; else sleep 1; fi; done']
        resources: {requests: {cpu: 100m}, limits: {cpu: 400m}}
        volumeMounts: [{name: load, mountPath: /load}]
      volumes:
      - name: load
        hostPath: {path: /var/lib/kubelet/e2e-load, type: DirectoryOrCreate}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  minReplicas: 1
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
  behavior:
    scaleDown: {stabilizationWindowSeconds: 5}
";

pub fn load(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(MANIFEST)?;
    cluster.rolled_out("deployment/busy")?;
    let replicas = || -> Result<u64> {
        Ok(cluster.get(&["deployment", "busy"])?["spec"]["replicas"].as_u64().unwrap_or(0))
    };
    let switch = |command: &str| -> Result<()> {
        let pods = cluster.get(&["pods", "-l", "app=busy", "--field-selector=status.phase=Running"])?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            cluster.kubectl(&["exec", name, "--", "sh", "-c", command])?;
        }
        Ok(())
    };
    switch("touch /load/on")?;
    let (_, up) = eventually(Duration::from_secs(60), || {
        let now = replicas()?;
        ensure!(now > 1, "still {now} replica");
        Ok(())
    })?;
    eprintln!("scaled up {:.1} s after the load began", up.as_secs_f64());
    cluster.rolled_out("deployment/busy")?;
    switch("rm -f /load/on")?;
    let (_, down) = eventually(Duration::from_secs(120), || {
        let now = replicas()?;
        ensure!(now == 1, "still {now} replicas");
        Ok(())
    })?;
    eprintln!("scaled back {:.1} s after the load ended", down.as_secs_f64());
    let rows = cluster.sql(
        "select desired_replicas, current_replicas, reason from decisions \
         where autoscaler = 'busy' and scaled order by time",
    )?;
    ensure!(rows.len() >= 2, "the decisions are missing: {rows:?}");
    let first = &rows[0];
    ensure!(first["desired_replicas"].as_i64() > first["current_replicas"].as_i64(), "{first}");
    ensure!(first["reason"].as_str().is_some_and(|reason| reason.contains("cpu is at")), "{first}");
    let described = cluster.kubectl(&["describe", "hpa", "busy"])?;
    ensure!(described.contains("SuccessfulRescale"), "describe lacks the event:\n{described}");
    cluster.kubectl(&["delete", "deployment/busy", "hpa/busy", "--timeout=60s"]).map(drop)
}

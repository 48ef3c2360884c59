//! Pods reach each other by name, across nodes.

use std::time::Duration;

use anyhow::{Result, ensure};
use tiphys_tests::eventually;

use crate::Shared;

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: spread}
spec:
  replicas: 6
  selector: {matchLabels: {app: spread}}
  template:
    metadata: {labels: {app: spread}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'mkdir -p /tmp/www; hostname > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www']
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: spread}
spec:
  type: NodePort
  selector: {app: spread}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: caller}
spec:
  nodeName: node-1
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'test.local/busybox:1', command: [sleep, '3600']}
";

pub fn service(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(MANIFEST)?;
    cluster.rolled_out("deployment/spread")?;
    cluster.kubectl(&["wait", "pod/caller", "--for=condition=Ready", "--timeout=60s"])?;
    let pods = cluster.get(&["pods", "-l", "app=spread"])?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let nodes: std::collections::BTreeSet<_> =
        pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str()).collect();
    ensure!(nodes.len() == 3, "the six Pods run on {nodes:?} only");
    let caller = |arguments: &[&str]| cluster.kubectl(&[&["exec", "caller", "--"], arguments].concat());
    let fetch = |host: &str| caller(&["wget", "-q", "-T", "5", "-O", "-", &format!("http://{host}")]);
    // busybox' wget is static and has no resolver; its nslookup has.
    let service =
        cluster.get(&["service", "spread"])?["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned();
    let name = "spread.default.svc.cluster.local";
    let (answer, _) = eventually(Duration::from_secs(30), || caller(&["nslookup", "-type=a", name]))?;
    ensure!(answer.contains(&service), "the name leads not to {service}:\n{answer}");
    let mut answered = std::collections::BTreeSet::new();
    eventually(Duration::from_secs(60), || {
        answered.insert(fetch(&service)?.trim().to_owned());
        let elsewhere = pods
            .iter()
            .filter(|pod| pod["spec"]["nodeName"] != "node-1")
            .filter(|pod| answered.contains(pod["metadata"]["name"].as_str().unwrap_or_default()));
        ensure!(elsewhere.count() >= 2, "only {answered:?} answered");
        Ok(())
    })?;
    let port =
        cluster.get(&["service", "spread"])?["spec"]["ports"][0]["nodePort"].as_u64().unwrap_or_default();
    let node = cluster.get(&["node", "node-3"])?["status"]["addresses"][0]["address"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    fetch(&format!("{node}:{port}"))?;
    cluster
        .kubectl(&["delete", "deployment/spread", "service/spread", "pod/caller", "--timeout=60s"])
        .map(drop)
}

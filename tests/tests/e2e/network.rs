//! Pods reach each other by name, across nodes.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

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
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1, timeoutSeconds: 60}
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
  - name: main
    image: tiphys.io/tiphys:current
    command: [/tiphys, demo, --load, 'http://spread.default.svc.cluster.local/']
";

pub fn service(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(MANIFEST)?;
    cluster.rolled_out("deployment/spread")?;
    cluster.kubectl(&["wait", "pod/caller", "--for=condition=Ready", "--timeout=120s"])?;
    let pods = cluster.get(&["pods", "-l", "app=spread"])?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let names: Vec<_> =
        pods.iter().map(|pod| (text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeName"]))).collect();
    let nodes: std::collections::BTreeSet<_> = names.iter().map(|(_, node)| node).collect();
    ensure!(nodes.len() == 3, "the six Pods run on {nodes:?} only");
    let mut answered = std::collections::BTreeSet::new();
    eventually(Duration::from_secs(120), || {
        let said = cluster.kubectl(&["logs", "caller"])?;
        answered.extend(names.iter().filter(|(name, _)| said.contains(&format!("200 OK: {name}"))).cloned());
        let elsewhere = answered.iter().filter(|(_, node)| node != "node-1").count();
        ensure!(elsewhere >= 2, "only {answered:?} answered: {said}");
        Ok(())
    })?;
    let port =
        cluster.get(&["service", "spread"])?["spec"]["ports"][0]["nodePort"].as_u64().unwrap_or_default();
    let node = cluster.get(&["node", "node-3"])?["status"]["addresses"][0]["address"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let port = u16::try_from(port)?;
    // This node may not have the Service's rules yet.
    eventually(Duration::from_secs(120), || {
        let answer = fetch(&node, port)?;
        let is_one = names.iter().any(|(name, _)| answer.trim_end().ends_with(name));
        ensure!(is_one, "the NodePort answered {answer:?}");
        Ok(())
    })?;
    cluster
        .kubectl(&["delete", "deployment/spread", "service/spread", "pod/caller", "--timeout=120s"])
        .map(drop)
}

/// From the machine, outside the cluster.
fn fetch(host: &str, port: u16) -> Result<String> {
    let mut stream = TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

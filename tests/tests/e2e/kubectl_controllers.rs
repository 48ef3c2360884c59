//! kubectl and ReplicationControllers: made, scaled, described, exposed, ended. One of two
//! small servers lives through the steps in their order.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tiphys_tests::eventually;

use crate::{
    Shared,
    kubectl_every::{Session, Step, once},
};

const LIMIT: Duration = Duration::from_secs(120);

const CONTROLLER: &str = "
apiVersion: v1
kind: ReplicationController
metadata: {name: demo, labels: {app: demo}}
spec:
  replicas: 2
  selector: {app: demo}
  template:
    metadata: {labels: {app: demo, role: server}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: server
        image: test.local/curl:1
        command: [sh, -c, 'mkdir -p /tmp/www; hostname > /tmp/www/who; exec httpd -f -p 6379 -h /tmp/www']
        ports: [{name: serve, containerPort: 6379}]
        readinessProbe: {httpGet: {path: /who, port: serve}, periodSeconds: 1, timeoutSeconds: 60}
";

const STEPS: &[Step] = &[
    ("begin", begin),
    ("scale", scale),
    ("annotate", annotate),
    ("expose", expose),
    ("describe", describe),
    ("end", end),
];

pub fn walk(shared: &Shared) -> Result<()> {
    once(shared, "controllers", STEPS)
}

/// The Pods, when they are so many and each answers by its name, asked through the API server.
fn serving(session: &Session<'_>, count: usize) -> Result<Vec<Value>> {
    let (pods, _) = eventually(LIMIT, || {
        let pods = session.json(&["get", "pods", "-l", "app=demo"])?;
        let pods = pods["items"].as_array().cloned().unwrap_or_default();
        ensure!(pods.len() == count, "there are {} Pods, not {count}", pods.len());
        for pod in &pods {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let path = format!("/api/v1/namespaces/{}/pods/{name}:6379/proxy/who", session.namespace);
            let said = session.ok(&["get", "--raw", &path])?;
            ensure!(said.trim() == name, "{name} says that it is {said:?}");
        }
        Ok(pods)
    })?;
    Ok(pods)
}

fn begin(session: &Session<'_>) -> Result<()> {
    session.manifest(&["create"], CONTROLLER, &["replicationcontroller/demo created"])?;
    serving(session, 2).map(drop)
}

fn scale(session: &Session<'_>) -> Result<()> {
    for count in [1, 2] {
        let replicas = format!("--replicas={count}");
        session.says(&["scale", "rc", "demo", &replicas, "--timeout=120s"], &["scaled"])?;
        serving(session, count)?;
    }
    session.ends(&["scale", "rc", "demo", "--current-replicas=7", "--replicas=1"], "", 1, &["to be 7"])
}

fn annotate(session: &Session<'_>) -> Result<()> {
    let annotations = |pod: &Value| pod["metadata"]["annotations"]["x"] == "y";
    for pod in serving(session, 2)? {
        ensure!(!annotations(&pod), "the Pod has the annotation already");
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let patch = r#"{"metadata": {"annotations": {"x": "y"}}}"#;
        session.says(&["patch", "pod", name, "-p", patch], &["patched"])?;
    }
    let pods = serving(session, 2)?;
    ensure!(pods.iter().all(annotations), "an annotation is missing: {pods:?}");
    Ok(())
}

fn expose(session: &Session<'_>) -> Result<()> {
    let pods = serving(session, 2)?;
    let names: Vec<_> = pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    let exposed =
        [(["expose", "rc", "demo"], "first", 1234), (["expose", "service", "first"], "second", 2345)];
    for (what, service, port) in exposed {
        let flags = [format!("--name={service}"), format!("--port={port}"), "--target-port=6379".into()];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        session.says(&[&what[..], &flags].concat(), &["exposed"])?;
        let made = session.json(&["get", "service", service])?;
        let ports = &made["spec"]["ports"];
        ensure!(
            ports[0]["port"] == port && ports[0]["targetPort"] == 6379,
            "{service} has the ports {ports}"
        );
        eventually(LIMIT, || {
            let endpoints = session.json(&["get", "endpoints", service])?;
            let subset = &endpoints["subsets"][0];
            let addresses = subset["addresses"].as_array().map_or(0, Vec::len);
            ensure!(addresses == 2 && subset["ports"][0]["port"] == 6379, "endpoints: {endpoints}");
            let url = format!("http://{service}:{port}/who");
            let said = session.ok(&["exec", names[0], "--", "curl", "-sfm", "5", &url])?;
            ensure!(names.contains(&said.trim()), "{url} says {said:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// `kubectl describe` says each of these, however it is indented.
fn described(session: &Session<'_>, what: &[&str], words: &[&str]) -> Result<()> {
    // Events follow what they tell of.
    let says = || {
        let said = session.ok(&[&["describe"][..], what].concat())?;
        let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            ensure!(plain.contains(word), "describe {what:?} does not say {word:?}:\n{said}");
        }
        Ok(())
    };
    eventually(LIMIT, says).map(drop)
}

fn describe(session: &Session<'_>) -> Result<()> {
    let namespace = format!("Namespace: {}", session.namespace);
    let pods = serving(session, 2)?;
    let text = |pointer: &str| pods[0].pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (pod, node, address) = (text("/metadata/name"), text("/spec/nodeName"), text("/status/podIP"));
    let (own, on, ip) = (format!("Name: {pod}"), format!("Node: {node}/"), format!("IP: {address}"));
    let of_pod = [
        &*own,
        &namespace,
        &on,
        &ip,
        "Labels: app=demo role=server",
        "Annotations: x: y",
        "Status: Running",
        "Controlled By: ReplicationController/demo",
        "Image: test.local/curl:1",
        "State: Running",
        "Ready: True",
        "Restart Count: 0",
        "QoS Class: BestEffort",
        "Volumes: kube-api-access-",
        "Scheduled",
        "Started",
    ];
    described(session, &["pod", pod], &of_pod)?;
    let of_controller = [
        "Name: demo",
        &namespace,
        "Selector: app=demo",
        "Labels: app=demo",
        "Annotations: <none>",
        "Replicas: 2 current / 2 desired",
        "Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
        "Pod Template: Labels: app=demo role=server",
        "Image: test.local/curl:1",
        "Port: 6379/TCP",
        "SuccessfulCreate",
        "replication-controller",
    ];
    described(session, &["rc", "demo"], &of_controller)?;
    let of_service = [
        "Name: first",
        &namespace,
        "Labels: app=demo",
        "Annotations: <none>",
        "Selector: app=demo",
        "Type: ClusterIP",
        "IP: 10.",
        "Port: <unset> 1234/TCP",
        "TargetPort: 6379/TCP",
        ":6379",
        "Session Affinity: None",
    ];
    described(session, &["service", "first"], &of_service)?;
    describe_place(session, node, pod)
}

/// The Node of a Pod, and the namespace.
fn describe_place(session: &Session<'_>, node: &str, pod: &str) -> Result<()> {
    let name = format!("Name: {node}");
    let of_node = [
        &*name,
        "Labels: ",
        "Annotations: ",
        "CreationTimestamp: ",
        "Conditions: Type Status LastHeartbeatTime",
        "Ready True",
        "Addresses: ",
        "Capacity: ",
        "Allocatable: ",
        "Kernel Version: ",
        "OS Image: ",
        "Operating System: linux",
        "Container Runtime Version: containerd://",
        "Kubelet Version: v1.",
        pod,
    ];
    described(session, &["node", node], &of_node)?;
    let (name, label) = (
        format!("Name: {}", session.namespace),
        format!("kubernetes.io/metadata.name={}", session.namespace),
    );
    let of_namespace = [
        &*name,
        &label,
        "Annotations: <none>",
        "Status: Active",
        "No resource quota.",
        "No LimitRange resource.",
    ];
    described(session, &["namespace", &session.namespace], &of_namespace)
}

fn end(session: &Session<'_>) -> Result<()> {
    session.says(&["delete", "rc", "demo"], &["deleted"])?;
    session.ends(&["get", "rc", "demo"], "", 1, &["NotFound"])?;
    eventually(LIMIT, || {
        let left = session.ok(&["get", "pods", "-l", "app=demo", "-o", "name"])?;
        ensure!(left.is_empty(), "still there: {left}");
        Ok(())
    })
    .map(drop)
}

//! Autoscalers on more than CPU: memory, disk and network of real containers scale
//! Deployments up and back and a StatefulSet beside them, a SQL metric scales a StatefulSet,
//! what Pods expose for Prometheus scales those, what a Service's Pods expose takes workers to
//! zero and back, and others may ask for the same figures.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

use crate::{Shared, autoscaler::in_each};

const SOON: Duration = Duration::from_secs(180);
/// Kind and name.
const WORKLOADS: [(&str, &str); 4] =
    [("Deployment", "hungry"), ("StatefulSet", "keeper"), ("Deployment", "writer"), ("Deployment", "talker")];

/// A workload whose shell runs a command, and its autoscaler.
fn manifest((kind, name): (&str, &str), command: &str, metric: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, '{command}']
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
        volumeMounts: [{{name: data, mountPath: /data}}]
      volumes: [{{name: data, emptyDir: {{}}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: {kind}, name: {name}}}
  minReplicas: 1
  maxReplicas: 2
  metrics: [{metric}]
  behavior: {{scaleDown: {{stabilizationWindowSeconds: 0}}}}
"
    )
}

fn manifests() -> String {
    let pods = |metric: &str, value: &str| {
        format!(
            "{{type: Pods, pods: {{metric: {{name: {metric}}}, target: {{type: AverageValue, averageValue: {value}}}}}}}"
        )
    };
    let memory =
        "{type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 24Mi}}}";
    let of_container = "{type: ContainerResource, containerResource: {name: memory, container: main, \
                        target: {type: AverageValue, averageValue: 24Mi}}}";
    let write = "while true; do if [ -e /data/on ]; then dd if=/dev/zero of=/data/x bs=1M count=4 conv=fsync 2>/dev/null; \
                 fi; sleep 0.2; done";
    let serve = "dd if=/dev/zero of=/data/x bs=1M count=1; exec httpd -f -p 8080 -h /data";
    let [hungry, keeper, writer, talker] = WORKLOADS;
    [
        manifest(hungry, "sleep 100000", memory),
        manifest(keeper, "sleep 100000", of_container),
        // Both far less than there is, also of a disk and a machine that are slow.
        manifest(writer, write, &pods("disk_write_bytes_per_second", "50k")),
        manifest(talker, serve, &pods("network_transmit_bytes_per_second", "50k")),
    ]
    .join("---\n")
}

pub fn sources(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(&manifests())?;
    for (kind, name) in WORKLOADS {
        cluster.rolled_out(&format!("{kind}/{name}"))?;
        let condition = ["wait", &format!("hpa/{name}"), "--for=condition=ScalingActive", "--timeout=120s"];
        cluster.kubectl(&condition)?;
    }
    let talks = AtomicBool::new(true);
    let address = first_address(&cluster, "talker")?;
    std::thread::scope(|scope| -> Result<()> {
        let load = scope.spawn(|| talk(&address, &talks));
        let up = ["hungry", "keeper"]
            .iter()
            .try_for_each(|name| run(&cluster, name, "dd if=/dev/zero of=/dev/shm/x bs=1M count=60"))
            .and_then(|()| run(&cluster, "writer", "touch /data/on"))
            .and_then(|()| all_at(&cluster, 2));
        talks.store(false, Ordering::Relaxed);
        load.join().map_err(|_| anyhow::anyhow!("the load's thread panicked"))?;
        up
    })?;
    for (kind, name) in WORKLOADS {
        cluster.rolled_out(&format!("{kind}/{name}"))?;
    }
    for (name, file) in [("hungry", "/dev/shm/x"), ("keeper", "/dev/shm/x"), ("writer", "/data/on")] {
        run(&cluster, name, &format!("rm -f {file}"))?;
    }
    all_at(&cluster, 1)?;
    let scales = "scales Deployment/writer between 1 and 2 replicas";
    decided(&cluster, "writer", &[scales, "scale up from 1 to 2: disk_write_bytes_per_second is at"])?;
    let scales = "scales StatefulSet/keeper between 1 and 2 replicas";
    decided(&cluster, "keeper", &[scales, "scale up from 1 to 2: memory of container main is at"])?;
    for (kind, name) in WORKLOADS {
        let (workload, autoscaler) = (format!("{kind}/{name}"), format!("hpa/{name}"));
        cluster.kubectl(&["delete", &workload, &autoscaler, "--timeout=120s"])?;
    }
    Ok(())
}

fn first_address(cluster: &Cluster, name: &str) -> Result<String> {
    let pods = cluster.get(&["pods", "-l", &format!("app={name}")])?;
    Ok(pods["items"][0]["status"]["podIP"].as_str().context("an address")?.to_owned())
}

/// In every Pod of a workload that runs.
fn run(cluster: &Cluster, name: &str, command: &str) -> Result<()> {
    in_each(cluster, &format!("app={name}"), command)
}

/// Waits until it is told that an autoscaler decided so.
fn decided(cluster: &Cluster, autoscaler: &str, words: &[&str]) -> Result<()> {
    let told = || {
        let why = cluster.tiphys(&["why", "hpa", autoscaler])?.ok()?;
        let missing: Vec<_> = words.iter().filter(|part| !why.contains(**part)).collect();
        ensure!(missing.is_empty(), "{missing:?}:\n{why}");
        Ok(())
    };
    eventually(SOON, told).map(drop)
}

fn all_at(cluster: &Cluster, replicas: u64) -> Result<()> {
    WORKLOADS.iter().try_for_each(|(kind, name)| at(cluster, kind, name, replicas))
}

/// Waits until a workload is wanted to have so many replicas.
fn at(cluster: &Cluster, kind: &str, name: &str, replicas: u64) -> Result<()> {
    eventually(SOON, || {
        let now = cluster.get(&[kind, name])?["spec"]["replicas"].as_u64();
        ensure!(now == Some(replicas), "{name} has {now:?} replicas, not {replicas}");
        Ok(())
    })
    .map(drop)
}

/// Fetches a megabyte again and again.
fn talk(address: &str, goes_on: &AtomicBool) {
    let fetch = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect((address, 8080))?;
        // A Pod that is gone says nothing, not even that.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(b"GET /x HTTP/1.0\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    };
    while goes_on.load(Ordering::Relaxed) {
        // A Pod that is busy with something else refuses now and then.
        let _ = fetch();
    }
}

const SQL: &str = "
apiVersion: metrics.tiphys.io/v1
kind: TiphysMetric
metadata: {name: ordered}
spec:
  query: select 6 as value, count(distinct pod) as pods from pod where namespace = 'default'
  refresh: 1s
  unit: replicas
---
apiVersion: metrics.tiphys.io/v1
kind: TiphysMetric
metadata: {name: elsewhere}
spec: {query: select count(*) from pod where namespace <> 'default', refresh: 1s}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ordered}
spec:
  replicas: 1
  serviceName: ordered
  selector: {matchLabels: {app: ordered}}
  template:
    metadata: {labels: {app: ordered}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: test.local/busybox:1, command: [sleep, '100000']}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: ordered}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: ordered}
  minReplicas: 1
  maxReplicas: 3
  metrics:
  - {type: External, external: {metric: {name: ordered}, target: {type: AverageValue, averageValue: '2'}}}
";

pub fn sql(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(SQL)?;
    at(&cluster, "statefulset", "ordered", 3)?;
    // The event follows what it tells of.
    eventually(SOON, || {
        let described = cluster.kubectl(&["describe", "hpa", "ordered"])?;
        ensure!(described.contains("SuccessfulRescale"), "{described}");
        Ok(())
    })?;
    let external = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default";
    let values = cluster.kubectl(&["get", "--raw", &format!("{external}/ordered")])?;
    ensure!(values.contains("\"value\":\"6\""), "{values}");
    // It counts what its own namespace's viewer sees: none of the others' Pods.
    let (others, _) =
        eventually(SOON, || cluster.kubectl(&["get", "--raw", &format!("{external}/elsewhere")]))?;
    ensure!(others.contains("\"value\":\"0\""), "{others}");
    let pods = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/tiphys-system/pods/*/memory";
    let figures = cluster.kubectl(&["get", "--raw", pods])?;
    ensure!(figures.contains("\"describedObject\"") && figures.contains("\"kind\":\"Pod\""), "{figures}");
    let groups = cluster.kubectl(&["get", "apiservices"])?;
    for group in ["v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io"] {
        ensure!(groups.contains(group), "{groups}");
    }
    cluster
        .kubectl(&[
            "delete",
            "hpa/ordered",
            "statefulset/ordered",
            "tiphysmetrics/ordered",
            "tiphysmetrics/elsewhere",
            "--timeout=120s",
        ])
        .map(drop)
}

/// Each Pod tells how long its queue is.
const SCRAPED: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: queue}
spec:
  replicas: 1
  selector: {matchLabels: {app: queue}}
  template:
    metadata: {labels: {app: queue}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'mkdir /www; echo queue_length 3 > /www/metrics; exec httpd -f -p 8080 -h /www']
        ports: [{name: http, containerPort: 8080}]
---
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: queue}
spec:
  selector: {matchLabels: {app: queue}}
  podMetricsEndpoints: [{port: http, interval: 1s}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: queue}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: queue}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Pods, pods: {metric: {name: queue_length}, target: {type: AverageValue, averageValue: '2'}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
";

/// A Service whose Pod tells how many orders wait, and workers, one an order, none without any.
const TO_ZERO: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: desk}
spec:
  selector: {matchLabels: {app: desk}}
  template:
    metadata: {labels: {app: desk}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'mkdir /www; echo orders_waiting 0 > /www/metrics; exec httpd -f -p 8080 -h /www']
        ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: desk, labels: {app: desk}}
spec: {selector: {app: desk}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: desk}
spec:
  selector: {matchLabels: {app: desk}}
  endpoints: [{port: http, interval: 1s}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 1
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: test.local/busybox:1, command: [sleep, '100000']}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: worker}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: worker}
  minReplicas: 0
  maxReplicas: 3
  metrics:
  - type: Object
    object:
      describedObject: {apiVersion: v1, kind: Service, name: desk}
      metric: {name: orders_waiting}
      target: {type: AverageValue, averageValue: '1'}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
";

/// What Pods expose for Prometheus scales them, and what those of a Service do scales others.
pub fn scraped(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    // Both at once: each waits for scrapes and looks.
    cluster.apply(&[SCRAPED, TO_ZERO].join("---"))?;
    at(&cluster, "deployment", "queue", 3)?;
    cluster.rolled_out("deployment/queue")?;
    let asked = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/queue_length";
    eventually(SOON, || {
        let told: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", asked])?)?;
        let items = told["items"].as_array().context("items")?;
        ensure!(items.len() == 3 && items.iter().all(|item| item["value"] == "3"), "{told}");
        Ok(())
    })?;
    run(&cluster, "queue", "echo queue_length 0 > /www/metrics")?;
    to_zero_and_back(&cluster)?;
    at(&cluster, "deployment", "queue", 1)?;
    decided(&cluster, "queue", &["scale up from", "queue_length is at"])?;
    let made = ["deployment/queue", "hpa/queue", "podmonitor/queue"];
    let more = ["deployment/desk", "service/desk", "servicemonitor/desk", "deployment/worker", "hpa/worker"];
    cluster.kubectl(&[&["delete"][..], &made, &more, &["--timeout=120s"]].concat()).map(drop)
}

fn to_zero_and_back(cluster: &Cluster) -> Result<()> {
    at(cluster, "deployment", "worker", 0)?;
    cluster.gone(&["pods", "-l", "app=worker"], SOON)?;
    run(cluster, "desk", "echo orders_waiting 2 > /www/metrics")?;
    at(cluster, "deployment", "worker", 2)?;
    cluster.rolled_out("deployment/worker")?;
    let down = "scale down from 1 to 0: orders_waiting of Service desk is at 0 a replica, target 1";
    let up = "scale up from 0 to 2: orders_waiting of Service desk is at 2 a replica, target 1";
    decided(cluster, "worker", &[down, up])?;
    let door = "/apis/custom.metrics.k8s.io/v1beta2";
    let asked = format!("{door}/namespaces/default/services/*/orders_waiting?labelSelector=app%3Ddesk");
    eventually(SOON, || {
        let told: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &asked])?)?;
        let items = told["items"].as_array().context("items")?;
        ensure!(items.len() == 1 && items[0]["value"] == "2", "{told}");
        let described = &items[0]["describedObject"];
        ensure!(described["kind"] == "Service" && described["apiVersion"] == "v1", "{told}");
        Ok(())
    })?;
    eventually(SOON, || {
        let listed = cluster.kubectl(&["get", "--raw", door])?;
        ensure!(listed.contains("\"services/orders_waiting\""), "the metrics of Services are not listed");
        Ok(())
    })
    .map(drop)
}

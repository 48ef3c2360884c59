//! How soon the cluster sees: a log line followed and found, a load step at `/scale`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tiphys_tests::{Cluster, eventually};

use crate::{IMAGE, Row, beside::client, spread::quantile};

const LINES: usize = 100;
const STEPS: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

const BUSY: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: busy}
spec:
  replicas: 1
  selector: {matchLabels: {app: busy}}
  template:
    metadata: {labels: {app: busy}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: tiphys.io/tiphys:current
        command: [/tiphys, demo]
        ports: [{containerPort: 8080, name: http}]
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
        resources: {requests: {cpu: 50m}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: busy}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: busy}
  minReplicas: 1
  maxReplicas: 2
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
";

pub fn measure(cluster: &Cluster) -> Result<Vec<Row>> {
    let address = start(cluster)?;
    let followed = followed(cluster, &address)?;
    let found = found(cluster, &address)?;
    end(cluster)?;
    let mut took = Vec::new();
    for step in 0..STEPS {
        let address = start(cluster)?;
        // Each at another point of the second between two samples.
        std::thread::sleep(SECOND * step / STEPS);
        took.push(load_step(cluster, &address)?);
        end(cluster)?;
    }
    let scale = Row::new(
        format!("load step to `/scale`, p50 and p99 of {STEPS}"),
        format!("{:.2} s, {:.2} s", quantile(&took, 0.5).as_secs_f64(), quantile(&took, 0.99).as_secs_f64()),
        "p50 1.5 s, p99 3 s",
    );
    Ok(vec![followed, found, scale])
}

/// The address of the one Pod.
fn start(cluster: &Cluster) -> Result<String> {
    cluster.apply(BUSY)?;
    cluster.rolled_out("deployment/busy")?;
    // The step is what is timed, not the autoscaler's first look at a new Pod.
    cluster.kubectl(&["wait", "hpa/busy", "--for=condition=ScalingActive", "--timeout=60s"])?;
    let pods = cluster.get(&["pods", "-l", "app=busy"])?;
    Ok(pods["items"][0]["status"]["podIP"].as_str().context("an address")?.to_owned())
}

fn end(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["delete", "deployment/busy", "hpa/busy", "--timeout=60s"])?;
    cluster.gone(&["pods", "-l", "app=busy"], Duration::from_secs(60))
}

/// Through the live tail, so that no command's start is counted.
fn followed(cluster: &Cluster, address: &str) -> Result<Row> {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };
    let mut tail =
        cluster.tiphys_command(&["logs", "petrel", "-f", "-o", "jsonl"]).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(tail.stdout.take().context("piped")?).lines();
    let mut took = Vec::new();
    // The first line also waits for the tail to connect.
    for round in 0..=LINES {
        let asked = Instant::now();
        fetch(address, &format!("/log?lines=1&text=petrel{round}%20petrel"))?;
        let text = format!("petrel{round} petrel");
        loop {
            if lines.next().context("the tail ended")??.contains(&text) {
                break;
            }
        }
        if round > 0 {
            took.push(asked.elapsed());
        }
    }
    tail.kill()?;
    tail.wait()?;
    Ok(Row::new(
        format!("log line asked for to seen by a follower, p50 and p99 of {LINES}"),
        format!(
            "{:.1} ms, {:.1} ms",
            quantile(&took, 0.5).as_secs_f64() * 1e3,
            quantile(&took, 0.99).as_secs_f64() * 1e3
        ),
        "-",
    ))
}

/// By asking again and again over one connection, as fast as it answers.
fn found(cluster: &Cluster, address: &str) -> Result<Row> {
    let runtime = tokio::runtime::Runtime::new()?;
    let client = runtime.block_on(client(&cluster.kubeconfig()))?;
    let mut took = Vec::new();
    for round in 0..LINES {
        let word = format!("shearwater{round}x");
        let query = serde_json::to_vec(&serde_json::json!({"query": word, "since": "1m"}))?;
        let asked = Instant::now();
        fetch(address, &format!("/log?lines=1&text={word}"))?;
        loop {
            let request = http::Request::post("/tiphys/v1/logs/search")
                .header("content-type", "application/json")
                .body(query.clone())?;
            if runtime.block_on(client.request_text(request))?.contains(&format!("{word} ")) {
                break;
            }
            ensure!(asked.elapsed() < Duration::from_secs(10), "{word} is not found");
        }
        took.push(asked.elapsed());
    }
    Ok(Row::new(
        format!("log line asked for to found by a search, p50 and p99 of {LINES}"),
        format!(
            "{:.1} ms, {:.1} ms",
            quantile(&took, 0.5).as_secs_f64() * 1e3,
            quantile(&took, 0.99).as_secs_f64() * 1e3
        ),
        "p99 200 ms",
    ))
}

fn load_step(cluster: &Cluster, address: &str) -> Result<Duration> {
    let begun = jiff::Timestamp::now();
    let address = address.to_owned();
    let load = std::thread::spawn(move || fetch(&address, "/cpu?ms=5000"));
    let since = format!(
        "select time from decisions where autoscaler = 'busy' and scaled and time >= timestamp '{begun}' \
         order by time limit 1"
    );
    let (row, _) = eventually(Duration::from_secs(30), || {
        cluster.sql(&since)?.first().cloned().context("nothing was scaled yet")
    })?;
    load.join().map_err(|_| anyhow::anyhow!("the load's thread panicked"))??;
    let text = row["time"].as_str().context("a time")?;
    let decided: jiff::Timestamp = text.parse().or_else(|_| format!("{text}Z").parse())?;
    Ok(decided.duration_since(begun).try_into()?)
}

pub fn fetch(address: &str, path: &str) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream =
        std::net::TcpStream::connect((address, 8080)).with_context(|| format!("{IMAGE} at {address}"))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

//! kill -9 of server and agents in the middle of a rollout, and of a container's start: nothing is lost.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill as send},
    unistd::Pid,
};
use tiphys_tests::{Cluster, eventually};

use crate::{BUSYBOX, Shared};

const COUNTER: &str = "
apiVersion: v1
kind: Pod
metadata: {name: counter, labels: {app: counter}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'i=0; while true; do i=$((i+1)); echo \"shearwater $i\"; sleep 0.05; done']
";

/// A Pod that is never started again, whatever becomes of it.
fn once(name: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: once}}}}
spec:
  restartPolicy: Never
  containers:
  - {{name: main, image: {BUSYBOX}, command: [echo, ran once]}}
"
    )
}

/// Restarts and ids of the containers that run, by Pod and container.
fn containers(cluster: &Cluster, selector: &str) -> Result<BTreeMap<String, (u64, String)>> {
    let pods = cluster.get(&["pods", "-A", "-l", selector])?;
    let mut all = BTreeMap::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        for status in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
            let name = format!("{}/{}", pod["metadata"]["name"], status["name"]);
            let id = status["containerID"].as_str().unwrap_or_default().to_owned();
            all.insert(name, (status["restartCount"].as_u64().unwrap_or(0), id));
        }
    }
    Ok(all)
}

/// kill -9 of the server or of all agents.
pub fn kill_recorded(cluster: &Cluster, what: &str) -> Result<()> {
    let state = cluster.state()?;
    let pid = |process: &serde_json::Value| process["pid"].as_i64();
    let pids: Vec<_> = match what {
        "server" => pid(&state["server"]).into_iter().collect(),
        _ => state["nodes"].as_array().into_iter().flatten().filter_map(|node| pid(&node["agent"])).collect(),
    };
    ensure!(!pids.is_empty(), "no {what} is recorded");
    for pid in pids {
        send(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL).with_context(|| format!("{what} {pid}"))?;
    }
    Ok(())
}

pub fn kill(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(COUNTER)?;
    cluster.kubectl(&["wait", "pod/counter", "--for=condition=Ready", "--timeout=120s"])?;
    let image = format!("--image={BUSYBOX}");
    cluster.kubectl(&["create", "deployment", "rolling", &image, "--replicas=4", "--", "sleep", "3600"])?;
    cluster.rolled_out("deployment/rolling")?;
    let steady = "app in (counter,tiphys-collector)";
    let before = containers(&cluster, steady)?;
    let rounds = if std::env::var_os("TIPHYS_SOAK").is_some() { 20 } else { 2 };
    for round in 0..rounds {
        let marker = format!("marker-{round}");
        cluster.kubectl(&["set", "env", "deployment/rolling", &format!("ROUND={round}")])?;
        cluster.kubectl(&["create", "configmap", &marker, "--from-literal=kept=yes"])?;
        // One that was killed before is recorded anew a moment later.
        for what in ["server", "agents"] {
            eventually(Duration::from_secs(120), || kill_recorded(&cluster, what))?;
        }
        eventually(Duration::from_secs(120), || cluster.kubectl(&["get", "configmap", &marker]))?;
        eventually(Duration::from_secs(120), || {
            let table = cluster.kubectl(&["get", "nodes", "--no-headers"])?;
            ensure!(
                table.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready")).count() == 3,
                "{table}"
            );
            Ok(())
        })?;
        cluster.rolled_out("deployment/rolling")?;
    }
    for round in 0..rounds {
        cluster.kubectl(&["delete", "configmap", &format!("marker-{round}")])?;
    }
    let after = containers(&cluster, steady)?;
    ensure!(before == after, "containers were restarted:\nbefore {before:?}\nafter {after:?}");
    counted(&cluster)?;
    cut_off(&cluster)?;
    cluster.kubectl(&["delete", "pods", "-l", "app=once", "--timeout=120s"])?;
    cluster.kubectl(&["delete", "deployment/rolling", "pod/counter", "--timeout=120s"]).map(drop)
}

/// Who asked for a container's start is killed while the runtime makes its process: nothing of it ran,
/// so it is started by the next agent, though its Pod is one that is never started again.
fn cut_off(cluster: &Cluster) -> Result<()> {
    for name in ["once-1", "once-2", "once-3"] {
        cluster.apply(&once(name))?;
        let limit = Instant::now() + Duration::from_secs(60);
        // It takes the runtime some ten milliseconds, and nobody tells of it.
        while !is_made(name) {
            ensure!(Instant::now() < limit, "the runtime did not make the container");
        }
        kill_recorded(cluster, "agents")?;
        let (status, _) = eventually(Duration::from_secs(120), || ended(cluster, name))?;
        let main = &status["containerStatuses"][0];
        ensure!(main["restartCount"] == 0, "it was restarted: {status}");
        if status["phase"] == "Succeeded" {
            return eventually(Duration::from_secs(60), || written_once(cluster, name)).map(drop);
        }
        // A moment later it may have run, which nobody knows: that is its end.
        let why = main["state"]["terminated"]["message"].as_str().unwrap_or_default();
        let is_let_go = why.starts_with("failed to start containerd task");
        ensure!(is_let_go && why.contains("context canceled"), "{name} failed: {status}");
    }
    bail!("the kill came too late each time")
}

/// What the status of a Pod that has ended says.
fn ended(cluster: &Cluster, pod: &str) -> Result<serde_json::Value> {
    let status = cluster.get(&["pod", pod])?["status"].take();
    ensure!(status["phase"] == "Succeeded" || status["phase"] == "Failed", "{pod}: {status}");
    Ok(status)
}

fn written_once(cluster: &Cluster, pod: &str) -> Result<()> {
    let records = cluster.logs(&[&format!("pod:{pod}"), "--limit", "0"])?;
    ensure!(records.len() == 1, "{pod}: {} lines of one", records.len());
    Ok(())
}

/// Whether the runtime makes the process of a container of this Pod just now.
fn is_made(pod: &str) -> bool {
    let of_pod = format!("\"io.kubernetes.cri.sandbox-name\":\"{pod}\"");
    let is_it = |process: fs::DirEntry| {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words: Vec<_> = command.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let bundle = words.iter().position(|word| word == "--bundle").and_then(|at| words.get(at + 1));
        let Some(bundle) = bundle.filter(|_| words.iter().any(|word| word == "create")) else { return false };
        // As the process sees it: a node has a mount namespace of its own.
        let config = process.path().join("root").join(bundle.trim_start_matches('/')).join("config.json");
        let config = fs::read_to_string(config).unwrap_or_default();
        config.contains(&of_pod) && config.contains("\"io.kubernetes.cri.container-type\":\"container\"")
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().any(is_it)
}

/// Every number from 1 to the last was collected, once.
fn counted(cluster: &Cluster) -> Result<()> {
    eventually(Duration::from_secs(120), || {
        let records = cluster.logs(&["shearwater AND pod:counter", "--limit", "0"])?;
        let mut numbers = Vec::new();
        for record in &records {
            let body = record["body"].as_str().unwrap_or_default();
            numbers.push(body.rsplit(' ').next().unwrap_or_default().parse::<usize>().context("a number")?);
        }
        ensure!(numbers.len() > 50, "only {} lines", numbers.len());
        let expected: Vec<_> = (1..=numbers.len()).collect();
        ensure!(
            numbers == expected,
            "{} lines, the last is {:?}: some are lost or doubled",
            numbers.len(),
            numbers.last()
        );
        Ok(())
    })
    .map(drop)
}

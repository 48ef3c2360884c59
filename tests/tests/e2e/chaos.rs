//! kill -9 of server and agents in the middle of a rollout: nothing is lost.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
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
    cluster.kubectl(&["delete", "deployment/rolling", "pod/counter", "--timeout=120s"]).map(drop)
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

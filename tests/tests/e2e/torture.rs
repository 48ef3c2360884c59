//! Logs under torture, counted line by line: many writers, some of them in bursts, long
//! lines, rotation each second, Pods that live a moment, kill -9 of collector, server and
//! agent, by chance. Beside them one reads with `-f`, and one sends by a door. Lost: none. Doubled: none.
//! `TIPHYS_SOAK=1` goes on for five minutes; `TIPHYS_FUZZ_SEED` kills as a run before did.

mod reader;
mod schedule;
mod sender;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reader::Reader;
use schedule::{Part, Schedule};
use sender::Sender;
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

use crate::{BUSYBOX, Shared, chaos::kill_recorded};

const LIMIT: Duration = Duration::from_secs(600);
const WRITERS: usize = 20;
/// Lines a second of each, on the average.
const RATE: usize = 250;
/// How writers come to that: their name, how many they are, lines that are written without a
/// pause, and the pause, seconds. A burst is far more than 5,000 lines a second of one Pod.
const PACES: [(&str, usize, usize, &str); 3] =
    [("steady", WRITERS - 5, 25, "0.1"), (FOLLOWED, 2, 25, "0.1"), ("bursts", 3, 2500, "10")];
/// Those that one reads with `-f`, beside the short-lived ones.
const FOLLOWED: &str = "followed";
/// Pods that write so many lines and end, one a round.
const SHORT_LINES: usize = 100;
/// Each so manieth line is longer than two of the runtime's pieces.
const LONG_EVERY: usize = 500;
const LONG: usize = 40_000;

/// Write so many lines each.
fn writers(lines: usize) -> String {
    let deployment = |(name, replicas, together, pause): (&str, usize, usize, &str)| {
        format!(
            r#"---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{pace: {name}}}}}
  template:
    metadata: {{labels: {{app: writer, pace: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: {BUSYBOX}
        command:
        - sh
        - -c
        - |
          long=$(head -c {LONG} /dev/zero | tr '\0' x)
          i=0
          while [ $i -lt {lines} ]; do
            i=$((i+1))
            if [ $((i % {LONG_EVERY})) = 0 ]; then echo "$i $long"; else echo "$i line of a writer"; fi
            if [ $((i % {together})) = 0 ]; then sleep {pause}; fi
          done
          sleep 36000
"#
        )
    };
    PACES.map(deployment).concat()
}

fn short(round: usize) -> String {
    format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{name: short-{round}, labels: {{app: short}}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {BUSYBOX}
    command: [sh, -c, 'i=0; while [ $i -lt {SHORT_LINES} ]; do i=$((i+1)); echo "$i of a short life"; done']
"#
    )
}

pub fn count(_: &Shared) -> Result<()> {
    let is_long = std::env::var_os("TIPHYS_SOAK").is_some();
    let time = Duration::from_secs(if is_long { 300 } else { 30 });
    let lines = RATE * (time.as_secs() as usize - 5);
    let options =
        ["--agent-arg=--container-log-max-size=16Ki", "--agent-arg=--container-log-monitor-interval=1"];
    let schedule = Schedule::start()?;
    let seed = schedule.seed;
    eprintln!("killed by the seed {seed}");
    let cluster = Cluster::up("torture", 1, &options)?;
    cluster.import_busybox(BUSYBOX)?;
    tortured(&cluster, schedule, lines, time).with_context(|| format!("TIPHYS_FUZZ_SEED={seed}"))
}

fn tortured(cluster: &Cluster, schedule: Schedule, lines: usize, time: Duration) -> Result<()> {
    let mut reader = Reader::start(cluster, &format!("pod:{FOLLOWED}-* OR pod:short-*"))?;
    let sender = Sender::start(cluster)?;
    cluster.apply(&writers(lines))?;
    let rounds = kill_for(cluster, schedule, time)?;
    let acknowledged = sender.stop()?;
    let mut expected = BTreeMap::from_iter((0..rounds).map(|round| (format!("short-{round}"), SHORT_LINES)));
    let cut_off = eventually(LIMIT, || cut_off(cluster, rounds))?.0;
    expected.retain(|pod, _| !cut_off.contains(pod));
    // The last one killed may have been the server, before it had made all of them.
    let (pods, _) = eventually(LIMIT, || {
        let pods = cluster.get(&["pods", "-l", "app=writer"])?["items"].take();
        let count = pods.as_array().map_or(0, Vec::len);
        ensure!(count == WRITERS, "{count} Pods write");
        Ok(pods)
    })?;
    for pod in pods.as_array().into_iter().flatten() {
        expected.insert(pod["metadata"]["name"].as_str().context("a name")?.to_owned(), lines);
    }
    // Writers write as fast as the machine lets them.
    let (_, took) = eventually(LIMIT, || counted(cluster, &expected))?;
    eventually(LIMIT, || acknowledged.counted(cluster))?;
    let is_followed = |pod: &str| pod.starts_with(FOLLOWED) || pod.starts_with("short-");
    let followed = expected.iter().filter(|(pod, _)| is_followed(pod));
    let followed: BTreeMap<_, _> = followed.map(|(pod, lines)| (pod.as_str(), *lines)).collect();
    eventually(LIMIT, || reader.counted(&followed))?;
    let total: usize = expected.values().sum();
    eprintln!(
        "{total} lines of {} Pods, none lost, none doubled; whole {took:?} after the last kill; \
         {} followed; {}",
        expected.len(),
        followed.values().sum::<usize>(),
        acknowledged.told()
    );
    Ok(())
}

/// Short-lived Pods that wrote nothing, or not all: the agent was killed just as the runtime let their
/// process go. It is ended then, and nobody knows what it did, so that it is not run again.
fn cut_off(cluster: &Cluster, rounds: usize) -> Result<BTreeSet<String>> {
    let pods = cluster.get(&["pods", "-l", "app=short"])?["items"].take();
    let pods = pods.as_array().context("a list")?;
    let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
    let is_over = |pod: &&Value| ["Succeeded", "Failed"].contains(&phase(pod).as_str());
    let over = pods.iter().filter(is_over).count();
    ensure!(over == rounds, "{over} of {rounds} short-lived Pods have ended");
    let failed = pods.iter().filter(|pod| phase(pod) == "Failed");
    let is_cut_off = |pod: &&Value| {
        let end = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        let message = end["message"].as_str().unwrap_or_default();
        let is_let_go = message.starts_with("failed to start containerd task");
        end["reason"] == "StartError" && is_let_go && message.contains("context canceled")
    };
    let names = failed.filter(is_cut_off).filter_map(|pod| pod["metadata"]["name"].as_str());
    let found: BTreeSet<String> = names.map(str::to_owned).collect();
    // The runtime does that in some ten milliseconds of the seconds between two kills.
    ensure!(found.len() <= 1 + rounds / 20, "{} of {rounds} Pods were cut off: {found:?}", found.len());
    Ok(found)
}

/// Kills one part after the other, and makes a short-lived Pod each time; how many there were.
fn kill_for(cluster: &Cluster, mut schedule: Schedule, time: Duration) -> Result<usize> {
    let end = Instant::now() + time;
    let mut rounds = 0;
    while Instant::now() < end {
        eventually(Duration::from_secs(120), || cluster.apply(&short(rounds)))?;
        let (pause, part) = schedule.draw();
        // No part is killed at the same point of its work each time.
        std::thread::sleep(pause);
        // One that was killed before is recorded anew a moment later.
        let killed = || match part {
            Part::Server => kill_recorded(cluster, "server"),
            Part::Agents => kill_recorded(cluster, "agents"),
            Part::Collectors => kill_collectors(cluster),
        };
        eventually(Duration::from_secs(120), killed)?;
        rounds += 1;
    }
    Ok(rounds)
}

/// Those of this cluster; there may be none just now.
fn kill_collectors(cluster: &Cluster) -> Result<()> {
    let group = format!("/tiphys-{}/", cluster.name());
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |file: &str| fs::read(process.path().join(file)).unwrap_or_default();
        let is_collector = read("cmdline").starts_with(b"/tiphys\0collector\0");
        if is_collector && String::from_utf8_lossy(&read("cgroup")).contains(&group) {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    Ok(())
}

/// Of each Pod every number from 1 on, once, in order, and long lines whole.
fn counted(cluster: &Cluster, expected: &BTreeMap<String, usize>) -> Result<()> {
    for (pod, lines) in expected {
        let records = cluster.logs(&[&format!("pod:{pod}"), "--limit", "0"])?;
        if records.len() != *lines {
            bail!("{pod}: {} records of {lines} lines; {}", records.len(), fate(cluster, pod));
        }
        for (at, record) in records.iter().enumerate() {
            let (body, number) = (record["body"].as_str().unwrap_or_default(), number(record)?);
            ensure!(number == at + 1, "{pod}: {number} stands at place {}", at + 1);
            let is_whole =
                !number.is_multiple_of(LONG_EVERY) || pod.starts_with("short") || body.len() > LONG;
            ensure!(is_whole, "{pod}: line {number} has {} bytes", body.len());
        }
    }
    Ok(())
}

/// What became of a Pod and its files, and what the node says of it: whether it is its lines that are
/// missing, or the Pod that never wrote any.
fn fate(cluster: &Cluster, pod: &str) -> String {
    let status = cluster.get(&["pod", pod]).map(|pod| pod["status"].to_string());
    let status = status.unwrap_or_else(|error| format!("{error:#}"));
    let node = cluster.root().join("nodes/node-1/log");
    let mut files = Vec::new();
    for folder in fs::read_dir(node.join("pods")).into_iter().flatten().flatten() {
        if folder.file_name().to_string_lossy().contains(&format!("_{pod}_")) {
            let of_it = fs::read_dir(folder.path().join("main")).into_iter().flatten().flatten();
            files.extend(of_it.map(|file| (file.path(), file.metadata().map_or(0, |file| file.len()))));
        }
    }
    let agent = fs::read_to_string(node.join("tiphys/kubelet.log")).unwrap_or_default();
    let said: Vec<_> = agent.lines().filter(|line| line.contains(pod)).collect();
    format!("status {status}; files {files:?}; the node said {said:#?}")
}

/// The number that a record begins with.
fn number(record: &Value) -> Result<usize> {
    let body = record["body"].as_str().unwrap_or_default();
    body.split(' ').next().unwrap_or_default().parse().with_context(|| format!("no number: {body}"))
}

//! Logs of a Pod, a namespace and a node that are gone are found, from an archive in a
//! real S3 server; and what is deleted is not.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tiphys_tests::{Cluster, eventually, s3::S3Server};

use crate::{BUSYBOX, Shared};

const BUCKET: &str = "logs";
const LIMIT: Duration = Duration::from_secs(180);

/// Pods on both nodes, in two namespaces.
fn pods() -> String {
    let pod = |namespace: &str, node: &str| {
        format!(
            "---
apiVersion: v1
kind: Pod
metadata: {{name: talker-{node}, namespace: {namespace}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {BUSYBOX}
    command: [sh, -c, 'echo level=info msg=\"ibis of {namespace} on {node}\"; sleep 3600']
"
        )
    };
    let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: fading}\n".to_owned();
    let all = ["default", "fading"].map(|namespace| pod(namespace, "node-1") + &pod(namespace, "node-2"));
    namespace + &all.concat()
}

/// Who says what is found, each once.
fn found(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let records = cluster.logs(&["ibis", "--since", "1h"])?;
    let bodies: BTreeSet<String> =
        records.iter().filter_map(|record| Some(record["body"].as_str()?.to_owned())).collect();
    ensure!(bodies.len() == records.len(), "a record is there twice: {records:?}");
    Ok(bodies)
}

fn expect(cluster: &Cluster, count: usize) -> Result<()> {
    let found = || {
        let found = found(cluster)?;
        ensure!(found.len() == count, "{count} lines are expected, not {found:?}");
        Ok(())
    };
    eventually(LIMIT, found).map(drop)
}

pub fn outlives(_: &Shared) -> Result<()> {
    let s3 = S3Server::start(BUCKET)?;
    let place = format!("s3://{BUCKET}/e2e");
    let cluster = Cluster::up_with("archive", 2, &["--log-archive", &place], s3.environment())?;
    cluster.import_busybox(BUSYBOX)?;
    cluster.apply(&pods())?;
    expect(&cluster, 4)?;
    // What is gone is committed soon, and then taken into the archive.
    cluster.kubectl(&["delete", "pod", "talker-node-1", "talker-node-2", "--timeout=120s"])?;
    cluster.kubectl(&["delete", "namespace", "fading", "--timeout=120s"])?;
    expect(&cluster, 4)?;
    archived(&s3.bucket(BUCKET))?;
    let _waits = Waits::new(&cluster)?;
    kill_node(&cluster, "node-2")?;
    // First it doesn't answer, then it is no more.
    expect(&cluster, 4)?;
    cluster.kubectl(&["delete", "node", "node-2", "--timeout=120s"])?;
    expect(&cluster, 4)?;
    cluster.tiphys(&["logs", "delete", "-n", "default", "--yes"])?.ok()?;
    // From the moment of the answer on.
    let left = found(&cluster)?;
    ensure!(left.iter().all(|body| body.contains("fading")), "left: {left:?}");
    expect(&cluster, 2)
}

/// Waits until the lines of both nodes are in the bucket.
fn archived(bucket: &Path) -> Result<()> {
    let indexes = || {
        let cluster = fs::read_dir(bucket.join("e2e"))?.next().context("nothing is archived")??.path();
        for node in ["node-1", "node-2"] {
            let index = fs::read_to_string(cluster.join("nodes").join(node).join("index"))?;
            for namespace in ["\"default\":", "\"fading\":"] {
                ensure!(index.contains(namespace), "{node} has nothing of {namespace}: {index}");
            }
        }
        Ok(())
    };
    eventually(LIMIT, indexes).map(drop)
}

/// The cluster's supervisor, which would start again what died, waits while this lives.
struct Waits(Option<i64>);

impl Waits {
    fn new(cluster: &Cluster) -> Result<Self> {
        let pid = cluster.state()?["supervisor"]["pid"].as_i64();
        send(pid, Signal::SIGSTOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if let Err(error) = send(self.0, Signal::SIGCONT) {
            eprintln!("the supervisor does not go on: {error:#}");
        }
    }
}

/// Ends all processes of a node.
fn kill_node(cluster: &Cluster, name: &str) -> Result<()> {
    let state = cluster.state()?;
    let nodes = state["nodes"].as_array().context("nodes")?;
    let node = nodes.iter().find(|node| node["name"] == name).context("the node")?;
    let agent = node["agent"]["pid"].as_i64().context("an agent")?;
    let network = fs::read_link(format!("/proc/{agent}/ns/net"))?;
    let cgroup = node["cgroup"].as_str().context("a cgroup")?;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let pid = path.file_name().and_then(|name| name.to_str()?.parse::<i64>().ok());
        let in_network = fs::read_link(path.join("ns/net")).is_ok_and(|other| other == network);
        let in_cgroup =
            fs::read_to_string(path.join("cgroup")).is_ok_and(|text| text.contains(&format!("{cgroup}/")));
        if pid.is_some() && (in_network || in_cgroup) {
            // One may have ended with the one before.
            let _ = send(pid, Signal::SIGKILL);
        }
    }
    Ok(())
}

fn send(pid: Option<i64>, signal: Signal) -> Result<()> {
    let pid = i32::try_from(pid.context("a process id")?)?;
    ensure!(pid > 1, "{pid} is no process of a cluster");
    Ok(kill(Pid::from_raw(pid), signal)?)
}

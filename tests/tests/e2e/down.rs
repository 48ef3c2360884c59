//! `tiphys down` leaves nothing.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, Machine};

use crate::Shared;

pub fn nothing_left(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let during = Machine::snapshot(cluster.name())?;
    let added = during.added_since(&shared.before);
    for kind in ["process ", "cgroup ", "link ", "route "] {
        let n_seen = added.iter().filter(|entry| entry.starts_with(kind)).count();
        ensure!(n_seen > 0, "the snapshot sees no {kind}of a running cluster: {added:?}");
    }
    all_are_marked(&cluster)?;
    let slot = cluster.state()?["network"]["cluster"]["slot"].as_u64().context("the network is recorded")?;
    let nodes = format!("172.30.{slot}.");
    let bridge = during.link_to(&nodes).context("a route to the nodes")?.to_owned();
    let marks = [cluster.name().to_owned(), nodes, format!("10.{}.", 128 + slot), bridge];
    cluster.down()?;
    ensure!(!cluster.root().exists(), "files are left in {}", cluster.root().display());
    // `up` made the file, so nothing but the cluster was in it.
    ensure!(!cluster.kubeconfig().exists(), "a kubeconfig that says nothing is left");
    let left = Machine::snapshot(cluster.name())?.left_of(&during, &shared.before, &marks);
    ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
    let again = cluster.tiphys(&["down"])?;
    ensure!(again.code == 0 && again.stderr.contains("there is no cluster"), "down twice: {again:?}");
    drop(shared.take_cluster());
    Ok(())
}

/// What runs for the cluster names its folder, as `down` knows it by where control groups don't hold it: what
/// the supervisor started, and what runs in the nodes' mount namespaces, containerd and its shims.
fn all_are_marked(cluster: &Cluster) -> Result<()> {
    let state = cluster.state()?;
    let agents = state["nodes"].as_array().context("nodes are recorded")?.iter().map(|node| &node["agent"]);
    let holders = state["network"]["nodes"].as_object().context("holders are recorded")?.values();
    let pid = |process: &Value| process["pid"].as_u64().context("a process is recorded");
    let holders: Vec<u64> = holders.map(pid).collect::<Result<_>>()?;
    let mut pids: Vec<u64> = agents.chain([&state["server"]]).map(pid).collect::<Result<_>>()?;
    let mounts = |pid: u64| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let nodes: Vec<_> = holders.iter().filter_map(|pid| mounts(*pid)).collect();
    ensure!(nodes.len() == holders.len(), "holders are gone: {holders:?}");
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
    let all = fs::read_dir("/proc")?.flatten().filter_map(number);
    let of_nodes: Vec<u64> = all.filter(|pid| mounts(*pid).is_some_and(|own| nodes.contains(&own))).collect();
    ensure!(of_nodes.len() > 2 * holders.len(), "containerd runs on no node: {of_nodes:?}");
    pids.extend(of_nodes);
    let mark = format!("TIPHYS_CLUSTER_FOLDER={}", cluster.root().display());
    for pid in pids {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let (environment, command) = (read("environ"), read("cmdline"));
        let (environment, command) =
            (String::from_utf8_lossy(&environment), String::from_utf8_lossy(&command));
        // One that has ended meanwhile has none, and one that runc makes a container of has its own.
        let is_other = environment.is_empty() || command.split('\0').nth(1) == Some("init");
        let is_marked = environment.split('\0').any(|entry| entry == mark);
        ensure!(is_other || is_marked, "process {pid} isn't marked: {command}");
    }
    Ok(())
}

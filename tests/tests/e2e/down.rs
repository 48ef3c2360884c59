//! `tiphys down` leaves nothing.

use anyhow::{Context, Result, ensure};
use tiphys_tests::Machine;

use crate::Shared;

pub fn nothing_left(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let during = Machine::snapshot(cluster.name())?;
    let added = during.added_since(&shared.before);
    for kind in ["process ", "cgroup ", "link ", "route "] {
        let n_seen = added.iter().filter(|entry| entry.starts_with(kind)).count();
        ensure!(n_seen > 0, "the snapshot sees no {kind}of a running cluster: {added:?}");
    }
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

//! `tiphys down`: takes a cluster away, alive, half-dead or dead.

use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use tiphys_network::topology;

use super::{
    process::Process,
    remains,
    state::{ClusterState, context_name},
    strays,
};
use crate::{groups, kubeconfig, layout::Layout};

/// How long a supervisor may take to end a whole cluster.
const SUPERVISOR_ENDS_WITHIN: Duration = Duration::from_secs(90);

/// Asks the supervisor of a living cluster to take it away; whether it did.
///
/// # Errors
/// Not allowed to.
pub async fn ask_supervisor(state: &ClusterState) -> anyhow::Result<bool> {
    if !state.supervisor.is_alive() {
        return Ok(false);
    }
    state.supervisor.signal(Signal::SIGTERM)?;
    Ok(state.supervisor.wait_for_end(SUPERVISOR_ENDS_WITHIN).await)
}

/// Takes away all that the state names, and what else is in the cluster's control group, which the caller
/// leaves here if it has a stay there, or marked with its folder. Every step is taken even if one before
/// failed; the first error is returned.
///
/// # Errors
/// Something is left; it is named.
pub async fn take_away(
    layout: &Layout,
    state: &ClusterState,
    stay: Option<groups::Stay>,
) -> anyhow::Result<()> {
    let mut first = Ok(());
    let mut keep_first = |result: anyhow::Result<()>| {
        if let Err(error) = result {
            tracing::warn!(error = %format!("{error:#}"), "a part could not be taken away");
            if first.is_ok() {
                first = Err(error);
            }
        }
    };
    let is_here = is_of_this_boot(state);
    for process in state.server.iter().chain(state.nodes.iter().filter_map(|node| node.agent.as_ref())) {
        keep_first(process.stop(Duration::from_secs(10)).await.context("a process does not end"));
    }
    for node in state.nodes.iter().filter(|_| is_here) {
        keep_first(kill_node(state, node).await.with_context(|| format!("{} is not gone", node.name)));
    }
    let network = topology::teardown(&state.cluster, state.network.as_ref()).await;
    keep_first(network.context("the network is not gone"));
    if let Some(stay) = stay {
        stay.end();
    }
    let group = groups::of_cluster(&state.cluster);
    // One that was started when the cluster was killed is recorded nowhere, and holds the group.
    let others = || [remains::others_below(&group), strays::of_folder(layout.root())].concat();
    keep_first(remains::kill_all(others).await.context("a process of the cluster is left"));
    keep_first(remains::remove_cgroup(&group).await.context("a cgroup is left"));
    if let Some(path) = &state.kubeconfig {
        let (name, before) = (context_name(&state.cluster), state.context_before.as_deref());
        keep_first(kubeconfig::remove(path, &name, before));
    }
    first?;
    remove_files(layout)
}

/// Takes away what bears the name of a cluster whose state is nowhere: who is in its control group or marked
/// with its folder, its network, the group. Every step is taken, and the first error is returned.
///
/// # Errors
/// Something is left; it is named.
pub async fn take_traces_away(cluster: &str) -> anyhow::Result<()> {
    let group = groups::of_cluster(cluster);
    let others = || [remains::others_below(&group), strays::of_name(cluster)].concat();
    let killed = remains::kill_all(others).await;
    let network = topology::teardown(cluster, None).await;
    let removed = remains::remove_cgroup(&group).await;
    killed.context("a process of the cluster is left")?;
    network.context("the network is not gone")?;
    removed.context("a cgroup is left")
}

/// Whether anything that a state names may be here still. After a restart of the machine nothing is, and the
/// numbers of its namespaces are those of others: of other clusters, of containers, of services.
fn is_of_this_boot(state: &ClusterState) -> bool {
    let mut processes = state.processes().into_iter().filter_map(|(_, process)| process);
    processes.any(|process| process.is_alive()) || remains::is_there(&groups::of_cluster(&state.cluster))
}

/// Containers first (on version 2 together with what runs them), then what is left of the node, then itself.
async fn kill_node(state: &ClusterState, node: &super::state::NodeState) -> anyhow::Result<()> {
    remains::kill_all(|| remains::processes_below(&node.cgroup)).await?;
    let Some(namespaces) = node.namespaces else { return Ok(()) };
    let holder = state.network.as_ref().and_then(|network| network.nodes.get(&node.number));
    let is_holder = |process: &Process| holder.is_some_and(|holder| holder.pid.cast_signed() == process.pid);
    remains::kill_all(|| {
        let mut found = remains::processes_in(namespaces, node.since);
        found.retain(|process| !is_holder(process));
        found
    })
    .await?;
    // A container that was being started while the first round ran.
    remains::kill_all(|| remains::processes_below(&node.cgroup)).await?;
    remains::remove_cgroup(&node.cgroup).await?;
    Ok(())
}

fn remove_files(layout: &Layout) -> anyhow::Result<()> {
    // The lock goes with it; whoever waits for it finds no cluster.
    match std::fs::remove_dir_all(layout.root()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} is left", layout.root().display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Child};

    use tiphys_runtime::cgroup::Hierarchy;

    use super::*;

    /// A process that no state names.
    struct Sleeper {
        child: Child,
        process: Process,
    }

    impl Sleeper {
        /// In the group of its parent, with the mark of a folder if one is given.
        fn start(folder: Option<&Path>) -> Self {
            let mut command = tokio::process::Command::new("sleep");
            command.arg("600");
            if let Some(folder) = folder {
                strays::mark(&mut command, folder);
            }
            let child = command.as_std_mut().spawn().expect("started");
            let process = Process::of(child.id().cast_signed()).expect("running");
            Self { child, process }
        }

        /// Whether it is still there; afterwards it isn't.
        fn end(mut self) -> bool {
            let is_alive = self.process.is_alive();
            self.child.kill().and_then(|()| self.child.wait()).expect("reaped");
            is_alive
        }
    }

    #[tokio::test]
    async fn traces_of_a_cluster_go_by_its_name() {
        let home = tempfile::tempdir().expect("a folder");
        let cluster = format!("traces-{}", std::process::id());
        // On version 1 of control groups only containers are in one.
        let (grouped, stray) = (Sleeper::start(None), Sleeper::start(Some(&home.path().join(&cluster))));
        let others = [Sleeper::start(Some(&home.path().join(format!("{cluster}-2")))), Sleeper::start(None)];
        let (hierarchy, group) = (Hierarchy::detect().expect("mounted"), groups::of_cluster(&cluster));
        hierarchy.enter(&format!("{group}/node-1"), grouped.process.pid).expect("it is in");
        let taken = take_traces_away(&cluster).await;
        let (ours, others) = ([grouped, stray].map(Sleeper::end), others.map(Sleeper::end));
        assert_eq!((ours, others), ([false; 2], [true; 2]), "{taken:?}");
        assert!(!hierarchy.exists(&group), "{taken:?}");
    }

    #[tokio::test]
    async fn what_nobody_recorded_goes_by_the_clusters_group_and_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let cluster = format!("remains-{}", std::process::id());
        let state = ClusterState::empty(&cluster);
        let with_server = ClusterState { server: Process::current().ok(), ..state.clone() };
        assert!(is_of_this_boot(&with_server) && !is_of_this_boot(&state), "nothing of it is here");
        let (layout, other) = (Layout::new(home.path(), &cluster), Layout::new(home.path(), "other"));
        for layout in [&layout, &other] {
            std::fs::create_dir(layout.root()).expect("made");
        }
        let [grouped, stray, other] = [None, Some(layout.root()), Some(other.root())].map(Sleeper::start);
        let (hierarchy, group) = (Hierarchy::detect().expect("mounted"), groups::of_cluster(&cluster));
        hierarchy.enter(&format!("{group}/supervisor"), grouped.process.pid).expect("it is in");
        assert!(is_of_this_boot(&state), "its group is");
        let taken = take_away(&layout, &state, None).await;
        let (ours, other) = ([grouped, stray].map(Sleeper::end), other.end());
        assert_eq!((ours, other), ([false; 2], true), "{taken:?}");
        assert!(!hierarchy.exists(&group), "{taken:?}");
    }
}

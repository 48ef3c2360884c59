//! Control groups of the cluster's own processes, on machines with version 2.
//!
//! ```text
//! /tiphys-NAME
//!   ├─ supervisor    `tiphys up`, and what it starts: the nodes' holders
//!   ├─ server
//!   └─ node-1
//!        ├─ agent    the agent, containerd and its shims
//!        └─ kubepods the kubelet's
//! ```
//!
//! In the group of whoever started them they would have the limits of a login session, might end with it,
//! and what they use would be the session's. In version 2 a group that hands controllers down can hold no
//! process, so each has a group without others below it. On version 1 they stay where they are, and are known
//! by a mark (`cluster/strays.rs`).
//!
//! They are below the root, beside those of systemd and not in one that it has made: there it would take
//! controllers away again that it has not given (`Delegate=no`), and end with its unit whatever is in it. Of
//! the root it can't: the kernel keeps what a group below hands down. To systemd a unit whose processes went
//! elsewhere is alive as long as its main process is.
//!
//! A cluster works without this: what can't be done is told in the log. The groups go with `tiphys down`,
//! which knows the one that all of them are below by the cluster's name.

use std::fs;

use tiphys_runtime::{Result, cgroup::Hierarchy};

/// What the names of clusters' groups begin with.
const OF_CLUSTER: &str = "tiphys-";

/// The group that all of a cluster is below.
pub fn of_cluster(cluster: &str) -> String {
    format!("/{OF_CLUSTER}{cluster}")
}

/// The cluster whose group may be one of this name, at the top.
pub fn cluster_of(group: &str) -> Option<&str> {
    group.strip_prefix(OF_CLUSTER)
}

/// The agent's, below that of its node. One that has all of the machine was started by something that
/// knows where it belongs.
pub fn of_agent(node: &str) -> Option<String> {
    let node = node.trim_end_matches('/');
    (!node.is_empty()).then(|| format!("{node}/agent"))
}

/// Moves a process into a group of its own.
pub fn join(group: &str, pid: i32) {
    told(group, Hierarchy::detect().and_then(|hierarchy| join_in(&hierarchy, group, pid)));
}

fn join_in(hierarchy: &Hierarchy, group: &str, pid: i32) -> Result<()> {
    if hierarchy.is_unified() { hierarchy.enter(group, pid) } else { Ok(()) }
}

fn told(group: &str, joined: Result<()>) {
    if let Err(error) = joined {
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::warn!(%error, group, "a process could not change its control group");
    }
}

/// The supervisor in a group that it takes away itself in the end: it must have left it by then.
pub struct Stay {
    hierarchy: Hierarchy,
    /// Where it was before.
    from: String,
    /// The group of the cluster.
    cluster: String,
    /// What the root handed down before.
    handed_down: Vec<String>,
}

impl Stay {
    /// This process enters the cluster's group for it; `None` where it stays where it is.
    pub fn begin(cluster: &str) -> Option<Self> {
        let hierarchy = Hierarchy::detect().ok()?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::begin_in(hierarchy, &own, of_cluster(cluster), own_pid())
    }

    /// `own` is what the kernel says of where the process is.
    fn begin_in(hierarchy: Hierarchy, own: &str, cluster: String, pid: i32) -> Option<Self> {
        let from = unified(own).filter(|_| hierarchy.is_unified())?.to_owned();
        let handed_down = hierarchy.handed_down("/");
        let group = format!("{cluster}/supervisor");
        // It may be in even where not all of it could be done: so it goes back in any case.
        told(&group, join_in(&hierarchy, &group, pid));
        Some(Self { hierarchy, from, cluster, handed_down })
    }

    /// This process goes back. Nothing else of the cluster is left.
    pub fn end(self) {
        told(&self.from, self.leave(own_pid()));
    }

    /// The session that it began in may be over: then to where nobody has limits. A container's root that
    /// hands controllers down takes no process; systemd's own group does. Where there is no systemd, since
    /// this is a container's first process, the root takes it when it hands down no more than before.
    fn leave(&self, pid: i32) -> Result<()> {
        let put = |group: &str| self.hierarchy.put(group, pid);
        put(&self.from).or_else(|_| put("/")).or_else(|_| put("/init.scope")).or_else(|_| {
            self.hierarchy.hand_down_only(&self.cluster, &[])?;
            self.hierarchy.hand_down_only("/", &self.handed_down)?;
            put("/")
        })
    }
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

/// The line of version 2: `0::/user.slice/user-0.slice/session-3.scope`.
fn unified(own: &str) -> Option<&str> {
    own.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    const PID: i32 = 4242;

    /// A tree with these groups, each of which says what it may hand down.
    fn tree(groups: &[&str]) -> (tempfile::TempDir, Hierarchy) {
        let root = tempfile::tempdir().expect("a folder");
        for group in groups {
            let folder = root.path().join(group);
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("cgroup.controllers"), "cpu memory pids\n").expect("written");
        }
        let hierarchy = Hierarchy::V2(root.path().to_owned());
        (root, hierarchy)
    }

    fn all_files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
    }

    /// The groups that have a file of this name, from the root.
    fn with(root: &Path, file: &str) -> Vec<String> {
        let files = all_files(root).into_iter().filter(|path| path.ends_with(file));
        let groups = files.filter_map(|path| Some(path.parent()?.strip_prefix(root).ok()?.to_owned()));
        let mut groups: Vec<String> = groups.map(|group| group.display().to_string()).collect();
        groups.sort();
        groups
    }

    #[test]
    fn processes_are_where_no_group_is_below() {
        let (root, hierarchy) = tree(&["", "tiphys-demo", "tiphys-demo/node-1"]);
        let cluster = of_cluster("demo");
        let agent = of_agent(&format!("{cluster}/node-1/")).expect("a group");
        for group in [&format!("{cluster}/server"), &agent] {
            join_in(&hierarchy, group, PID).expect("it is in");
        }
        assert_eq!(with(root.path(), "cgroup.procs"), ["tiphys-demo/node-1/agent", "tiphys-demo/server"]);
        assert_eq!(
            with(root.path(), "cgroup.subtree_control"),
            ["", "tiphys-demo", "tiphys-demo/node-1"],
            "who hands down holds nobody"
        );
        let procs = fs::read_to_string(root.path().join("tiphys-demo/server/cgroup.procs"));
        assert_eq!(procs.expect("it is there"), PID.to_string());
        assert_eq!((of_agent("/"), of_agent("")), (None, None));
    }

    #[test]
    fn version_1_is_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        let hierarchy = Hierarchy::V1([("cpu".to_owned(), root.path().to_owned())].into());
        join_in(&hierarchy, "/tiphys-demo/server", PID).expect("nothing is done");
        assert!(Stay::begin_in(hierarchy, "0::/\n", of_cluster("demo"), PID).is_none());
        assert_eq!(all_files(root.path()), Vec::<PathBuf>::new());
        assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 0);
    }

    #[test]
    fn the_supervisor_goes_back_and_touches_no_group_of_others() {
        let session = "user.slice/session-3.scope";
        let (root, hierarchy) = tree(&["", "tiphys-demo", "user.slice", session]);
        let own = format!("1:name=other:/x\n0::/{session}\n");
        let stay = Stay::begin_in(hierarchy, &own, of_cluster("demo"), PID).expect("it is in");
        assert_eq!(with(root.path(), "cgroup.procs"), ["tiphys-demo/supervisor"]);
        stay.leave(PID).expect("it is back");
        assert_eq!(with(root.path(), "cgroup.procs"), ["tiphys-demo/supervisor", session]);
        assert_eq!(with(root.path(), "cgroup.subtree_control"), ["", "tiphys-demo"]);
        fs::remove_dir_all(root.path().join(session)).expect("the session is over");
        stay.leave(PID).expect("it is out");
        assert_eq!(with(root.path(), "cgroup.procs"), ["", "tiphys-demo/supervisor"]);
    }

    #[test]
    fn one_that_is_in_half_way_goes_back_too() {
        // Of the root nothing is known that it could hand down.
        let (root, hierarchy) = tree(&["user.slice"]);
        let own = "0::/user.slice\n";
        let stay = Stay::begin_in(hierarchy, own, of_cluster("demo"), PID).expect("it may be in");
        assert_eq!(with(root.path(), "cgroup.procs"), ["tiphys-demo/supervisor"]);
        stay.leave(PID).expect("it is back");
        assert_eq!(with(root.path(), "cgroup.procs"), ["tiphys-demo/supervisor", "user.slice"]);
    }

    #[test]
    fn a_containers_first_process_has_its_root_as_it_was() {
        let (root, hierarchy) = tree(&["", "tiphys-demo"]);
        let file = |group: &str| root.path().join(group).join("cgroup.subtree_control");
        fs::write(file(""), "pids\n").expect("written");
        let stay = Stay::begin_in(hierarchy, "0::/\n", of_cluster("demo"), PID).expect("it is in");
        for group in ["", "tiphys-demo"] {
            fs::write(file(group), "cpu memory pids\n").expect("as the kernel has it then");
        }
        // The kernel lets nobody in.
        fs::create_dir(root.path().join("cgroup.procs")).expect("made");
        assert!(stay.leave(PID).is_err());
        let said = |group: &str| fs::read_to_string(file(group)).expect("it is written");
        assert_eq!([said("tiphys-demo"), said("")], ["-cpu -memory -pids", "-cpu -memory"]);
        fs::remove_dir(root.path().join("cgroup.procs")).expect("as it is empty");
        stay.leave(PID).expect("it is back");
    }
}

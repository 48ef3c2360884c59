//! Clusters of this machine by what they leave on it, also those that nobody knows of any more: of a session
//! that was cut off, with its folder or with all of its processes, a bridge, an nft table and control groups
//! stay, which bear the cluster's name, or processes that are marked with its folder.
//!
//! ```text
//! states, locks, networks, groups, marks ─> told (pure: what there is, whether it runs) ─> take_away
//!                                      └─> runs_elsewhere (pure: whether a name is another folder's)
//! ```
//!
//! What it must not do: take a cluster away that runs, in whichever home. A supervisor holds the lock of its
//! cluster's folder open as long as it lives, and the folder bears the cluster's name. It takes it before it
//! makes anything else: so who holds locks is looked at last, and what can't be looked at is no absence. Nor
//! may it touch a folder whose state is a copy of another one's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use tiphys_network::topology;

use super::{
    down,
    process::Process,
    remains::{all_pids, groups_at_the_top, has_hidden},
    state::{ClusterState, Lock},
    strays,
};
use crate::{files, groups, layout::Layout};

/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// What there is on a machine of clusters.
#[derive(Debug, Default)]
struct Traces {
    /// Folders with a state, and what it is.
    recorded: BTreeMap<PathBuf, Recorded>,
    /// Those of them for which a server or an agent runs.
    served: BTreeSet<PathBuf>,
    /// Folders whose lock is held, there or not.
    held: BTreeSet<PathBuf>,
    /// Clusters that have a network.
    networks: BTreeSet<String>,
    /// Clusters that have a control group, and whether anybody is in it.
    groups: BTreeMap<String, bool>,
    /// Clusters in whose group somebody is that this process doesn't see, as its supervisor then.
    hidden: BTreeSet<String>,
    /// Clusters with processes that are marked with a folder without a state.
    marked: BTreeSet<String>,
}

/// What the state of a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Recorded {
    Supervised,
    /// Its supervisor is gone.
    Dead,
    /// Of a cluster of another name, or it names the supervisor of another folder's. A folder that was
    /// renamed shows the same: its cluster has the name in the state, and runs on.
    Copy {
        of: String,
        is_alive: bool,
    },
}

/// A cluster of which there is something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// Its folder, where one is known.
    pub root: Option<PathBuf>,
    pub standing: Standing,
    /// What there is of it.
    pub what: Vec<&'static str>,
}

/// What becomes of a cluster that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It runs, or is just being built or taken away.
    Runs,
    /// Nobody supervises what is left of it.
    Lost,
    /// There is no cluster, but a copy of the state of the one of this name; or that one's folder, which was
    /// renamed, if somebody holds its lock.
    Copy { of: String, is_held: bool },
}

/// Where a cluster runs that has the name of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elsewhere {
    Folder(PathBuf),
    /// Not where this process sees it: in a container, or around this one.
    Unseen,
}

/// All clusters that have something on this machine: those of a home, and those of others as far as something
/// tells of them.
///
/// # Errors
/// The machine can't be looked at.
pub async fn find(home: &Path) -> anyhow::Result<Vec<Found>> {
    let networks = topology::found().await.context("networks of clusters can't be looked for")?;
    let marked = strays::names().into_iter().filter(|name| is_name(name)).collect();
    Ok(told(&Traces { marked, ..Traces::of(home, networks, None)? }))
}

/// Whether a cluster of this name runs that is not that of the folder. What bears the name is then its: the
/// network, the control groups, the kubeconfig's context. For who holds the folder's lock.
///
/// # Errors
/// It can't be told.
pub fn elsewhere(layout: &Layout, name: &str) -> anyhow::Result<Option<Elsewhere>> {
    let own = layout.root().canonicalize();
    let own = own.with_context(|| format!("{} can't be looked at", layout.root().display()))?;
    let lock = files::identity(&layout.lock()).context("the folder's lock can't be looked at")?;
    let home = own.parent().unwrap_or(&own);
    let traces = Traces::of(home, BTreeSet::from([name.to_owned()]), Some(lock))?;
    Ok(runs_elsewhere(&traces, name, &own))
}

/// Whether a process supervises the cluster of a folder: a state that was copied with its folder names the
/// supervisor of the other one.
///
/// # Errors
/// It can't be told.
pub fn supervises(process: &Process, layout: &Layout) -> anyhow::Result<bool> {
    if !process.is_alive() {
        return Ok(false);
    }
    let said = || format!("it can't be told whether process {} supervises the cluster", process.pid);
    let lock = match files::identity(&layout.lock()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        lock => lock.with_context(said)?,
    };
    match fs::read_dir(format!("/proc/{}/fd", process.pid)) {
        Err(error) if is_gone(&error) => Ok(false),
        open => {
            let mut open = open.with_context(said)?.flatten();
            Ok(open.any(|file| files::identity(&file.path()).is_ok_and(|file| file == lock)))
        }
    }
}

/// Takes a cluster away that does not run.
///
/// # Errors
/// It runs by now, it is being worked on, its state is a copy or can't be read, or something of it is left.
pub async fn take_away(home: &Path, found: &Found) -> anyhow::Result<()> {
    // Taking others away may have taken long.
    ensure!(!runs(home, &found.name)?, "a cluster {:?} runs by now", found.name);
    let Some(layout) = found.root.as_deref().and_then(layout_of) else {
        return down::take_traces_away(&found.name).await;
    };
    let Some(lock) = Lock::try_take(&layout.lock())? else {
        bail!("another command is just working on the cluster {:?}", found.name);
    };
    match ClusterState::load(&layout)? {
        Some(state) if state.supervisor.is_alive() => bail!("the cluster {:?} runs", found.name),
        // A copy: that one may run.
        Some(state) if state.cluster != found.name => {
            let (state, of) = (layout.state(), state.cluster);
            bail!("{} is of the cluster {of:?}: remove it by hand if it is of no use", state.display())
        }
        Some(state) => down::take_away(&layout, &state, None).await,
        None => {
            // Somebody took it down since it was found: the lock has made its folder anew.
            let taken = down::take_traces_away(&found.name).await;
            lock.abandon(&layout);
            taken
        }
    }
}

/// Whether a cluster of this name runs, in whichever home.
fn runs(home: &Path, name: &str) -> anyhow::Result<bool> {
    let traces = Traces::of(home, BTreeSet::from([name.to_owned()]), None)?;
    Ok(told(&traces).iter().any(|one| one.name == name && one.standing == Standing::Runs))
}

impl Traces {
    /// `networks` were looked for before; `own` is a lock that doesn't count.
    fn of(home: &Path, networks: BTreeSet<String>, own: Option<(u64, u64)>) -> anyhow::Result<Self> {
        let of_cluster = |group: &str| groups::cluster_of(group).is_some_and(is_name);
        let named = |(group, used): (String, bool)| Some((groups::cluster_of(&group)?.to_owned(), used));
        let groups: BTreeMap<_, _> = groups_at_the_top(of_cluster).into_iter().filter_map(named).collect();
        let names = networks.iter().chain(groups.keys());
        let hidden = names.filter(|name| has_hidden(&groups::of_cluster(name))).cloned().collect();
        let pids: Vec<i32> = all_pids().collect();
        ensure!(pids.contains(&std::process::id().cast_signed()), "/proc doesn't list this process");
        let mut held = BTreeSet::new();
        for pid in &pids {
            match locks_of(*pid, own) {
                Ok(locks) => held.extend(locks),
                Err(_) if !may_hold_a_lock(*pid) => {}
                Err(error) => {
                    let said = || format!("it can't be told which locks process {pid} holds");
                    return Err(error).with_context(said);
                }
            }
        }
        // A folder has one path, as the kernel gives those of locks.
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let below = fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut roots: BTreeSet<PathBuf> = below.collect();
        roots.extend(held.iter().cloned());
        let root_of = |pid: &i32| root_told(&arguments_of(*pid))?.canonicalize().ok();
        let mut served: BTreeSet<PathBuf> = pids.iter().filter_map(root_of).collect();
        roots.extend(served.iter().cloned());
        let state_of = |root: PathBuf| Some((recorded_in(&root, held.contains(&root))?, root));
        let recorded = roots.into_iter().filter_map(state_of);
        let recorded: BTreeMap<_, _> = recorded.map(|(state, root)| (root, state)).collect();
        served.retain(|root| recorded.contains_key(root));
        Ok(Self { recorded, served, held, networks, groups, hidden, marked: BTreeSet::new() })
    }

    /// Those with a state of their own that are called so, and whether the supervisor is alive.
    fn of_name(&self, name: &str) -> impl Iterator<Item = (&PathBuf, bool)> {
        let own = self.recorded.iter().filter_map(|(root, state)| match state {
            Recorded::Supervised => Some((root, true)),
            Recorded::Dead => Some((root, false)),
            Recorded::Copy { .. } => None,
        });
        own.filter(move |(root, _)| name_of(root) == Some(name))
    }

    /// Whether a copy tells that the cluster of this name runs, wherever that is.
    fn has_running_origin(&self, name: &str) -> bool {
        let of_name = |state: &Recorded| matches!(state, Recorded::Copy { of, is_alive: true } if of == name);
        self.recorded.values().any(of_name)
    }
}

/// All clusters that there is something of, by name. Pure.
fn told(traces: &Traces) -> Vec<Found> {
    // Of a group alone it isn't known whose it is as long as somebody is in it.
    let is_known = |name: &str| {
        traces.networks.contains(name)
            || traces.marked.contains(name)
            || traces.of_name(name).next().is_some()
    };
    let groups = traces.groups.iter().filter(|(name, used)| !**used || is_known(name.as_str()));
    let groups = groups.map(|(name, _)| name.as_str());
    let with_state = traces.recorded.iter().filter(|(_, state)| !matches!(state, Recorded::Copy { .. }));
    let with_state = with_state.filter_map(|(root, _)| name_of(root));
    let others = traces.networks.iter().chain(&traces.marked).map(String::as_str);
    let names = with_state.chain(others).chain(groups);
    let mut found = copies(traces);
    for name in names.collect::<BTreeSet<_>>() {
        let holder = traces.held.iter().find(|root| name_of(root) == Some(name));
        // Two of a name, of two homes, would have one network.
        let is_supervised =
            traces.of_name(name).any(|(_, is_alive)| is_alive) || traces.has_running_origin(name);
        let runs = holder.is_some() || is_supervised || traces.hidden.contains(name);
        let standing = if runs { Standing::Runs } else { Standing::Lost };
        let mut what = Vec::new();
        if traces.networks.contains(name) {
            what.push("a network");
        }
        if traces.groups.contains_key(name) {
            what.push("control groups");
        }
        if traces.marked.contains(name) {
            what.push("processes");
        }
        let before = found.len();
        for (root, _) in traces.of_name(name) {
            let what = [vec!["files"], what.clone()].concat();
            let standing = standing.clone();
            found.push(Found { name: name.to_owned(), root: Some(root.clone()), standing, what });
        }
        if found.len() == before {
            found.push(Found { name: name.to_owned(), root: holder.cloned(), standing, what });
        }
    }
    found
}

/// Folders whose state is another cluster's. Pure.
fn copies(traces: &Traces) -> Vec<Found> {
    let copy = |(root, state): (&PathBuf, &Recorded)| {
        let Recorded::Copy { of, .. } = state else { return None };
        let standing = Standing::Copy { of: of.clone(), is_held: traces.held.contains(root) };
        let name = name_of(root)?.to_owned();
        Some(Found { name, root: Some(root.clone()), standing, what: vec!["files"] })
    };
    traces.recorded.iter().filter_map(copy).collect()
}

/// Where a cluster of this name runs, other than in this folder, whose own lock is none of those. Pure.
fn runs_elsewhere(traces: &Traces, name: &str, own: &Path) -> Option<Elsewhere> {
    let held = traces.held.iter().filter(|root| name_of(root) == Some(name));
    // One whose supervisor died goes on under its server and its agents.
    let runs = |root: &PathBuf, is_supervised: bool| is_supervised || traces.served.contains(root);
    let recorded = traces.of_name(name).filter(|(root, is_alive)| runs(root, *is_alive));
    let mut others = held.chain(recorded.map(|(root, _)| root)).filter(|root| root.as_path() != own);
    if let Some(other) = others.next() {
        return Some(Elsewhere::Folder(other.clone()));
    }
    // Another file at our path is a container's lock; and a supervisor without our lock has that of another.
    let is_unseen = traces.held.contains(own)
        || traces.recorded.get(own) == Some(&Recorded::Supervised)
        || traces.has_running_origin(name);
    (is_unseen || traces.hidden.contains(name)).then_some(Elsewhere::Unseen)
}

/// What the state of a folder is; `None` where there is none in it. `is_held` tells that somebody holds a
/// lock at its path, there or not: it may be just being taken away.
fn recorded_in(root: &Path, is_held: bool) -> Option<Recorded> {
    let layout = layout_of(root).filter(|layout| layout.state().exists())?;
    // One whose state can't be read shows by its lock whether it runs.
    let Ok(Some(ClusterState { cluster, supervisor, .. })) = ClusterState::load(&layout) else {
        return Some(Recorded::Dead);
    };
    let is_alive = supervisor.is_alive();
    let is_named = name_of(root) == Some(cluster.as_str());
    let is_own = || is_held || supervises(&supervisor, &layout).unwrap_or(true);
    Some(match is_alive {
        true if is_named && is_own() => Recorded::Supervised,
        false if is_named => Recorded::Dead,
        _ => Recorded::Copy { of: cluster, is_alive },
    })
}

fn layout_of(root: &Path) -> Option<Layout> {
    Some(Layout::new(root.parent()?, name_of(root)?))
}

fn name_of(root: &Path) -> Option<&str> {
    root.file_name()?.to_str()
}

/// Whether a cluster may be called so.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Folders whose lock a process holds, but for the one that is `own`. One that has just ended holds none.
fn locks_of(pid: i32, own: Option<(u64, u64)>) -> io::Result<Vec<PathBuf>> {
    let is_own = |open: &Path| own.is_some() && files::identity(open).ok() == own;
    let mut locks = Vec::new();
    let files = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Err(error) if is_gone(&error) => return Ok(locks),
        files => files?,
    };
    for file in files {
        match file.and_then(|file| Ok((fs::read_link(file.path())?, file.path()))) {
            Ok((file, open)) => locks.extend(locked(&file).filter(|_| !is_own(&open))),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(locks)
}

/// Whether this is said of a process, or of what it had open, that is no more.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::ESRCH))
}

/// Whether a process that keeps to itself what it has open may hold a lock.
fn may_hold_a_lock(pid: i32) -> bool {
    fs::read_to_string("/proc/locks").map_or(true, |locks| lockers(&locks).contains(&pid))
}

/// Who holds a file's lock alone, as the kernel lists it: `1: FLOCK  ADVISORY  WRITE 77 fe:00:9 0 EOF`. Pure.
fn lockers(locks: &str) -> BTreeSet<i32> {
    let locker = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, "WRITE", pid, ..] => pid.parse().ok(),
        _ => None,
    };
    locks.lines().filter_map(locker).collect()
}

/// The folder whose lock an open file is. Pure.
fn locked(file: &Path) -> Option<PathBuf> {
    let text = file.to_str()?;
    let path = Path::new(text.strip_suffix(DELETED).unwrap_or(text));
    let root = path.parent()?;
    let layout = layout_of(root)?;
    (path.is_absolute() && layout.lock() == path).then(|| root.to_owned())
}

fn arguments_of(pid: i32) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// The folder of the cluster whose server or agent was started with these arguments, if a supervisor did it.
/// Pure.
fn root_told(arguments: &[String]) -> Option<PathBuf> {
    let role = arguments.get(1)?.as_str();
    let data = arguments.iter().find_map(|argument| argument.strip_prefix("--data-dir="))?;
    let (data, up) = (Path::new(data), if role == "agent" { 2 } else { 1 });
    let root = data.ancestors().nth(up)?;
    let layout = layout_of(root)?;
    let is_it = match role {
        "server" => layout.server() == data,
        "agent" => data.parent() == Some(layout.nodes().as_path()),
        _ => false,
    };
    is_it.then(|| root.to_owned())
}

#[cfg(test)]
mod tests;

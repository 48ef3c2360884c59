//! Clusters of this machine by what they leave on it, also those that nobody knows of any more: of a session
//! that was cut off, with its folder or with all of its processes, a bridge, an nft table and control groups
//! stay, which bear the cluster's name.
//!
//! ```text
//! states, locks, networks, groups ─> told (pure: what there is, whether it runs) ─> take_away
//!                               └─> runs_elsewhere (pure: whether a name is another folder's)
//! ```
//!
//! What it must not do: take a cluster away that runs, in whichever home. A supervisor holds the lock of its
//! cluster's folder open as long as it lives, and the folder bears the cluster's name. It takes it before it
//! makes anything else: so who holds locks is looked at last, and what can't be looked at is no absence.

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
};
use crate::{files, groups, layout::Layout};

/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// What there is on a machine of clusters.
#[derive(Debug, Default)]
struct Traces {
    /// Folders with a state, and whether the supervisor is alive.
    recorded: BTreeMap<PathBuf, bool>,
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
}

/// A cluster of which there is something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// Its folder, where one is known.
    pub root: Option<PathBuf>,
    /// It runs, or is just being built or taken away.
    pub runs: bool,
    /// What there is of it.
    pub what: Vec<&'static str>,
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
    Ok(told(&Traces::of(home, networks, None)?))
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
/// It runs by now, it is being worked on, its state can't be read, or something of it is left.
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
    Ok(told(&traces).iter().any(|one| one.name == name && one.runs))
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
        let recorded = roots.into_iter().filter_map(|root| Some((is_supervised(&root)?, root)));
        let recorded: BTreeMap<_, _> = recorded.map(|(is_alive, root)| (root, is_alive)).collect();
        served.retain(|root| recorded.contains_key(root));
        Ok(Self { recorded, served, held, networks, groups, hidden })
    }

    /// Those with a state that are called so.
    fn of_name(&self, name: &str) -> impl Iterator<Item = (&PathBuf, &bool)> {
        self.recorded.iter().filter(move |(root, _)| name_of(root) == Some(name))
    }
}

/// All clusters that there is something of, by name. Pure.
fn told(traces: &Traces) -> Vec<Found> {
    // Of a group alone it isn't known whose it is as long as somebody is in it.
    let is_known = |name: &str| traces.networks.contains(name) || traces.of_name(name).next().is_some();
    let groups = traces.groups.iter().filter(|(name, used)| !**used || is_known(name.as_str()));
    let groups = groups.map(|(name, _)| name.as_str());
    let names = traces.recorded.keys().filter_map(|root| name_of(root));
    let names = names.chain(traces.networks.iter().map(String::as_str)).chain(groups);
    let mut found = Vec::new();
    for name in names.collect::<BTreeSet<_>>() {
        let holder = traces.held.iter().find(|root| name_of(root) == Some(name));
        // Two of a name, of two homes, would have one network.
        let is_supervised = traces.of_name(name).any(|(_, is_alive)| *is_alive);
        let runs = holder.is_some() || is_supervised || traces.hidden.contains(name);
        let mut what = Vec::new();
        if traces.networks.contains(name) {
            what.push("a network");
        }
        if traces.groups.contains_key(name) {
            what.push("control groups");
        }
        let before = found.len();
        for (root, _) in traces.of_name(name) {
            let what = [vec!["files"], what.clone()].concat();
            found.push(Found { name: name.to_owned(), root: Some(root.clone()), runs, what });
        }
        if found.len() == before {
            found.push(Found { name: name.to_owned(), root: holder.cloned(), runs, what });
        }
    }
    found
}

/// Where a cluster of this name runs, other than in this folder, whose own lock is none of those. Pure.
fn runs_elsewhere(traces: &Traces, name: &str, own: &Path) -> Option<Elsewhere> {
    let held = traces.held.iter().filter(|root| name_of(root) == Some(name));
    // One whose supervisor died goes on under its server and its agents.
    let runs = |root: &PathBuf, is_supervised: bool| is_supervised || traces.served.contains(root);
    let recorded = traces.of_name(name).filter(|(root, is_alive)| runs(root, **is_alive));
    let mut others = held.chain(recorded.map(|(root, _)| root)).filter(|root| root.as_path() != own);
    if let Some(other) = others.next() {
        return Some(Elsewhere::Folder(other.clone()));
    }
    // Another file at our path is a container's lock; and a supervisor without our lock has that of another.
    let is_unseen = traces.held.contains(own) || traces.recorded.get(own) == Some(&true);
    (is_unseen || traces.hidden.contains(name)).then_some(Elsewhere::Unseen)
}

/// Whether the cluster of a folder is supervised; `None` where there is no state in it.
fn is_supervised(root: &Path) -> Option<bool> {
    let layout = layout_of(root).filter(|layout| layout.state().exists())?;
    // One whose state can't be read shows by its lock whether it runs.
    let state = ClusterState::load(&layout).ok().flatten();
    Some(state.is_some_and(|state| state.supervisor.is_alive()))
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
mod tests {
    use super::*;

    fn traces(
        recorded: &[(&str, bool)],
        held: &[&str],
        networks: &[&str],
        groups: &[(&str, bool)],
    ) -> Traces {
        Traces {
            recorded: recorded.iter().map(|(root, is_alive)| (PathBuf::from(root), *is_alive)).collect(),
            held: held.iter().map(PathBuf::from).collect(),
            networks: networks.iter().map(|name| (*name).to_owned()).collect(),
            groups: groups.iter().map(|(name, used)| ((*name).to_owned(), *used)).collect(),
            served: BTreeSet::new(),
            hidden: BTreeSet::new(),
        }
    }

    /// Each as a line: its name, its folder, what there is of it.
    fn lines(traces: &Traces) -> Vec<String> {
        let line = |one: Found| {
            let root = one.root.map_or_else(|| "-".to_owned(), |root| root.display().to_string());
            format!("{} {root} {} {}", one.name, if one.runs { "runs" } else { "lost" }, one.what.join("+"))
        };
        told(traces).into_iter().map(line).collect()
    }

    #[test]
    fn clusters_are_told_by_what_there_is_of_them() {
        let check = |traces: Traces, expected: &[&str]| assert_eq!(lines(&traces), expected, "{traces:?}");
        check(Traces::default(), &[]);
        // All of it was killed, or its folder was taken away too.
        let killed = traces(&[("/h/demo", false)], &[], &["demo"], &[("demo", true)]);
        check(killed, &["demo /h/demo lost files+a network+control groups"]);
        let cut_off = traces(&[], &[], &["demo"], &[("demo", true)]);
        check(cut_off, &["demo - lost a network+control groups"]);
        check(traces(&[("/h/demo", false)], &[], &[], &[]), &["demo /h/demo lost files"]);
        // It runs, here or in another home, or is just being built.
        let here = traces(&[("/h/demo", true)], &["/h/demo"], &["demo"], &[]);
        check(here, &["demo /h/demo runs files+a network"]);
        check(traces(&[], &["/other/demo"], &["demo"], &[]), &["demo /other/demo runs a network"]);
        check(traces(&[("/h/demo", false)], &["/h/demo"], &[], &[]), &["demo /h/demo runs files"]);
        // What runs keeps what died in another home under the same name.
        let two = traces(&[("/a/demo", false), ("/b/demo", true)], &["/b/demo"], &["demo"], &[]);
        check(two, &["demo /a/demo runs files+a network", "demo /b/demo runs files+a network"]);
        // Its supervisor is where this process sees none.
        let mut elsewhere = traces(&[], &[], &["demo"], &[("demo", true)]);
        elsewhere.hidden.insert("demo".to_owned());
        check(elsewhere, &["demo - runs a network+control groups"]);
        // Another one's name doesn't count, nor a group that somebody uses and nothing else tells of.
        let others = traces(&[], &["/h/demo-2"], &["demo"], &[("own", true), ("left", false)]);
        check(others, &["demo - lost a network", "left - lost control groups"]);
    }

    #[test]
    fn a_name_may_be_that_of_another_folders_cluster() {
        let check = |traces: &Traces, expected: Option<Elsewhere>| {
            assert_eq!(runs_elsewhere(traces, "demo", Path::new("/a/demo")), expected, "{traces:?}");
        };
        let other = || Some(Elsewhere::Folder(PathBuf::from("/b/demo")));
        let all = [("demo", true)];
        // Only of what died, and of other names.
        check(&traces(&[("/a/demo", false)], &[], &["demo"], &all), None);
        check(&traces(&[("/a/demo", false), ("/b/demo", false)], &[], &["demo"], &all), None);
        check(&traces(&[("/a/demo", false), ("/b/other", true)], &["/b/other"], &["demo"], &all), None);
        // Another one is supervised, or just being built, or goes on without its supervisor.
        check(&traces(&[("/a/demo", false), ("/b/demo", true)], &[], &["demo"], &all), other());
        check(&traces(&[("/a/demo", false)], &["/b/demo"], &["demo"], &[]), other());
        let mut served = traces(&[("/a/demo", false), ("/b/demo", false)], &[], &["demo"], &all);
        served.served.insert(PathBuf::from("/b/demo"));
        check(&served, other());
        served.served = BTreeSet::from([PathBuf::from("/a/demo")]);
        check(&served, None);
        // A copy, whose supervisor holds the lock of what it was copied from.
        check(&traces(&[("/a/demo", true)], &["/b/demo"], &["demo"], &all), other());
        check(&traces(&[("/a/demo", true)], &["/b/other"], &["demo"], &all), Some(Elsewhere::Unseen));
        // A container's, at the same path, or with nothing to be seen but its group.
        check(&traces(&[("/a/demo", false)], &["/a/demo"], &["demo"], &all), Some(Elsewhere::Unseen));
        let mut hidden = traces(&[("/a/demo", false)], &[], &["demo"], &all);
        hidden.hidden.insert("demo".to_owned());
        check(&hidden, Some(Elsewhere::Unseen));
    }

    #[test]
    fn who_holds_the_lock_of_another_folder_of_the_name_runs_elsewhere() {
        let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let name = format!("twice-{}", std::process::id());
        let [ours, theirs] = homes.each_ref().map(|home| Layout::new(home.path(), &name));
        let lock = |layout: &Layout| Lock::try_take(&layout.lock()).expect("made").expect("free");
        let (_own, other) = (lock(&ours), lock(&theirs));
        let current = Process::current().expect("it runs");
        let supervises = |layout: &Layout| supervises(&current, layout).expect("looked at");
        let elsewhere = || elsewhere(&ours, &name).expect("looked at");
        let folder = theirs.root().canonicalize().expect("it is there");
        assert_eq!(elsewhere(), Some(Elsewhere::Folder(folder)));
        assert!(supervises(&ours) && supervises(&theirs));
        drop(other);
        assert_eq!(elsewhere(), None, "its own lock is that of nobody else");
        assert!(supervises(&ours) && !supervises(&theirs));
        fs::remove_dir_all(theirs.root()).expect("removed");
        assert!(!supervises(&theirs), "there is no lock");
        let ended = Process { started: current.started + 1, ..current.clone() };
        assert!(!super::supervises(&ended, &ours).expect("looked at"));
    }

    #[test]
    fn a_supervisors_lock_is_told_by_its_path() {
        let table = [
            ("/h/demo/lock", Some("/h/demo")),
            ("/h/demo/lock (deleted)", Some("/h/demo")),
            ("/h/demo/lock.old", None),
            ("/lock", None),
            ("pipe:[77]", None),
            ("demo/lock", None),
        ];
        for (file, expected) in table {
            assert_eq!(locked(Path::new(file)).as_deref(), expected.map(Path::new), "{file}");
        }
    }

    #[test]
    fn who_holds_a_lock_is_told_by_the_kernels_list() {
        let locks = "1: FLOCK  ADVISORY  WRITE 77 fe:00:9 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 78 fe:00:9 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 79 fe:00:8 0 EOF\n3: POSIX  ADVISORY  WRITE 80 fe:00:7 0 EOF\n";
        assert_eq!(lockers(locks), BTreeSet::from([77]));
    }

    #[test]
    fn arguments_of_a_supervisors_children_tell_its_folder() {
        let table = [
            ("tiphys server --data-dir=/h/demo/server --listen=127.0.0.1:1", Some("/h/demo")),
            ("tiphys agent --node-name=node-1 --data-dir=/h/demo/nodes/node-1", Some("/h/demo")),
            ("tiphys server --data-dir=/var/lib/tiphys-server", None),
            ("tiphys agent --data-dir=/srv/node", None),
            ("other --data-dir=/h/demo/server", None),
            ("tiphys server", None),
            ("", None),
        ];
        for (line, expected) in table {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(root_told(&arguments).as_deref(), expected.map(Path::new), "{line}");
        }
    }

    #[tokio::test]
    async fn the_state_of_a_cluster_that_was_killed_is_found_and_goes() {
        let home = tempfile::tempdir().expect("a folder");
        let name = format!("lost-{}", std::process::id());
        let layout = Layout::new(&home.path().canonicalize().expect("it is there"), &name);
        let lock = Lock::try_take(&layout.lock()).expect("made").expect("free");
        ClusterState::empty(&name).save(&layout).expect("written");
        let find = || {
            let found = told(&Traces::of(home.path(), BTreeSet::new(), None).expect("looked at"));
            found.into_iter().find(|one| one.root.as_deref() == Some(layout.root()))
        };
        let found = find().expect("it is there");
        assert!(found.runs && found.what == ["files"], "somebody holds its lock: {found:?}");
        take_away(home.path(), &found).await.expect_err("somebody works on it");
        drop(lock);
        let found = find().expect("it is there");
        assert!(!found.runs, "{found:?}");
        let copied = layout.root().with_file_name(format!("{name}-copy"));
        let copied = layout_of(&copied).expect("a cluster's");
        fs::create_dir(copied.root())
            .and_then(|()| fs::copy(layout.state(), copied.state()))
            .expect("copied");
        let copy =
            Found { name: format!("{name}-copy"), root: Some(copied.root().to_owned()), ..found.clone() };
        take_away(home.path(), &copy).await.expect_err("it is of another cluster");
        assert!(copied.state().exists() && layout.state().exists());
        take_away(home.path(), &found).await.expect("gone");
        assert!(find().is_none() && !layout.root().exists());
    }
}

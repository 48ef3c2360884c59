//! What a node leaves behind when its processes are killed, found and removed:
//! processes in its cgroups and namespaces, and the cgroups themselves.
//!
//! Mounts and links need no care: they live in the node's own namespaces and go
//! with the last process in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::process::Process;

const CGROUP_MOUNT: &str = "/sys/fs/cgroup";

/// The namespaces a holder made, by inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    pub mount: u64,
    pub network: u64,
}

impl Namespaces {
    /// The namespaces of a running process.
    ///
    /// # Errors
    /// It is gone.
    pub fn of(pid: i32) -> io::Result<Self> {
        let inode = |kind: &str| fs::metadata(format!("/proc/{pid}/ns/{kind}")).map(|file| file.ino());
        Ok(Self { mount: inode("mnt")?, network: inode("net")? })
    }
}

/// All processes in one of the namespaces, but for those that started before
/// `since` (an inode may be used again) and for ourselves.
pub fn processes_in(namespaces: Namespaces, since: u64) -> Vec<Process> {
    let own = std::process::id().cast_signed();
    all_pids()
        .filter(|pid| *pid != own)
        .filter(|pid| {
            Namespaces::of(*pid)
                .is_ok_and(|found| found.mount == namespaces.mount || found.network == namespaces.network)
        })
        .filter_map(|pid| Process::of(pid).ok())
        .filter(|process| process.started >= since)
        .collect()
}

pub fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The cgroups at the top whose names `wanted` takes, and whether anybody is in or below them, seen or not.
pub fn groups_at_the_top(wanted: impl Fn(&str) -> bool) -> BTreeMap<String, bool> {
    groups_in(Path::new(CGROUP_MOUNT), wanted)
}

fn groups_in(mount: &Path, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, bool> {
    let listed_in = |root: PathBuf| fs::read_dir(root).into_iter().flatten().flatten();
    let folders = roots(mount).into_iter().flat_map(listed_in);
    let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| wanted(name));
    let is_used = |name: &str| {
        let folders = folders_in(mount, name);
        !listed(&folders).is_empty() || hold_hidden(&folders)
    };
    names.map(|name| (name.clone(), is_used(&name))).collect()
}

/// Whether somebody is in or below a cgroup whom this process doesn't see: of another pid namespace, or where
/// it can't be read who is.
pub fn has_hidden(cgroup: &str) -> bool {
    hold_hidden(&folders_in(Path::new(CGROUP_MOUNT), cgroup))
}

fn hold_hidden(folders: &[PathBuf]) -> bool {
    // Of one that is gone, and of threads, whose processes are listed above them.
    let is_nobody = |error: &io::Error| {
        let code = error.raw_os_error();
        matches!(code, Some(nix::libc::ENOENT | nix::libc::ENODEV | nix::libc::EOPNOTSUPP))
    };
    let mut found = false;
    for folder in folders {
        walk(folder, &mut |folder| match fs::read_to_string(folder.join("cgroup.procs")) {
            Ok(listed) => found |= listed.lines().any(|line| line == "0"),
            Err(error) => found |= !is_nobody(&error),
        });
    }
    found
}

/// Whether there is such a cgroup.
pub fn is_there(cgroup: &str) -> bool {
    !folders_in(Path::new(CGROUP_MOUNT), cgroup).is_empty()
}

/// All processes below a cgroup, such as `/tiphys-demo/node-1`, of any controller.
pub fn processes_below(cgroup: &str) -> Vec<Process> {
    listed(&folders_in(Path::new(CGROUP_MOUNT), cgroup))
}

/// The same without ourselves.
pub fn others_below(cgroup: &str) -> Vec<Process> {
    others_in(Path::new(CGROUP_MOUNT), cgroup)
}

fn others_in(mount: &Path, cgroup: &str) -> Vec<Process> {
    let own = std::process::id().cast_signed();
    let mut found = listed(&folders_in(mount, cgroup));
    found.retain(|process| process.pid != own);
    found
}

fn listed(folders: &[PathBuf]) -> Vec<Process> {
    let mut pids = BTreeSet::new();
    for folder in folders {
        walk(folder, &mut |folder| {
            let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
        });
    }
    // A pid of 0 is a process of a pid namespace we can't see into.
    pids.into_iter().filter(|pid| *pid > 0).filter_map(|pid| Process::of(pid).ok()).collect()
}

/// Kills processes until `find` names none.
///
/// # Errors
/// Some survive.
pub async fn kill_all(find: impl Fn() -> Vec<Process>) -> io::Result<()> {
    // A process that has ended stays listed until its parent asks; there is nothing left to kill.
    let find = || find().into_iter().filter(Process::is_alive).collect::<Vec<_>>();
    // Each round kills what the one before left time to fork; a handful always suffices.
    for _ in 0..20 {
        let found = find();
        if found.is_empty() {
            return Ok(());
        }
        for process in &found {
            process.signal(Signal::SIGKILL)?;
        }
        for process in &found {
            process.wait_for_end(Duration::from_secs(5)).await;
        }
    }
    let left: Vec<_> = find().into_iter().map(|process| process.pid.to_string()).collect();
    if left.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(format!("processes {} do not end", left.join(", "))))
    }
}

/// Removes a cgroup with all below it, in every controller.
///
/// # Errors
/// One is still in use.
pub async fn remove_cgroup(cgroup: &str) -> io::Result<()> {
    // The kernel takes a killed process out of its groups a moment after its end
    // is told, and version 1 has no event for that.
    for _ in 0..100 {
        match try_remove_cgroup(cgroup) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            result => return result,
        }
    }
    try_remove_cgroup(cgroup)
}

fn try_remove_cgroup(cgroup: &str) -> io::Result<()> {
    for folder in folders_in(Path::new(CGROUP_MOUNT), cgroup) {
        let mut result = Ok(());
        walk(&folder, &mut |folder| match fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                result = Err(io::Error::new(error.kind(), format!("{}: {error}", folder.display())));
            }
            _ => {}
        });
        result?;
    }
    Ok(())
}

/// Where a cgroup is: once in a unified hierarchy, once a controller in version 1.
fn folders_in(mount: &Path, cgroup: &str) -> Vec<PathBuf> {
    let relative = Path::new(cgroup.trim_start_matches('/'));
    let is_below = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_below || relative.as_os_str().is_empty() {
        return Vec::new();
    }
    roots(mount).into_iter().map(|root| root.join(relative)).filter(|folder| folder.is_dir()).collect()
}

/// Where groups at the top are.
fn roots(mount: &Path) -> Vec<PathBuf> {
    let mut roots = vec![mount.to_path_buf()];
    // In a unified hierarchy folders are groups, of systemd and others: one of this name in them is theirs.
    if !mount.join("cgroup.controllers").exists() {
        let controllers = fs::read_dir(mount).into_iter().flatten().flatten();
        // Controllers are mounts; `cpu` may be a link to `cpu,cpuacct`.
        let controllers = controllers.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        roots.extend(controllers.map(|entry| entry.path()));
    }
    roots
}

/// Visits a folder after those below it.
fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(folder);
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A tree with these groups, and who is in them.
    fn tree(groups: &[(&str, &[u32])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (group, pids) in groups {
            let folder = root.path().join(group);
            fs::create_dir_all(&folder).expect("made");
            let pids: String = pids.iter().map(|pid| format!("{pid}\n")).collect();
            fs::write(folder.join("cgroup.procs"), pids).expect("written");
        }
        root
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().expect("started")
    }

    #[tokio::test]
    async fn what_is_in_the_clusters_group_is_killed_and_nothing_else() {
        let (mut ours, mut theirs) = (sleeper(), sleeper());
        let root = tree(&[
            ("", &[1]),
            ("tiphys-demo", &[]),
            ("tiphys-demo/supervisor", &[0, std::process::id(), ours.id()]),
            ("tiphys-demo-2/supervisor", &[theirs.id()]),
            ("system.slice/tiphys-demo", &[theirs.id()]),
        ]);
        fs::write(root.path().join("cgroup.controllers"), "cpu memory\n").expect("written");
        let found = others_in(root.path(), "/tiphys-demo");
        let pids: Vec<_> = found.iter().map(|process| process.pid.cast_unsigned()).collect();
        let killed = kill_all(|| others_in(root.path(), "/tiphys-demo")).await;
        let is_alive = |child: &Child| Process::of(child.id().cast_signed()).is_ok_and(|one| one.is_alive());
        let alive = (is_alive(&ours), is_alive(&theirs));
        for child in [&mut ours, &mut theirs] {
            child.kill().and_then(|()| child.wait()).expect("reaped");
        }
        assert_eq!((pids, alive), (vec![ours.id()], (false, true)));
        killed.expect("they end");
    }

    #[test]
    fn groups_at_the_top_are_told_with_whether_they_are_used() {
        let own = std::process::id();
        let root = tree(&[
            ("pids/tiphys-a/node-1", &[own]),
            ("memory/tiphys-a", &[]),
            ("memory/tiphys-b", &[]),
            ("memory/tiphys-hidden/node-1", &[0]),
            ("memory/other", &[own]),
            ("memory/other/tiphys-c", &[own]),
        ]);
        let found = groups_in(root.path(), |name| name.starts_with("tiphys-"));
        let expected = [("tiphys-a", true), ("tiphys-b", false), ("tiphys-hidden", true)];
        assert_eq!(found, BTreeMap::from(expected.map(|(name, used)| (name.to_owned(), used))));
        let hidden = |name: &str| hold_hidden(&folders_in(root.path(), name));
        assert!(hidden("tiphys-hidden") && !hidden("tiphys-a") && !hidden("tiphys-b"));
    }

    #[test]
    fn a_group_is_found_below_every_controller_and_nowhere_above() {
        let root = tree(&[("memory/tiphys-demo", &[]), ("pids/tiphys-demo", &[]), ("pids/other", &[])]);
        let mut found = folders_in(root.path(), "/tiphys-demo");
        found.sort();
        assert_eq!(found, ["memory", "pids"].map(|name| root.path().join(name).join("tiphys-demo")));
        for no_group in ["", "/", "/tiphys-demo/../other", "../other"] {
            assert!(folders_in(&root.path().join("pids"), no_group).is_empty(), "{no_group:?}");
        }
    }
}

//! What a node leaves behind when its processes are killed, found and removed:
//! processes in its cgroups and namespaces, and the cgroups themselves.
//!
//! Mounts and links need no care: they live in the node's own namespaces and go
//! with the last process in them.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
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

fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// All processes below a cgroup, such as `/tiphys-demo/node-1`, of any controller.
pub fn processes_below(cgroup: &str) -> Vec<Process> {
    let mut pids = BTreeSet::new();
    for folder in cgroup_folders(cgroup) {
        walk(&folder, &mut |folder| {
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
    for folder in cgroup_folders(cgroup) {
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
pub fn cgroup_folders(cgroup: &str) -> Vec<PathBuf> {
    let relative = cgroup.trim_start_matches('/');
    if relative.is_empty() {
        return Vec::new();
    }
    let mount = Path::new(CGROUP_MOUNT);
    let controllers = fs::read_dir(mount).into_iter().flatten().filter_map(|entry| {
        let entry = entry.ok()?;
        // Controllers are mounts; `cpu` may be a link to `cpu,cpuacct`.
        (entry.file_type().ok()?.is_dir()).then(|| entry.path())
    });
    std::iter::once(mount.to_path_buf())
        .chain(controllers)
        .map(|root| root.join(relative))
        .filter(|folder| folder.is_dir())
        .collect()
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

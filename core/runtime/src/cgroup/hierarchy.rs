//! The mounted hierarchies of this machine, and groups in them.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    Limits, huge_pages,
    limits::{PERIOD_MICROS, weight},
    unified,
};
use crate::{Error, Result};

/// How often a removal asks whether the last process has gone.
const REMOVE_TRIES: u32 = 200;

/// Where control groups are mounted.
#[derive(Debug, Clone)]
pub enum Hierarchy {
    /// Version 1: a folder a controller, by its name. `name=systemd` and the
    /// unified hierarchy of a hybrid set-up are among them, for removal's sake.
    V1(BTreeMap<String, PathBuf>),
    V2(PathBuf),
}

impl Hierarchy {
    /// As this process sees them.
    pub fn detect() -> Result<Self> {
        const FILE: &str = "/proc/self/mountinfo";
        let text = fs::read_to_string(FILE).map_err(Error::io("read", FILE))?;
        parse_mounts(&text)
            .ok_or_else(|| Error::io("find control groups in", FILE)(io::Error::other("none are mounted")))
    }

    /// Whether it is version 2.
    pub fn is_unified(&self) -> bool {
        matches!(self, Self::V2(_))
    }

    /// The group's folder for this controller: `cpu`, `cpuacct`, `memory`, `blkio`, `pids`, ...
    pub fn folder(&self, controller: &str, group: &str) -> Option<PathBuf> {
        let root = match self {
            Self::V1(roots) => roots.get(controller)?,
            Self::V2(root) => root,
        };
        Some(root.join(group.trim_start_matches('/')))
    }

    /// The folders of the group, each once.
    fn folders(&self, group: &str) -> Vec<PathBuf> {
        let group = group.trim_start_matches('/');
        match self {
            Self::V1(roots) => {
                let mut folders: Vec<_> = roots.values().map(|root| root.join(group)).collect();
                folders.sort();
                folders.dedup();
                folders
            }
            Self::V2(root) => vec![root.join(group)],
        }
    }

    /// Makes the group with its parents, and sets its limits.
    pub fn create(&self, group: &str, limits: &Limits) -> Result<()> {
        match self {
            Self::V1(roots) => {
                for (controller, root) in roots {
                    let folder = root.join(group.trim_start_matches('/'));
                    if controller == "cpuset" {
                        create_cpuset(root, group).map_err(Error::io("create", &folder))?;
                    } else {
                        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
                    }
                }
            }
            Self::V2(root) => {
                let folder = root.join(group.trim_start_matches('/'));
                unified::create(root, group).map_err(Error::io("create", folder))?;
            }
        }
        self.limit(group, limits)
    }

    /// Sets the limits of a group that exists.
    pub fn limit(&self, group: &str, limits: &Limits) -> Result<()> {
        let write = |controller: &str, file: &str, value: String| -> Result<()> {
            let Some(folder) = self.folder(controller, group) else { return Ok(()) };
            let path = folder.join(file);
            let written = fs::write(&path, value).map_err(|error| match path.exists() || !folder.exists() {
                true => error,
                false => io::Error::other(format!("the group has no controller {controller:?}")),
            });
            written.map_err(Error::io("write", &path))
        };
        let v1 = matches!(self, Self::V1(_));
        if let Some(shares) = limits.cpu_shares {
            match v1 {
                true => write("cpu", "cpu.shares", shares.to_string())?,
                false => write("cpu", "cpu.weight", weight(shares).to_string())?,
            }
        }
        if let Some(quota) = limits.cpu_quota_micros {
            match v1 {
                true => {
                    write("cpu", "cpu.cfs_period_us", PERIOD_MICROS.to_string())?;
                    write("cpu", "cpu.cfs_quota_us", quota.to_string())?;
                }
                false => write("cpu", "cpu.max", format!("{quota} {PERIOD_MICROS}"))?,
            }
        }
        if let Some(bytes) = limits.memory_bytes {
            let file = if v1 { "memory.limit_in_bytes" } else { "memory.max" };
            write("memory", file, bytes.to_string())?;
        }
        if let Some(processes) = limits.processes {
            write("pids", "pids.max", processes.to_string())?;
        }
        if let Some(most) = &limits.huge_pages
            && let Some(folder) = self.folder("hugetlb", group)
            && let Err(error) = huge_pages::limit(&folder, !v1, most)
        {
            // It is refused where more are in use already; those stay.
            tracing::warn!(%error, group, "a group is not held to its huge pages");
        }
        Ok(())
    }

    /// Moves a process into the group, which is made if need be.
    pub fn enter(&self, group: &str, pid: i32) -> Result<()> {
        if let Self::V2(root) = self {
            // Out of a parent before that hands controllers down: where processes are, it may not.
            let folder = root.join(group.trim_start_matches('/'));
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
            self.put(group, pid)?;
        }
        self.create(group, &Limits::default())?;
        self.put(group, pid)
    }

    /// Moves a process into a group that is there, of which nothing else is changed.
    pub fn put(&self, group: &str, pid: i32) -> Result<()> {
        for folder in self.folders(group) {
            let file = folder.join("cgroup.procs");
            fs::write(&file, pid.to_string()).map_err(Error::io("write", &file))?;
        }
        Ok(())
    }

    /// Controllers that the groups below this one have of it; on version 1 none are handed down.
    pub fn handed_down(&self, group: &str) -> Vec<String> {
        self.unified(group).map(|folder| unified::handed_down(&folder)).unwrap_or_default()
    }

    /// The groups below this one lose all controllers but these, if none of them hands one down itself.
    pub fn hand_down_only(&self, group: &str, kept: &[String]) -> Result<()> {
        let Some(folder) = self.unified(group) else { return Ok(()) };
        unified::hand_down_only(&folder, kept).map_err(Error::io("take controllers back below", &folder))
    }

    /// Processes in the root, but for `own`, that keep controllers from groups below it. The root of a
    /// machine may hold any.
    pub fn in_the_way(&self, own: i32) -> Vec<i32> {
        self.unified("/").map(|root| unified::in_the_way(&root, own)).unwrap_or_default()
    }

    /// The group's folder where there is one only.
    fn unified(&self, group: &str) -> Option<PathBuf> {
        match self {
            Self::V1(_) => None,
            Self::V2(root) => Some(root.join(group.trim_start_matches('/'))),
        }
    }

    pub fn exists(&self, group: &str) -> bool {
        self.folders(group).iter().any(|folder| folder.is_dir())
    }

    /// The groups directly below this one, by name.
    pub fn children(&self, group: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.folders(group).iter().flat_map(|folder| subfolders(folder)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Processes of the group and of those below it.
    pub fn processes(&self, group: &str) -> Vec<i32> {
        let mut pids: Vec<i32> =
            self.folders(group).iter().flat_map(|folder| processes_below(folder)).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Kills what is left in the group and removes it with all below it, for
    /// every controller. A group that is not there is no error.
    pub async fn remove(&self, group: &str) -> Result<()> {
        let mut tries = 0;
        loop {
            let busy = self
                .folders(group)
                .into_iter()
                .find_map(|folder| remove_tree(&folder).err().map(|error| (folder, error)));
            let Some((folder, error)) = busy else { return Ok(()) };
            tries += 1;
            if tries > REMOVE_TRIES {
                return Err(Error::io("remove", folder)(error));
            }
            for pid in self.processes(group) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            // The kernel tells nobody when a group has become empty in version 1.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Lines of mountinfo: after ` - ` come type, source and options.
fn parse_mounts(text: &str) -> Option<Hierarchy> {
    let mut v1 = BTreeMap::new();
    let mut v2 = None;
    for line in text.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let Some(mount) = front.split(' ').nth(4) else { continue };
        let mut back = back.split(' ');
        let (kind, options) = (back.next(), back.nth(1).unwrap_or_default());
        match kind {
            Some("cgroup") => {
                for option in options.split(',').filter(|option| !["rw", "ro", "xattr"].contains(option)) {
                    v1.entry(option.to_owned()).or_insert_with(|| PathBuf::from(mount));
                }
            }
            Some("cgroup2") => v2 = v2.or(Some(PathBuf::from(mount))),
            _ => {}
        }
    }
    if v1.contains_key("memory") || v1.contains_key("cpu") {
        if let Some(unified) = v2 {
            v1.insert("unified".into(), unified);
        }
        return Some(Hierarchy::V1(v1));
    }
    v2.map(Hierarchy::V2)
}

/// A new cpuset group has no processors: each level copies its parent's.
fn create_cpuset(root: &Path, group: &str) -> io::Result<()> {
    let mut folder = root.to_path_buf();
    for name in group.split('/').filter(|name| !name.is_empty()) {
        let parent = folder.clone();
        folder.push(name);
        fs::create_dir_all(&folder)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if fs::read_to_string(folder.join(file))?.trim().is_empty() {
                fs::write(folder.join(file), fs::read(parent.join(file))?)?;
            }
        }
    }
    Ok(())
}

fn subfolders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn processes_below(folder: &Path) -> Vec<i32> {
    let own = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let own = own.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0);
    own.chain(subfolders(folder).iter().flat_map(|name| processes_below(&folder.join(name)))).collect()
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    for name in subfolders(folder) {
        remove_tree(&folder.join(name))?;
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 29 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 29 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 29 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 29 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn mounts_of_both_versions() {
        let Some(Hierarchy::V1(roots)) = parse_mounts(HYBRID) else { panic!("version 1") };
        let names: Vec<_> = roots.keys().map(String::as_str).collect();
        assert_eq!(names, ["cpu", "cpuacct", "memory", "name=systemd", "unified"]);
        let v2 = parse_mounts("33 29 0:29 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
        assert!(matches!(v2, Some(Hierarchy::V2(root)) if root == Path::new("/sys/fs/cgroup")));
        assert!(parse_mounts("1 2 3 / / rw - ext4 /dev/a rw\n").is_none());
    }

    #[test]
    fn a_limit_that_has_no_controller_says_so() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("group")).expect("made");
        // As the kernel, it lets nobody make the file.
        std::os::unix::fs::symlink("none/at/all", root.path().join("group/pids.max")).expect("linked");
        let cause = |group: &str| {
            let limits = Limits { processes: Some(5), ..Limits::default() };
            let error = Hierarchy::V2(root.path().to_owned()).limit(group, &limits).expect_err("no limit");
            std::error::Error::source(&error).expect("a cause").to_string()
        };
        assert_eq!(cause("/group"), "the group has no controller \"pids\"");
        assert!(!cause("/none").contains("controller"), "{}", cause("/none"));
    }

    #[tokio::test]
    async fn a_real_group_is_made_limited_and_removed() {
        let hierarchy = Hierarchy::detect().expect("control groups are mounted");
        let group = format!("/tiphys-test-{}", std::process::id());
        let limits = Limits {
            cpu_shares: Some(512),
            cpu_quota_micros: Some(50_000),
            memory_bytes: Some(64 << 20),
            processes: Some(20),
            huge_pages: Some([(2 << 20, 2 << 20)].into()),
        };
        hierarchy.create(&format!("{group}/pod"), &limits).expect("made");
        let mut child = tokio::process::Command::new("sleep").arg("600").spawn().expect("sleep runs");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
        hierarchy.enter(&format!("{group}/pod"), pid).expect("entered");
        assert_eq!(hierarchy.processes(&group), [pid]);
        assert_eq!(hierarchy.children(&group), ["pod"]);
        let (removed, _) = tokio::join!(hierarchy.remove(&group), child.wait());
        removed.expect("removed");
        assert!(!hierarchy.exists(&group));
    }
}

//! What a machine holds, so that a test can say what a cluster left behind.
//!
//! Other clusters may come and go meanwhile. So what counts is what shows the
//! cluster's name, its addresses or its bridge, and folders that it alone can have
//! made.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::Result;

use crate::run;

/// A snapshot; each entry says its kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    /// Processes and cgroups of this cluster; mounts, links, routes and nft tables of all.
    pub fn snapshot(cluster: &str) -> Result<Self> {
        let mut all = BTreeSet::new();
        processes(cluster, &mut all);
        for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
            // Ids and peer groups change with every mount namespace; root, mount point and type tell which it is.
            let fields: Vec<_> = line.split(' ').collect();
            all.insert(format!("mount {} {}", fields[3], fields[4]));
        }
        let mut listed = |kind: &str, program: &str, arguments: &[&str]| -> Result<()> {
            let text = run(Command::new(program).args(arguments), "")?.ok()?;
            all.extend(text.lines().map(|line| format!("{kind} {}", line.trim())));
            Ok(())
        };
        listed("route", "ip", &["-4", "route", "show", "table", "all"])?;
        listed("nft", "nft", &["list", "tables"])?;
        for entry in fs::read_dir("/sys/class/net")? {
            all.insert(format!("link {}", entry?.file_name().to_string_lossy()));
        }
        cgroups(Path::new("/sys/fs/cgroup"), cluster, 0, &mut all);
        for folder in ["/run/netns", "/etc/cni/net.d", "/run/containerd", "/var/log/pods", "/var/lib/kubelet"]
        {
            if Path::new(folder).exists() {
                all.insert(format!("folder {folder}"));
            }
        }
        Ok(Self(all))
    }

    /// What is there now and wasn't before.
    pub fn added_since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }

    /// The link that leads to an address such as `172.30.0.`.
    pub fn link_to(&self, address: &str) -> Option<&str> {
        let route = self.0.iter().find(|entry| entry.starts_with(&format!("route {address}")))?;
        route.split_once(" dev ")?.1.split(' ').next()
    }

    /// What has stayed of the cluster that shows one of `marks`: there now, not `before`.
    pub fn left_of(&self, during: &Self, before: &Self, marks: &[String]) -> Vec<String> {
        let own = |entry: &str| {
            entry.starts_with("process ")
                || marks.iter().any(|mark| shows(entry, mark))
                || entry.starts_with("folder ") && during.0.contains(entry)
        };
        self.0.difference(&before.0).filter(|entry| own(entry)).cloned().collect()
    }
}

/// Processes that show the cluster's name: in their command line, environment or
/// cgroup, or by the folders that are mounted for them. One that has ended and
/// waits for its parent (which may be slow, once it is the machine's) is none.
fn processes(cluster: &str, all: &mut BTreeSet<String>) {
    let own = std::process::id();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let shows = |file: &str| {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            shows(&String::from_utf8_lossy(&text), cluster)
        };
        if pid != own
            && !has_ended(&entry.path())
            && ["cmdline", "environ", "cgroup", "mountinfo"].into_iter().any(shows)
        {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            all.insert(format!("process {pid} {command}"));
        }
    }
}

/// Whether the process of this folder of `/proc` is no more, or waits for its parent only.
pub(crate) fn has_ended(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The name is in brackets and may hold any; the state comes after it.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

fn cgroups(folder: &Path, cluster: &str, depth: usize, all: &mut BTreeSet<String>) {
    if depth > 3 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if shows(&path.to_string_lossy(), cluster) {
                all.insert(format!("cgroup {}", path.display()));
            }
            cgroups(&path, cluster, depth + 1, all);
        }
    }
}

/// Whether a text names this and not something that only begins like it.
fn shows(text: &str, mark: &str) -> bool {
    text.match_indices(mark).any(|(at, _)| {
        let next = text[at + mark.len()..].chars().next();
        mark.ends_with('.') || !next.is_some_and(|next| next.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(entries: &[&str]) -> Machine {
        Machine(entries.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_the_clusters_own_remains_count() {
        let before = machine(&["link eth0"]);
        let during = machine(&["link eth0", "link br1", "route 172.30.0.0/24 dev br1 scope link"]);
        assert_eq!((during.link_to("172.30.0."), during.link_to("172.30.1.")), (Some("br1"), None));
        let marks = ["e2e-12", "172.30.0.", "br1"].map(String::from);
        let check = |entry: &str, expected: bool| {
            let left = machine(&["link eth0", entry]).left_of(&during, &before, &marks);
            assert_eq!(!left.is_empty(), expected, "{entry}");
        };
        check("link br1", true);
        check("link br1-0", true);
        check("link br12", false);
        check("route 172.30.0.0/24 dev br1", true);
        check("route 172.30.1.0/24 dev br2", false);
        check("nft table ip tiphys-e2e-12", true);
        check("nft table ip tiphys-e2e-123", false);
        check("process 7 sleep", true);
    }
}

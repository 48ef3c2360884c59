//! What a machine holds, so that a test can say what a cluster left behind.
//!
//! Other clusters may come and go meanwhile. So processes and cgroups count only
//! when they show the cluster's name, and links, routes and tables only when they
//! were there while it ran.

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
        all.insert(format!("forwarding {}", fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?.trim()));
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

    /// What has stayed of what came with the cluster: there now and `during`, but not `before`.
    pub fn left_of(&self, during: &Self, before: &Self) -> Vec<String> {
        let own = |entry: &&String| entry.starts_with("process ") || entry.starts_with("cgroup ");
        self.0
            .difference(&before.0)
            .filter(|entry| own(entry) || during.0.contains(*entry))
            .cloned()
            .collect()
    }
}

/// Processes that show the cluster's name: in their command line, environment or
/// cgroup, or by the folders that are mounted for them.
fn processes(cluster: &str, all: &mut BTreeSet<String>) {
    let own = std::process::id();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let shows = |file: &str| {
            let text = fs::read(entry.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(cluster)
        };
        if pid != own && ["cmdline", "environ", "cgroup", "mountinfo"].into_iter().any(shows) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            all.insert(format!("process {pid} {command}"));
        }
    }
}

fn cgroups(folder: &Path, cluster: &str, depth: usize, all: &mut BTreeSet<String>) {
    if depth > 3 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if path.to_string_lossy().contains(cluster) {
                all.insert(format!("cgroup {}", path.display()));
            }
            cgroups(&path, cluster, depth + 1, all);
        }
    }
}

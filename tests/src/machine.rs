//! What a machine holds, so that a test can say what was left behind.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::Result;

use crate::run;

/// A snapshot; each entry says its kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(BTreeSet<String>);

impl Machine {
    /// Processes of containers and clusters, mounts, links, addresses, routes, nft tables, cgroups.
    pub fn snapshot() -> Result<Self> {
        let mut all = BTreeSet::new();
        processes(&mut all);
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
        cgroups(Path::new("/sys/fs/cgroup"), 0, &mut all);
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
}

/// Processes by name: pids say nothing once they are gone.
fn processes(all: &mut BTreeSet<String>) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let ours =
            ["tiphys ", "containerd", "runc", "/tiphys", "busybox"].iter().any(|name| command.contains(name));
        // The suites' own binary is no remains.
        if ours && !command.contains("/deps/") && !command.contains("cargo") {
            all.insert(format!("process {pid} {command}"));
        }
    }
}

fn cgroups(folder: &Path, depth: usize, all: &mut BTreeSet<String>) {
    if depth > 3 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if path.to_string_lossy().contains("tiphys") {
                all.insert(format!("cgroup {}", path.display()));
            }
            cgroups(&path, depth + 1, all);
        }
    }
}

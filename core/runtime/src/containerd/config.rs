//! containerd's configuration file, from what a node needs of it.
//!
//! Version 2 of the format, which 1.4 to 2.x read. The names of the CRI plug-in
//! changed with 2.0, so its settings are written under the name of the version
//! at hand.

use std::{fmt::Write, path::PathBuf};

/// What is written into config.toml, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program: a name on the PATH or a path.
    pub program: String,
    /// Images and snapshots; kept over restarts.
    pub root: PathBuf,
    /// Running tasks and sockets.
    pub state: PathBuf,
    pub socket: PathBuf,
    pub config_file: PathBuf,
    /// Where its own log goes: it outlives whoever started it.
    pub log_file: PathBuf,
    pub cni_bin_dir: PathBuf,
    pub cni_conf_dir: PathBuf,
    /// The image of the process that holds a Pod's namespaces.
    pub sandbox_image: String,
    pub snapshotter: String,
    /// Hosts files of registries (`hosts.toml`), as containerd documents them.
    pub registry_dir: PathBuf,
    /// The cgroup, below the hierarchy's root, that containerd and its shims run in.
    pub cgroup: Option<String>,
    /// Containers cannot be given a lower score than containerd has itself.
    pub restrict_oom_score_adj: bool,
}

impl Settings {
    /// The standard paths, with this pause image.
    pub fn standard(sandbox_image: impl Into<String>) -> Self {
        let standard = PathBuf::from("/opt/cni/bin");
        let cni_bin_dir = if standard.is_dir() { standard } else { PathBuf::from("/usr/lib/cni") };
        Self {
            program: "containerd".into(),
            root: "/var/lib/containerd".into(),
            state: "/run/containerd".into(),
            socket: "/run/containerd/containerd.sock".into(),
            config_file: "/run/containerd/config.toml".into(),
            log_file: "/var/log/containerd.log".into(),
            cni_bin_dir,
            cni_conf_dir: "/etc/cni/net.d".into(),
            sandbox_image: sandbox_image.into(),
            snapshotter: "overlayfs".into(),
            registry_dir: "/etc/containerd/certs.d".into(),
            cgroup: None,
            restrict_oom_score_adj: !may_lower_oom_score(),
        }
    }

    /// All paths below `folder`, for a containerd beside others.
    pub fn below(folder: &std::path::Path, sandbox_image: impl Into<String>) -> Self {
        Self {
            root: folder.join("root"),
            state: folder.join("state"),
            socket: folder.join("containerd.sock"),
            config_file: folder.join("config.toml"),
            log_file: folder.join("containerd.log"),
            cni_conf_dir: folder.join("cni"),
            registry_dir: folder.join("certs.d"),
            ..Self::standard(sandbox_image)
        }
    }
}

/// The content of config.toml for containerd of this major version.
pub fn config_toml(settings: &Settings, major: u32) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write_toml(&mut text, settings, major);
    text
}

fn write_toml(text: &mut String, settings: &Settings, major: u32) -> std::fmt::Result {
    let path = |path: &std::path::Path| quoted(&path.to_string_lossy());
    writeln!(text, "# Written by tiphys at each start; changes are lost.")?;
    writeln!(text, "version = {}", if major >= 2 { 3 } else { 2 })?;
    writeln!(text, "root = {}\nstate = {}", path(&settings.root), path(&settings.state))?;
    writeln!(text, "\n[grpc]\naddress = {}", path(&settings.socket))?;
    writeln!(text, "\n[debug]\nlevel = \"warn\"")?;
    let (runtime, images, server) = if major >= 2 {
        ("io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images", "io.containerd.grpc.v1.cri")
    } else {
        ("io.containerd.grpc.v1.cri", "io.containerd.grpc.v1.cri", "io.containerd.grpc.v1.cri")
    };
    let sandbox = quoted(&settings.sandbox_image);
    if major >= 2 {
        writeln!(text, "\n[plugins.\"{images}\"]\nsnapshotter = {}", quoted(&settings.snapshotter))?;
        writeln!(text, "\n[plugins.\"{images}\".pinned_images]\nsandbox = {sandbox}")?;
        writeln!(text, "\n[plugins.\"{server}\"]\n{STREAMING}")?;
        writeln!(text, "\n[plugins.\"{runtime}\"]")?;
    } else {
        writeln!(text, "\n[plugins.\"{runtime}\"]\nsandbox_image = {sandbox}\n{STREAMING}")?;
    }
    writeln!(text, "restrict_oom_score_adj = {}", settings.restrict_oom_score_adj)?;
    writeln!(text, "tolerate_missing_hugetlb_controller = true\ndisable_hugetlb_controller = true")?;
    writeln!(text, "\n[plugins.\"{runtime}\".cni]")?;
    if major >= 2 {
        writeln!(text, "bin_dirs = [{}]", path(&settings.cni_bin_dir))?;
    } else {
        writeln!(text, "bin_dir = {}", path(&settings.cni_bin_dir))?;
    }
    writeln!(text, "conf_dir = {}", path(&settings.cni_conf_dir))?;
    writeln!(text, "\n[plugins.\"{runtime}\".containerd]\ndefault_runtime_name = \"runc\"")?;
    if major < 2 {
        writeln!(text, "snapshotter = {}", quoted(&settings.snapshotter))?;
    }
    writeln!(text, "\n[plugins.\"{runtime}\".containerd.runtimes.runc]")?;
    writeln!(text, "runtime_type = \"io.containerd.runc.v2\"")?;
    writeln!(text, "\n[plugins.\"{runtime}\".containerd.runtimes.runc.options]\nSystemdCgroup = false")?;
    writeln!(text, "\n[plugins.\"{images}\".registry]\nconfig_path = {}", path(&settings.registry_dir))
}

/// Exec, attach and port-forward: on loopback, for the kubelet beside it.
const STREAMING: &str = "stream_server_address = \"127.0.0.1\"\nstream_server_port = \"0\"";

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether this process may lower its own score, as it must for sandboxes.
/// Machines without CAP_SYS_RESOURCE refuse it.
fn may_lower_oom_score() -> bool {
    const FILE: &str = "/proc/self/oom_score_adj";
    let Some(score) = std::fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse::<i32>().ok())
    else {
        return false;
    };
    if score <= -1000 {
        return true;
    }
    let lowered = std::fs::write(FILE, (score - 1).to_string()).is_ok();
    if lowered {
        // Raising back is always allowed.
        let _ = std::fs::write(FILE, score.to_string());
    }
    lowered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_major_version_finds_its_own_names() {
        let settings = Settings { restrict_oom_score_adj: true, ..Settings::standard("tiphys.io/pause:1") };
        let one = config_toml(&settings, 1);
        assert!(one.starts_with("# Written by tiphys"));
        assert!(one.contains("version = 2\n"));
        assert!(
            one.contains("[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"tiphys.io/pause:1\"\n")
        );
        assert!(one.contains("restrict_oom_score_adj = true\n"));
        assert!(one.contains("snapshotter = \"overlayfs\"\n"));
        let two = config_toml(&settings, 2);
        assert!(two.contains("version = 3\n"));
        assert!(two.contains("pinned_images]\nsandbox = \"tiphys.io/pause:1\"\n"));
        assert!(two.contains("[plugins.\"io.containerd.cri.v1.runtime\".cni]\nbin_dirs = ["));
    }

    #[test]
    fn a_path_cannot_break_out_of_its_string() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }
}

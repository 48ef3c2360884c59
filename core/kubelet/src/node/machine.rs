//! What the machine says about itself, and how it fares.

use std::path::Path;

use k8s_openapi::api::core::v1::NodeSystemInfo;

/// How much is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Health {
    pub memory_available: u64,
    pub disk_available: u64,
    pub disk_capacity: u64,
    pub inodes_free_percent: u64,
    pub processes: u64,
    pub max_processes: u64,
}

pub(super) fn health(root: &Path) -> Health {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let available = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = available.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let disk = nix::sys::statvfs::statvfs(root).ok();
    let bytes = |blocks: fn(&nix::sys::statvfs::Statvfs) -> u64| {
        disk.as_ref().map_or(0, |disk| blocks(disk) * disk.fragment_size())
    };
    let inodes = disk.as_ref().map_or(100, |disk| match disk.files() {
        0 => 100,
        files => disk.files_available() * 100 / files,
    });
    let load = read("/proc/loadavg");
    let processes = load.split_whitespace().nth(3).and_then(|word| word.split_once('/')?.1.parse().ok());
    Health {
        memory_available: available.unwrap_or(u64::MAX / 1024) * 1024,
        disk_available: bytes(|disk| disk.blocks_available()),
        disk_capacity: bytes(|disk| disk.blocks()),
        inodes_free_percent: inodes,
        processes: processes.unwrap_or(0),
        max_processes: read("/proc/sys/kernel/pid_max").trim().parse().unwrap_or(u64::MAX),
    }
}

/// Names and versions. The machine's ids are shared by nodes on one machine.
pub(super) fn info(kubelet_version: &str, runtime_version: &str) -> NodeSystemInfo {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let os = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux");
    NodeSystemInfo {
        architecture: architecture().to_owned(),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        container_runtime_version: runtime_version.to_owned(),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        kube_proxy_version: String::new(),
        kubelet_version: kubelet_version.to_owned(),
        machine_id: read("/etc/machine-id"),
        operating_system: "linux".into(),
        os_image: os.trim_matches('"').to_owned(),
        system_uuid: read("/sys/class/dmi/id/product_uuid"),
        ..Default::default()
    }
}

/// As Go and Kubernetes name it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

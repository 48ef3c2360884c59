//! The node itself: a whole machine, or the group that is its share of one.

use std::{
    fs::{self, File},
    path::Path,
};

use super::{
    Device, Figures, Filesystem, KernelFigures, MachineFigures, MountedFilesystem, Pressure,
    disk::read_list,
    disks::DiskCounts,
    group::{Group, PressureFiles, tick},
    network::Interfaces,
    parse,
    stacked::{Stand, has_slaves},
};
use crate::cgroup::Hierarchy;

/// Where the node's figures come from.
pub(super) struct Machine {
    share: Option<Group>,
    stat: Option<File>,
    memory: Option<File>,
    disks: Option<File>,
    /// Of the whole machine.
    counts: DiskCounts,
    load: Option<File>,
    files: Option<File>,
    mounts: Option<File>,
    virtual_memory: Option<File>,
    protocols: Option<File>,
    /// What Linux counts of TCP beside the usual.
    extensions: Option<File>,
    pressure: PressureFiles,
}

impl Machine {
    /// `group` is the node's share; `/` or nothing is the whole machine.
    pub(super) fn open(hierarchy: &Hierarchy, group: &str) -> Self {
        let group = group.trim_matches('/');
        let file = |name: &str| File::open(Path::new("/proc").join(name)).ok();
        Self {
            share: if group.is_empty() { None } else { Group::open(hierarchy, group, false) },
            stat: file("stat"),
            memory: file("meminfo"),
            disks: file("diskstats"),
            counts: DiskCounts::default(),
            load: file("loadavg"),
            files: file("sys/fs/file-nr"),
            mounts: file("self/mounts"),
            virtual_memory: file("vmstat"),
            protocols: file("self/net/snmp"),
            extensions: file("self/net/netstat"),
            pressure: PressureFiles::open(Path::new("/proc/pressure"), ""),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Figures {
        match &mut self.share {
            Some(group) => {
                let mut figures = group.read(buffer).unwrap_or_default();
                // Version 1 of control groups doesn't tell it of a group: what the machine waits for
                // holds up its share, too.
                if figures.pressure == Pressure::default() {
                    figures.pressure = self.pressure.read(buffer);
                }
                figures
            }
            None => self.whole(buffer),
        }
    }

    /// What was done on each disk when it was read last.
    pub(super) fn disks(&self) -> &DiskCounts {
        self.share.as_ref().map_or(&self.counts, Group::disks)
    }

    fn whole(&mut self, buffer: &mut Vec<u8>) -> Figures {
        let mut figures = Figures::default();
        let modes = list(&self.stat, buffer).map(parse::cpu_modes).unwrap_or_default();
        figures.cpu_usage_nanos = parse::busy(modes) * tick();
        figures.cpu_user_nanos = (modes[0] + modes[1]) * tick();
        figures.cpu_system_nanos = (modes[2] + modes[5] + modes[6]) * tick();
        if let Some(text) = list(&self.memory, buffer) {
            let of = |name| parse::meminfo(text, name);
            let total = of("MemTotal");
            figures.memory_usage_bytes = total.saturating_sub(of("MemFree"));
            figures.memory_working_set_bytes = total.saturating_sub(of("MemAvailable"));
            figures.memory_rss_bytes = of("AnonPages");
            figures.memory_cache_bytes = of("Cached");
            figures.memory_swap_bytes = of("SwapTotal").saturating_sub(of("SwapFree"));
            figures.memory_limit_bytes = total;
        }
        for device in self.devices(buffer) {
            *self.counts.of(device.number) = device.disk;
        }
        // Those that stand on others are not among them.
        self.counts.tell(|_| Stand::Disk);
        figures.disk = self.counts.sum();
        figures.threads = list(&self.load, buffer).map_or(0, |text| parse::loadavg(text).1);
        let open = |text: &str| text.split_whitespace().next().map_or(0, parse::number);
        figures.open_files = list(&self.files, buffer).map_or(0, open);
        figures.pressure = self.pressure.read(buffer);
        figures
    }

    /// What each disk of the machine counts.
    pub(super) fn devices(&self, buffer: &mut Vec<u8>) -> Vec<Device> {
        list(&self.disks, buffer).map(|text| parse::diskstats(text, is_disk)).unwrap_or_default()
    }

    /// What a machine has beside what it uses.
    pub(super) fn details(&self, uplink: Option<&Interfaces>, buffer: &mut Vec<u8>) -> MachineFigures {
        let mut details = MachineFigures::default();
        if let Some(text) = list(&self.stat, buffer) {
            details.boot_time = parse::boot_time(text);
            details.kernel = parse::kernel(text);
            let nanos = |modes: [u64; 8]| modes.map(|ticks| ticks * tick());
            details.cpu_mode_nanos = parse::cpus(text).into_iter().map(nanos).collect();
        }
        if let Some(text) = list(&self.load, buffer) {
            details.load = parse::loadavg(text).0;
        }
        if let Some(text) = list(&self.memory, buffer) {
            let names = ["MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree"];
            details.memory = names.map(|name| parse::meminfo(text, name));
            details.slab = parse::meminfo(text, "Slab");
        }
        details.disks = self.devices(buffer);
        self.kernel(&mut details.kernel, buffer);
        details.pressure = self.pressure.read(buffer);
        if let Ok(uname) = nix::sys::utsname::uname() {
            let words = [uname.sysname(), uname.release(), uname.version(), uname.machine()];
            details.uname = words.map(|word| word.to_string_lossy().into_owned());
        }
        details.interfaces = uplink.map(|uplink| uplink.list(buffer)).unwrap_or_default();
        let mounts = list(&self.mounts, buffer).map(parse::mounts).unwrap_or_default();
        let with_space = mounts.into_iter().map(|mount| {
            let space = filesystem(Path::new(&mount.point));
            MountedFilesystem { mount, space }
        });
        details.filesystems = with_space.filter(|one| one.space.capacity_bytes > 0).collect();
        details
    }
}

impl Machine {
    /// What stands beside `/proc/stat`.
    fn kernel(&self, figures: &mut KernelFigures, buffer: &mut Vec<u8>) {
        if let Some(text) = list(&self.virtual_memory, buffer) {
            parse::fields(text, |name, value| match name {
                "pgfault" => figures.page_faults = value,
                "pgmajfault" => figures.major_page_faults = value,
                "oom_kill" => figures.oom_kills = value,
                "pgpgin" => figures.paged_in_kib = value,
                "pgpgout" => figures.paged_out_kib = value,
                "pswpin" => figures.swapped_in = value,
                "pswpout" => figures.swapped_out = value,
                _ => {}
            });
        }
        if let Some(text) = list(&self.files, buffer) {
            let mut words = text.split_whitespace();
            figures.open_files = words.next().map_or(0, parse::number);
            figures.most_open_files = words.nth(1).map_or(0, parse::number);
        }
        if let Some(text) = list(&self.protocols, buffer) {
            figures.tcp_established = parse::protocol(text, "Tcp:", "CurrEstab");
            figures.tcp_sent = parse::protocol(text, "Tcp:", "OutSegs");
            figures.tcp_retransmitted = parse::protocol(text, "Tcp:", "RetransSegs");
        }
        if let Some(text) = list(&self.extensions, buffer) {
            figures.tcp_asked_again = parse::protocol(text, "TcpExt:", "TCPSynRetrans");
        }
        // They are there when the kernel first follows a connection.
        figures.connections = alone("/proc/sys/net/netfilter/nf_conntrack_count");
        figures.most_connections = alone("/proc/sys/net/netfilter/nf_conntrack_max");
    }
}

/// A number that stands alone in a file; 0 where there is none.
fn alone(path: &str) -> u64 {
    fs::read_to_string(path).map_or(0, |text| parse::number(&text))
}

fn is_disk(name: &str) -> bool {
    let folder = Path::new("/sys/block").join(name);
    folder.exists() && !has_slaves(&folder)
}

fn list<'a>(file: &Option<File>, buffer: &'a mut Vec<u8>) -> Option<&'a str> {
    let file = file.as_ref()?;
    read_list(file, buffer)
}

/// The file system that holds this path.
pub fn filesystem(path: &Path) -> Filesystem {
    let Ok(stat) = nix::sys::statvfs::statvfs(path) else { return Filesystem::default() };
    let unit = stat.fragment_size();
    Filesystem {
        capacity_bytes: stat.blocks() * unit,
        used_bytes: stat.blocks().saturating_sub(stat.blocks_free()) * unit,
        available_bytes: stat.blocks_available() * unit,
        inodes: stat.files(),
        inodes_free: stat.files_free(),
    }
}

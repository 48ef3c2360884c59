//! Figures against the kernel's files, read at the same time: of a group that works and then
//! waits, whose limits hold it back, on whichever version of control groups there is.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::*;
use crate::cgroup::{Hierarchy, Limits};

const MEMORY: u64 = 48 << 20;

/// A group with a process that waits for its input to end, which goes with this.
struct World {
    hierarchy: Hierarchy,
    root: String,
    inner: String,
    child: Child,
    /// Where it writes.
    _folder: tempfile::TempDir,
}

impl World {
    /// Works for longer than a CPU limit allows, eats more than the memory there is, writes to a
    /// disk, then waits.
    fn new() -> Self {
        let hierarchy = Hierarchy::detect().expect("control groups are mounted");
        let root = format!("/tiphys-figures-{}", std::process::id());
        let inner = format!("{root}/box");
        let limits =
            Limits { cpu_quota_micros: Some(20_000), memory_bytes: Some(MEMORY), ..Limits::default() };
        hierarchy.create(&inner, &limits).expect("made");
        let script = "read go; i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done; \
                      head -c 400000000 /dev/zero | tail -c 300000000 > /dev/null; \
                      dd if=/dev/zero of=\"$1/file\" bs=1M count=4 conv=fsync 2> /dev/null; \
                      echo done; cat > /dev/null";
        // The folder for temporary files may be in memory.
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let pipes = [Stdio::piped(), Stdio::piped(), Stdio::null()];
        let [stdin, stdout, stderr] = pipes;
        let mut child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(folder.path())
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("sh runs");
        hierarchy.enter(&inner, i32::try_from(child.id()).expect("a number")).expect("entered");
        use std::io::{BufRead, Write};
        child.stdin.as_mut().expect("piped").write_all(b"go\n").expect("it reads");
        let mut lines = std::io::BufReader::new(child.stdout.take().expect("piped")).lines();
        assert_eq!(lines.next().expect("a line").expect("text"), "done");
        Self { hierarchy, root, inner, child, _folder: folder }
    }

    /// A file of a controller, by the version's names: of the first, of the second.
    fn text(&self, v1: (&str, &str), v2: &str) -> String {
        self.text_if_there(v1, v2).unwrap_or_else(|| panic!("there is neither {v1:?} nor {v2}"))
    }

    fn text_if_there(&self, v1: (&str, &str), v2: &str) -> Option<String> {
        let (controller, name) = match &self.hierarchy {
            Hierarchy::V1(_) => v1,
            Hierarchy::V2(_) => ("", v2),
        };
        let folder = self.hierarchy.folder(controller, &self.inner)?;
        fs::read_to_string(folder.join(name)).ok()
    }

    fn number(&self, v1: (&str, &str), v2: &str) -> u64 {
        self.text(v1, v2).trim().parse().expect("a number")
    }

    fn field(&self, v1: (&str, &str, &str), v2: (&str, &str)) -> u64 {
        let name = if matches!(self.hierarchy, Hierarchy::V1(_)) { v1.2 } else { v2.1 };
        let text = self.text((v1.0, v1.1), v2.0);
        let of_name = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
        text.lines().find_map(of_name).unwrap_or_else(|| panic!("{name} in {text}"))
    }

    /// What its processes hold open.
    fn open_files(&self) -> u64 {
        let of = |pid: &i32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) as u64;
        self.hierarchy.processes(&self.inner).iter().map(of).sum()
    }

    /// What its group has done on all disks. On the first version what its processes caused stands
    /// beside it, and the larger counts.
    fn disk(&self) -> Disk {
        let Hierarchy::V1(_) = &self.hierarchy else {
            let text = self.text_if_there(("", ""), "io.stat").unwrap_or_default();
            let mut counts = disks::DiskCounts::default();
            parse::io_stat(&text, &mut counts);
            // Where its disk stands on others, which counts is more than a sum.
            counts.tell(stacked::look);
            return counts.sum();
        };
        let counted = |file: &str, operation: &str| -> u64 {
            let text = self.text_if_there(("blkio", file), "").unwrap_or_default();
            let of_line = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
                [_, word, value] if word == operation => value.parse::<u64>().ok(),
                _ => None,
            };
            text.lines().filter_map(of_line).sum()
        };
        let caused = |name: &str| -> u64 {
            let of = |pid: &i32| -> Option<u64> {
                let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
                text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            };
            self.hierarchy.processes(&self.inner).iter().filter_map(of).sum()
        };
        let (bytes, operations) =
            ("blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_serviced_recursive");
        Disk {
            read_bytes: counted(bytes, "Read").max(caused("read_bytes:")),
            write_bytes: counted(bytes, "Write").max(caused("write_bytes:")),
            reads: counted(operations, "Read"),
            writes: counted(operations, "Write"),
        }
    }

    /// How long it waited; the first version doesn't tell.
    fn pressure(&self) -> Pressure {
        let waits = |name: &str| {
            let text = self.text_if_there(("", ""), name).unwrap_or_default();
            let of = |kind: &str| -> u64 {
                let line = text.lines().find(|line| line.starts_with(kind));
                let total = line.and_then(|line| line.split("total=").nth(1));
                total.map_or(0, |total| total.trim().parse::<u64>().expect("a number") * 1000)
            };
            Waits { some_nanos: of("some "), full_nanos: of("full ") }
        };
        match &self.hierarchy {
            Hierarchy::V1(_) => Pressure::default(),
            Hierarchy::V2(_) => Pressure {
                cpu: waits("cpu.pressure"),
                memory: waits("memory.pressure"),
                io: waits("io.pressure"),
            },
        }
    }

    fn swap(&self) -> u64 {
        let text = self.text_if_there(("memory", "memory.stat"), "memory.swap.current").unwrap_or_default();
        let is_first = matches!(self.hierarchy, Hierarchy::V1(_));
        let of_line = |line: &str| match is_first {
            true => line.strip_prefix("total_swap ")?.trim().parse().ok(),
            false => line.trim().parse().ok(),
        };
        text.lines().find_map(of_line).unwrap_or(0)
    }

    /// What went over its network but the loopback.
    fn network(&self) -> Network {
        let text = fs::read_to_string(format!("/proc/{}/net/dev", self.child.id())).expect("it lives");
        let mut sum = Network::default();
        for line in text.lines() {
            let Some((name, counts)) = line.split_once(':').filter(|(name, _)| name.trim() != "lo") else {
                continue;
            };
            let counts: Vec<u64> =
                counts.split_whitespace().map(|word| word.parse().expect("a number")).collect();
            assert_eq!(counts.len(), 16, "{name}");
            sum.receive_bytes += counts[0];
            sum.receive_packets += counts[1];
            sum.receive_errors += counts[2];
            sum.receive_drops += counts[3];
            sum.transmit_bytes += counts[8];
            sum.transmit_packets += counts[9];
            sum.transmit_errors += counts[10];
            sum.transmit_drops += counts[11];
        }
        sum
    }

    /// What the files say, in the units of the second version where they differ.
    fn read(&self) -> Figures {
        let is_first = matches!(self.hierarchy, Hierarchy::V1(_));
        let (tick, micro) = (10_000_000, 1000);
        let stat = |first, second| self.field(("cpuacct", "cpuacct.stat", first), ("cpu.stat", second));
        let of_stat = |first, second| self.field(("memory", "memory.stat", first), ("memory.stat", second));
        let usage = self.number(("memory", "memory.usage_in_bytes"), "memory.current");
        let throttled = self.field(("cpu", "cpu.stat", "throttled_time"), ("cpu.stat", "throttled_usec"));
        let nanos = if is_first { 1 } else { micro };
        let used = match is_first {
            true => self.number(("cpuacct", "cpuacct.usage"), ""),
            false => stat("", "usage_usec") * micro,
        };
        let unit = if is_first { tick } else { micro };
        Figures {
            cpu_usage_nanos: used,
            cpu_user_nanos: stat("user", "user_usec") * unit,
            cpu_system_nanos: stat("system", "system_usec") * unit,
            cpu_throttled_nanos: throttled * nanos,
            cpu_periods: self.field(("cpu", "cpu.stat", "nr_periods"), ("cpu.stat", "nr_periods")),
            cpu_throttled_periods: self
                .field(("cpu", "cpu.stat", "nr_throttled"), ("cpu.stat", "nr_throttled")),
            memory_usage_bytes: usage,
            memory_working_set_bytes: usage.saturating_sub(of_stat("total_inactive_file", "inactive_file")),
            memory_rss_bytes: of_stat("total_rss", "anon"),
            memory_cache_bytes: of_stat("total_cache", "file"),
            memory_limit_bytes: self.number(("memory", "memory.limit_in_bytes"), "memory.max"),
            memory_failures: match is_first {
                true => self.number(("memory", "memory.failcnt"), ""),
                false => self.field(("", "", ""), ("memory.events", "max")),
            },
            oom_kills: self
                .field(("memory", "memory.oom_control", "oom_kill"), ("memory.events", "oom_kill")),
            threads: self.number(("pids", "pids.current"), "pids.current"),
            processes: self.text(("pids", "cgroup.procs"), "cgroup.procs").lines().count() as u64,
            memory_swap_bytes: self.swap(),
            disk: self.disk(),
            pressure: self.pressure(),
            ..Figures::default()
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _ = runtime.block_on(self.hierarchy.remove(&self.root));
    }
}

#[test]
fn figures_are_those_of_the_kernels_files() {
    let world = World::new();
    let mut sampler = Sampler::new("/", "/").expect("a sampler");
    let containers = vec![ContainerTarget { id: "c".into(), group: world.inner.clone() }];
    let pid = i32::try_from(world.child.id()).expect("a number");
    sampler.set_targets(&[PodTarget {
        id: "p".into(),
        group: world.root.clone(),
        network_pid: Some(pid),
        containers,
    }]);
    // Until nothing moved between two looks.
    let mut compared = false;
    for _ in 0..10_000 {
        let before = sampler.read();
        let (expected, open, network) = (world.read(), world.open_files(), world.network());
        let snapshot = sampler.read();
        let (was, found) = (before.pods[0].containers[0].1, snapshot.pods[0].containers[0].1);
        if was != found || before.pods[0].network != snapshot.pods[0].network {
            continue;
        }
        assert_eq!(found, Figures { open_files: found.open_files, ..expected });
        assert_eq!(snapshot.pods[0].network, network);
        assert!(found.disk.write_bytes >= 4 << 20, "{:?}", found.disk);
        assert!(found.cpu_periods > 0 && found.cpu_throttled_periods > 0 && found.cpu_throttled_nanos > 0);
        assert!(found.memory_failures > 0, "{found:?}");
        assert_eq!(found.memory_limit_bytes, MEMORY);
        // Before Linux 6.2 it isn't told.
        assert!(found.open_files == open || found.open_files == 0, "{} and {open}", found.open_files);
        compared = true;
        break;
    }
    assert!(compared, "it never came to rest");
}

#[test]
fn a_machines_figures_are_those_of_proc() {
    let sampler = Sampler::new("/", "/");
    let mut sampler = sampler.expect("a sampler");
    let text = |name: &str| fs::read_to_string(Path::new("/proc").join(name)).expect("it is there");
    let stat = |text: &str| -> u64 {
        let first = text.lines().next().expect("a line");
        let ticks: Vec<u64> =
            first.split_whitespace().skip(1).map(|word| word.parse().expect("ticks")).collect();
        (ticks[..8].iter().sum::<u64>() - ticks[3] - ticks[4]) * 10_000_000
    };
    let before = stat(&text("stat"));
    let (found, machine) = (sampler.read().node, sampler.machine());
    let after = stat(&text("stat"));
    assert!((before..=after).contains(&found.cpu_usage_nanos), "{before} {} {after}", found.cpu_usage_nanos);
    let total = parse::meminfo(&text("meminfo"), "MemTotal");
    assert_eq!((found.memory_limit_bytes, machine.memory[0]), (total, total));
    assert!((1..total).contains(&machine.slab), "{} of {total}", machine.slab);
    let names = |all: &[Device]| all.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&sampler.devices()), names(&machine.disks), "they are told more often");
    let cpus = text("cpuinfo").lines().filter(|line| line.starts_with("processor")).count();
    assert_eq!(machine.cpu_mode_nanos.len(), cpus);
    let names: Vec<String> = machine.interfaces.iter().map(|one| one.name.clone()).collect();
    assert!(names.iter().any(|name| name == "lo"), "{names:?}");
    assert!(machine.boot_time > 0 && machine.uname[0] == "Linux", "{:?}", machine.uname);
    let count = |file: &str, name: &str| -> u64 {
        let text = text(file);
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it is counted");
        line.split_whitespace().next().expect("a number").parse().expect("a number")
    };
    let kernel = sampler.machine().kernel;
    assert!((1..=count("stat", "ctxt ")).contains(&kernel.context_switches), "{kernel:?}");
    assert!((1..=count("stat", "intr ")).contains(&kernel.interrupts), "{kernel:?}");
    assert!((1..=count("vmstat", "pgfault ")).contains(&kernel.page_faults), "{kernel:?}");
    assert_eq!(kernel.most_open_files, count("sys/fs/file-max", ""));
    assert!(kernel.open_files > 0, "{kernel:?}");
    assert!(kernel.oom_kills <= count("vmstat", "oom_kill "), "{kernel:?}");
    assert!((1..=count("vmstat", "pgpgin ")).contains(&kernel.paged_in_kib), "{kernel:?}");
    assert!(kernel.paged_out_kib <= count("vmstat", "pgpgout "), "{kernel:?}");
    let waited = |name: &str| fs::read_to_string(format!("/proc/pressure/{name}")).is_ok();
    let Pressure { cpu, io, .. } = machine.pressure;
    // A machine that has run for a while has waited for both.
    assert_eq!((cpu.some_nanos > 0, io.some_nanos > 0), (waited("cpu"), waited("io")));
    let root = machine.filesystems.iter().find(|one| one.mount.point == "/");
    let space = filesystem(Path::new("/"));
    assert!(root.is_none_or(|root| root.space.capacity_bytes == space.capacity_bytes), "{root:?}");
}

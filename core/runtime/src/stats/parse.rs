//! The formats of the kernel's files. Pure.

use super::{
    Device, Disk, DiskNumber, Interface, KernelFigures, Mount, Network, Waits, disks::DiskCounts,
    stacked::is_disk_by_name,
};

/// Each name with its value, in files of lines `name value`.
pub(super) fn fields(text: &str, mut found: impl FnMut(&str, u64)) {
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(' ') {
            found(name, number(value));
        }
    }
}

pub(super) fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// `8:0`, major and minor.
pub(super) fn disk_number(text: &str) -> Option<DiskNumber> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `8:0 Read 4096`: what each disk has read and written, of which `read` and `written` are the figures.
pub(super) fn blkio(
    text: &str,
    counts: &mut DiskCounts,
    read: fn(&mut Disk) -> &mut u64,
    written: fn(&mut Disk) -> &mut u64,
) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(disk) = words.next().and_then(disk_number) else { continue };
        let (Some(operation), Some(value)) = (words.next(), words.next()) else { continue };
        match operation {
            "Read" => *read(counts.of(disk)) = number(value),
            "Write" => *written(counts.of(disk)) = number(value),
            _ => {}
        }
    }
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`
pub(super) fn io_stat(text: &str, counts: &mut DiskCounts) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(disk) = words.next().and_then(disk_number) else { continue };
        let disk = counts.of(disk);
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            match name {
                "rbytes" => disk.read_bytes = number(value),
                "wbytes" => disk.write_bytes = number(value),
                "rios" => disk.reads = number(value),
                "wios" => disk.writes = number(value),
                _ => {}
            }
        }
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=7`, and `full`; microseconds in the file.
pub(super) fn pressure(text: &str) -> Waits {
    let mut waits = Waits::default();
    for line in text.lines() {
        let total = line.rsplit_once("total=").map_or(0, |(_, total)| number(total)) * 1000;
        match line.split(' ').next() {
            Some("some") => waits.some_nanos = total,
            Some("full") => waits.full_nanos = total,
            _ => {}
        }
    }
    waits
}

/// `/proc/PID/io`: bytes caused to be read and written at the block layer, and system calls.
pub(super) fn process_io(text: &str) -> Disk {
    let mut disk = Disk::default();
    fields(text, |name, value| match name {
        "read_bytes:" => disk.read_bytes = value,
        "write_bytes:" => disk.write_bytes = value,
        _ => {}
    });
    disk
}

/// `/proc/PID/net/dev`, each line.
fn devices(text: &str) -> impl Iterator<Item = (&str, Network)> {
    text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let mut values = [0; 16];
        for (value, word) in values.iter_mut().zip(rest.split_ascii_whitespace()) {
            *value = number(word);
        }
        let network = Network {
            receive_bytes: values[0],
            receive_packets: values[1],
            receive_errors: values[2],
            receive_drops: values[3],
            transmit_bytes: values[8],
            transmit_packets: values[9],
            transmit_errors: values[10],
            transmit_drops: values[11],
        };
        Some((name.trim(), network))
    })
}

/// The sum over the interfaces that `counts` accepts.
pub(super) fn net_dev(text: &str, counts: impl Fn(&str) -> bool) -> Network {
    devices(text).filter(|(name, _)| counts(name)).fold(Network::default(), |sum, (_, one)| sum.plus(one))
}

/// Each interface alone.
pub(super) fn interfaces(text: &str) -> Vec<Interface> {
    devices(text).map(|(name, network)| Interface { name: name.to_owned(), network }).collect()
}

/// The interface of the default route in `/proc/net/route`.
pub(super) fn default_interface(text: &str) -> Option<&str> {
    text.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.next()? == "00000000").then_some(name)
    })
}

/// `/proc/stat`'s first line, in ticks: user, nice, system, idle, iowait, irq, softirq, steal.
/// Guests are in user already.
pub(super) fn cpu_modes(text: &str) -> [u64; 8] {
    modes(text.lines().next().unwrap_or_default())
}

/// The lines behind it, one a CPU.
pub(super) fn cpus(text: &str) -> Vec<[u64; 8]> {
    text.lines().skip(1).take_while(|line| line.starts_with("cpu")).map(modes).collect()
}

fn modes(line: &str) -> [u64; 8] {
    let mut modes = [0; 8];
    for (mode, word) in modes.iter_mut().zip(line.split_ascii_whitespace().skip(1)) {
        *mode = number(word);
    }
    modes
}

/// Everything but idle and waiting for IO.
pub(super) fn busy(modes: [u64; 8]) -> u64 {
    modes.iter().sum::<u64>() - modes[3] - modes[4]
}

/// `btime 1700000000` of `/proc/stat`.
pub(super) fn boot_time(text: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix("btime ")).map_or(0, number)
}

/// What `/proc/stat` counts behind the CPUs.
pub(super) fn kernel(text: &str) -> KernelFigures {
    let mut figures = KernelFigures::default();
    for line in text.lines().filter(|line| !line.starts_with("cpu")) {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        match name {
            // The sum; each one's own count follows.
            "intr" => figures.interrupts = number(value),
            "ctxt" => figures.context_switches = number(value),
            "processes" => figures.forks = number(value),
            "procs_running" => figures.processes_running = number(value),
            "procs_blocked" => figures.processes_blocked = number(value),
            _ => {}
        }
    }
    figures
}

/// A value of `/proc/net/snmp`: of each protocol a line of names and one of values.
pub(super) fn protocol(text: &str, protocol: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter(|line| line.starts_with(protocol));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
    pairs.find(|(one, _)| *one == name).map_or(0, |(_, value)| number(value))
}

/// The three loads and the number of tasks of `/proc/loadavg`.
pub(super) fn loadavg(text: &str) -> ([f64; 3], u64) {
    let mut words = text.split_ascii_whitespace();
    let mut load = [0.0; 3];
    for load in &mut load {
        *load = words.next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
    }
    (load, words.next().and_then(|word| word.split_once('/')).map_or(0, |(_, total)| number(total)))
}

/// `/proc/meminfo`, in bytes.
pub(super) fn meminfo(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// `/proc/diskstats`: whole disks only, so that nothing counts twice.
pub(super) fn diskstats(text: &str, is_disk: impl Fn(&str) -> bool) -> Vec<Device> {
    const SECTOR: u64 = 512;
    const MILLI: u64 = 1_000_000;
    let mut devices = Vec::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(major), Some(minor), Some(name)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if !is_disk_by_name(name) || !is_disk(name) {
            continue;
        }
        let mut at = [0; 11];
        for (value, word) in at.iter_mut().zip(words) {
            *value = number(word);
        }
        devices.push(Device {
            name: name.to_owned(),
            number: (number(major), number(minor)),
            disk: Disk {
                reads: at[0],
                read_bytes: at[2] * SECTOR,
                writes: at[4],
                write_bytes: at[6] * SECTOR,
            },
            read_nanos: at[3] * MILLI,
            write_nanos: at[7] * MILLI,
            busy_nanos: at[9] * MILLI,
            weighted_nanos: at[10] * MILLI,
        });
    }
    devices
}

/// `/proc/PID/mounts`: those on devices, the first of each.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let is_new = mounts.iter().all(|mount| mount.device != device);
        if device.starts_with("/dev/") && is_new {
            let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
            let is_read_only = words.next().is_some_and(|options| options.split(',').any(|one| one == "ro"));
            mounts.push(Mount { device: device.to_owned(), point, kind: kind.to_owned(), is_read_only });
        }
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::stacked::Stand;

    #[test]
    fn files_of_the_kernel() {
        let mut found = Vec::new();
        fields("nr_periods 5\nthrottled_time 77\nx\n", |name, value| found.push((name.to_owned(), value)));
        assert_eq!(found, [("nr_periods".to_owned(), 5), ("throttled_time".to_owned(), 77)]);
        let mut counts = DiskCounts::default();
        let lines = "8:0 Read 10\n8:0 Write 20\n8:16 Write 5\n8:0 Total 30\nTotal 35\n";
        blkio(lines, &mut counts, |disk| &mut disk.reads, |disk| &mut disk.writes);
        counts.tell(|_| Stand::Disk);
        let first = Disk { reads: 10, writes: 20, ..Disk::default() };
        let second = Disk { writes: 5, ..Disk::default() };
        assert_eq!(counts.each().collect::<Vec<_>>(), [((8, 0), first), ((8, 16), second)]);
        let mut counts = DiskCounts::default();
        // A disk that did nothing has no figures.
        io_stat(
            "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=10 wbytes=0\n7:0 \n",
            &mut counts,
        );
        counts.tell(|_| Stand::Disk);
        assert_eq!(counts.sum(), Disk { read_bytes: 11, write_bytes: 2, reads: 3, writes: 4 });
        let process = process_io("rchar: 9\nsyscr: 1\nread_bytes: 4096\nwrite_bytes: 8192\n");
        assert_eq!((process.read_bytes, process.write_bytes), (4096, 8192));
        let stat = "cpu  1 2 3 1000 2000 4 5 6 7 8\ncpu0 1\ncpu1 7 8\nbtime 17\n";
        assert_eq!(cpus(stat), [[1, 0, 0, 0, 0, 0, 0, 0], [7, 8, 0, 0, 0, 0, 0, 0]]);
        assert_eq!(busy(cpu_modes(stat)), 1 + 2 + 3 + 4 + 5 + 6);
        assert_eq!(boot_time(stat), 17);
        let counted =
            kernel("cpu  1 2\nintr 30 1 2\nctxt 40\nprocesses 5\nprocs_running 6\nprocs_blocked 7\n");
        let of = [counted.interrupts, counted.context_switches, counted.forks];
        assert_eq!((of, counted.processes_running, counted.processes_blocked), ([30, 40, 5], 6, 7));
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoMin CurrEstab RetransSegs\nTcp: 200 3 9\n";
        assert_eq!(["CurrEstab", "RetransSegs", "None"].map(|name| protocol(snmp, "Tcp:", name)), [3, 9, 0]);
        assert_eq!(meminfo("MemTotal:       16 kB\nMemFree: 3 kB\n", "MemTotal"), 16 * 1024);
        assert_eq!(loadavg("0.5 0.25 1.00 3/234 5678\n"), ([0.5, 0.25, 1.0], 234));
        let waits = pressure("some avg10=0.00 avg60=0.10 total=12\nfull avg10=0.00 avg60=0.00 total=5\n");
        assert_eq!(waits, Waits { some_nanos: 12_000, full_nanos: 5_000 });
    }

    #[test]
    fn interfaces_are_chosen_and_summed() {
        let dev = "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                   eth0: 100 2 1 7 0 0 0 0 200 3 4 8 0 0 0 0\n";
        let total = net_dev(dev, |name| name != "lo");
        let expected = Network {
            receive_bytes: 100,
            transmit_bytes: 200,
            receive_packets: 2,
            transmit_packets: 3,
            receive_errors: 1,
            receive_drops: 7,
            transmit_errors: 4,
            transmit_drops: 8,
        };
        assert_eq!(total, expected);
        assert_eq!(interfaces(dev)[1], Interface { name: "eth0".into(), network: expected });
        let route = "Iface Destination Gateway\ncni0 0000F40A 0\neth0 00000000 0100A8C0\n";
        assert_eq!(default_interface(route), Some("eth0"));
    }

    #[test]
    fn partitions_count_once() {
        let text = "8 0 sda 1 0 2 5 3 0 4 6 0 7 13\n8 1 sda1 1 0 2 0 3 0 4 0\n7 0 loop0 9 0 9 0 9 0 9 0\n";
        let devices = diskstats(text, |name| name == "sda" || name == "loop0");
        let [sda] = devices.as_slice() else { panic!("{devices:?}") };
        assert_eq!(sda.disk, Disk { read_bytes: 1024, write_bytes: 2048, reads: 1, writes: 3 });
        let nanos = [sda.read_nanos, sda.write_nanos, sda.busy_nanos, sda.weighted_nanos];
        assert_eq!(nanos, [5_000_000, 6_000_000, 7_000_000, 13_000_000]);
    }

    #[test]
    fn file_systems_on_devices_stand_once() {
        let text = "/dev/vda / ext4 rw,errors=remount-ro 0 0\nproc /proc proc rw 0 0\n\
                    /dev/vda /a\\040b ext4 ro 0 0\n/dev/vdb /data xfs noatime,ro 0 0\n";
        let mount = |device: &str, point: &str, kind: &str, is_read_only| Mount {
            device: device.to_owned(),
            point: point.to_owned(),
            kind: kind.to_owned(),
            is_read_only,
        };
        let expected = [mount("/dev/vda", "/", "ext4", false), mount("/dev/vdb", "/data", "xfs", true)];
        assert_eq!(mounts(text), expected);
    }
}

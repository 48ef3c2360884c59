//! The formats of the kernel's files. Pure.

use super::{Disk, Network};

/// The value behind a name, in files of lines `name value`.
pub(super) fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

pub(super) fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// `8:0 Read 4096`: reads and writes over all devices.
pub(super) fn blkio(text: &str) -> (u64, u64) {
    let (mut reads, mut writes) = (0, 0);
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(operation), Some(value)) = (words.next(), words.next()) else { continue };
        match operation {
            "Read" => reads += number(value),
            "Write" => writes += number(value),
            _ => {}
        }
    }
    (reads, writes)
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`
pub(super) fn io_stat(text: &str) -> Disk {
    let mut disk = Disk::default();
    for (name, value) in text.split_whitespace().filter_map(|word| word.split_once('=')) {
        match name {
            "rbytes" => disk.read_bytes += number(value),
            "wbytes" => disk.write_bytes += number(value),
            "rios" => disk.reads += number(value),
            "wios" => disk.writes += number(value),
            _ => {}
        }
    }
    disk
}

/// `/proc/PID/io`: bytes caused to be read and written at the block layer, and system calls.
pub(super) fn process_io(text: &str) -> Disk {
    let field = |name| field(text, name);
    Disk { read_bytes: field("read_bytes:"), write_bytes: field("write_bytes:"), reads: 0, writes: 0 }
}

/// `/proc/PID/net/dev`, over the interfaces that `counts` accepts.
pub(super) fn net_dev(text: &str, counts: impl Fn(&str) -> bool) -> Network {
    let mut total = Network::default();
    for line in text.lines() {
        let Some((name, values)) = line.split_once(':') else { continue };
        if !counts(name.trim()) {
            continue;
        }
        let values: Vec<u64> = values.split_whitespace().map(number).collect();
        let at = |n: usize| values.get(n).copied().unwrap_or(0);
        total.receive_bytes += at(0);
        total.receive_packets += at(1);
        total.transmit_bytes += at(8);
        total.transmit_packets += at(9);
        total.errors += at(2) + at(10);
    }
    total
}

/// The interface of the default route in `/proc/net/route`.
pub(super) fn default_interface(text: &str) -> Option<&str> {
    text.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.next()? == "00000000").then_some(name)
    })
}

/// `/proc/stat`'s first line, in ticks: everything but idle and waiting for IO.
pub(super) fn cpu_ticks(text: &str) -> u64 {
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_whitespace().skip(1).map(number).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    [0, 1, 2, 5, 6, 7].iter().filter_map(|n| ticks.get(*n)).sum()
}

/// `/proc/meminfo`, in bytes.
pub(super) fn meminfo(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// `/proc/diskstats`: whole disks only, so that nothing counts twice.
pub(super) fn diskstats(text: &str, is_disk: impl Fn(&str) -> bool) -> Disk {
    const SECTOR: u64 = 512;
    let mut disk = Disk::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(name) = words.get(2).filter(|name| is_disk(name)) else { continue };
        if ["loop", "ram", "zram", "dm-", "md"].iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let at = |n: usize| words.get(n).map_or(0, |word| number(word));
        disk.reads += at(3);
        disk.read_bytes += at(5) * SECTOR;
        disk.writes += at(7);
        disk.write_bytes += at(9) * SECTOR;
    }
    disk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel() {
        assert_eq!(field("nr_periods 5\nthrottled_time 77\n", "throttled_time"), 77);
        assert_eq!(field("rss_huge 1\nrss 2\n", "rss"), 2);
        assert_eq!(blkio("8:0 Read 10\n8:0 Write 20\n8:16 Write 5\n8:0 Total 30\nTotal 35\n"), (10, 25));
        let io = io_stat("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=10 wbytes=0\n");
        assert_eq!(io, Disk { read_bytes: 11, write_bytes: 2, reads: 3, writes: 4 });
        let process = process_io("rchar: 9\nsyscr: 1\nread_bytes: 4096\nwrite_bytes: 8192\n");
        assert_eq!((process.read_bytes, process.write_bytes), (4096, 8192));
        assert_eq!(cpu_ticks("cpu  1 2 3 1000 2000 4 5 6 7 8\ncpu0 1\n"), 1 + 2 + 3 + 4 + 5 + 6);
        assert_eq!(meminfo("MemTotal:       16 kB\nMemFree: 3 kB\n", "MemTotal"), 16 * 1024);
    }

    #[test]
    fn interfaces_are_chosen_and_summed() {
        let dev = "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                   eth0: 100 2 1 0 0 0 0 0 200 3 4 0 0 0 0 0\n";
        let total = net_dev(dev, |name| name != "lo");
        let expected = Network {
            receive_bytes: 100,
            transmit_bytes: 200,
            receive_packets: 2,
            transmit_packets: 3,
            errors: 5,
        };
        assert_eq!(total, expected);
        let route = "Iface Destination Gateway\ncni0 0000F40A 0\neth0 00000000 0100A8C0\n";
        assert_eq!(default_interface(route), Some("eth0"));
    }

    #[test]
    fn partitions_count_once() {
        let text = "8 0 sda 1 0 2 0 3 0 4 0\n8 1 sda1 1 0 2 0 3 0 4 0\n7 0 loop0 9 0 9 0 9 0 9 0\n";
        let disk = diskstats(text, |name| name == "sda" || name == "loop0");
        assert_eq!(disk, Disk { read_bytes: 1024, write_bytes: 2048, reads: 1, writes: 3 });
    }
}

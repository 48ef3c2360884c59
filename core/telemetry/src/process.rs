//! What the process itself uses, under the names that Prometheus' clients tell it by.
//!
//! Every component's page has it: components of one process tell the same, and who adds up
//! takes one of their jobs. It is read when a page is asked for, and costs nothing else. What
//! a system without `/proc` doesn't say is left out.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// In which the kernel tells times to programs, whatever it counts by itself: ticks a second.
const TICKS: f64 = 100.0;

/// Tells of this process.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, kind, value) in read().figures() {
            let Some(value) = value else { continue };
            let metric = encoder.encode_descriptor(name, help, None, kind)?;
            match kind {
                MetricType::Counter => ConstCounter::new(value).encode(metric)?,
                _ => ConstGauge::new(value).encode(metric)?,
            }
        }
        Ok(())
    }
}

/// Seconds, bytes and files; what isn't known is `None`.
struct Used {
    cpu_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    /// Since the Unix epoch.
    start_seconds: Option<f64>,
    open_files: Option<f64>,
    most_open_files: Option<f64>,
}

type Figure = (&'static str, &'static str, MetricType, Option<f64>);

impl Used {
    /// Name (of a counter without its ending), help, kind, value.
    fn figures(&self) -> [Figure; 6] {
        use MetricType::{Counter, Gauge};
        [
            ("process_cpu_seconds", "CPU time that the process has used.", Counter, self.cpu_seconds),
            ("process_resident_memory_bytes", "Memory of the process.", Gauge, self.resident_bytes),
            ("process_virtual_memory_bytes", "Address space of the process.", Gauge, self.virtual_bytes),
            (
                "process_start_time_seconds",
                "When the process was started, since the Unix epoch.",
                Gauge,
                self.start_seconds,
            ),
            ("process_open_fds", "Files that the process has open.", Gauge, self.open_files),
            ("process_max_fds", "Files that the process may have open.", Gauge, self.most_open_files),
        ]
    }
}

fn read() -> Used {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let stat = stat(&text("/proc/self/stat"));
    let booted = booted(&text("/proc/stat"));
    Used {
        cpu_seconds: stat.as_ref().map(|stat| stat.cpu_seconds),
        virtual_bytes: stat.as_ref().map(|stat| stat.virtual_bytes),
        start_seconds: stat.zip(booted).map(|(stat, booted)| booted + stat.started),
        resident_bytes: resident(&text("/proc/self/status")),
        open_files: open_files().map(|open| open as f64),
        most_open_files: most_open(&text("/proc/self/limits")),
    }
}

/// How many files are open.
fn open_files() -> Option<u64> {
    // Since Linux 6.2 the folder's size says so; to list thousands takes milliseconds.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => listed_files(),
        open => Some(open),
    }
}

/// The same by a list, in which the folder itself is open.
fn listed_files() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(count.saturating_sub(1) as u64)
}

/// What `/proc/self/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    virtual_bytes: f64,
    /// Seconds after the machine was.
    started: f64,
}

/// The program's name stands in brackets, and may have brackets and blanks itself.
fn stat(text: &str) -> Option<Stat> {
    let (_, behind) = text.rsplit_once(')')?;
    // The first of these is the third of proc(5).
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    Some(Stat {
        cpu_seconds: (number(14)? + number(15)?) / TICKS,
        started: number(22)? / TICKS,
        virtual_bytes: number(23)?,
    })
}

/// When the machine was started, seconds since the Unix epoch, of `/proc/stat`: what is told of
/// a process must not change from look to look, as it would if a clock were read.
fn booted(machine: &str) -> Option<f64> {
    machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim_end().parse().ok()
}

/// Bytes, of `/proc/self/status`.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.trim_end().parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// The limit that holds, of `/proc/self/limits`.
fn most_open(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::Component;

    #[test]
    fn the_kernels_words_are_read() {
        let line = |name: &str| {
            format!("7 ({name}) S 1 7 7 0 -1 4194560 1 2 3 4 1250 150 9 9 20 0 8 0 4200 8192000 300 1 2 3\n")
        };
        let expected = Stat { cpu_seconds: 14.0, virtual_bytes: 8_192_000.0, started: 42.0 };
        for name in ["tiphys", "a b", ") 1 2 (", "a) S 9"] {
            assert_eq!(stat(&line(name)).as_ref(), Some(&expected), "{name}");
        }
        for wrong in
            ["", "7 (tiphys", "7 (tiphys) S 1 7", "7 (tiphys) S 1 7 7 0 -1 0 1 2 3 4 x 1 9 9 2 0 8 0 4 5"]
        {
            assert_eq!(stat(wrong), None, "{wrong:?}");
        }
        let status = "Name:\ttiphys\nVmHWM:\t    900 kB\nVmRSS:\t    512 kB\nThreads:\t8\n";
        assert_eq!(resident(status), Some(524_288.0));
        assert_eq!(resident("Name:\ta kernel's thread\n"), None);
        let limits = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units\n\
                 Max processes             63000                63000                processes\n\
                 Max open files            {soft}                 524288               files\n"
            )
        };
        assert_eq!(most_open(&limits("1024")), Some(1024.0));
        assert_eq!(most_open(&limits("unlimited")), Some(f64::INFINITY));
        assert_eq!(most_open(""), None);
        assert_eq!(booted("cpu  1 2 3\nctxt 99\nbtime 1764240000\nprocesses 7\n"), Some(1_764_240_000.0));
        assert_eq!((booted(""), booted("btime soon\n")), (None, None));
    }

    #[test]
    fn open_files_are_counted_in_both_ways() {
        let held: Vec<_> = (0..300).map(|_| fs::File::open("/dev/null").expect("opened")).collect();
        let (counted, listed) = (open_files().expect("a count"), listed_files().expect("a list"));
        // Other tests have some, too.
        assert!((300..600).contains(&counted) && (300..600).contains(&listed), "{counted} {listed}");
        drop(held);
    }

    #[test]
    fn every_component_tells_of_its_process() {
        let text = Component::new("of a process").render();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().expect("a number")
        };
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let resident = value("process_resident_memory_bytes");
        assert!(resident > 0.0 && value("process_virtual_memory_bytes") > resident);
        let open = value("process_open_fds");
        assert!(open >= 3.0 && open <= value("process_max_fds"), "{text}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
        let started = value("process_start_time_seconds");
        // A test that runs for a day has other troubles.
        assert!(started <= now + 1.0 && started > now - 86_400.0, "{started} of {now}");
        assert!(text.contains("# TYPE process_cpu_seconds counter"), "{text}");
    }
}

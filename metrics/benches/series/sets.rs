//! What is measured: seeded series whose values go on step by step.
//!
//! - `hosts`: ten CPU figures of each host, whole percents that wander, each 10 s, as the
//!   cpu-only case of the Time Series Benchmark Suite.
//! - `mix`: what a Kubernetes cluster scrapes each 15 s: counters with noise, gauges, histograms'
//!   buckets; scale is in hundreds of series. One in twenty Pods is replaced each hour.
//! - `nodes`: twelve figures of each container each 15 s, as nodes give them.

use crate::Result;

/// How the values of a series go on.
#[derive(Debug, Clone, Copy)]
enum Course {
    /// A percent that wanders by up to two.
    Percent,
    /// Grows by about so many a step.
    Counter(u64),
    /// Bytes that wander by pages.
    Bytes,
    /// Seconds with three decimals that grow.
    Seconds,
    /// Stays.
    Idle,
}

pub struct Series {
    pub labels: Vec<(&'static str, String)>,
    /// The number of the Pod that it is of, where Pods are replaced.
    replaced: Option<usize>,
    course: Course,
    value: f64,
    random: u64,
}

pub struct Set {
    pub name: &'static str,
    make: fn(usize) -> Vec<Series>,
    scale: usize,
    /// Milliseconds.
    pub interval: i64,
    pub steps: usize,
    /// Milliseconds since the Unix epoch.
    pub start: i64,
}

impl Set {
    pub fn named(name: &str, scale: usize, hours: usize) -> Result<Self> {
        let (name, make, interval): (_, fn(usize) -> Vec<Series>, i64) = match name {
            "hosts" => ("hosts", hosts, 10_000),
            "mix" => ("mix", mix, 15_000),
            "nodes" => ("nodes", nodes, 15_000),
            other => return Err(format!("there is no set {other:?}; use hosts, mix or nodes").into()),
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
        let hour = 3_600_000;
        let start = (now / hour - hours as i64) * hour;
        Ok(Self { name, make, scale, interval, steps: hours * (hour / interval) as usize, start })
    }

    pub fn make(&self) -> Vec<Series> {
        (self.make)(self.scale)
    }

    pub fn series(&self) -> usize {
        (self.make)(1).len() * self.scale
    }

    pub fn samples(&self) -> usize {
        self.series() * self.steps
    }

    pub fn end(&self) -> i64 {
        self.start + (self.steps as i64 - 1) * self.interval
    }
}

impl Series {
    fn new(number: usize, course: Course, labels: Vec<(&'static str, String)>) -> Self {
        let mut random = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let value = match course {
            Course::Percent => (next(&mut random) % 100) as f64,
            Course::Bytes => (next(&mut random) % 100_000 * 4096) as f64,
            _ => (next(&mut random) % 1_000_000) as f64,
        };
        Self { labels, replaced: None, course, value, random }
    }

    /// Another Pod takes over at this step of so many an hour: its name. Each lives 20 hours, and
    /// their ends are spread evenly.
    pub fn successor(&mut self, step: usize, steps_an_hour: usize) -> Option<String> {
        let pod = self.replaced?;
        let life = 20 * steps_an_hour;
        let age = step + pod.wrapping_mul(2_654_435_761) % life;
        if step == 0 || !age.is_multiple_of(life) {
            return None;
        }
        if matches!(self.course, Course::Counter(_) | Course::Seconds) {
            self.value = 0.0;
        }
        Some(format!("{}-{}", name_of_pod(pod), age / life))
    }

    /// The next value.
    pub fn step(&mut self) -> f64 {
        let random = next(&mut self.random);
        self.value = match self.course {
            Course::Percent => (self.value + (random % 5) as f64 - 2.0).clamp(0.0, 100.0),
            Course::Counter(about) => self.value + (random % (2 * about)) as f64,
            Course::Bytes => (self.value + ((random % 65) as f64 - 32.0) * 4096.0).max(0.0),
            Course::Seconds => ((self.value * 1000.0).round() + (random % 4000) as f64) / 1000.0,
            Course::Idle => self.value,
        };
        self.value
    }
}

/// A generator of Vigna's, splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn hosts(scale: usize) -> Vec<Series> {
    const FIGURES: [&str; 10] =
        ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];
    let of_host = |host: usize| {
        FIGURES.iter().enumerate().map(move |(number, figure)| {
            let labels = vec![
                ("__name__", format!("cpu_usage_{figure}")),
                ("arch", ["x64", "x86"][host % 2].to_owned()),
                ("datacenter", format!("eu-west-1{}", ["a", "b", "c"][host % 3])),
                ("hostname", format!("host_{host}")),
                ("os", ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"][host / 2 % 3].to_owned()),
                ("rack", (host * 7 % 100).to_string()),
                ("region", format!("eu-west-{}", host % 4)),
                ("service", (host * 13 % 20).to_string()),
                ("service_environment", ["production", "staging", "test"][host / 3 % 3].to_owned()),
                ("service_version", (host % 2).to_string()),
                ("team", ["SF", "NYC", "LON", "CHI"][host / 5 % 4].to_owned()),
            ];
            Series::new(host * FIGURES.len() + number, Course::Percent, labels)
        })
    };
    (0..scale).flat_map(of_host).collect()
}

fn pod(number: usize) -> Vec<(&'static str, String)> {
    vec![
        ("container", ["app", "proxy", "worker"][number % 3].to_owned()),
        ("namespace", format!("team-{}", number % 20)),
        ("node", format!("node-{}", number % 50)),
        ("pod", name_of_pod(number)),
    ]
}

fn name_of_pod(number: usize) -> String {
    format!("service-{}-{:08x}-{number}", number % 200, number.wrapping_mul(2_654_435_761))
}

fn mix(scale: usize) -> Vec<Series> {
    const BOUNDS: [&str; 12] =
        ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    let mut all = Vec::new();
    for hundred in 0..scale {
        for number in 0..100 {
            let of_pod = hundred * 5 + number / 20;
            let mut labels = pod(of_pod);
            let (name, course) = match number % 20 {
                0..=11 => {
                    labels.push(("le", BOUNDS[number % 20].to_owned()));
                    ("http_request_duration_seconds_bucket", Course::Counter(3 * (number as u64 % 20 + 1)))
                }
                12 => ("http_requests_total", Course::Counter(40)),
                13 => ("process_cpu_seconds_total", Course::Seconds),
                14 => ("process_resident_memory_bytes", Course::Bytes),
                15 => ("go_goroutines", Course::Percent),
                16 => ("queue_depth", Course::Percent),
                17 => ("process_start_time_seconds", Course::Idle),
                18 => ("errors_total", Course::Idle),
                _ => ("build_info", Course::Idle),
            };
            labels.insert(0, ("__name__", name.to_owned()));
            labels.sort();
            let series = Series::new(all.len(), course, labels);
            all.push(Series { replaced: Some(of_pod), ..series });
        }
    }
    all
}

fn nodes(scale: usize) -> Vec<Series> {
    const FIGURES: [(&str, Course); 12] = [
        ("container_cpu_usage_seconds_total", Course::Seconds),
        ("container_cpu_cfs_throttled_seconds_total", Course::Idle),
        ("container_memory_usage_bytes", Course::Bytes),
        ("container_memory_working_set_bytes", Course::Bytes),
        ("container_memory_rss", Course::Bytes),
        ("container_fs_reads_bytes_total", Course::Idle),
        ("container_fs_writes_bytes_total", Course::Counter(8192)),
        ("container_network_receive_bytes_total", Course::Counter(20_000)),
        ("container_network_transmit_bytes_total", Course::Counter(30_000)),
        ("container_network_receive_packets_total", Course::Counter(60)),
        ("container_processes", Course::Idle),
        ("container_fs_usage_bytes", Course::Bytes),
    ];
    let of_container = |container: usize| {
        // Most containers do nothing most of the time.
        let busy = container.is_multiple_of(5);
        FIGURES.iter().enumerate().map(move |(number, (name, course))| {
            let mut labels = pod(container);
            labels.push(("__name__", (*name).to_owned()));
            // As nodes tell them: by these the table `container` knows its own.
            labels.extend([
                ("id", format!("/pod{container:032x}")),
                ("instance", format!("node-{}", container % 50)),
                ("job", "kubelet".to_owned()),
                ("metrics_path", "/metrics/cadvisor".to_owned()),
                ("name", format!("{container:064x}")),
            ]);
            labels.sort();
            let course = if busy { *course } else { Course::Idle };
            Series::new(container * FIGURES.len() + number, course, labels)
        })
    };
    (0..scale).flat_map(of_container).collect()
}

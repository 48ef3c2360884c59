//! A node that tells for two hours and a half, and a server that begins anew in between.

use std::{collections::BTreeMap, sync::Arc};

use tiphys_api::{
    auth::UserInfo,
    samples::{ContainerSample, DiskUsage, Machine, NodeSamples, PodSample, Usage},
};
use tiphys_lifecycle::Tasks;

use crate::{
    decisions::Decisions,
    figures::{FIGURES, Kind},
    memory::{Level, Memory, Point, SeriesKey, key},
    names::Names,
    series::{Labels, NAME, Sample, Store, Value},
    sql::{Asker, Engine, Format, tests::ByName},
};

/// A day's begin, seconds: 2024-10-04.
pub const START: i64 = 20_000 * 24 * 3600;
/// Seconds from there on.
pub const UNTIL: i64 = 9000;
/// When the server begins anew: until then memory knows nothing.
pub const RESTART: i64 = 6010;

type Life = (&'static str, &'static str, i64, i64);
type Lived = (&'static str, &'static str, i64, i64, &'static [Life]);

/// Namespace, Pod, and its containers with the seconds from and until which they run.
const PODS: [Lived; 4] = [
    // A container that is started again is another one.
    (
        "shop",
        "web",
        0,
        UNTIL,
        &[("app", "c1", 0, 5000), ("app", "c2", 5000, UNTIL), ("proxy", "c3", 0, UNTIL)],
    ),
    ("shop", "old", 0, 4000, &[("app", "o1", 0, 4000)]),
    ("bank", "edge", 10, 6100, &[("main", "e1", 10, 6100)]),
    ("bank", "late", 7003, UNTIL, &[("main", "l1", 7003, UNTIL)]),
];

pub struct Fed {
    pub memory: Arc<Memory>,
    pub store: Arc<Store>,
    /// All that was told.
    pub told: BTreeMap<SeriesKey, Vec<Point>>,
    decisions: Arc<Decisions>,
    folder: tempfile::TempDir,
}

/// Figures of what is `age` seconds old; counters begin anew now and then.
pub fn usage(kind: u64, age: i64, level: Level) -> Usage {
    let age = age.unsigned_abs();
    let mut values = [0; Usage::COUNT];
    for (place, (figure, value)) in FIGURES.iter().zip(&mut values).enumerate() {
        let n = place as u64 + 1;
        *value = match figure.kind {
            Kind::Counter { .. } => (age % 2500) * n * (kind + 1) * 1000 + n,
            Kind::Gauge => n * 1_000_000 + age / 40 % 7 * 4096,
        };
    }
    let mut usage = Usage::from_values(values);
    if kind.is_multiple_of(2) {
        (usage.cpu_periods_total, usage.cpu_throttled_periods_total) = (0, 0);
        (usage.cpu_throttled_nanos_total, usage.open_files) = (0, 0);
    }
    (usage.cpu_request_millicores, usage.cpu_limit_millicores) = (kind * 250, kind % 3 * 500);
    if level == Level::Container {
        (usage.network_receive_bytes_total, usage.network_transmit_bytes_total) = (0, 0);
        (usage.network_receive_packets_total, usage.network_transmit_packets_total) = (0, 0);
        (usage.network_receive_errors_total, usage.network_transmit_errors_total) = (0, 0);
        (usage.network_receive_drops_total, usage.network_transmit_drops_total) = (0, 0);
    }
    usage.network_errors_total = usage.network_receive_errors_total
        + usage.network_transmit_errors_total
        + usage.network_receive_drops_total
        + usage.network_transmit_drops_total;
    match level {
        Level::Node => usage.filesystem_inodes = usage.filesystem_inodes_used * 3,
        _ => (usage.filesystem_inodes, usage.filesystem_capacity_bytes) = (0, 0),
    }
    usage
}

/// A third of it on one disk, the rest on another.
fn disks(usage: &Usage) -> Vec<DiskUsage> {
    let share = |device: &str, of: fn(u64) -> u64| DiskUsage {
        device: device.into(),
        read_bytes: of(usage.disk_read_bytes_total),
        write_bytes: of(usage.disk_write_bytes_total),
        reads: of(usage.disk_reads_total),
        writes: of(usage.disk_writes_total),
    };
    vec![share("vda", |all| all / 3), share("vdb", |all| all - all / 3)]
}

/// What the node says in one second; the machine with the first of each 15.
pub fn second(at: i64) -> NodeSamples {
    let is_of_grid = at % 15 == 0;
    let runs = |since: i64, until: i64| (since..until).contains(&at);
    let mut pods = Vec::new();
    for (kind, (namespace, pod, since, until, containers)) in PODS.into_iter().enumerate() {
        if !runs(since, until) {
            continue;
        }
        let containers =
            containers.iter().enumerate().filter(|(_, (_, _, since, until))| runs(*since, *until));
        let told = |usage: &Usage| if is_of_grid { disks(usage) } else { Vec::new() };
        let containers = containers.map(|(nth, (name, id, since, _))| {
            let usage = usage((kind + nth) as u64, at - since, Level::Container);
            ContainerSample {
                container: (*name).into(),
                container_id: (*id).into(),
                image: if is_of_grid { format!("docker.io/{name}:1") } else { String::new() },
                disks: told(&usage),
                usage,
                ..ContainerSample::default()
            }
        });
        let of_pod = usage(kind as u64, at - since, Level::Pod);
        pods.push(PodSample {
            namespace: namespace.into(),
            pod: pod.into(),
            uid: format!("uid-of-{pod}"),
            containers: containers.collect(),
            disks: told(&of_pod),
            usage: of_pod,
            ..PodSample::default()
        });
    }
    NodeSamples {
        time: (START + at) * 1_000_000,
        node: "n1".into(),
        disks: if is_of_grid { disks(&usage(5, at, Level::Node)) } else { Vec::new() },
        usage: usage(5, at, Level::Node),
        machine: is_of_grid.then(Machine::default),
        pods,
        ..NodeSamples::default()
    }
}

impl Fed {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::at(&folder.path().join("series")));
        let decisions = Decisions::open(folder.path().join("decisions"), &Tasks::new()).expect("opened");
        let mut fed = Self { memory: Arc::default(), store, told: BTreeMap::new(), decisions, folder };
        let mut names = Names::new(fed.store.clone());
        for at in 0..UNTIL {
            // Before, only what the grid takes counts.
            if at < RESTART && at % 15 != 0 {
                continue;
            }
            let samples = second(at);
            if at == RESTART {
                names = Names::new(fed.store.clone());
            }
            names.take(&samples);
            if at >= RESTART {
                fed.memory.ingest(&samples);
            }
            fed.note(&samples);
        }
        fed
    }

    fn note(&mut self, samples: &NodeSamples) {
        let node = samples.node.as_str();
        let mut put = |level, names: [&str; 5], usage: &Usage| {
            let point = Point { time: samples.time, usage: *usage };
            self.told.entry(key(level, names)).or_default().push(point);
        };
        put(Level::Node, ["", "", "", node, ""], &samples.usage);
        for pod in &samples.pods {
            put(Level::Pod, [&pod.namespace, &pod.pod, "", node, &pod.uid], &pod.usage);
            for one in &pod.containers {
                let names = [pod.namespace.as_str(), &pod.pod, &one.container, node, &one.container_id];
                put(Level::Container, names, &one.usage);
            }
        }
    }

    /// The store as the next process finds it.
    pub fn reopen(&mut self) {
        let path = self.folder.path().join("series");
        self.store.end();
        self.store = Arc::new(Store::at(&path));
    }

    /// A process that has begun, and that nobody has told anything.
    pub fn forget_all(&mut self) {
        self.memory = Arc::default();
    }

    /// What others send under the same names.
    pub fn tell_others(&self) {
        let name = (NAME, "container_cpu_usage_seconds_total");
        let cadvisor = [("job", "kubelet"), ("metrics_path", "/metrics/cadvisor"), ("cpu", "total"), name];
        let of_pod = [("namespace", "shop"), ("pod", "fake")];
        let others = [
            [("id", "/kubepods/burstable"), ("node", "n9"), ("instance", "n9")],
            [("id", "/podx"), ("node", "n9"), ("instance", "10.0.0.1:10250")],
        ];
        for other in others {
            let series = self.store.resolve(&Labels::new(cadvisor.into_iter().chain(of_pod).chain(other)));
            let time = (START + UNTIL) * 1000;
            let sample = Sample { series: series.expect("made"), time, value: Value::Number(1.0) };
            assert_eq!(self.store.append(&[sample]).taken, 1);
        }
        let root = [("id", "/"), ("node", "n9"), ("instance", "10.0.0.1:10250")];
        // What a sender of a namespace says of a node.
        let of_namespace = [("id", "/"), ("node", "n8"), ("instance", "n8"), ("namespace", "shop")];
        for other in [&root[..], &of_namespace[..]] {
            let labels = Labels::new(cadvisor.into_iter().chain(other.iter().copied()));
            let series = self.store.resolve(&labels).expect("made");
            let sample = Sample { series, time: (START + UNTIL) * 1000, value: Value::Number(1.0) };
            assert_eq!(self.store.append(&[sample]).taken, 1);
        }
    }

    pub fn engine(&self) -> Engine {
        Engine::new(self.memory.clone(), self.decisions.clone(), Vec::new())
            .with_series(self.store.clone())
            .with_default_range(None)
    }

    pub async fn ask(&self, user: &str, statement: &str) -> String {
        let asker = Asker::new(UserInfo::named(user, &[]), Arc::new(ByName));
        let answer = self.engine().answer(statement, Format::Json, asker).await.expect("answered");
        answer.text.trim().to_owned()
    }
}

//! What nodes measured of disks, as rows for who may list nodes.

use std::time::Duration;

use datafusion::{execution::runtime_env::RuntimeEnvBuilder, prelude::SessionConfig};
use tiphys_api::{
    auth::{Attributes, Authorizer, UserInfo},
    samples::Machine,
};

use super::*;
use crate::{
    names::Names,
    series::{Labels, Limits, NAME, Sample, Value},
};

/// Who may list nodes, or may not.
struct Lists(bool);

impl Authorizer for Lists {
    fn authorize(&self, _: &UserInfo, attributes: &Attributes) -> std::result::Result<(), String> {
        match attributes {
            Attributes::Resource { resource, .. } if resource == "nodes" && self.0 => Ok(()),
            _ => Err("no".into()),
        }
    }
}

/// A second of a node: `sda` reads a kilobyte a second and is busy for half of it.
fn second(at: i64) -> NodeSamples {
    let at = at.unsigned_abs();
    let disk = |device: &str, pace: u64| DiskSample {
        device: device.into(),
        read_bytes: at * pace,
        busy_nanos: at * 500_000_000,
        ..DiskSample::default()
    };
    let devices = vec![disk("sda", 1000), disk("sdb", 0)];
    NodeSamples {
        time: i64::try_from(at).expect("a time") * 1_000_000,
        node: "n1".into(),
        machine: at.is_multiple_of(15).then(|| Machine { disks: devices.clone(), ..Machine::default() }),
        devices,
        ..NodeSamples::default()
    }
}

struct World {
    disks: Arc<Disks>,
    store: Arc<Store>,
}

impl World {
    fn new() -> Self {
        Self { disks: Arc::default(), store: Arc::new(Store::in_memory(Limits::default())) }
    }

    async fn ask(&self, lists: bool, statement: &str) -> Vec<String> {
        let session = SessionContext::new();
        let asker = Asker::new(UserInfo::named("u", &[]), Arc::new(Lists(lists)));
        let table = DiskTable { disks: self.disks.clone(), store: self.store.clone() };
        table.register(&session, &asker).expect("registered");
        let rows = session.sql(statement).await.expect("planned").collect().await.expect("rows");
        let mut text = Vec::new();
        let mut csv = datafusion::arrow::csv::WriterBuilder::new().with_header(false).build(&mut text);
        rows.iter().for_each(|batch| csv.write(batch).expect("written"));
        drop(csv);
        String::from_utf8(text).expect("text").lines().map(str::to_owned).collect()
    }

    fn times(&self, device: &str) -> Vec<i64> {
        let seconds = |points: &VecDeque<Measured>| points.iter().map(|one| one.time / 1_000_000).collect();
        self.disks.recent.read("n1", &device.to_owned(), seconds).unwrap_or_default()
    }
}

#[tokio::test]
async fn each_second_is_a_row_with_what_has_changed() {
    let world = World::new();
    (3600..=3601).for_each(|at| world.disks.ingest(&second(at)));
    // The machine was started anew; then its clock was set.
    world.disks.ingest(&NodeSamples { time: 3_602_000_000, ..second(5) });
    world.disks.ingest(&NodeSamples { time: 3_700_000_000, anew: true, ..second(3700) });
    let statement = "select cast(time as bigint) / 1000000, node, device, read_bytes_total, \
                     read_bytes_per_second, busy_ratio from disk where device = 'sda' order by 1";
    let expected = [
        "3600,n1,sda,3600000,,",
        "3601,n1,sda,3601000,1000.0,0.5",
        "3602,n1,sda,5000,,",
        "3700,n1,sda,3700000,,",
    ];
    assert_eq!(world.ask(true, statement).await, expected);
    let beside = "select device, count(*), max(read_bytes_total) from disk group by device order by device";
    assert_eq!(world.ask(true, beside).await, ["sda,4,3700000", "sdb,4,0"]);
}

#[tokio::test]
async fn abuse_29_disks_are_shown_to_who_may_list_nodes() {
    let world = World::new();
    world.disks.ingest(&second(3600));
    Names::new(world.store.clone()).take(&second(3585));
    assert!(world.ask(false, "select * from disk").await.is_empty());
    assert_eq!(world.ask(true, "select * from disk").await.len(), 4);
    // A namespace tells of no machine.
    let forged = [
        (NAME, "node_disk_read_bytes_total"),
        ("job", "node-exporter"),
        ("node", "n1"),
        ("instance", "n1"),
        ("device", "sdz"),
        ("namespace", "shop"),
    ];
    let series = world.store.resolve(&Labels::new(forged)).expect("taken");
    world.store.append(&[Sample { series, time: 3_585_000, value: Value::Number(1.0) }]);
    assert!(world.ask(true, "select * from disk where device = 'sdz'").await.is_empty());
}

#[test]
fn of_what_is_no_longer_new_one_of_each_15_seconds_is_kept() {
    let world = World::new();
    (3600..=4200).for_each(|at| world.disks.ingest(&second(at)));
    // Told again after a break.
    world.disks.ingest(&second(4200));
    let expected: Vec<i64> = (3600..4080).step_by(15).chain(4080..=4200).collect();
    assert_eq!(world.times("sda"), expected);
    // An hour later all of it is forgotten but what is new.
    world.disks.ingest(&second(9000));
    assert_eq!(world.times("sdb"), [9000]);
}

#[test]
fn a_clock_that_is_set_back_begins_a_new_run() {
    let world = World::new();
    let now = jiff::Timestamp::now().as_microsecond();
    (3600..=3610).for_each(|at| world.disks.ingest(&second(at)));
    world.disks.ingest(&NodeSamples { anew: true, ..second(3604) });
    assert_eq!(world.times("sda"), (3600..=3604).collect::<Vec<_>>());
    assert!(world.disks.recent.whole().since() >= now);
    world.disks.ingest(&second(3605));
    assert_eq!(world.times("sda").last(), Some(&3605));
}

#[test]
fn a_machine_has_no_more_disks_than_are_kept() {
    let world = World::new();
    let disk = |n: usize| DiskSample { device: format!("sd{n}"), ..DiskSample::default() };
    let devices = (0..2 * MOST).map(disk).collect();
    world.disks.ingest(&NodeSamples { devices, ..second(3600) });
    assert_eq!(world.disks.recent.count("n1"), MOST);
}

#[tokio::test]
async fn what_is_older_comes_without_a_gap_and_nothing_twice() {
    let world = World::new();
    let names = Names::new(world.store.clone());
    for at in (900..3000).step_by(15) {
        names.take(&second(at));
        // Until then it was another process.
        if at > 1490 {
            world.disks.ingest(&second(at));
        }
    }
    let statement = "select cast(time as bigint) / 1000000, read_bytes_total, busy_nanos_total, \
                     read_bytes_per_second, weighted_nanos_total from disk where device = 'sda' order by 1";
    let expected: Vec<_> = (900..3000)
        .step_by(15)
        .map(|at: u64| {
            // Nothing stands before the first of the store, and the first of memory.
            let rate = if at == 900 || at == 1500 { "" } else { "1000.0" };
            format!("{at},{},{},{rate},0", at * 1000, at * 500_000_000)
        })
        .collect();
    assert_eq!(world.ask(true, statement).await, expected);
}

#[test]
fn a_node_whose_clock_is_behind_is_not_forgotten_while_it_speaks() {
    let world = World::new();
    let begun = Instant::now();
    let at = |minute: u64| begun + Duration::from_secs(60 * minute);
    let of = |node: &str, at: i64| NodeSamples { node: node.into(), ..second(at) };
    let kept = |node: &str| world.disks.recent.seconds(node).first().cloned().unwrap_or_default();
    world.disks.ingest_at(&of("behind", 3600), at(0));
    // Two hours later by its clock.
    world.disks.ingest_at(&of("right", 10_800), at(0));
    assert_eq!((kept("behind"), kept("right")), (vec![3600], vec![10_800]));
    world.disks.ingest_at(&of("behind", 3660), at(1));
    world.disks.ingest_at(&of("right", 10_860), at(1));
    assert_eq!(kept("behind"), [3600, 3660]);
    // It says nothing any more, whatever time it is there.
    world.disks.ingest_at(&of("right", 10_920), at(62));
    assert_eq!(kept("behind"), [3600, 3660]);
    world.disks.ingest_at(&of("right", 10_980), at(64));
    assert_eq!((world.disks.recent.count("behind"), kept("right").len()), (0, 4));
}

#[tokio::test]
async fn abuse_35_what_is_in_memory_comes_in_pieces_and_counts() {
    let world = World::new();
    for node in 0..40 {
        for at in 3600..3900 {
            world.disks.ingest(&NodeSamples { node: format!("n{node}"), ..second(at) });
        }
    }
    let session = |bytes: usize| {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0).build_arc().expect("a runtime");
        let session = SessionContext::new_with_config_rt(SessionConfig::new(), runtime);
        let asker = Asker::new(UserInfo::named("u", &[]), Arc::new(Lists(true)));
        let table = DiskTable { disks: world.disks.clone(), store: world.store.clone() };
        table.register(&session, &asker).expect("registered");
        session
    };
    let ask = async |bytes: usize| {
        let frame = session(bytes).sql("select * from disk").await.expect("planned");
        frame.collect().await
    };
    let batches = ask(64 << 20).await.expect("rows");
    let all: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let of_a_disk = world.times("sda").len();
    assert_eq!(all, 40 * 2 * of_a_disk);
    let most = batches.iter().map(RecordBatch::num_rows).max();
    assert!(most.is_some_and(|rows| rows < 8192 + of_a_disk && rows < all), "{most:?} of {all}");
    let refused = ask(64 << 10).await.expect_err("more than it may hold").to_string();
    assert!(refused.contains("Resources exhausted"), "{refused}");
}

//! Rows of a day that the store has made coarser: a figure is null where no sample of it is kept, 0
//! where it was 0, and a rate counts what was lost in between.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use serde_json::Value;
use tiphys_api::{
    auth::UserInfo,
    samples::{DiskUsage, Machine, NodeSamples, PodSample, Usage},
};
use tiphys_lifecycle::Tasks;

use super::fed::START;
use crate::{
    decisions::Decisions,
    names::Names,
    series::{Downsampling, Labels, Limits, NAME, Sample, Store, StoreConfig, Value as Told},
    sql::{Asker, Engine, Format, tests::ByName},
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// When CPU time begins anew, and with it the writes to one disk; both have a sample then and 15 s
/// before.
const CPU: i64 = 1005;
/// When what was received does.
const NETWORK: i64 = 1935;
/// From when on something waits for a CPU.
const PRESSED: i64 = 2400;
/// When there is no CPU limit any more.
const UNLIMITED: i64 = 2700;

/// What the node says of a Pod in a second.
fn second(at: i64) -> NodeSamples {
    let seconds = |begin: i64| (if at < begin { at } else { at - begin }).unsigned_abs();
    let now = at.unsigned_abs();
    let usage = Usage {
        cpu_usage_nanos_total: seconds(CPU) * 10_000_000,
        cpu_periods_total: if at < UNLIMITED { now * 10 } else { 0 },
        cpu_pressure_some_nanos_total: (at - PRESSED).max(0).unsigned_abs() * 1_000_000,
        cpu_limit_millicores: 500,
        memory_rss_bytes: 1_000_000 + now,
        network_receive_bytes_total: seconds(NETWORK) * 100,
        ..Usage::default()
    };
    let disk = |device: &str, write_bytes: u64| DiskUsage {
        device: device.into(),
        write_bytes,
        ..DiskUsage::default()
    };
    let pod = PodSample {
        namespace: "shop".into(),
        pod: "web".into(),
        uid: "u1".into(),
        disks: vec![disk("vda", now * 1000), disk("vdb", seconds(CPU) * 500)],
        usage,
        ..PodSample::default()
    };
    NodeSamples {
        time: (START + at) * 1_000_000,
        node: "n1".into(),
        machine: Some(Machine::default()),
        pods: vec![pod],
        ..NodeSamples::default()
    }
}

/// A sample of something else.
fn add_other(store: &Store, at: i64) {
    let series = store.resolve(&Labels::new([(NAME, "other")])).expect("made");
    let sample = Sample { series, time: (START + at) * 1000, value: Told::Number(1.0) };
    assert_eq!(store.append(&[sample]).taken, 1);
}

/// A store with an hour of the Pod, which it has made coarser.
async fn coarse(folder: &Path, tasks: &Tasks) -> Arc<Store> {
    let told = Arc::new(Store::at(folder));
    let names = Names::new(told.clone());
    (0..HOUR).step_by(15).for_each(|at| names.take(&second(at)));
    [DAY, DAY + HOUR].into_iter().for_each(|at| add_other(&told, at));
    told.write_out((START + DAY + 2 * HOUR) * 1000);
    told.end();
    drop((names, told));
    let step = Duration::from_secs(300);
    let config = StoreConfig {
        folder: folder.to_owned(),
        limits: Limits::default(),
        keep: Duration::from_secs(1000 * 365 * 24 * 3600),
        keep_bytes: u64::MAX,
        downsampling: Some(Downsampling::new(Duration::ZERO, step).expect("a step")),
        archive: None,
    };
    let store = Store::open(config, tasks).expect("opened");
    let before = store.disk_size();
    // Who keeps the store is woken by a sample.
    add_other(&store, DAY + 2 * HOUR);
    let made = async {
        while store.disk_size() == before {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), made).await.expect("made coarser");
    store
}

/// Columns to numbers, where they aren't null.
type Numbers = BTreeMap<String, f64>;

/// The rows of the Pod by seconds, of `since` up to `until`.
async fn rows(engine: &Engine, since: i64, until: i64) -> BTreeMap<i64, Numbers> {
    let micros = [since, until].map(|second| (START + second) * 1_000_000);
    let literal = |at: i64| format!("arrow_cast({at}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
    let [since, until] = micros.map(literal);
    let statement = format!(
        "select cast(time as bigint) as at, * from pod \
         where time >= {since} and time < {until} and pod = 'web'"
    );
    let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
    let answer = engine.answer(&statement, Format::Json, asker).await.expect("answered");
    let found: Vec<BTreeMap<String, Value>> = serde_json::from_str(answer.text.trim()).expect("JSON");
    let row = |row: BTreeMap<String, Value>| {
        let at = row["at"].as_i64().expect("a time");
        let numbers = row.into_iter().filter(|(name, _)| name != "at");
        let numbers = numbers.filter_map(|(name, value)| Some((name, value.as_f64()?)));
        (at / 1_000_000 - START, numbers.collect::<Numbers>())
    };
    found.into_iter().map(row).collect()
}

/// What a column has at some seconds; absent: null.
type Expected = (&'static str, &'static [(i64, Option<f64>)]);

const NULL_AROUND_RESET: [(i64, Option<f64>); 2] = [(CPU - 15, None), (CPU, None)];

const EXPECTED: [Expected; 15] = [
    ("cpu_usage_nanos_total", &[(990, Some(9.9e9)), (CPU, Some(0.0)), (1200, Some(1.95e9))]),
    ("cpu_cores", &[(0, None), (300, Some(0.01)), (990, Some(0.01)), (CPU, Some(0.0)), (1200, Some(0.01))]),
    ("cpu_cores", &[(3300, Some(0.01)), (3585, Some(0.01))]),
    ("memory_rss_bytes", &[(900, Some(1_000_900.0)), (1200, Some(1_001_200.0))]),
    ("cpu_limit_millicores", &[(0, Some(500.0)), (900, Some(500.0)), (1200, Some(500.0))]),
    // The sum of two disks, of which one alone has samples there.
    ("disk_write_bytes_total", &[(900, Some(1_350_000.0)), (1200, Some(1_297_500.0))]),
    ("disk_write_bytes_per_second", &[(900, Some(1500.0)), (1200, Some(1475.0)), (1500, Some(1500.0))]),
    // What began anew at a time that is no row.
    ("network_receive_bytes_total", &[(1800, Some(180_000.0)), (2100, Some(16_500.0))]),
    ("network_receive_bytes_per_second", &[(1200, Some(100.0)), (2100, Some(95.0)), (2400, Some(100.0))]),
    // What isn't told of because it is 0 is 0 everywhere, and until it is told of.
    ("open_files", &[(0, Some(0.0)), (990, Some(0.0)), (CPU, Some(0.0)), (3585, Some(0.0))]),
    ("cpu_pressure_some_nanos_total", &[(CPU, Some(0.0)), (PRESSED, Some(0.0)), (2700, Some(3e8))]),
    ("cpu_pressure_some", &[(300, Some(0.0)), (CPU, Some(0.0)), (PRESSED, Some(0.0)), (2700, Some(0.001))]),
    // And after it has ended.
    ("cpu_periods_total", &[(0, Some(0.0)), (2400, Some(24_000.0)), (2700, Some(0.0)), (3000, Some(0.0))]),
    ("cpu_periods_per_second", &[(300, Some(10.0)), (1200, Some(10.0)), (2400, Some(10.0))]),
    ("cpu_periods_per_second", &[(2700, Some(9.5)), (3000, Some(0.0))]),
];

fn check(rows: &BTreeMap<i64, Numbers>, column: &str, expected: &[(i64, Option<f64>)]) {
    for (at, should) in expected {
        let is = rows[at].get(column).copied();
        let is_near = match (is, *should) {
            (Some(is), Some(should)) => (is - should).abs() <= should.abs() * 1e-9,
            (is, should) => is == should,
        };
        assert!(is_near, "{column} at {at}: {is:?}, not {should:?}");
    }
}

#[tokio::test]
async fn a_coarse_day_has_null_where_no_sample_is_kept_and_rates_from_sample_to_sample() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let store = coarse(&folder.path().join("series"), &tasks).await;
    let decisions = Decisions::open(folder.path().join("decisions"), &tasks).expect("opened");
    let engine =
        Engine::new(Arc::default(), decisions, Vec::new()).with_series(store).with_default_range(None);
    let whole = rows(&engine, -DAY, DAY).await;
    let mut times: Vec<i64> = (0..HOUR).step_by(300).chain([CPU - 15, CPU, HOUR - 15]).collect();
    times.sort_unstable();
    assert_eq!(whole.keys().copied().collect::<Vec<_>>(), times);
    for (column, expected) in EXPECTED {
        check(&whole, column, expected);
    }
    let only_beside = [
        "memory_rss_bytes",
        "cpu_limit_millicores",
        "disk_write_bytes_total",
        "disk_write_bytes_per_second",
        "network_receive_bytes_total",
        "network_receive_bytes_per_second",
        "cpu_periods_total",
        "cpu_periods_per_second",
    ];
    for column in only_beside {
        check(&whole, column, &NULL_AROUND_RESET);
        let beside = whole.iter().filter(|(at, _)| **at > 0 && **at != CPU - 15 && **at != CPU);
        let nulls: Vec<_> = beside.filter(|(_, row)| !row.contains_key(column)).map(|(at, _)| *at).collect();
        assert!(nulls.is_empty(), "{column} is null at {nulls:?}");
    }
    // A row is the same, however little is asked for.
    for (at, row) in &whole {
        let alone = rows(&engine, *at, at + 1).await;
        assert_eq!(alone, BTreeMap::from([(*at, row.clone())]), "alone at {at}");
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

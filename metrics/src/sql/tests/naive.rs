//! The functions over the table `samples`, against the formulas written out, for random series:
//! with gaps, resets, values that are no numbers and markers of an end, in rows of any order.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::{
    array::{AsArray, RecordBatch},
    compute::{cast, concat_batches},
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType},
};
use futures::TryStreamExt;
use proptest::prelude::*;

use super::*;
use crate::series::{self, Labels, NAME, STALE, Sample, Store, Value, is_stale};

pub const START: i64 = 1_700_000_000_000;

/// The rows of a statement over a store, as one batch.
pub fn rows_of(store: &Arc<Store>, statement: &str) -> Result<RecordBatch, SqlError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new();
        let engine = world.engine.clone().with(Arc::new(SamplesTable::new(store.clone())));
        let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
        let limits = Limits::of(Duration::from_secs(60), &asker.user);
        let found = match engine.rows(statement, &asker, &limits).await {
            Ok(rows) => {
                let schema = rows.schema();
                rows.try_collect::<Vec<_>>().await.map(|batches| (schema, batches))
            }
            Err(error) => Err(error),
        };
        world.end().await;
        let (schema, batches) = found?;
        Ok(concat_batches(&schema, &batches).expect("batches of one answer"))
    })
}

fn answered(store: &Arc<Store>, statement: &str) -> RecordBatch {
    rows_of(store, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
}

/// A column of numbers, null where there is none.
pub fn floats(batch: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    let column = batch.column_by_name(column).expect("a column");
    cast(column, &DataType::Float64).expect("numbers").as_primitive::<Float64Type>().iter().collect()
}

pub fn texts(batch: &RecordBatch, column: &str) -> Vec<String> {
    let column = cast(batch.column_by_name(column).expect("a column"), &DataType::Utf8).expect("texts");
    column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

/// The samples as they come, or the later half of them first and each half on a partition of its
/// own, or by value.
pub fn source(order: usize, cut: i64) -> String {
    let cut = jiff::Timestamp::from_millisecond(START + cut).expect("a time");
    match order {
        0 => "samples".to_owned(),
        1 => format!(
            "(select * from samples where time >= '{cut}' union all \
             select * from samples where time < '{cut}') halves"
        ),
        _ => "(select * from samples order by value desc limit 1000000) sorted".to_owned(),
    }
}

pub fn same(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (None, None) => true,
        (Some(a), Some(b)) if a.is_nan() || b.is_nan() => a.is_nan() && b.is_nan(),
        // Infinity is not near itself.
        (Some(a), Some(b)) => a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => false,
    }
}

type Samples = Vec<(i64, f64)>;

/// Times are of an hour, and half of them full seconds.
fn samples() -> impl Strategy<Value = Samples> {
    let value = prop_oneof![60 => (0u32..100).prop_map(f64::from), 1 => Just(f64::NAN), 4 => Just(STALE)];
    let time = prop_oneof![0i64..3_600_000, (0i64..3600).prop_map(|second| second * 1000)];
    prop::collection::btree_map(time, value, 0..40).prop_map(|map| map.into_iter().collect())
}

/// A Pod for each series, called by its number.
fn stored(all: &[Samples]) -> Arc<Store> {
    let store = Store::in_memory(series::Limits::default());
    for (number, samples) in all.iter().enumerate() {
        let pod = number.to_string();
        let series = store.resolve(&Labels::new([(NAME, "m"), ("pod", pod.as_str())])).expect("taken");
        let sample =
            |(time, value): &(i64, f64)| Sample { series, time: START + time, value: Value::Number(*value) };
        store.append(&samples.iter().map(sample).collect::<Vec<_>>());
    }
    Arc::new(store)
}

/// Those that are rows.
fn kept(samples: &[(i64, f64)]) -> Samples {
    samples.iter().copied().filter(|(_, value)| !is_stale(*value)).collect()
}

/// What `rate`, `increase`, `first` and `last` give of a series, by the formula: a counter with all
/// that it lost when it began anew only grows.
fn expected(function: &str, samples: &[(i64, f64)]) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    let lost: f64 = samples.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum();
    let is_number = samples.iter().all(|sample| !sample.1.is_nan());
    let grown = if is_number { last.1 + lost - first.1 } else { f64::NAN };
    match function {
        "first" => Some(first.1),
        "last" => Some(last.1),
        "increase" => (samples.len() > 1).then_some(grown),
        "rate" => (samples.len() > 1).then(|| grown / ((last.0 - first.0) as f64 / 1000.0)),
        _ => unreachable!("{function}"),
    }
}

const FUNCTIONS: [&str; 4] = ["rate", "increase", "first", "last"];
/// What is taken for a width, and how many milliseconds it is.
const WIDTHS: [(&str, i64); 8] = [
    ("'250ms'", 250),
    ("'7s'", 7000),
    ("interval '15 seconds'", 15_000),
    ("'5m'", 300_000),
    ("'2 minutes'", 120_000),
    ("'1h'", 3_600_000),
    ("'1d'", 86_400_000),
    ("'1w'", 604_800_000),
];
/// Upper bounds of buckets.
const BOUNDS: [f64; 7] = [-2.0, 0.0, 0.5, 1.0, 2.5, 10.0, f64::INFINITY];

/// Counts by the place of their bound and by whose they are.
type Counted = BTreeMap<(usize, u8), u32>;

fn counted() -> impl Strategy<Value = Counted> {
    let bound = prop_oneof![3 => 0..BOUNDS.len(), 1 => Just(BOUNDS.len() - 1)];
    prop::collection::btree_map((bound, 0u8..2), 0u32..100, 0..12)
}

fn stored_buckets(counts: &Counted) -> Arc<Store> {
    let store = Store::in_memory(series::Limits::default());
    for ((at, whose), count) in counts {
        let bound = if BOUNDS[*at].is_finite() { BOUNDS[*at].to_string() } else { "+Inf".to_owned() };
        let whose = whose.to_string();
        let labels = Labels::new([(NAME, "m_bucket"), ("le", bound.as_str()), ("pod", whose.as_str())]);
        let series = store.resolve(&labels).expect("taken");
        store.append(&[Sample { series, time: START, value: Value::Number(f64::from(*count)) }]);
    }
    Arc::new(store)
}

/// The quantile of cumulative buckets, by the formula: linear within the first bucket whose count
/// reaches the rank. Null where there is no number.
fn expected_quantile(q: f64, counts: &Counted) -> Option<f64> {
    let mut by_bound: BTreeMap<usize, f64> = BTreeMap::new();
    for ((at, _), count) in counts {
        *by_bound.entry(*at).or_default() += f64::from(*count);
    }
    let end_of = |at: usize| BOUNDS[at];
    let last = *by_bound.keys().next_back()?;
    if !(0.0..=1.0).contains(&q) {
        return Some(q.signum() * f64::INFINITY);
    }
    if by_bound.len() < 2 || end_of(last).is_finite() {
        return None;
    }
    // Counts never fall from bucket to bucket.
    let mut most = 0.0_f64;
    let grown: Vec<(f64, f64)> = by_bound
        .iter()
        .map(|(at, count)| {
            most = most.max(*count);
            (end_of(*at), most)
        })
        .collect();
    if most == 0.0 {
        return None;
    }
    let at = grown.iter().position(|(_, count)| *count >= q * most)?;
    let (end, count) = grown[at];
    match (at.checked_sub(1).map(|before| grown[before]), end) {
        (Some((begin, _)), end) if end.is_infinite() => Some(begin),
        (None, end) if end <= 0.0 => Some(end),
        (before, end) => {
            let (begin, before) = before.unwrap_or_default();
            let share = (q * most - before) / (count - before);
            (!share.is_nan()).then_some(begin + (end - begin) * share)
        }
    }
}

/// What a statement over `container` gives for a node whose only container has these figures.
fn of_container(usage: Usage, statement: &str) -> RecordBatch {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let world = World::new();
        let (container, id) = ("only".to_owned(), "o".to_owned());
        let only = ContainerSample { container, container_id: id.clone(), usage, ..Default::default() };
        let pod = PodSample { pod: "only".into(), uid: id, containers: vec![only], ..PodSample::default() };
        let node =
            NodeSamples { time: 5_000_000, node: "other".into(), pods: vec![pod], ..NodeSamples::default() };
        world.engine.memory.ingest(&node);
        let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
        let limits = Limits::of(Duration::from_secs(60), &asker.user);
        let rows = world.engine.rows(statement, &asker, &limits).await.expect("started");
        let schema = rows.schema();
        let batches = rows.try_collect::<Vec<_>>().await.expect("answered");
        world.end().await;
        concat_batches(&schema, &batches).expect("batches of one answer")
    })
}

/// A column of whole numbers, null where there is none.
fn integers(batch: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    let column = batch.column_by_name(column).expect("a column");
    column.as_primitive_opt::<Int64Type>().expect("signed, and 64 bits").iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn differences_and_shares_of_figures(
        request in 0u64..1 << 60,
        limit in prop_oneof![Just(0u64), 1u64..1 << 60],
        used in 0u64..1 << 60,
    ) {
        let usage = Usage {
            memory_request_bytes: request,
            memory_limit_asked_bytes: limit,
            memory_working_set_bytes: used,
            ..Usage::default()
        };
        let statement = "select memory_request_bytes - memory_working_set_bytes as spare, \
            memory_limit_asked_bytes - memory_working_set_bytes as below, \
            memory_working_set_bytes / memory_limit_asked_bytes as share, network_receive_bytes_total as received \
            from container where container = 'only'";
        let batch = of_container(usage, statement);
        let signed = |number: u64| i64::try_from(number).expect("small");
        prop_assert_eq!(integers(&batch, "spare"), [Some(signed(request) - signed(used))]);
        // Without a limit nothing is divided by zero, and nothing is below or above it.
        let limit = Some(signed(limit)).filter(|limit| *limit > 0);
        prop_assert_eq!(integers(&batch, "below"), [limit.map(|limit| limit - signed(used))]);
        prop_assert_eq!(integers(&batch, "share"), [limit.map(|limit| signed(used) / limit)]);
        prop_assert_eq!(integers(&batch, "received"), [None]);
    }

    #[test]
    fn counters_over_time(all in prop::collection::vec(samples(), 1..5), order in 0usize..3, cut in 0i64..3_600_000) {
        let calls = FUNCTIONS.map(|function| format!("{function}(value, time) as {function}_of")).join(", ");
        let from = source(order, cut);
        let batch = answered(&stored(&all), &format!("select pod, count(*) as n, {calls} from {from} group by pod"));
        let pods = texts(&batch, "pod");
        let some: BTreeSet<String> = (0..all.len()).filter(|pod| !kept(&all[*pod]).is_empty()).map(|pod| pod.to_string()).collect();
        prop_assert_eq!(pods.iter().cloned().collect::<BTreeSet<_>>(), some);
        let counts = floats(&batch, "n");
        for (row, pod) in pods.iter().enumerate() {
            let samples = kept(&all[pod.parse::<usize>().expect("a number")]);
            prop_assert_eq!(counts[row], Some(samples.len() as f64));
            for function in FUNCTIONS {
                let (found, expected) = (floats(&batch, &format!("{function}_of"))[row], expected(function, &samples));
                prop_assert!(same(found, expected), "{function} of {samples:?}: {found:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn buckets_of_time(all in prop::collection::vec(samples(), 1..3), width in prop::sample::select(&WIDTHS)) {
        let (width, millis) = width;
        let statement = format!("select time_bucket({width}, time) as begin_of, count(*) as n from samples group by 1");
        let batch = answered(&stored(&all), &statement);
        let kind = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let begins = cast(batch.column_by_name("begin_of").expect("a column"), &kind).expect("times");
        let begins = begins.as_primitive::<TimestampMillisecondType>().values();
        let found: BTreeMap<i64, Option<f64>> = begins.iter().copied().zip(floats(&batch, "n")).collect();
        let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
        for (time, _) in all.iter().flat_map(|samples| kept(samples)) {
            *expected.entry((START + time) / millis * millis).or_default() += 1.0;
        }
        prop_assert_eq!(found, expected.into_iter().map(|(begin, n)| (begin, Some(n))).collect::<BTreeMap<_, _>>());
    }

    #[test]
    fn quantiles_of_buckets(counts in counted(), q in prop_oneof![-0.5f64..1.5, Just(0.0), Just(0.5), Just(1.0)]) {
        let statement = format!("select histogram_quantile({q:?}, labels->>'le', value) as q from samples");
        let batch = answered(&stored_buckets(&counts), &statement);
        let (found, expected) = (floats(&batch, "q")[0], expected_quantile(q, &counts));
        prop_assert!(same(found, expected), "{q} of {counts:?}: {found:?}, not {expected:?}");
    }

    #[test]
    fn values_in_json(codes in prop::collection::btree_set("[ -~é]{1,12}", 0..6)) {
        let store = Store::in_memory(series::Limits::default());
        for code in &codes {
            let series = store.resolve(&Labels::new([(NAME, "m"), ("code", code.as_str())])).expect("taken");
            store.append(&[Sample { series, time: START, value: Value::Number(1.0) }]);
        }
        let statement = "select labels->>'code' as written, labels->'code' as quoted from samples";
        let batch = answered(&Arc::new(store), statement);
        let written = texts(&batch, "written");
        for (written, quoted) in written.iter().zip(texts(&batch, "quoted")) {
            let back: Option<String> = serde_json::from_str(&quoted).ok();
            prop_assert_eq!(back.as_ref(), Some(written));
        }
        prop_assert_eq!(written.into_iter().collect::<BTreeSet<_>>(), codes);
    }
}

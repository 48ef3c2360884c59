//! Native histograms in SQL, against what PromQL says of the same samples.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    naive::{START, floats, rows_of, same, source, texts},
    *,
};
use crate::{
    promql::{self, Outcome},
    series::{self, Buckets, Histogram, Labels, NAME, STALE, Sample, Store, Value},
};

/// No rank of these falls between two observations, where rounding would choose the bucket.
const SHARES: [f64; 3] = [0.137_113_7, 0.513_333_1, 0.913_111_9];

/// Observations by bucket.
type Side = BTreeMap<i32, u32>;
/// Milliseconds since the step before, what was observed (above, below and about zero), and what
/// else happened: 0 is that the counter began anew, 1 that the series ended.
type Step = (i64, Side, Side, u32, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let side = || prop::collection::btree_map(-6i32..6, 1u32..20, 0..5);
    prop::collection::vec((1000i64..60_000, side(), side(), 0u32..4, 0u8..10), 0..12)
}

fn buckets(counts: &BTreeMap<i32, f64>) -> Buckets {
    let mut next = 0;
    let run = |index: &i32| {
        let offset = index - next;
        next = index + 1;
        (offset, 1)
    };
    Buckets { spans: counts.keys().map(run).collect(), counts: counts.values().copied().collect() }
}

/// A counter of histograms, with times in milliseconds.
fn grown(schema: i32, steps: &[Step]) -> Vec<(i64, Value)> {
    let (mut time, mut zero_count) = (0, 0.0);
    let mut sides: [BTreeMap<i32, f64>; 2] = Default::default();
    let mut samples = Vec::new();
    for (gap, above, below, zeros, happened) in steps {
        time += gap;
        if *happened == 1 {
            samples.push((time, Value::Number(STALE)));
            continue;
        }
        if *happened == 0 {
            (zero_count, sides) = (0.0, Default::default());
        }
        zero_count += f64::from(*zeros);
        for (side, more) in sides.iter_mut().zip([above, below]) {
            more.iter().for_each(|(index, count)| *side.entry(*index).or_default() += f64::from(*count));
        }
        let count = zero_count + sides.iter().flat_map(BTreeMap::values).sum::<f64>();
        let histogram = Histogram {
            schema,
            zero_threshold: 0.001,
            zero_count,
            count,
            sum: count,
            positive: buckets(&sides[0]),
            negative: buckets(&sides[1]),
            ..Histogram::default()
        };
        samples.push((time, Value::Histogram(Arc::new(histogram))));
    }
    samples
}

/// A Pod for each series, called by its number.
fn stored(all: &[Vec<(i64, Value)>]) -> Arc<Store> {
    let store = Store::in_memory(series::Limits::default());
    for (number, samples) in all.iter().enumerate() {
        let pod = number.to_string();
        let series = store.resolve(&Labels::new([(NAME, "h"), ("pod", pod.as_str())])).expect("taken");
        let sample =
            |(time, value): &(i64, Value)| Sample { series, time: START + time, value: value.clone() };
        store.append(&samples.iter().map(sample).collect::<Vec<_>>());
    }
    Arc::new(store)
}

/// PromQL's answer by Pod; what is no number is left out.
fn told(store: &Store, query: &str, time: i64) -> BTreeMap<String, f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limits = promql::Limits::default();
    let asked = promql::instant(store, query, time, &limits);
    let Outcome::Vector(_, columns) = runtime.block_on(asked).expect(query).outcome else {
        panic!("{query} gives no vector")
    };
    let by_pod = columns.iter().map(|column| {
        let pod = column.labels.get("pod").unwrap_or_default().to_owned();
        (pod, column.numbers[0])
    });
    by_pod.filter(|(_, number)| !number.is_nan()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn histograms_of_a_moment_add_up(
        all in prop::collection::vec((0i32..3, steps()), 0..4),
        q in prop_oneof![prop::sample::select(&SHARES), Just(-1.0), Just(0.0), Just(1.0), Just(2.0)],
    ) {
        let newest = |(schema, steps): &(i32, Vec<Step>)| {
            let histogram = grown(*schema, steps).into_iter().rfind(|(_, value)| !value.is_stale());
            histogram.map(|(_, value)| (0, value)).into_iter().collect::<Vec<_>>()
        };
        let store = stored(&all.iter().map(newest).collect::<Vec<_>>());
        let batch = rows_of(&store, &format!("select histogram_quantile({q:?}, histogram) as q from samples"));
        let batch = batch.expect("an answer");
        let expected = told(&store, &format!("histogram_quantile({q:?}, sum(h))"), START).get("").copied();
        let found = floats(&batch, "q")[0];
        prop_assert!(same(found, expected), "{q} of {all:?}: {found:?}, not {expected:?}");
    }

    #[test]
    fn histograms_over_time_grow(
        all in prop::collection::vec((0i32..3, steps()), 1..4),
        q in prop::sample::select(&SHARES),
        function in prop::sample::select(&["increase", "rate"]),
        order in 0usize..3,
        cut in 0i64..400_000,
    ) {
        let store = stored(&all.iter().map(|(schema, steps)| grown(*schema, steps)).collect::<Vec<_>>());
        let of_pod = format!("select pod, {function}(histogram, time) as more from {} group by pod", source(order, cut));
        let statement = format!("select pod, histogram_quantile({q:?}, more) as q from ({of_pod}) of_pod group by pod");
        let batch = rows_of(&store, &statement).expect("an answer");
        let found: BTreeMap<String, Option<f64>> = texts(&batch, "pod").into_iter().zip(floats(&batch, "q")).collect();
        let expected = told(&store, &format!("histogram_quantile({q:?}, {function}(h[20m]))"), START + 1_000_000);
        for pod in (0..all.len()).map(|pod| pod.to_string()) {
            let (found, expected) = (found.get(&pod).copied().flatten(), expected.get(&pod).copied());
            prop_assert!(same(found, expected), "{q} of {function} of {pod} of {all:?}: {found:?}, not {expected:?}");
        }
    }
}

fn exponential(count: f64) -> Value {
    let positive = Buckets { spans: vec![(1, 1)], counts: vec![count] };
    Value::Histogram(Arc::new(Histogram { count, sum: 1.5 * count, positive, ..Histogram::default() }))
}

fn listed() -> Value {
    Value::Histogram(Arc::new(Histogram {
        schema: -53,
        count: 6.0,
        sum: 9.0,
        positive: Buckets { spans: vec![(0, 3)], counts: vec![1.0, 2.0, 3.0] },
        custom_bounds: vec![0.5, 1.0],
        ..Histogram::default()
    }))
}

#[test]
fn a_histogram_is_a_column_with_its_parts() {
    let store = stored(&[vec![(0, exponential(4.0)), (1000, exponential(10.0))]]);
    let statement = "select value, histogram->>'count' as n, histogram->'positive'->0->>1 as in_bucket \
        from samples order by time";
    let batch = rows_of(&store, statement).expect("an answer");
    assert_eq!(floats(&batch, "value"), [Some(6.0), Some(15.0)]);
    assert_eq!(texts(&batch, "n"), ["4", "10"]);
    assert_eq!(texts(&batch, "in_bucket"), ["4", "10"]);
    let statement = "select histogram_quantile(0.5, histogram) as q, \
        first(histogram, time)->>'count' as oldest, \
        last(histogram, time)->>'count' as newest from samples";
    let batch = rows_of(&store, statement).expect("an answer");
    // All fourteen are between 1 and 2, where they are taken to grow exponentially.
    assert!(same(floats(&batch, "q")[0], Some(std::f64::consts::SQRT_2)), "{batch:?}");
    assert_eq!((texts(&batch, "oldest"), texts(&batch, "newest")), (vec!["4".into()], vec!["10".into()]));
}

#[test]
fn bounds_of_their_own_are_known_and_do_not_mix_with_others() {
    let store = stored(&[vec![(0, listed())], vec![(0, listed())]]);
    for q in SHARES {
        let statement = format!("select histogram_quantile({q:?}, histogram) as q from samples");
        let batch = rows_of(&store, &statement).expect("an answer");
        let expected = told(&store, &format!("histogram_quantile({q:?}, sum(h))"), START).get("").copied();
        let found = floats(&batch, "q")[0];
        assert!(expected.is_some() && same(found, expected), "{q}: {found:?}, not {expected:?}");
    }
    let mixed = stored(&[vec![(0, listed())], vec![(0, exponential(1.0))]]);
    let refused = [
        ("select histogram_quantile(0.5, histogram) from samples", "don't add up"),
        ("select histogram_quantile(0.5, name) from samples", "'h' is no native histogram"),
        ("select increase(name, time) from samples", "'h' is no native histogram"),
        ("select histogram_quantile(0.5) from samples", "histogram_quantile(0.99, histogram)"),
    ];
    for (statement, why) in refused {
        let error = rows_of(&mixed, statement).expect_err(statement).to_string();
        assert!(error.contains(why), "{statement}: {error}");
    }
}

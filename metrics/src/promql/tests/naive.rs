//! Random small series and simple queries, against the formulas written out.

use proptest::prelude::*;

use super::*;

/// Ten or so samples at random times within two minutes, half of them at full seconds, where
/// steps and the edges of ranges fall too.
fn samples() -> impl Strategy<Value = Vec<(i64, f64)>> {
    let value = prop_oneof![8 => (-50i32..50).prop_map(f64::from), 1 => Just(STALE)];
    let time = prop_oneof![0i64..120_000, (0i64..120).prop_map(|second| second * 1000)];
    prop::collection::btree_map(time, value, 0..40).prop_map(|map| map.into_iter().collect())
}

/// From less than a second to minutes; as often full seconds as not.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![10i64..500_000, (1i64..60).prop_map(|seconds| seconds * 1000)]
}

fn stored(all: &[Vec<(i64, f64)>]) -> Store {
    let store = Store::in_memory(series::Limits::default());
    for (number, samples) in all.iter().enumerate() {
        let labels =
            Labels::new([(NAME, "m"), ("n", &number.to_string()), ("even", &(number % 2).to_string())]);
        let series = store.resolve(&labels).expect("taken");
        for (time, value) in samples {
            store.append(&[Sample { series, time: *time, value: Value::Number(*value) }]);
        }
    }
    store
}

/// The numbers in a window, stale markers left out.
fn window(samples: &[(i64, f64)], end: i64, range: i64) -> Vec<(i64, f64)> {
    let within = |time: i64| time > end - range && time <= end;
    samples.iter().copied().filter(|(time, value)| within(*time) && !series::is_stale(*value)).collect()
}

/// The newest number not older than the lookback, of a series that has not ended.
fn newest(samples: &[(i64, f64)], time: i64, lookback: i64) -> Option<f64> {
    let (at, value) = samples.iter().rfind(|(at, _)| *at <= time)?;
    (*at > time - lookback && !series::is_stale(*value)).then_some(*value)
}

fn naive_rate(found: &[(i64, f64)], start: i64, end: i64) -> Option<f64> {
    let ([first, .., last], count) = (found, found.len()) else { return None };
    let mut grown = 0.0;
    for pair in found.windows(2) {
        grown += if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 };
    }
    let sampled = (last.0 - first.0) as f64;
    let mean = sampled / (count - 1) as f64;
    let reach = |gap: f64| if gap < mean * 1.1 { gap } else { mean / 2.0 };
    let mut left = reach((first.0 - start) as f64);
    if grown > 0.0 && first.1 >= 0.0 {
        left = left.min(sampled * first.1 / grown);
    }
    let whole = sampled + left + reach((end - last.0) as f64);
    Some(grown * whole / sampled / ((end - start) as f64 / 1000.0))
}

/// What a query over `m` gives for each series, by the formula.
fn expected(query: &str, samples: &[(i64, f64)], time: i64) -> Option<f64> {
    let range = 40_000;
    let found = window(samples, time, range);
    let numbers: Vec<f64> = found.iter().map(|sample| sample.1).collect();
    let some = |number: f64| (!numbers.is_empty()).then_some(number);
    match query {
        "m" => newest(samples, time, 30_000),
        "sum_over_time(m[40s])" => some(numbers.iter().sum()),
        "avg_over_time(m[40s])" => some(numbers.iter().sum::<f64>() / numbers.len() as f64),
        "max_over_time(m[40s])" => some(numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        "min_over_time(m[40s])" => some(numbers.iter().copied().fold(f64::INFINITY, f64::min)),
        "count_over_time(m[40s])" => some(numbers.len() as f64),
        "last_over_time(m[40s])" => numbers.last().copied(),
        "changes(m[40s])" => some(numbers.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64),
        "resets(m[40s])" => some(numbers.windows(2).filter(|pair| pair[0] > pair[1]).count() as f64),
        "rate(m[40s])" => naive_rate(&found, time - range, time),
        _ => unreachable!("{query}"),
    }
}

const QUERIES: [&str; 10] = [
    "m",
    "sum_over_time(m[40s])",
    "avg_over_time(m[40s])",
    "max_over_time(m[40s])",
    "min_over_time(m[40s])",
    "count_over_time(m[40s])",
    "last_over_time(m[40s])",
    "changes(m[40s])",
    "resets(m[40s])",
    "rate(m[40s])",
];

fn answered(store: &Store, query: &str, grid: Grid) -> Vec<Column> {
    let limits = Limits { lookback: std::time::Duration::from_secs(30), ..Limits::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    match runtime.block_on(range(store, query, grid, &limits)).expect(query).outcome {
        Outcome::Matrix(_, columns) => columns,
        other => panic!("{other:?}"),
    }
}

use super::super::Column;

fn close(found: Option<f64>, expected: Option<f64>) -> bool {
    match (found, expected) {
        (None, None) => true,
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => false,
    }
}

fn at(column: Option<&Column>, step: usize) -> Option<f64> {
    column.map(|column| column.numbers[step]).filter(|number| !is_absent(*number))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn series_by_series(all in prop::collection::vec(samples(), 1..4), step in steps(), query in prop::sample::select(&QUERIES)) {
        let (store, grid) = (stored(&all), Grid::range(0, 150_000, step));
        let columns = answered(&store, query, grid);
        for (number, samples) in all.iter().enumerate() {
            let column = columns.iter().find(|column| column.labels.get("n") == Some(&number.to_string()));
            for (place, time) in grid.times().enumerate() {
                let (found, expected) = (at(column, place), expected(query, samples, time));
                prop_assert!(close(found, expected), "{query} of {samples:?} at {time}: {found:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn group_by_group(all in prop::collection::vec(samples(), 1..7), step in steps(), op in prop::sample::select(&["sum", "min", "max", "count", "avg", "topk(1, "])) {
        let (store, grid) = (stored(&all), Grid::range(0, 150_000, step));
        let (name, parameter) = op.split_once('(').unwrap_or((op, ""));
        let columns = answered(&store, &format!("{name} by (even) ({parameter}m)"), grid);
        for (place, time) in grid.times().enumerate() {
            for even in ["0", "1"] {
                let numbers: Vec<f64> = all.iter().enumerate()
                    .filter(|(number, _)| (number % 2).to_string() == even)
                    .filter_map(|(_, samples)| newest(samples, time, 30_000)).collect();
                let sum: f64 = numbers.iter().sum();
                let expected = (!numbers.is_empty()).then(|| match op {
                    "sum" => sum,
                    "count" => numbers.len() as f64,
                    "avg" => sum / numbers.len() as f64,
                    "min" => numbers.iter().copied().fold(f64::INFINITY, f64::min),
                    _ => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                });
                let of_group = columns.iter().filter(|column| column.labels.get("even") == Some(even));
                let found: Vec<f64> = of_group.filter_map(|column| at(Some(column), place)).collect();
                prop_assert!(found.len() <= 1 && close(found.first().copied(), expected), "{op} at {time}: {found:?}, not {expected:?}");
            }
        }
    }
}

//! Of all groups at once it is what each group has by itself, whatever way the rows take.

use std::fmt::Debug;

use proptest::{prelude::*, test_runner::TestCaseError};

use super::*;

const GROUPS: usize = 5;

/// Group, time, value, and whether a filter lets it pass.
type Row = (usize, Option<i64>, Option<u32>, Option<bool>);

/// Rows as they come, or those of a group together.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let some = 0.9;
    let row = (
        0..GROUPS,
        prop::option::weighted(some, 0i64..30),
        prop::option::weighted(some, 0u32..9),
        prop::option::weighted(some, prop::bool::weighted(some)),
    );
    (prop::collection::vec(row, 0..60), any::<bool>()).prop_map(|(mut rows, are_together)| {
        if are_together {
            rows.sort_by_key(|row| row.0);
        }
        rows
    })
}

fn function() -> impl Strategy<Value = What> {
    prop::sample::select(vec![What::Rate, What::Increase, What::First, What::Last])
}

/// A histogram that has counted so much.
fn histogram(count: u32) -> String {
    format!(r#"{{"count":{count},"sum":{count},"schema":0,"positive":[[1,{count}]]}}"#)
}

/// What a batch has: its columns, the groups of its rows, and what a filter says of them.
fn batch<T: Sampled>(rows: &[Row], value: fn(u32) -> T) -> ([ArrayRef; 2], Vec<usize>, BooleanArray) {
    let values = T::column(rows.iter().map(|row| row.2.map(value)).collect());
    let times: TimestampNanosecondArray = rows.iter().map(|row| row.1).collect();
    let groups = rows.iter().map(|row| row.0).collect();
    ([values, Arc::new(times)], groups, rows.iter().map(|row| row.3).collect())
}

fn filled<T: Sampled>(what: What, rows: &[Row], length: usize, value: fn(u32) -> T) -> Grouped<T> {
    let mut grouped = Grouped::new(what);
    grouped.grow(GROUPS);
    for rows in rows.chunks(length) {
        let (columns, groups, filter) = batch(rows, value);
        grouped.update_batch(&columns, &groups, Some(&filter), GROUPS).expect("taken");
    }
    grouped
}

/// What each group has, one after the other.
fn alone<T: Sampled>(what: What, rows: &[Row], value: fn(u32) -> T) -> Vec<Option<T>> {
    let of_group = |group: usize| {
        let own = rows.iter().filter(|row| row.0 == group && row.3 == Some(true));
        let mut samples: Vec<_> = own.filter_map(|row| Some((row.1?, value(row.2?)))).collect();
        samples.sort_by_key(|sample| sample.0);
        T::of(what, &samples).expect("of samples")
    };
    (0..GROUPS).map(of_group).collect()
}

fn told<T: Sampled>(column: &ArrayRef) -> Vec<Option<T>> {
    let mut told: Vec<Option<T>> = (0..column.len()).map(|_| None).collect();
    T::rows(column, |row, value| told[row] = Some(value)).expect("a column");
    told
}

/// Batches; the first groups before the others; states of two; a state for each row.
fn agrees<T: Sampled + Debug + PartialEq>(
    what: What,
    rows: &[Row],
    (length, first): (usize, usize),
    value: fn(u32) -> T,
) -> Result<(), TestCaseError> {
    let expected = alone(what, rows, value);

    let mut grouped = filled(what, rows, length, value);
    let mut found = told::<T>(&grouped.evaluate(EmitTo::First(first)).expect("some"));
    prop_assert_eq!(found.len(), first);
    found.extend(told::<T>(&grouped.evaluate(EmitTo::All).expect("the others")));
    prop_assert_eq!(&found, &expected);
    prop_assert_eq!(grouped.heap, 0);

    // What is left of the groups goes on under lower numbers.
    let (former, later) = rows.split_at(rows.len() / 2);
    let later: Vec<Row> = later.iter().copied().filter(|row| row.0 >= first).collect();
    let mut grouped = filled(what, former, length, value);
    let found = told::<T>(&grouped.evaluate(EmitTo::First(first)).expect("some"));
    let of_former = alone(what, former, value);
    prop_assert_eq!(&found[..], &of_former[..first]);
    let (columns, groups, filter) = batch(&later, value);
    let groups: Vec<_> = groups.iter().map(|group| group - first).collect();
    grouped.update_batch(&columns, &groups, Some(&filter), GROUPS - first).expect("taken");
    let found = told::<T>(&grouped.evaluate(EmitTo::All).expect("the others"));
    let of_both = alone(what, &[former, later.as_slice()].concat(), value);
    prop_assert_eq!(&found[..], &of_both[first..]);

    let (former, later) = rows.split_at(rows.len() / 3);
    let mut merged = Grouped::<T>::new(what);
    for rows in [former, later] {
        let state = filled(what, rows, length, value).state(EmitTo::All).expect("a state");
        let groups: Vec<_> = (0..GROUPS).collect();
        merged.merge_batch(&state, &groups, GROUPS).expect("merged");
    }
    prop_assert_eq!(&told::<T>(&merged.evaluate(EmitTo::All).expect("all")), &expected);

    let (columns, groups, filter) = batch(rows, value);
    let state = Grouped::<T>::new(what).convert_to_state(&columns, Some(&filter)).expect("a state");
    // As the engine does, which hands over a part of a batch.
    let mut merged = Grouped::<T>::new(what);
    for from in (0..rows.len()).step_by(length) {
        let part = from..rows.len().min(from + length);
        let state: Vec<_> = state.iter().map(|column| column.slice(from, part.len())).collect();
        merged.merge_batch(&state, &groups[part], GROUPS).expect("merged");
    }
    merged.grow(GROUPS);
    prop_assert_eq!(&told::<T>(&merged.evaluate(EmitTo::All).expect("all")), &expected);
    Ok(())
}

proptest! {
    #[test]
    fn numbers_of_all_groups(rows in rows(), what in function(), length in 1usize..20, first in 0..=GROUPS) {
        agrees::<f64>(what, &rows, (length, first), f64::from)?;
    }

    #[test]
    fn texts_of_all_groups(rows in rows(), what in function(), length in 1usize..20, first in 0..=GROUPS) {
        agrees::<String>(what, &rows, (length, first), histogram)?;
    }
}

/// So many rows of one group, a nanosecond after the other.
fn of_one_group(group: usize, from: i64, rows: usize) -> Vec<Row> {
    (from..).take(rows).map(|time| (group, Some(time), Some(1), Some(true))).collect()
}

#[test]
fn a_group_has_one_sample_of_first_and_last() {
    for what in [What::First, What::Last] {
        let few = filled::<String>(what, &of_one_group(1, 0, 10), 10, histogram);
        let many = filled::<String>(what, &of_one_group(1, 0, 5000), 1000, histogram);
        assert!(few.heap > 0);
        assert_eq!(few.size(), many.size(), "{what:?}");
    }
}

#[test]
fn samples_that_come_together_stay_together() {
    let rows = [of_one_group(0, 0, 900), of_one_group(3, 0, 1100), of_one_group(0, 900, 1)].concat();
    let grouped = filled::<f64>(What::Rate, &rows, 100, f64::from);
    let Kept::All(all) = &grouped.kept else { panic!("all are needed") };
    let runs: Vec<_> = all.runs.iter().map(|run| (run.group, run.end)).collect();
    assert_eq!((runs, all.samples.len()), (vec![(0, 900), (3, 2000), (0, 2001)], 2001));
}

#[test]
fn states_of_another_function_are_refused() {
    let mut numbers = filled::<f64>(What::Rate, &of_one_group(0, 0, 3), 3, f64::from);
    let state = numbers.state(EmitTo::All).expect("a state");
    let mut texts = Grouped::<String>::new(What::Rate);
    let groups: Vec<_> = (0..GROUPS).collect();
    assert!(texts.merge_batch(&state, &groups, GROUPS).is_err());
    assert!(numbers.merge_batch(&state[..1], &groups, GROUPS).is_err());
}

//! A node whose clock is set: its rows go on, and no rate reaches across.

use super::{
    fed::{Fed, UNTIL, second},
    *,
};

const SECOND: i64 = 1_000_000;

/// The rows of the node after its clock was set by so many seconds, and told three more of it.
async fn told_after(set_by: i64) -> BTreeMap<i64, Numbers> {
    let fed = Fed::new().await;
    for at in 0..3 {
        let mut samples = second(UNTIL + at);
        samples.time += set_by * SECOND;
        samples.anew = at == 0;
        fed.memory.ingest(&samples);
    }
    let rows = answered(&fed, "admin", "node", "time > '2000-01-01'").await;
    rows.into_iter().map(|((_, time), row)| (time, row)).collect()
}

/// Those three seconds stand behind the store's rows, and each but the first has a rate.
async fn check(set_by: i64) {
    let rows = told_after(set_by).await;
    let begin = micros(UNTIL + set_by);
    let older = (0..UNTIL).step_by(15).map(micros).filter(|time| *time < begin);
    let times: Vec<i64> = older.chain((0..3).map(|second| begin + second * SECOND)).collect();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), times, "set by {set_by} s");
    let rates = times.iter().map(|time| rows[time].get("cpu_cores").and_then(Value::as_f64));
    let rates: Vec<Option<f64>> = rates.collect();
    // The node uses six microseconds of a core a second, but for where its counters began anew.
    let is_even = |rate: &Option<f64>| rate.is_some_and(|rate| (0.0..1e-5).contains(&rate));
    assert!(rates[1..rates.len() - 3].iter().all(is_even), "set by {set_by} s: {rates:?}");
    assert_eq!(rates[rates.len() - 3], None, "set by {set_by} s");
    assert!(rates[rates.len() - 2..].iter().all(is_even), "set by {set_by} s: {rates:?}");
}

#[tokio::test]
async fn a_clock_that_is_set_back_goes_on_behind_what_the_store_has() {
    check(-3600).await;
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_leaves_what_was_told() {
    check(30).await;
}

//! A process that is killed while it takes samples, writes hours out and makes days loses the
//! last second at most, and nothing from the middle.

use super::*;
use crate::append::tests::child;

const NAME_OF_TEST: &str =
    "series::store::tests::killed::a_process_killed_at_any_moment_loses_a_second_at_most";
const SERIES: usize = 20;
/// Steps of a minute: an hour is over each few milliseconds.
const STEP: i64 = MINUTE;
const KILLS: usize = 4;

/// Takes samples until it is killed, and says how far it is.
fn write_for_ever(folder: &std::path::Path) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let _inside = runtime.enter();
    let store = Store::open(config(folder), &Tasks::new()).expect("opened");
    let series: Vec<_> = (0..SERIES).map(|n| store.resolve(&up(&n.to_string())).expect("made")).collect();
    let mut time = store.head.newest().unwrap_or(START - STEP).max(store.until().saturating_sub(STEP));
    loop {
        time += STEP;
        let samples: Vec<_> = series.iter().map(|series| number(*series, time, time as f64)).collect();
        let appended = store.append(&samples);
        if appended.unknown > 0 {
            // Written out and dropped before anything was in it.
            return write_for_ever(folder);
        }
        assert_eq!(appended.taken, SERIES as u64, "{appended:?}");
        child::say(time);
        std::thread::sleep(Duration::from_micros(500));
    }
}

#[test]
fn a_process_killed_at_any_moment_loses_a_second_at_most() {
    if let Some(folder) = child::folder() {
        return write_for_ever(&folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut newest = 0;
    for kill in 0..KILLS {
        let said = child::killed(NAME_OF_TEST, folder.path(), |said| {
            // Long enough that something is older than a second.
            said.len() > 1000 + 217 * kill && said[0].0.elapsed() > Duration::from_millis(1600)
        });
        let safe = said.a_second_before();
        let store = Store::recover(&config(folder.path())).expect("opened");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("threads");
        let found = runtime.block_on(all(&store, &[], i64::MIN..i64::MAX));
        assert_eq!(found.len(), SERIES);
        let times: Vec<_> = found[0].1.iter().map(|(time, _)| *time).collect();
        newest = *times.last().expect("samples");
        assert!(newest >= safe, "{} minutes are missing", (safe - newest) / MINUTE);
        let expected: Vec<_> = (0..times.len() as i64).map(|n| START + n * STEP).collect();
        assert_eq!(times, expected, "none is missing in the middle, and none is there twice");
        assert!(found.iter().all(|(_, samples)| samples.len() == times.len()));
    }
    assert!(newest > START + 24 * HOUR, "days were made");
    assert!(folder.path().join("blocks").join(format!("{START}-{}.parquet", START + 24 * HOUR)).exists());
}

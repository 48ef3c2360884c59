//! A process that is killed while it takes samples, writes hours out and makes days loses only what
//! was not in its log yet, and nothing from the middle. What it takes is in the log within a second.

use super::*;
use crate::append::tests::child;

const NAME_OF_TEST: &str =
    "series::store::tests::killed::a_process_killed_at_any_moment_loses_only_what_was_not_written_yet";
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
    let mut time = newest_of(&store).max(START - STEP);
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

/// The time of the newest sample.
fn newest_of(store: &Store) -> i64 {
    store.head.newest().unwrap_or(i64::MIN).max(store.until().saturating_sub(STEP))
}

#[test]
fn a_process_killed_at_any_moment_loses_only_what_was_not_written_yet() {
    if let Some(folder) = child::folder() {
        return write_for_ever(&folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let day = folder.path().join("blocks").join(format!("{START}-{}.parquet", START + 24 * HOUR));
    let mut newest = 0;
    for kill in 0..KILLS {
        // At the last kill a day was made.
        let enough = |said: &[i64]| said.len() > 1000 + 217 * kill && (kill + 1 < KILLS || day.exists());
        let is_written = |time: i64| {
            let left = child::left(folder.path());
            newest_of(&Store::recover(&config(left.path())).expect("opened")) >= time
        };
        let written = child::killed_once_written(NAME_OF_TEST, folder.path(), enough, is_written);
        let store = Store::recover(&config(folder.path())).expect("opened");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("threads");
        let found = runtime.block_on(all(&store, &[], i64::MIN..i64::MAX));
        assert_eq!(found.len(), SERIES);
        let times: Vec<_> = found[0].1.iter().map(|(time, _)| *time).collect();
        newest = *times.last().expect("samples");
        assert!(newest >= written, "{} minutes are missing", (written - newest) / MINUTE);
        let expected: Vec<_> = (0..times.len() as i64).map(|n| START + n * STEP).collect();
        assert_eq!(times, expected, "none is missing in the middle, and none is there twice");
        assert!(found.iter().all(|(_, samples)| samples.len() == times.len()));
    }
    assert!(newest > START + 24 * HOUR && day.exists(), "days were made");
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_is_in_the_log_after_a_second() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let store = Store::open(config(folder.path()), &tasks).expect("opened");
    for step in 0..3 {
        let series = store.resolve(&up("a")).expect("made");
        assert_eq!(store.append(&[number(series, START + step * STEP, 1.0)]).taken, 1);
        // Of a clock that stands still while the disk works.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let left = child::left(folder.path());
        let again = Store::recover(&config(left.path())).expect("opened");
        assert_eq!(again.head.newest(), Some(START + step * STEP));
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

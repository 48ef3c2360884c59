//! Decisions outlive the process, a torn line, a full file and a full disk; old ones go, and
//! what is damaged takes nothing else with it.

mod asked;
mod full;
mod killed;
mod sql;

use std::{ops::Range, time::Duration};

use super::{keeper::expired, pieces::Choice, *};
use crate::append::tests::durable;

fn decision(time: i64) -> Decision {
    Decision { time, autoscaler: "web".into(), reason: format!("row {time}"), ..Decision::default() }
}

/// A time that is not so old that what is of it goes at once.
fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// The times of what is kept of a range, about the oldest first.
fn times(decisions: &Arc<Decisions>, range: Range<i64>) -> Vec<i64> {
    let mut pieces = decisions.pieces(&range);
    let mut times = Vec::new();
    while let Some(rows) = pieces.next(&mut |head, _| match range.contains(&head.time) {
        true => Choice::Take,
        false => Choice::Pass,
    }) {
        times.extend(rows.iter().map(|row| row.time));
    }
    times.reverse();
    times
}

fn all(keeper: &Keeper) -> Vec<i64> {
    times(&keeper.decisions, i64::MIN..i64::MAX)
}

/// Files of few rows, kept by hand.
fn load(path: &std::path::Path, file: usize, memory: usize) -> Keeper {
    Keeper::load(path.to_owned(), Bounds { file, memory }, Retention::DECISIONS).expect("opened")
}

/// Files that were read so far.
fn read(decisions: &Decisions) -> usize {
    decisions.read.load(std::sync::atomic::Ordering::Relaxed)
}

/// Opens the folder, records rows and ends as a process does.
async fn record(path: &std::path::Path, rows: Range<i64>) {
    let tasks = Tasks::new();
    let decisions = Decisions::open(path.to_owned(), &tasks).expect("opened");
    rows.for_each(|time| decisions.record(decision(time)));
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn decisions_outlive_the_process_and_a_torn_line_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    record(folder.path(), 0..3).await;
    let open = folder.path().join("0.jsonl");
    let mut text = std::fs::read(&open).expect("written");
    text.extend(b"{\"autoscaler\":\"to");
    std::fs::write(&open, text).expect("torn");
    record(folder.path(), 3..5).await;
    let decisions = Decisions::open(folder.path().to_owned(), &Tasks::new()).expect("opened again");
    assert_eq!(times(&decisions, 0..9), [0, 1, 2, 3, 4]);
    assert_eq!(times(&decisions, 1..3), [1, 2]);
}

#[tokio::test]
async fn full_files_are_sealed_and_found_by_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = now();
    let all = begin..begin + i64::try_from(BOUNDS.file).expect("few") + 300;
    record(folder.path(), all.clone()).await;
    // As if it had been killed after sealing, before the old file went.
    std::fs::write(folder.path().join("0.jsonl"), "{}\n").expect("written");
    let decisions = Decisions::open(folder.path().to_owned(), &Tasks::new()).expect("opened again");
    assert_eq!(decisions.inner.read().newest.rows().len(), 300);
    assert_eq!(decisions.inner.read().sealed.len(), 1);
    assert_eq!(times(&decisions, begin + 7..begin + 9), [begin + 7, begin + 8]);
    assert_eq!(times(&decisions, i64::MIN..i64::MAX), all.collect::<Vec<_>>());
}

#[test]
fn what_a_death_leaves_of_files_that_are_sealed_is_there_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let begin = now();
    let keeper = load(folder.path(), 300, 9999);
    (begin..begin + 1000).for_each(|time| keeper.decisions.record(decision(time)));
    keeper.write().expect("written");
    let old = std::fs::read(path("0.jsonl")).expect("not sealed yet");
    drop(keeper);
    // Nothing was sealed, and one file by half.
    std::fs::write(path("0-1-2.jsonl.zst.part"), b"half").expect("written");
    let keeper = load(folder.path(), 300, 9999);
    let expected: Vec<_> = (begin..begin + 1000).collect();
    assert_eq!(all(&keeper), expected);
    assert!(!path("0-1-2.jsonl.zst.part").exists());
    keeper.settle().expect("sealed");
    assert_eq!(keeper.decisions.inner.read().sealed.len(), 2);
    assert_eq!(all(&keeper), expected);
    drop(keeper);
    // One was sealed, and had not gone.
    std::fs::write(path("0.jsonl"), old).expect("written");
    assert_eq!(all(&load(folder.path(), 300, 9999)), expected);
    assert!(!path("0.jsonl").exists());
}

#[test]
fn a_damaged_file_is_set_aside_and_the_rest_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = now();
    let keeper = load(folder.path(), 10, 9999);
    for time in begin..begin + 30 {
        keeper.decisions.record(decision(time));
        keeper.write().expect("written");
    }
    keeper.settle().expect("sealed");
    let second = keeper.decisions.inner.read().sealed[1].path.clone();
    let mut bytes = std::fs::read(&second).expect("sealed");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&second, bytes).expect("damaged");
    let expected: Vec<_> = (begin..begin + 10).chain(begin + 20..begin + 30).collect();
    assert_eq!(all(&keeper), expected);
    assert!(second.with_extension("damaged").exists() && !second.exists());
    assert_eq!(all(&keeper), expected);
    assert_eq!(all(&load(folder.path(), 10, 9999)), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_is_durable_after_a_second() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let keeper = Arc::new(load(folder.path(), 300, 9999));
    let keeping = keeper.clone();
    tasks.spawn_draining("decisions", OnError::Log, move |stop| keeping.run(stop));
    for time in 0..3 {
        keeper.decisions.record(decision(time));
        // Of a clock that stands still while the disk works.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(durable::lossy(folder.path()), Vec::<PathBuf>::new());
        assert_eq!(all(&load(folder.path(), 300, 9999)).len(), time as usize + 1);
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[test]
fn a_clock_that_leaps_makes_nothing_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = now() - Retention::DECISIONS.micros() - 3_600_000_000;
    let expected: Vec<_> = (begin..begin + 25).collect();
    let keeper = load(folder.path(), 10, 9999);
    for some in expected.chunks(10) {
        some.iter().for_each(|time| keeper.decisions.record(decision(*time)));
        keeper.write().expect("written");
    }
    drop(keeper);
    // The clock tells eight days more than what was written last.
    let keeper = load(folder.path(), 10, 9999);
    keeper.settle().expect("sealed");
    assert_eq!(keeper.decisions.inner.read().sealed.len(), 2);
    assert_eq!(all(&keeper), expected);
}

#[test]
fn the_old_and_the_too_many_go() {
    let file = |number: u64, last: i64| Sealed { path: PathBuf::new(), number, first: 0, last, bytes: 10 };
    let kept = 3_600_000_000;
    let retention = |bytes| Retention { age: Duration::from_secs(3600), bytes };
    let mut sealed = vec![file(0, 1), file(1, kept), file(2, kept + 5)];
    let gone: Vec<_> = expired(&mut sealed, kept + 9, &retention(100)).iter().map(|one| one.number).collect();
    assert_eq!((gone, sealed.len()), (vec![0], 2));
    let gone: Vec<_> = expired(&mut sealed, kept + 9, &retention(10)).iter().map(|one| one.number).collect();
    assert_eq!(gone, [1]);
    // As long as can be said, and longer than there are times.
    let for_ever = Retention { age: Duration::MAX, bytes: u64::MAX };
    assert!(expired(&mut vec![file(0, i64::MIN)], i64::MIN, &for_ever).is_empty());
}

#[test]
fn decisions_are_kept_as_long_as_it_is_said() {
    let begin = now() - 2 * 3_600_000_000;
    for (hours, left) in [(1, 0), (3, 2)] {
        let folder = tempfile::tempdir().expect("a folder");
        let retention = Retention { age: Duration::from_secs(hours * 3600), ..Retention::DECISIONS };
        let bounds = Bounds { file: 10, memory: 9999 };
        let keeper = Keeper::load(folder.path().to_owned(), bounds, retention).expect("opened");
        // Two files that are full, and one that isn't.
        for some in (begin..begin + 25).collect::<Vec<_>>().chunks(10) {
            some.iter().for_each(|time| keeper.decisions.record(decision(*time)));
            keeper.write().expect("written");
        }
        keeper.settle().expect("sealed");
        assert_eq!(keeper.decisions.inner.read().sealed.len(), left, "{hours} h");
    }
}

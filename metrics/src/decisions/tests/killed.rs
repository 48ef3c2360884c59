//! A process that is killed while it records and seals loses only what was not written yet, nothing
//! from the middle, and doubles nothing. What it records is written while it lives.

use super::*;
use crate::append::tests::child;

const NAME_OF_TEST: &str =
    "decisions::tests::killed::a_process_killed_at_any_moment_loses_only_what_was_not_written_yet";
/// Of so few rows that at any moment some file is sealed.
const FILE: usize = 200;
const MEMORY: usize = 1 << 20;
const KILLS: usize = 3;

/// Records rows of one time after the other until it is killed.
fn record_for_ever(folder: &std::path::Path) -> ! {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let _inside = runtime.enter();
    let decisions = Decisions::keep(load(folder, FILE, MEMORY), &Tasks::new());
    let mut time = times(&decisions, i64::MIN..i64::MAX).last().copied().unwrap_or_else(now);
    loop {
        time += 1;
        decisions.record(decision(time));
        child::say(time);
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Files of a folder that are sealed.
fn sealed(folder: &std::path::Path) -> usize {
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    files.filter(|entry| entry.file_name().to_string_lossy().ends_with(".zst")).count()
}

#[test]
fn a_process_killed_at_any_moment_loses_only_what_was_not_written_yet() {
    if let Some(folder) = child::folder() {
        record_for_ever(&folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut begin = None;
    for kill in 0..KILLS {
        let before = sealed(folder.path());
        let enough = |said: &[i64]| said.len() > 500 + 130 * kill && sealed(folder.path()) > before + 1;
        let is_written = |time: i64| {
            let left = child::left(folder.path());
            all(&load(left.path(), FILE, MEMORY)).last().is_some_and(|last| *last >= time)
        };
        let written = child::killed_once_written(NAME_OF_TEST, folder.path(), enough, is_written);
        let keeper = load(folder.path(), FILE, MEMORY);
        let times = all(&keeper);
        let (first, last) = (times[0], times[times.len() - 1]);
        assert!(last >= written, "{} rows are missing", written - last);
        let expected: Vec<_> = (first..=last).collect();
        assert_eq!(times, expected, "none is missing in the middle, and none is there twice");
        assert_eq!(*begin.get_or_insert(first), first);
    }
    assert!(sealed(folder.path()) > KILLS, "{} files are sealed", sealed(folder.path()));
}

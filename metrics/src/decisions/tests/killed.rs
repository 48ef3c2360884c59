//! A process that is killed while it records and seals loses the last second at most, nothing
//! from the middle, and doubles nothing.

use super::*;
use crate::append::tests::child;

const NAME_OF_TEST: &str = "decisions::tests::killed::a_process_killed_at_any_moment_loses_a_second_at_most";
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

#[test]
fn a_process_killed_at_any_moment_loses_a_second_at_most() {
    if let Some(folder) = child::folder() {
        record_for_ever(&folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut begin = None;
    for kill in 0..KILLS {
        let said = child::killed(NAME_OF_TEST, folder.path(), |said| {
            // Long enough that something is older than a second.
            said.len() > 500 + 130 * kill && said[0].0.elapsed() > Duration::from_millis(1300)
        });
        let keeper = load(folder.path(), FILE, MEMORY);
        let times = all(&keeper);
        let (first, last) = (times[0], times[times.len() - 1]);
        assert!(last >= said.a_second_before(), "{} rows are missing", said.a_second_before() - last);
        let expected: Vec<_> = (first..=last).collect();
        assert_eq!(times, expected, "none is missing in the middle, and none is there twice");
        assert_eq!(*begin.get_or_insert(first), first);
    }
    let sealed = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let sealed = sealed.filter(|entry| entry.file_name().to_string_lossy().ends_with(".zst")).count();
    assert!(sealed > KILLS, "{sealed} files are sealed");
}

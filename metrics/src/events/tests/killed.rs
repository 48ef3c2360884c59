//! A process that is killed while it writes occurrences loses none that was written, and spoils
//! none that comes after the next start.

use std::path::Path;

use super::*;
use crate::append::tests::child;

const NAME_OF_TEST: &str =
    "events::tests::killed::a_process_killed_at_any_moment_loses_nothing_it_has_written";
const KILLS: usize = 5;
/// Occurrences of an hour.
const HOURLY: i64 = 500;

fn open(folder: &Path) -> Segments {
    Segments::open(folder.to_owned(), within(u64::MAX)).expect("opened")
}

/// Writes one version after the other until it is killed.
fn add_for_ever(folder: &Path) -> ! {
    let segments = open(folder);
    let begin: Timestamp = "2026-01-31T12:30:00Z".parse().expect("a time");
    let mut version = kept(&segments).last().map_or(1, |last| last + 1);
    loop {
        let number = i64::try_from(version).expect("few");
        let occurred = event(version, "shop", "2026-01-31T12:29:00Z");
        segments.add(&occurred, begin + (number / HOURLY).hours()).expect("added");
        child::say(number);
        version += 1;
    }
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing_it_has_written() {
    if let Some(folder) = child::folder() {
        add_for_ever(&folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    for kill in 0..KILLS {
        let said = child::killed(NAME_OF_TEST, folder.path(), |said| said.len() > 400 + 170 * kill);
        let found = kept(&open(folder.path()));
        let last = *found.last().expect("occurrences");
        assert!(last >= said.last().unsigned_abs(), "{last} where {} was written", said.last());
        assert_eq!(found, (1..=last).collect::<Vec<_>>(), "each is there once");
    }
}

//! A process that is killed while it takes spans and makes files of them loses none that it
//! acknowledged, and doubles none.

use super::*;
use crate::append::tests::child;

const NAME_OF_TEST: &str =
    "traces::tests::killed::a_process_killed_at_any_moment_loses_nothing_that_it_acknowledged";
const KILLS: usize = 5;

/// Takes spans of one number after the other, while files are made, until it is killed.
fn take_for_ever(folder: &Path) -> ! {
    let spans = Arc::new(Spans::load(config(folder)).expect("opened"));
    let mut number = numbers(&spans).last().map_or(0, |last| last + 1);
    let written = spans.clone();
    let writing = std::thread::spawn(move || while written.write(now()).is_ok() {});
    loop {
        spans.take(numbered(number..number + 1)).expect("taken");
        assert!(!writing.is_finished(), "a file can't be written");
        child::say(number);
        number += 1;
    }
}

#[test]
fn a_process_killed_at_any_moment_loses_nothing_that_it_acknowledged() {
    if let Some(folder) = child::folder() {
        take_for_ever(&folder);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let files = || file::list(folder.path()).map_or(0, |files| files.len());
    let mut before = 0;
    for kill in 0..KILLS {
        let said = child::killed(NAME_OF_TEST, folder.path(), |said| {
            said.len() > 200 + 170 * kill && files() > before + 2
        });
        let spans = Spans::load(config(folder.path())).expect("opened");
        let found = numbers(&spans);
        let last = *found.last().expect("spans");
        assert!(last >= said.last(), "{} spans are missing", said.last() - last);
        assert_eq!(found, (0..=last).collect::<Vec<_>>(), "each is there once");
        before = files();
    }
}

//! The log of a version before is read once, whatever deaths left of it.

use super::{super::log, *};

/// Spans as lines of a log.
fn lines(spans: &[Span]) -> String {
    spans.iter().map(|span| serde_json::to_string(span).expect("a line") + "\n").collect()
}

/// A folder as a version before left it: a file of spans has so many that are in the log too.
fn left(spans: &[Span], in_both: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let written: Vec<_> = spans[..in_both].iter().cloned().map(Arc::new).collect();
    file::write(folder.path(), &written, now().unsigned_abs()).expect("written");
    // A death tore its last line.
    std::fs::write(folder.path().join("recent.jsonl"), lines(spans) + "{\"time\":").expect("written");
    folder
}

#[test]
fn the_log_of_a_version_before_is_read_after_an_upgrade() {
    is_read(&left(&numbered(0..5), 0));
    is_read(&left(&numbered(0..5), 2));
}

fn is_read(folder: &tempfile::TempDir) {
    // As if it had died in the middle.
    std::fs::write(folder.path().join("recent.half"), lines(&numbered(7..9))).expect("written");
    let spans = Spans::load(config(folder.path())).expect("opened");
    assert_eq!(numbers(&spans), [0, 1, 2, 3, 4]);
    for gone in ["recent.jsonl", "recent.half"] {
        assert!(!folder.path().join(gone).exists(), "{gone} is there");
    }
    spans.take(numbered(5..6)).expect("taken");
    drop(spans);
    let spans = Spans::load(config(folder.path())).expect("opened again");
    assert_eq!(numbers(&spans), [0, 1, 2, 3, 4, 5], "nothing spoils what came behind it");
    spans.write(now()).expect("written");
    assert_eq!(numbers(&spans), [0, 1, 2, 3, 4, 5]);
    drop(spans);
    assert_eq!(numbers(&Spans::load(config(folder.path())).expect("opened")), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn it_is_read_beside_the_log_of_a_version_that_did_not_read_it() {
    let folder = left(&numbered(0..5), 2);
    let written = file::list(folder.path()).expect("files")[0].number;
    let newer = folder.path().join(format!("recent-{}.jsonl", written + 1));
    std::fs::write(&newer, lines(&numbered(5..7))).expect("written");
    let spans = Spans::load(config(folder.path())).expect("opened");
    assert_eq!(numbers(&spans), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(log::last(folder.path()).expect("listed"), written + 2);
    drop(spans);
    assert_eq!(numbers(&Spans::load(config(folder.path())).expect("opened")), [0, 1, 2, 3, 4, 5, 6]);
}

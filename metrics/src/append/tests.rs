//! Lines are whole whatever a file had before, and are made durable; beside that, what tests of
//! all that is appended to share.

pub mod child;
pub mod durable;
// The same small disk as the logs are tested on.
#[path = "../../../logging/src/small_disk.rs"]
#[expect(dead_code, reason = "the logs' tests use more of it")]
pub mod small_disk;

use super::*;

/// Opens a file with this text, appends a line, and gives what it has then.
fn appended(folder: &Path, text: &str) -> String {
    let path = folder.join("lines");
    std::fs::write(&path, text).expect("written");
    let mut lines = Lines::open(&path).expect("opened");
    lines.append(b"new\n").expect("appended");
    let found = std::fs::read_to_string(&path).expect("read");
    assert_eq!(lines.length(), found.len() as u64);
    found
}

#[test]
fn a_line_that_is_cut_anywhere_takes_no_other_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "one\ntwo\n\nthree\n";
    for cut in 0..=text.len() {
        let whole = text[..cut].rfind('\n').map_or("", |at| &text[..=at]);
        assert_eq!(appended(folder.path(), &text[..cut]), format!("{whole}new\n"), "cut at {cut}");
    }
    for length in [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
        let long = "x".repeat(length);
        assert_eq!(appended(folder.path(), &format!("one\n{long}")), "one\nnew\n", "{length}");
        let whole = format!("one\n{long}\n");
        assert_eq!(appended(folder.path(), &format!("{whole}{long}")), format!("{whole}new\n"));
    }
}

#[test]
fn what_is_appended_is_to_be_synced_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lines");
    let mut lines = Lines::open(&path).expect("opened");
    assert!(lines.unsynced().expect("asked").is_none());
    lines.append(b"one\n").expect("appended");
    let unsynced = lines.unsynced().expect("asked").expect("something is not durable");
    assert!(unsynced.is_new, "neither is the file's name");
    assert_eq!(durable::bytes(&path), 0);
    unsynced.sync().expect("synced");
    assert_eq!(durable::bytes(&path), 4);
    assert!(lines.unsynced().expect("asked").is_none());
    lines.append(b"two\n").expect("appended");
    let unsynced = lines.unsynced().expect("asked").expect("the second line is not durable");
    assert!(!unsynced.is_new, "the file's name is");
    unsynced.sync().expect("synced");
    assert_eq!(durable::bytes(&path), 8);
}

#[test]
fn what_could_not_be_synced_is_asked_for_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bytes");
    let mut file = Appending::make(&path).expect("made");
    file.append(b"one").expect("appended");
    let first = file.unsynced().expect("asked").expect("it is not durable");
    file.append(b"two").expect("appended");
    first.sync().expect("synced");
    // The disk fails.
    drop(file.unsynced().expect("asked").expect("what came meanwhile may not be durable"));
    let again = file.unsynced().expect("asked").expect("it still is not");
    assert!(!again.is_new && again.path() == path);
    again.sync().expect("synced");
    assert!(file.unsynced().expect("asked").is_none());
    assert_eq!(durable::bytes(&path), 6);
    Appending::make(&path).expect_err("it is there");
}

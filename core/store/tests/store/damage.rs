//! A damaged store is refused with a clear error; a journal that a crash tore at
//! its end is not damage.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tiphys_lifecycle::Tasks;
use tiphys_store::{Embedded, Options, StoreError};

use super::testbed::{Bed, LIMIT, put, value};

/// A store with twenty revisions, closed; its mark is at the last.
async fn closed_store() -> TempDir {
    let bed = Bed::embedded().await;
    for n in 0..20 {
        put(&*bed.store, "/a", &format!("value {n} {}", "x".repeat(100))).await;
    }
    bed.close().await
}

fn journal(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder.join("db")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ext| ext == "jnl")).max().unwrap()
}

/// Where the bytes of a value stand in a file.
fn find(bytes: &[u8], needle: &str) -> usize {
    bytes.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap()
}

async fn refusal(folder: &Path) -> StoreError {
    let tasks = Tasks::new();
    let opened = Embedded::open(folder, &tasks).await;
    tasks.shutdown(LIMIT).await;
    opened.err().expect("the store is refused")
}

fn assert_damaged(error: &StoreError) {
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_in_the_journal_is_refused() {
    let folder = closed_store().await;
    let path = journal(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    let at = find(&bytes, "value 7");
    bytes[at] ^= 0x40;
    fs::write(&path, bytes).unwrap();
    assert_damaged(&refusal(folder.path()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_journal_is_refused_every_time() {
    let folder = closed_store().await;
    let path = journal(folder.path());
    let mut bytes = fs::read(&path).unwrap();
    let at = find(&bytes, "value 7");
    bytes[at - 120..at + 60].fill(0);
    fs::write(&path, bytes).unwrap();
    assert_damaged(&refusal(folder.path()).await);
    assert_damaged(&refusal(folder.path()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_is_refused() {
    let folder = closed_store().await;
    fs::remove_file(journal(folder.path())).unwrap();
    assert_damaged(&refusal(folder.path()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_loses_only_what_was_never_acknowledged() {
    let bed = Bed::with(Options { mark_every: Duration::from_secs(3600), ..Options::default() }).await;
    for n in 0..20 {
        put(&*bed.store, "/a", &format!("value {n} {}", "x".repeat(100))).await;
    }
    let copy = tempfile::tempdir().unwrap();
    copy_folder(bed.path(), copy.path());
    bed.close().await;
    // The tail was being written when the power went: no mark speaks of it yet.
    fs::write(copy.path().join("acknowledged"), "20\n").unwrap();
    let path = journal(copy.path());
    let length = find(&fs::read(&path).unwrap(), "value 19") as u64 + 10;
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();

    let tasks = Tasks::new();
    let store = Embedded::open(copy.path(), &tasks).await.unwrap();
    assert!(value(&*store, "/a", None).await.unwrap().starts_with("value 18 "));
    assert_eq!(put(&*store, "/a", "after").await, 21);
    tasks.shutdown(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_refused() {
    let bed = Bed::embedded().await;
    assert_eq!(refusal(bed.path()).await, StoreError::InUse { path: bed.path().to_owned() });
    bed.close().await;
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

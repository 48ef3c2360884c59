//! Decisions outlive the process, a torn line and a full file; old ones go.

use std::time::Duration;

use super::{keeper::expired, *};

fn decision(time: i64) -> Decision {
    Decision { time, autoscaler: "web".into(), reason: format!("row {time}"), ..Decision::default() }
}

fn times(decisions: &Decisions, range: Range<i64>) -> Vec<i64> {
    decisions.within(range).iter().map(|row| row.time).collect()
}

/// Opens the folder, records rows and ends as a process does.
async fn record(path: &std::path::Path, rows: Range<i64>) {
    let tasks = Tasks::new();
    let decisions = Decisions::open(path.to_owned(), &tasks).expect("opened");
    rows.for_each(|time| decisions.record(decision(time)));
    tasks.shutdown(Duration::from_secs(30)).await;
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
    // Not so old that they go at once.
    let begin = jiff::Timestamp::now().as_microsecond();
    let all = begin..begin + i64::try_from(ROWS).expect("few") + 300;
    record(folder.path(), all.clone()).await;
    // As if it had been killed after sealing, before the old file went.
    std::fs::write(folder.path().join("0.jsonl"), "{}\n").expect("written");
    let decisions = Decisions::open(folder.path().to_owned(), &Tasks::new()).expect("opened again");
    assert!(decisions.inner.read().rows.len() < ROWS);
    assert_eq!(decisions.inner.read().sealed.len(), 1);
    assert_eq!(times(&decisions, begin + 7..begin + 9), [begin + 7, begin + 8]);
    assert_eq!(times(&decisions, i64::MIN..i64::MAX), all.collect::<Vec<_>>());
}

#[test]
fn the_old_and_the_too_many_go() {
    let file = |number: u64, last: i64| Sealed { path: PathBuf::new(), number, first: 0, last, bytes: 10 };
    let mut sealed = vec![file(0, 1), file(1, KEPT), file(2, KEPT + 5)];
    let gone: Vec<_> = expired(&mut sealed, KEPT + 9, 100).iter().map(|one| one.number).collect();
    assert_eq!((gone, sealed.len()), (vec![0], 2));
    let gone: Vec<_> = expired(&mut sealed, KEPT + 9, 10).iter().map(|one| one.number).collect();
    assert_eq!(gone, [1]);
}

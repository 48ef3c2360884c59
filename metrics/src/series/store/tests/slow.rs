//! A disk that takes its time to make something durable holds up neither what is written nor who appends;
//! who ends the store waits for it.

use super::*;
use crate::append::tests::{child, durable};

/// What does not hang has happened by then.
const LIMIT: Duration = Duration::from_secs(120);

/// The newest sample that a kill would leave now.
fn left(folder: &std::path::Path) -> Option<i64> {
    let left = child::left(folder);
    Store::recover(&config(left.path())).expect("opened").head.newest()
}

/// Appends a sample, where that may hang.
async fn append(store: &Arc<Store>, time: i64) {
    let store = store.clone();
    let appended = tokio::task::spawn_blocking(move || {
        let series = store.resolve(&up("a")).expect("made");
        store.append(&[number(series, time, 1.0)]).taken
    });
    assert_eq!(tokio::time::timeout(LIMIT, appended).await.expect("it is taken").expect("run"), 1);
}

#[tokio::test]
async fn what_is_taken_is_written_while_a_disk_makes_nothing_durable() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let store = Store::open(config(folder.path()), &tasks).expect("opened");
    let log = store.log.as_ref().expect("on disk");
    let mut held = durable::hold(folder.path());
    append(&store, START).await;
    tokio::time::timeout(LIMIT, held.asked()).await.expect("it is made durable");
    for minute in 1..4 {
        let time = START + minute * MINUTE;
        append(&store, time).await;
        while left(folder.path()) != Some(time) {
            tokio::time::timeout(LIMIT, log.written.notified()).await.expect("it is written");
        }
        // As is what ends a segment.
        let ending = store.clone();
        let ended = tokio::task::spawn_blocking(move || ending.log.as_ref().map(|log| log.begin_segment()));
        let ended = tokio::time::timeout(LIMIT, ended).await.expect("it ends").expect("run");
        ended.expect("on disk").expect("written");
    }
    let segments = folder.path().join("log");
    assert_eq!(durable::lossy(&segments).len(), 3, "none is durable");
    drop(held);
    assert_eq!(tasks.shutdown(LIMIT).await, [""; 0]);
    assert_eq!(durable::lossy(&segments), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn who_stops_the_store_waits_until_all_is_durable() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let store = Store::open(config(folder.path()), &tasks).expect("opened");
    append(&store, START).await;
    assert_eq!(tasks.shutdown(LIMIT).await, [""; 0]);
    assert_eq!(left(folder.path()), Some(START));
    assert_eq!(durable::lossy(&folder.path().join("log")), Vec::<PathBuf>::new());
}

//! A disk that fails to make spans durable: it is asked again, also where nobody sends any more.

use super::*;

/// What does not hang has happened by then, by a clock that stands still while the disk works.
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(start_paused = true)]
async fn what_could_not_be_made_durable_is_tried_again() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let spans = Spans::open(config(folder.path()), &tasks).expect("opened");
    let mut failing = durable::fail(folder.path());
    spans.take(numbered(0..1)).expect("taken");
    for attempt in 0..3 {
        let asked = tokio::time::timeout(LIMIT, failing.asked()).await;
        asked.unwrap_or_else(|_| panic!("attempt {attempt} was the last"));
    }
    assert_eq!(durable::lossy(folder.path()).len(), 1);
    drop(failing);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(durable::lossy(folder.path()), Vec::<PathBuf>::new());
    assert_eq!(tasks.shutdown(LIMIT).await, [""; 0]);
}

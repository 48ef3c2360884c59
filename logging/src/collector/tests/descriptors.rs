//! A collector that may open no more files for a while: it goes on, counts what it can't open,
//! and opens it when it can.

use super::*;
use crate::own_process::{self, free_descriptors, leave_descriptors};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_found_once_when_there_are_descriptors_again() {
    if !own_process::enter(
        "collector::tests::descriptors::lines_are_found_once_when_there_are_descriptors_again",
    ) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // To be moved there, which takes no descriptor.
    let beside = folder.path().join("beside");
    let path = log_file(&beside, "shop_web-1");
    write(&path.with_file_name("0.log.000001"), &line(1, "hello one"));
    write(&path, &line(2, "hello two"));
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    write(&log_file(folder.path(), "shop_web-0"), &line(3, "before"));
    until_found(&running, "before", 1).await;
    let durable = async {
        while running.store.has_uncommitted() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), durable).await.expect("durable in time");

    leave_descriptors(0);
    let pod = path.parent().and_then(Path::parent).expect("a Pod's folder");
    let there = folder.path().join("pods").join(pod.file_name().expect("a name"));
    fs::rename(pod, there).expect("moved");
    let counted = async {
        while running.metrics.open_failures.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), counted).await.expect("counted in time");
    free_descriptors();
    until_found(&running, "hello", 2).await;
    let metrics = running.metrics.component.render();
    assert!(metrics.contains("tiphys_logs_open_failures_total "), "{metrics}");
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    assert_eq!(find(&running.store, "hello"), ["hello two", "hello one"]);
}

//! A whole collector on a disk that is full for a while: lines wait in their files, senders
//! are told, searches answer, and later everything is there once.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use http::StatusCode;
use prost::Message;
use tiphys_lifecycle::Tasks;

use super::tests::{ByToken, Sockets, config, find, otlp, protobuf};
use crate::{
    collector::{self, Running},
    small_disk::{self, SmallDisk},
};

async fn start(disk: &SmallDisk, tasks: &Tasks) -> (Running, Sockets) {
    let mut config = config(&disk.folder);
    config.commit_after = Duration::from_millis(100);
    let gate = std::sync::Arc::new(ByToken);
    let running = collector::run_with(config, None, Some(gate), tasks).await.expect("started");
    let sockets = Sockets::of(running.doors.http[0]);
    (running, sockets)
}

fn write(disk: &SmallDisk, lines: std::ops::Range<usize>) {
    let dir = disk.folder.join("pods/shop_web-1_uid-1/app");
    fs::create_dir_all(&dir).expect("a folder");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(dir.join("0.log")).expect("a file");
    for number in lines {
        writeln!(file, "2026-01-31T12:00:00.{number:09}Z stdout F line {number}").expect("written");
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < end, "not within two minutes: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Each line of the file once.
fn has_lines(running: &Running, count: usize) -> bool {
    let mut found: Vec<_> = find(&running.store, "pod:web-1").into_iter().map(|record| record.body).collect();
    assert!(found.len() <= count, "{} of {count} lines", found.len());
    found.sort_unstable();
    found.dedup();
    found.len() == count
}

async fn send(sockets: &Sockets, word: &str) -> StatusCode {
    // More than what a commit that fails gives back.
    let body = format!("{word} {}", "x".repeat(200_000));
    sockets.send(protobuf("shop"), "/v1/logs", otlp(None, &[&body]).encode_to_vec()).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_what_is_written_and_loses_nothing() {
    const NAME: &str = "doors::full_tests::a_full_disk_stops_what_is_written_and_loses_nothing";
    let Some(disk) = small_disk::enter(NAME) else { return };
    let tasks = Tasks::new();
    let (running, sockets) = start(&disk, &tasks).await;
    write(&disk, 0..500);
    assert_eq!(send(&sockets, "early").await, StatusCode::OK);
    until("lines of an empty disk", || has_lines(&running, 500)).await;
    // And then the segment, which would make room.
    until("a commit", || !running.store.has_uncommitted() && running.metrics.wal.bytes.get() == 0).await;

    disk.leave(0);
    write(&disk, 500..1000);
    until("a commit that fails", || running.metrics.commit_failures.get() > 0).await;
    until("lines while the disk is full", || has_lines(&running, 1000)).await;
    disk.leave(0);
    assert_eq!(send(&sockets, "refused").await, StatusCode::SERVICE_UNAVAILABLE);
    let files = small_disk::files(&disk.data.join("wal")).len();
    for _ in 0..5 {
        assert_eq!(send(&sockets, "refused").await, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(running.metrics.wal.failures.get(), 6);
    assert_eq!(small_disk::files(&disk.data.join("wal")).len(), files, "a refusal leaves no file");
    assert_eq!((find(&running.store, "refused").len(), find(&running.store, "early").len()), (0, 1));

    // Also a restart finds all of it.
    tasks.shutdown(Duration::from_secs(120)).await;
    drop(running);
    let tasks = Tasks::new();
    let (running, sockets) = start(&disk, &tasks).await;
    until("lines after a restart", || has_lines(&running, 1000)).await;
    assert_eq!((find(&running.store, "refused").len(), find(&running.store, "early").len()), (0, 1));

    disk.free();
    assert_eq!(send(&sockets, "refused").await, StatusCode::OK);
    until("a commit with room", || !running.store.has_uncommitted()).await;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    drop(running);
    let tasks = Tasks::new();
    let (running, _) = start(&disk, &tasks).await;
    until("lines in the end", || has_lines(&running, 1000)).await;
    assert_eq!((find(&running.store, "refused").len(), find(&running.store, "early").len()), (1, 1));
    tasks.shutdown(Duration::from_secs(120)).await;
}

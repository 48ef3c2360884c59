//! What a sender was told is taken is there once, whatever happened to the collector
//! in between; and a collector that can't take more says so.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use http::StatusCode;
use prost::Message;
use tiphys_lifecycle::Tasks;
use tokio::sync::Semaphore;

use super::{
    tests::{ByToken, Sockets, again, config, find, otlp, protobuf},
    *,
};
use crate::{
    collector,
    record::{Level, Record, Source},
    search,
    wal::{self, Pushed},
    wire::NodeRequest,
};

/// The test binary again, as a process that can be killed: only with the variable set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Some(folder) = std::env::var_os("TIPHYS_TEST_DOORS") else { return };
    let tasks = Tasks::new();
    let mut config = config(Path::new(&folder));
    config.commit_after = Duration::from_millis(50);
    let running = collector::run_with(config, None, Some(Arc::new(ByToken)), &tasks).await.expect("started");
    eprintln!("open at {}", running.doors.http[0]);
    tasks.failed().await;
}

/// A collector of its own process, killed when dropped.
struct Killed(Child);

impl Killed {
    fn start(folder: &Path) -> (Self, Sockets) {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "doors::crash_tests::child_process", "--nocapture"])
            .env("TIPHYS_TEST_DOORS", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = child.stderr.take().expect("piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("open at ")?.parse().ok());
        (Self(child), Sockets::of(address.expect("the child did not start")))
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends requests of one to four records until the collector is gone; gives what was acknowledged.
async fn send_until_it_dies(
    sockets: Sockets,
    round: usize,
    sender: usize,
    said: Arc<Semaphore>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let bodies: Vec<String> =
            (0..1 + number % 4).map(|at| format!("record r{round}s{sender}n{number}a{at}x")).collect();
        let shown: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let body = otlp(None, &shown).encode_to_vec();
        match sockets.try_send(protobuf("shop"), "/v1/logs", body).await {
            Ok((_, StatusCode::OK, _)) => {
                acknowledged.extend(bodies);
                said.add_permits(1);
            }
            Ok((_, status, answer)) => panic!("{status} {answer:?}"),
            Err(()) => break,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_doubles_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged = HashSet::new();
    for round in 0..6 {
        let (child, sockets) = Killed::start(folder.path());
        let said = Arc::new(Semaphore::new(0));
        let send = |sender| send_until_it_dies(sockets.clone(), round, sender, said.clone());
        // Of different lengths, so that kills come before, in and after commits.
        let kill = async {
            let enough = said.acquire_many(5 + 40 * round as u32);
            let enough = tokio::time::timeout(Duration::from_secs(120), enough).await;
            enough.expect("in time").expect("open").forget();
            drop(child);
        };
        let (acknowledged_now, ()) = tokio::join!(futures::future::join_all((0..4).map(send)), kill);
        acknowledged.extend(acknowledged_now.into_iter().flatten());
    }
    assert!(!acknowledged.is_empty());
    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    let all_there = async {
        let is_there = |body: &String| find(&running.store, &format!("\"{body}\"")).len() == 1;
        // The newest first: what is replayed last.
        while !acknowledged.iter().all(is_there) {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(120), all_there).await;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for record in find(&running.store, "*") {
        *counts.entry(record.body).or_default() += 1;
    }
    let lost: Vec<_> = acknowledged.iter().filter(|body| !counts.contains_key(*body)).collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "lost {lost:?} doubled {doubled:?} {in_time:?}");
    let ids: HashSet<String> = find(&running.store, "*").into_iter().map(|record| record.id).collect();
    assert_eq!(ids.len(), counts.len(), "a number was given twice");
    tasks.shutdown(Duration::from_secs(120)).await;
    // All of it is in splits now, and nothing of it in the log.
    let left = std::fs::read_dir(folder.path().join("data/wal")).expect("listed").count();
    assert!(left <= 1, "{left} segments are left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_is_told_to_the_sender_and_what_is_sent_again_is_there_once() {
    let collector = super::tests::Collector::new().await;
    let (wal, away) = (collector.folder.path().join("data/wal"), collector.folder.path().join("data/away"));
    std::fs::rename(&wal, &away).expect("renamed");
    let body = otlp(None, &["one line"]).encode_to_vec();
    let (headers, status, answer) = collector.sockets.send(protobuf("shop"), "/v1/logs", body.clone()).await;
    assert_eq!(
        (status, headers["Retry-After"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, b"2".as_slice())
    );
    assert!(String::from_utf8_lossy(&answer).contains("can't be made durable"), "{answer:?}");
    assert!(collector.find("line").is_empty());
    std::fs::rename(&away, &wal).expect("renamed");
    assert_eq!(collector.sockets.send(protobuf("shop"), "/v1/logs", body).await.1, StatusCode::OK);
    assert_eq!(collector.find("line").len(), 1);
    assert!(collector.metric("tiphys_logs_wal_failures_total 1"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_of_the_log_can_not_be_read_is_kept_and_named_and_the_rest_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (log, broken) = (folder.path().join("data/wal"), folder.path().join("data/broken"));
    let entry = |body: &str| {
        let record = Record {
            time: 1,
            seq: 0,
            level: Level::Info,
            source: Source::Stdout,
            body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        };
        let info = crate::index::tests::info("sent");
        wal::write_entry(&[Pushed { info, labels: Arc::default(), records: vec![record] }])
    };
    let mut later = entry("later");
    later[0] = 9;
    wal::Wal::open(&log, &broken, 0).expect("opened").write(&[entry("one"), later]).expect("written");
    // Reading the first page of a process's memory is an error of input and output.
    std::os::unix::fs::symlink("/proc/self/mem", log.join("000000000001.wal")).expect("linked");
    let mut rest = wal::Wal::open(&log, &broken, 0).expect("opened");
    while rest.read_left().is_some() {}
    rest.write(&[entry("two")]).expect("written");
    drop(rest);
    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    let found = || {
        let request = NodeRequest { query: "one OR two OR later".into(), ..NodeRequest::default() };
        let request = search::Request::new(&request, Duration::from_secs(60)).expect("a query");
        search::search(&running.store, &request, 10, "n1").records.len()
    };
    let all_there = async {
        while running.store.broken().len() < 2 || found() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all_there).await.expect("in time");
    let named = running.store.broken();
    assert!(named[0].contains("version 9 is not known") && named[1].contains("Input/output"), "{named:?}");
    assert_eq!(running.metrics.wal.lost.get(), 2);
    tasks.shutdown(Duration::from_secs(120)).await;
    assert!(broken.join("000000000000.wal").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_33_a_collector_that_cannot_keep_up_tells_its_senders_to_wait() {
    let (inlet, mut parcels) = Inlet::new();
    let doors = Doors::new(
        Arc::new(ByToken),
        None,
        inlet,
        Budget::new(1 << 20),
        "n1",
        crate::metric_names::Metrics::new(),
    );
    let tasks = Tasks::new();
    let sockets = Sockets::over(doors, &tasks).await;
    let send = async || {
        let body = otlp(None, &["x".repeat(100_000).as_str()]).encode_to_vec();
        let (headers, status, _) = sockets.send(protobuf("shop"), "/v1/logs", body).await;
        (status, headers.contains_key("Retry-After"))
    };
    // Nobody signs for what comes: some fit the memory, the others are told to come again.
    let mut sending: FuturesUnordered<_> = (0..12).map(|_| send()).collect();
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    while taken.len() + refused.len() < 12 {
        tokio::select! {
            Some(parcel) = parcels.recv() => taken.push(parcel),
            Some(answer) = sending.next() => refused.push(answer),
        }
    }
    assert!(!taken.is_empty() && !refused.is_empty(), "{} were taken", taken.len());
    assert!(refused.iter().all(|answer| *answer == (StatusCode::TOO_MANY_REQUESTS, true)), "{refused:?}");
    for parcel in taken {
        parcel.receipt.send(Ok(())).expect("the sender waits");
    }
    while let Some(answer) = sending.next().await {
        assert_eq!(answer, (StatusCode::OK, false));
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

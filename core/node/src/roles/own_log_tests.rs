//! A process that writes as fast as it can while its log is set aside again and again,
//! beside a collector: every line is found once.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::Write,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tiphys_logging::{
    collector::{self, Running},
    tail::SystemLog,
};

use super::*;

const LIMITS: Limits = Limits { bytes: 20_000, kept: 3, unread: 10_000 };
const LINES: usize = 20_000;

/// Not a test of its own: the process whose output is set aside.
#[test]
fn child_process() {
    let Some(path) = std::env::var_os("TIPHYS_TEST_OWN_LOG").map(PathBuf::from) else { return };
    let ends = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            std::thread::spawn(move || {
                for number in 0..LINES / 2 {
                    // One write a line, as tracing does it; one by stdout, one by stderr.
                    let line = format!("2026-01-31T12:00:00Z  INFO line w{writer}n{number}x\n");
                    let written = match writer {
                        0 => std::io::stderr().write_all(line.as_bytes()),
                        _ => nix::unistd::write(std::io::stdout(), line.as_bytes())
                            .map(drop)
                            .map_err(Into::into),
                    };
                    written.expect("written");
                }
            })
        })
        .collect();
    let rotation = {
        let ends = ends.clone();
        std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                rotate(&path, LIMITS).expect("set aside");
            }
        })
    };
    writers.into_iter().for_each(|writer| writer.join().expect("it ended"));
    ends.store(true, Ordering::Relaxed);
    rotation.join().expect("it ended");
}

fn found(running: &Running) -> Vec<String> {
    use tiphys_logging::{search, wire::NodeRequest};
    let request = NodeRequest { query: "line container:own".into(), ..NodeRequest::default() };
    let request = search::Request::new(&request, Duration::from_secs(120)).expect("a query");
    let answer = search::search(&running.store, &request, 1_000_000, "n1");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    answer.records.into_iter().map(|record| record.body).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_set_aside_while_it_is_written_loses_and_doubles_no_line() {
    let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
    let path = folder.path().join("own.log");
    let mut config = collector::Config::new("n1", ([127, 0, 0, 1], 0).into(), "t0ken");
    config.pods_dir = folder.path().join("pods");
    config.data_dir = folder.path().join("data");
    config.commit_after = Duration::from_millis(50);
    config.system_logs = vec![SystemLog { name: "own".into(), path: path.clone() }];
    let running = collector::run(config, None, &tasks).await.expect("started");
    let log = OpenOptions::new().create(true).append(true).open(&path).expect("a file");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "roles::own_log::tests::child_process", "--nocapture"])
        .env("TIPHYS_TEST_OWN_LOG", &path)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a descriptor"))
        .stderr(log)
        .spawn()
        .expect("a process");
    let status =
        tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("it ended");
    assert!(status.success());
    let all = async {
        while found(&running).len() < LINES {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(120), all).await;
    let mut counts: HashMap<String, usize> = HashMap::new();
    for body in found(&running) {
        *counts.entry(body).or_default() += 1;
    }
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).take(5).collect();
    assert_eq!((counts.len(), doubled.len()), (LINES, 0), "{doubled:?} {in_time:?}");
    // What the collector has goes; the last ones may not have been acknowledged when there was a turn.
    let left = std::fs::read_dir(folder.path()).expect("listed").count();
    assert!(left < 60, "{left} files are left");
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[test]
fn what_was_read_goes_first_and_what_was_not_goes_in_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("server.log");
    let limits = Limits { bytes: 1, kept: 2, unread: 4 };
    let set_aside = |text: &str, is_read: bool| {
        make_room(&path, limits).expect("room");
        fs::write(numbered(&path, 1), text).expect("written");
        if is_read {
            xattr::set(numbered(&path, 1), ACKED, text.len().to_string().as_bytes()).expect("acknowledged");
        }
        let texts = (1..9).filter_map(|number| fs::read_to_string(numbered(&path, number)).ok());
        texts.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(set_aside("a", true), "a");
    assert_eq!(set_aside("b", true), "b a");
    assert_eq!(set_aside("c", true), "c b");
    assert_eq!(set_aside("d", false), "d c");
    assert_eq!(set_aside("e", false), "e d");
    assert_eq!(set_aside("f", true), "f e d");
    assert_eq!(set_aside("g", true), "g f e d");
    assert_eq!(set_aside("h", true), "h g e", "there is an end to it");
}

#[test]
fn another_files_output_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("someone.log");
    fs::write(&path, "large").expect("written");
    rotate(&path, Limits { bytes: 1, kept: 3, unread: 10 }).expect("nothing to do");
    assert_eq!(fs::read_to_string(&path).expect("there"), "large");
    assert!(!numbered(&path, 1).exists());
}

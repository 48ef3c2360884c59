//! kill -9: a child process writes and says what was acknowledged; it is killed in
//! the middle, and every word it said must hold.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use tiphys_lifecycle::Tasks;
use tiphys_store::{Embedded, Range, Store, Txn};

use super::testbed::{LIMIT, events_until, text};

const FOLDER: &str = "TIPHYS_STORE_CRASH_FOLDER";
const WRITERS: usize = 8;

/// The child's part: without the folder in its environment there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn crash_child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Embedded::open(std::path::PathBuf::from(folder), &Tasks::new()).await.unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let store = store.clone();
        async move {
            for n in 0_u64.. {
                let value = format!("{n} {}", "x".repeat(500));
                let revision = store.transact(Txn::put(format!("/{writer}"), value)).await.unwrap().revision;
                let mut out = std::io::stdout().lock();
                writeln!(out, "ack {writer} {n} {revision}").unwrap();
                out.flush().unwrap();
            }
        }
    });
    futures::future::join_all(writers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_no_acknowledged_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<String, (u64, u64)> = HashMap::new();
    for round in 1..=3 {
        for (writer, n, revision) in run_and_kill(folder.path(), 400 * round) {
            let entry = acknowledged.entry(writer).or_default();
            *entry = (*entry).max((revision, n));
        }
        let tasks = Tasks::new();
        let store = Embedded::open(folder.path(), &tasks).await.unwrap();
        let page = store.range(Range::prefix("/")).await.unwrap();
        assert_eq!(page.records.len(), WRITERS);
        for record in page.records {
            let (revision, n) = acknowledged[record.key.trim_start_matches('/')];
            let stored: u64 = text(&record).split(' ').next().unwrap().parse().unwrap();
            assert!(record.mod_revision >= revision, "{} went back", record.key);
            assert!(record.mod_revision > revision || stored == n, "{} changed", record.key);
        }
        let mut watch = store.watch("/", 2).await.unwrap();
        let events = events_until(&mut watch, page.revision).await.unwrap();
        assert_eq!(events.len() as u64, page.revision - 1);
        assert_eq!(tasks.shutdown(LIMIT).await, Vec::<String>::new());
    }
}

/// Writer, number and revision of each write that was acknowledged before the kill.
fn run_and_kill(folder: &std::path::Path, lines: usize) -> Vec<(String, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::crash_child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in output.by_ref() {
        acknowledged.extend(parse(&line.unwrap()));
        if acknowledged.len() >= lines {
            child.kill().unwrap();
            break;
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= lines, "the child ended by itself");
    // What it said before it died counts too; its last line may be cut.
    acknowledged.extend(output.filter_map(|line| parse(&line.ok()?)));
    acknowledged
}

fn parse(line: &str) -> Option<(String, u64, u64)> {
    let mut words = line.rsplit_once("ack ")?.1.split(' ');
    let (writer, n, revision) = (words.next()?, words.next()?, words.next()?);
    Some((writer.to_owned(), n.parse().ok()?, revision.parse().ok()?))
}

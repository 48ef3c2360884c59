//! What earlier versions left on a disk is read. Each folder below `old` is what one version wrote
//! of one content: manifest, splits, tables, write-ahead log, and the archive's index of a node.
//!
//! None is ever written again. Who gives a file another form adds a folder, with the version that
//! has the form:
//!
//! ```text
//! TIPHYS_WRITE_FIXTURE=src/index/old/2 cargo test -p tiphys-logging old_versions_wrote
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::json;

use super::{
    NamespaceMeta, PodMeta, Retention, Store,
    loss_tests::{copy, folder},
    tests::{find, info},
};
use crate::{
    journal::JournalCheckpoint,
    parse::{Grouper, Joined, Joiner},
    record::{Level, Record, Source},
    tail::{Batch, FileCheckpoint, StreamCheckpoint},
    time,
    wal::{Mark, Pushed, Wal, read_entry, write_entry},
};

/// Of each form that a block tells apart, some.
const BODIES: [&[u8]; 9] = [
    br#"{"level":"warn","msg":"slow query","took":"12ms","rows":7,"id":"9f3c2d71e5aa4b60"}"#,
    br#"level=error msg="no \"such\" thing" status=503 took=1.5s"#,
    b"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] \"GET /a?b=c HTTP/1.1\" 502 157",
    b"started in 17 ms at 2026-01-31T12:00:00.123456Z 0x1f -4.50e3",
    "größe 大きい 🦀".as_bytes(),
    b"\xff\x00\xfe no text",
    b"",
    b"java.lang.IllegalStateException: boom\n\tat c.e.App.run(App.java:12)",
    b"retry 0007 of 10 for 0af7651916cd43dd8448eb211c80319c",
];
/// Records of a part.
const RECORDS: usize = BODIES.len() + 40;
/// The Pods whose records are in splits, and which parts they have.
const PARTS: [(&str, u64); 3] = [("web", 0), ("db", 1), ("web", 2)];

fn records(part: u64) -> Vec<Record> {
    let call = |n: usize| format!("call {n} of part {part} took {}ms for user{}@example.org", n * 7, n % 3);
    let bodies = BODIES.iter().map(|body| body.to_vec());
    let bodies = bodies.chain((0..RECORDS - BODIES.len()).map(|n| call(n).into_bytes()));
    let record = |(at, body): (usize, Vec<u8>)| {
        let seq = part * 100 + at as u64;
        // Now and then the clock was set back.
        let back = if at % 7 == 3 { 10 * time::SECOND } else { 0 };
        Record {
            time: 1_700_000_000 * time::SECOND + seq as i64 * 1_500_000_001 - back,
            seq,
            level: Level::ALL[at % Level::ALL.len()],
            source: if at % 3 == 0 { Source::Stderr } else { Source::Stdout },
            body: Bytes::from(body),
        }
    };
    bodies.enumerate().map(record).collect()
}

fn pod() -> PodMeta {
    let labels = Arc::new([("app".to_owned(), "shop".to_owned())].into());
    let annotations = [("sample".to_owned(), "0.5".to_owned())].into();
    let (namespace, name, owner) = ("shop".into(), "web".into(), "Deployment/web".into());
    PodMeta { namespace, name, labels, owner, node: "n1".into(), annotations, gone: true }
}

fn namespace() -> NamespaceMeta {
    NamespaceMeta { annotations: [("redact".to_owned(), "email".to_owned())].into(), gone: false }
}

/// A stream with the begin of a line, a trace that may go on, and a line that is skipped.
fn checkpoint() -> StreamCheckpoint {
    let (mut joiner, mut grouper) = (Joiner::default(), Grouper::default());
    assert!(joiner.extend(Source::Stderr, Some(5), b"begin of a l\xc3").is_empty());
    let body = b"java.lang.IllegalStateException: boom".to_vec();
    let line = Joined { time: Some(6), source: Source::Stdout, body, continues: false, goes_on: false };
    grouper.push(line, &mut |grouped| panic!("{grouped:?} is held"));
    let file: FileCheckpoint = serde_json::from_value(json!({
        "inode": 7, "name": "0.log", "offset": 99,
        "fingerprint": { "length": 50, "crc": 9 }, "skipping": { "stderr": true, "full": false },
    }))
    .expect("a checkpoint");
    StreamCheckpoint {
        info: (*info("web")).clone(),
        next_seq: 300,
        last_time: Some(-4),
        joiner,
        grouper,
        files: vec![file],
        has_compressed: false,
        has_linked_compressed: false,
        has_plain_compressed: false,
    }
}

fn journal() -> JournalCheckpoint {
    let span = json!({ "boot": "00", "first": 1, "last": 2, "at_last": 1, "met": 1, "time": 3 });
    let stands = json!({ "next_seq": 9, "files": { "ab": 4 }, "spans": { "ab": span } });
    serde_json::from_value(stands).expect("a checkpoint")
}

/// What came by a door and is in no split.
fn pushed() -> Pushed {
    let labels = Arc::new([("team".to_owned(), "blue".to_owned())].into());
    Pushed { info: info("door"), labels, records: records(3) }
}

fn mark() -> Mark {
    Mark { number: 2, next_seq: 400 }
}

/// The log of which splits have all up to a number.
fn wal(folder: &Path, last: u64) -> Wal {
    Wal::open(&folder.join("wal"), &folder.join("broken"), last).expect("a log")
}

/// Writes a folder as this version does.
fn write_fixture(to: &Path) {
    assert!(!to.join("MANIFEST").exists(), "what a version wrote stays as it is: name another folder");
    fs::create_dir_all(to).expect("a folder");
    let (store, _) = Store::open(to, Retention::default()).expect("a store");
    store.pods().update(&info("web").uid, pod());
    store.namespace_table().update("shop", namespace());
    store.journal_appended(journal());
    store.appended(mark());
    for (pod, part) in PARTS {
        store.append(Batch { info: info(pod), records: records(part) }).expect("appended");
        // One split has a stream, the other two.
        if part != 1 {
            let pending = store.begin_commit(vec![checkpoint()]).expect("begun");
            store.finish_commit(&pending).expect("durable");
        }
    }
    store.delete_records("gone", 7).expect("ordered");
    drop(store);
    let mut wal = wal(to, 0);
    assert!(wal.read_left().is_none());
    wal.write(&[write_entry(&[]), write_entry(&[]), write_entry(&[pushed()])]).expect("written");
    fs::remove_file(to.join("LOCK")).expect("removed");
    fs::remove_dir(to.join("broken")).expect("nothing is broken");
}

/// Where a folder of this version is to be written, if one is.
pub(crate) fn to_write() -> Option<PathBuf> {
    std::env::var_os("TIPHYS_WRITE_FIXTURE").map(PathBuf::from)
}

/// What earlier versions wrote.
pub(crate) fn folders() -> Vec<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    let old = Path::new(&package).join("src/index/old");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(&old).expect("listed").map(|entry| entry.expect("listed").path()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "nothing is below {}", old.display());
    folders
}

/// Pod, time, level, output and bytes.
type Line = (String, String, String, String, Vec<u8>);

fn found(store: &Store, query: &str) -> Vec<Line> {
    let answer = find(store, query);
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    let line = |record: crate::wire::LogRecord| {
        let bytes = record.body_base64.map(|text| STANDARD.decode(text).expect("base64"));
        let bytes = bytes.unwrap_or_else(|| record.body.into_bytes());
        (record.pod, record.time, record.level, record.stream, bytes)
    };
    let mut lines: Vec<Line> = answer.records.into_iter().map(line).collect();
    lines.sort();
    lines
}

fn written() -> Vec<Line> {
    let line = |pod: &str, record: Record| -> Line {
        let (level, source) = (record.level.name().to_owned(), record.source.name().to_owned());
        (pod.to_owned(), time::format(record.time), level, source, record.body.to_vec())
    };
    let lines = PARTS.iter().flat_map(|(pod, part)| records(*part).into_iter().map(|it| line(pod, it)));
    let mut lines: Vec<Line> = lines.collect();
    lines.sort();
    lines
}

/// All of it is in an index that lies in `folder`.
fn check(folder: &Path, from: &str) {
    let (store, checkpoints) = Store::open(folder, Retention::default()).expect("a store");
    assert!(found(&store, "*") == written(), "{from}: lines are others");
    for (query, count) in
        [("9f3c2d71e5aa4b60", 3), ("boom", 3), ("pod:db", RECORDS), ("app:shop", 2 * RECORDS)]
    {
        assert_eq!(found(&store, query).len(), count, "{from}: {query}");
    }
    assert_eq!(checkpoints, [checkpoint()], "{from}");
    assert_eq!((store.mark(), store.journal()), (mark(), journal()), "{from}");
    let orders: Vec<_> =
        store.manifest.lock().deletions.iter().map(|order| (order.namespace.clone(), order.before)).collect();
    assert_eq!(orders, [("gone".to_owned(), 7)], "{from}");
    assert_eq!(store.pods().get(&info("web").uid).as_deref(), Some(&pod()), "{from}");
    assert_eq!(store.namespace_table().get("shop").as_deref(), Some(&namespace()), "{from}");
    assert_eq!((store.damaged_tables(), store.broken()), (0, Vec::new()), "{from}");

    let mut wal = wal(folder, mark().number);
    let left = wal.read_left().expect("a segment");
    assert_eq!((left.fault, left.entries.len(), wal.read_left()), (None, 1, None), "{from}");
    assert_eq!(left.entries[0].number, 3, "{from}");
    let contents = read_entry(&left.entries[0].payload).expect("an entry");
    assert_eq!((contents.streams, contents.is_judged), (vec![pushed()], true), "{from}");
}

#[test]
fn what_old_versions_wrote_is_read() {
    if let Some(to) = to_write() {
        write_fixture(&to);
    }
    for from in folders() {
        let (folder, name) = (folder(), from.display().to_string());
        copy(&from, folder.path());
        check(folder.path(), &name);
        // Again from what the splits carry.
        for name in ["MANIFEST", "MANIFEST.copy"] {
            fs::remove_file(folder.path().join(name)).expect("removed");
        }
        check(folder.path(), &format!("{name} without its manifest"));
    }
}

//! The store over commits, crashes, merges and damage.

use std::{fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;

use super::*;
use crate::{
    record::{Level, Record, Source, StreamInfo},
    search::{self, Request},
    tail::Batch,
    wire::{NodeRequest, SearchAnswer},
};

pub(crate) fn info(pod: &str) -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        namespace: "shop".into(),
        pod: pod.into(),
        uid: format!("uid-{pod}"),
        container: "app".into(),
        restart: 0,
        node: "n1".into(),
    })
}

pub(super) fn batch(pod: &str, from: u64, to: u64) -> Batch {
    let record = |seq| Record {
        time: seq as i64 * 1000,
        seq,
        level: Level::Info,
        source: Source::Stdout,
        body: Bytes::from(format!("record number{seq} of {pod}")),
    };
    Batch { info: info(pod), records: (from..to).map(record).collect() }
}

pub(super) fn store(path: &Path) -> Store {
    Store::open(path, Retention::default()).expect("a store").0
}

pub(super) fn commit(store: &Store) {
    let pending = store.begin_commit(vec![]).expect("begun");
    store.finish_commit(&pending).expect("durable");
}

pub(crate) fn find(store: &Store, query: &str) -> SearchAnswer {
    let request = NodeRequest { query: query.into(), ..NodeRequest::default() };
    let request = Request::new(&request, Duration::from_secs(60)).expect("a query");
    search::search(store, &request, 100_000, "n1")
}

fn count(store: &Store, query: &str) -> usize {
    let answer = find(store, query);
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    answer.records.len()
}

#[test]
fn records_are_found_at_every_stage() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    store.append(batch("web", 0, 10)).expect("appended");
    assert_eq!(count(&store, "number7"), 1);
    let pending = store.begin_commit(vec![]).expect("begun");
    store.append(batch("web", 10, 20)).expect("appended");
    assert_eq!(count(&store, "*"), 20);
    store.finish_commit(&pending).expect("durable");
    assert_eq!(count(&store, "*"), 20);
    assert_eq!(count(&store, "pod:web number7"), 1);
    assert_eq!(count(&store, "pod:other"), 0);
}

#[test]
fn a_crash_keeps_what_was_committed_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let store = store(folder.path());
        store.append(batch("web", 0, 5000)).expect("appended");
        commit(&store);
        store.append(batch("web", 5000, 6000)).expect("appended");
        let _begun = store.begin_commit(vec![]).expect("begun");
    }
    // A split that was written but not listed is as good as not written.
    fs::create_dir_all(folder.path().join("splits/77/words")).expect("a folder");
    let store = store(folder.path());
    assert_eq!(count(&store, "*"), 5000);
    assert!(!folder.path().join("splits/77").exists());
}

#[test]
fn abuse_34_bodies_of_any_length_are_put_into_blocks_that_can_be_written() {
    use crate::{block::MAX_BODIES, parse::MAX_BODY};
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    // The last one is left over when the block is full, and just too much for it; some are cut ones.
    let lengths = [MAX_BODY, MAX_BODY, MAX_BODY, MAX_BODY - 1, MAX_BODY + 37, MAX_BODY, MAX_BODIES, 7];
    let mut seq = 0;
    for _ in 0..8 {
        let records = lengths.map(|length| {
            seq += 1;
            let body = Bytes::from(vec![b'x'; length]);
            Record { time: seq as i64, seq, level: Level::Info, source: Source::Stdout, body }
        });
        store.append(Batch { info: info("web"), records: records.into() }).expect("appended");
        commit(&store);
    }
    while store.merge().expect("merged") {}
    assert_eq!(store.sizes(), (64, store.sizes().1, 1));
    let heads = store.snapshot().splits()[0].blocks().iter().map(|block| block.head.raw_bytes).max();
    assert_eq!(heads, Some(MAX_BODIES as u64));
}

#[test]
fn merging_changes_no_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    for round in 0..17 {
        store.append(batch("web", round * 300, (round + 1) * 300)).expect("appended");
        store.append(batch("db", round * 300, (round + 1) * 300)).expect("appended");
        commit(&store);
    }
    let before: Vec<_> = find(&store, "record").records;
    while store.merge().expect("merged") {}
    assert_eq!(store.sizes(), (17 * 600, store.sizes().1, 3));
    assert_eq!(find(&store, "record").records, before);
    assert_eq!(count(&store, "pod:db number4999"), 1);
    let blocks = store.snapshot().splits().iter().map(|split| split.blocks().len()).max();
    assert_eq!(blocks, Some(2), "blocks are filled up");
    let again = Store::open(folder.path(), Retention::default());
    assert!(matches!(again, Err(IndexError::InUse(_))), "one store at a time");
    drop(store);
    assert_eq!(find(&self::store(folder.path()), "record").records, before);
}

#[test]
fn a_damaged_split_is_set_aside_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    store.append(batch("web", 0, 100)).expect("appended");
    commit(&store);
    store.append(batch("db", 0, 100)).expect("appended");
    commit(&store);
    let path = folder.path().join("splits/0/blocks");
    let mut bytes = fs::read(&path).expect("read");
    bytes[60] ^= 0xff;
    fs::write(&path, bytes).expect("written");
    for _ in 0..2 {
        let answer = find(&store, "record");
        assert_eq!(answer.records.len(), 100);
        assert_eq!(answer.partial.len(), 1);
        assert!(answer.partial[0].error.contains("split 0 with 100 records was set aside"), "{answer:?}");
    }
    assert!(folder.path().join("broken/0/blocks").exists());
    drop(store);
    assert_eq!(count(&self::store(folder.path()), "*"), 100);
}

#[test]
fn a_namespace_says_what_it_keeps_by_annotation() {
    let annotations = [("logs.tiphys.io/retention", "7d"), ("logs.tiphys.io/retention-bytes", "5Gi")];
    let annotations = annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let annotations: std::collections::BTreeMap<String, String> = annotations;
    let (keep, _) = Keep::read(&crate::policy::own(&annotations));
    assert_eq!((keep.age, keep.bytes), (Some(Duration::from_secs(7 * 86_400)), Some(5 << 30)));
}

#[test]
fn retention_deletes_the_oldest() {
    let folder = tempfile::tempdir().expect("a folder");
    let retention = Retention { age: Duration::from_secs(3600), bytes: 1 };
    let (store, _) = Store::open(folder.path(), retention).expect("a store");
    store.append(batch("web", 0, 100)).expect("appended");
    commit(&store);
    store.append(batch("db", 0, 100)).expect("appended");
    store.expire().expect("expired");
    assert_eq!(count(&store, "*"), 100);
    assert_eq!(fs::read_dir(folder.path().join("splits")).expect("listed").count(), 0);
}

#[test]
fn retention_waits_for_an_archive_that_asked_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |bytes| {
        let retention = Retention { age: Duration::from_secs(3600), bytes };
        Store::open(folder.path(), retention).expect("a store").0
    };
    let first = open(u64::MAX);
    first.append(batch("web", 0, 100)).expect("appended");
    first.archive_asks(None, &[]);
    commit(&first);
    let bytes = first.sizes().1;
    drop(first);

    let store = open(bytes - 1);
    store.expire().expect("looked");
    assert_eq!(count(&store, "*"), 100, "it was never told of it");
    let list = store.listing().expect("listed");
    store.archive_told(list.version, list.splits.iter().map(|split| split.id).collect());
    store.archive_asks(Some(list.version), &[]);
    store.expire().expect("expired");
    assert_eq!((count(&store, "*"), store.dropped_unarchived()), (0, 0));

    // It doesn't take the next one, and the disk doesn't last.
    store.append(batch("web", 100, 200)).expect("appended");
    commit(&store);
    drop(store);
    let store = open(10);
    store.expire().expect("expired");
    assert_eq!((count(&store, "*"), store.dropped_unarchived()), (0, 100));
}

#[test]
fn labels_outlive_the_pod() {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = Arc::new([("app".to_string(), "shop".to_string())].into());
    {
        let store = store(folder.path());
        store.pods().update("uid-web", PodMeta { labels, ..PodMeta::default() });
        store.pods().update("uid-gone", PodMeta { gone: true, ..PodMeta::default() });
        store.append(batch("web", 0, 3)).expect("appended");
        store.pods().mark_gone_except(&Default::default());
        store.forget_gone(&[("uid-gone".to_owned(), "shop".to_owned())]);
        assert!(store.pods().get("uid-gone").is_some(), "its files are still read");
        // It is gone and was told of after this upkeep had begun.
        store.forget_gone(&[]);
        assert!(store.pods().get("uid-gone").is_some(), "its files may have come meanwhile");
        store.pods().update("uid-gone", PodMeta { gone: true, ..PodMeta::default() });
        store.forget_gone(&[]);
        assert!(store.pods().get("uid-gone").is_some(), "it was told of again");
        store.forget_gone(&[]);
        commit(&store);
        assert!(store.pods().get("uid-gone").is_none());
    }
    let store = store(folder.path());
    assert_eq!(count(&store, "app:shop"), 3);
    drop(store);
    for name in ["pods.json", "pods.json.copy"] {
        fs::remove_file(folder.path().join(name)).expect("deleted");
    }
    assert_eq!(count(&self::store(folder.path()), "app:shop"), 3, "they stand in the split as well");
}

//! The store under a clock that jumps: nothing is deleted for it, and what is to be
//! deleted is in the end.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Clock, NamespaceMeta, Retention, Store, loss_tests,
    tests::{batch, find},
};
use crate::{tail::Batch, time};

const HOUR: i64 = 3600 * time::SECOND;
const DAY: i64 = 24 * HOUR;
/// The year 2099.
const FAR: i64 = 4_080_000_000 * time::SECOND;

/// A node's clock, and what passes in truth.
#[derive(Clone)]
struct Node {
    wall: Arc<AtomicI64>,
    up: Arc<AtomicU64>,
}

impl Node {
    fn new() -> Self {
        Self { wall: Arc::new(AtomicI64::new(time::now())), up: Arc::default() }
    }

    fn wall(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }

    fn jump_to(&self, wall: i64) {
        self.wall.store(wall, Ordering::Relaxed);
    }

    fn pass(&self, nanos: i64) {
        self.wall.fetch_add(nanos, Ordering::Relaxed);
        self.up.fetch_add(nanos.unsigned_abs(), Ordering::Relaxed);
    }

    /// A week is kept.
    fn open(&self, folder: &Path) -> Store {
        let retention = Retention { age: Duration::from_secs(7 * 86_400), bytes: u64::MAX };
        let (mut store, _) = Store::open(folder, retention).expect("a store");
        let (node, started) = (self.clone(), self.up.load(Ordering::Relaxed));
        let stood = store.manifest.lock().stood(self.wall());
        store.clock = Clock::of(stood, move || {
            (node.wall(), Duration::from_nanos(node.up.load(Ordering::Relaxed) - started))
        });
        store
    }

    /// A record of this moment.
    fn write(&self, store: &Store, seq: u64) {
        let Batch { info, mut records } = batch("web", seq, seq + 1);
        records[0].time = self.wall();
        store.append(Batch { info, records }).expect("appended");
    }
}

fn commit(store: &Store) {
    let pending = store.begin_commit(vec![]).expect("begun");
    store.finish_commit(&pending).expect("durable");
}

fn keep_up(store: &Store) {
    store.expire().expect("expired");
    while store.purge().expect("purged") || store.merge().expect("merged") {}
}

fn seqs(store: &Store) -> Vec<u64> {
    let answer = find(store, "record");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    let number = |body: &str| body.strip_prefix("record number")?.split(' ').next()?.parse().ok();
    let mut seqs: Vec<u64> =
        answer.records.iter().map(|record| number(&record.body).expect("a number")).collect();
    seqs.sort_unstable();
    seqs
}

#[test]
fn a_clock_that_jumps_deletes_nothing_and_stamps_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::new();
    let began = node.wall();
    let mut store = node.open(folder.path());
    // A namespace that keeps a day, by the records' own times.
    let annotations = [("retention".to_owned(), "1d".to_owned())].into();
    store.namespace_table().update("shop", NamespaceMeta { annotations, gone: false });
    store.archive_asks(None, &[]);
    let (mut written, mut stamps) = (0, Vec::new());
    for wall in [began, began + 5 * HOUR, FAR, began - 3 * HOUR, 0, FAR, began] {
        node.jump_to(wall);
        for is_after_restart in [false, true] {
            for _ in 0..2 {
                node.write(&store, written);
                stamps.push(node.wall());
                written += 1;
                node.pass(time::SECOND);
                commit(&store);
                keep_up(&store);
            }
            if !is_after_restart {
                drop(store);
                store = node.open(folder.path());
                keep_up(&store);
            }
        }
    }
    let kept: Vec<i64> = stamps.iter().copied().filter(|stamp| *stamp > DAY).collect();
    let answer = find(&store, "record");
    let mut found: Vec<i64> =
        answer.records.iter().map(|record| time::parse(&record.time).expect("a time")).collect();
    found.sort_unstable();
    let mut expected = kept;
    expected.sort_unstable();
    assert_eq!(found, expected, "only what says that it is of 1970 is older than a day");
}

#[test]
fn what_was_written_under_a_wrong_clock_ages_like_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::new();
    let began = node.wall();
    let store = node.open(folder.path());
    for (seq, wall) in [began, FAR, 0].into_iter().enumerate() {
        node.jump_to(wall);
        node.write(&store, seq as u64);
        commit(&store);
    }
    node.jump_to(began);
    keep_up(&store);
    for _ in 0..6 {
        node.pass(DAY);
        keep_up(&store);
    }
    assert_eq!(seqs(&store), [0, 1, 2]);
    node.pass(DAY + HOUR);
    keep_up(&store);
    assert_eq!(seqs(&store), [] as [u64; 0]);
}

#[test]
fn what_was_written_before_the_clock_was_set_is_kept_as_long_as_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::new();
    let began = node.wall();
    node.jump_to(0);
    let store = node.open(folder.path());
    node.write(&store, 0);
    commit(&store);
    keep_up(&store);
    node.jump_to(began);
    for _ in 0..7 {
        keep_up(&store);
        assert_eq!(seqs(&store), [0]);
        node.pass(DAY);
    }
    node.pass(DAY + HOUR);
    keep_up(&store);
    assert_eq!(seqs(&store), [] as [u64; 0]);
}

#[test]
fn a_node_that_was_off_for_long_deletes_after_an_hour_and_keeps_what_is_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::new();
    let store = node.open(folder.path());
    node.write(&store, 0);
    commit(&store);
    drop(store);
    node.jump_to(node.wall() + 30 * DAY);
    let store = node.open(folder.path());
    node.write(&store, 1);
    commit(&store);
    keep_up(&store);
    assert_eq!(seqs(&store), [0, 1]);
    node.pass(HOUR);
    keep_up(&store);
    assert_eq!(seqs(&store), [1]);
}

#[test]
fn records_of_a_quiet_node_go_in_their_time_though_its_splits_are_merged() {
    let folder = loss_tests::folder();
    let node = Node::new();
    let mut store = node.open(folder.path());
    let mut most = 0;
    for seq in 0..200 {
        node.write(&store, seq);
        commit(&store);
        keep_up(&store);
        most = store.sizes().2.max(most);
        if seq % 20 == 19 {
            let oldest = seqs(&store)[0];
            // Hours of a week, and of an eighth of it.
            assert!((seq - oldest) * 2 <= 168 + 21, "{oldest} is still there with {seq}");
            drop(store);
            store = node.open(folder.path());
        }
        node.pass(2 * HOUR);
    }
    assert!(most <= 20, "{most} splits");
}

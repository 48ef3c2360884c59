//! The manifest is damaged or gone at any moment: every record is there once, names and
//! orders are what they were.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    Retention, Store,
    tests::{batch, find, info},
};
use crate::{parse, tail::StreamCheckpoint, wal::Mark};

const NAMES: [&str; 2] = ["MANIFEST", "MANIFEST.copy"];
const STREAMS: [&str; 3] = ["web", "db", "cache"];

/// In memory where that can be had: a disk makes these tests wait for it a thousand times.
pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// What is tailed and what came by a door, beside the store that reads it.
struct Source {
    store: Option<Store>,
    /// The next record of each stream.
    next: BTreeMap<&'static str, u64>,
    /// Entries of the write-ahead log; each is one record of the stream `door`.
    entries: u64,
    random: u64,
}

impl Source {
    fn open(folder: &Path, entries: u64, random: u64) -> Self {
        let (store, checkpoints) = Store::open(folder, Retention::default()).expect("a store");
        let stands = |pod: &str| {
            checkpoints.iter().find(|known| known.info.pod == pod).map_or(0, |known| known.next_seq)
        };
        let next = STREAMS.iter().map(|pod| (*pod, stands(pod))).collect();
        let mut source = Self { store: Some(store), next, entries: 0, random };
        source.entries = source.store().mark().number;
        // What was acknowledged and is in no split.
        (source.entries..entries).for_each(|_| source.arrive());
        source
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    fn read(&mut self, pod: &'static str, count: u64) {
        let from = self.next[pod];
        self.store().append(batch(pod, from, from + count)).expect("appended");
        self.next.insert(pod, from + count);
    }

    fn arrive(&mut self) {
        self.store().append(batch("door", self.entries, self.entries + 1)).expect("appended");
        self.entries += 1;
        self.store().appended(Mark { number: self.entries, next_seq: self.entries });
    }

    fn commit(&self, finish: bool) {
        let checkpoint = |(pod, next): (&&str, &u64)| StreamCheckpoint {
            info: (*info(pod)).clone(),
            next_seq: *next,
            last_time: None,
            joiner: parse::Joiner::default(),
            grouper: parse::Grouper::default(),
            files: Vec::new(),
            has_compressed: false,
            has_linked_compressed: false,
            has_plain_compressed: false,
        };
        let pending = self.store().begin_commit(self.next.iter().map(checkpoint).collect()).expect("begun");
        if finish {
            self.store().finish_commit(&pending).expect("durable");
        }
    }

    /// Stops in any way, meets any damage, and begins again.
    fn restart(mut self, folder: &Path) -> Self {
        if self.below(3) == 0 {
            self.commit(false);
        }
        self.store = None;
        let before = name(folder);
        for name in NAMES {
            damage(&folder.join(name), self.below(5), self.random);
        }
        let again = Self::open(folder, self.entries, self.random);
        assert_eq!(again.store().holds().store, before, "the archive knows it by this name");
        again
    }
}

fn name(folder: &Path) -> String {
    let (store, _) = Store::open(folder, Retention::default()).expect("a store");
    store.holds().store
}

fn damage(path: &Path, kind: u64, random: u64) {
    /// Where the version stands: another one is no damage.
    const VERSION: usize = b"tiphys-logs ".len();
    let mut bytes = fs::read(path).expect("read");
    let at = match (random >> 20) as usize % bytes.len() {
        VERSION => VERSION + 1,
        at => at,
    };
    match kind {
        0 => bytes[at] ^= 1 << (random % 8),
        1 => bytes.truncate(at),
        2 => return fs::remove_file(path).expect("removed"),
        _ => return,
    }
    fs::write(path, bytes).expect("written");
}

fn all_once(store: &Store, next: &BTreeMap<&'static str, u64>, entries: u64) {
    let answer = find(store, "*");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    let mut found: Vec<String> = answer.records.into_iter().map(|record| record.body).collect();
    let body = |pod: &str, seq: u64| format!("record number{seq} of {pod}");
    let mut expected: Vec<String> =
        next.iter().flat_map(|(pod, next)| (0..*next).map(|seq| body(pod, seq))).collect();
    expected.extend((0..entries).map(|seq| body("door", seq)));
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_manifest_that_is_damaged_at_any_moment_loses_and_doubles_nothing() {
    for seed in 0..12 {
        let folder = folder();
        let mut source = Source::open(folder.path(), 0, seed);
        // Before it there is nothing to know the index by.
        source.arrive();
        source.commit(true);
        for _ in 0..40 {
            match source.below(10) {
                0..=2 => {
                    let (pod, count) = (STREAMS[source.below(3) as usize], 1 + source.below(20));
                    source.read(pod, count);
                }
                3 => source.arrive(),
                4..=7 => source.commit(true),
                8 => while source.store().merge().expect("merged") {},
                _ => source = source.restart(folder.path()),
            }
        }
        source = source.restart(folder.path());
        all_once(source.store(), &source.next, source.entries);
        assert_eq!(fs::read_dir(folder.path().join("broken")).expect("listed").count(), 0, "seed {seed}");
    }
}

#[test]
fn what_was_merged_counts_once_though_both_are_there() {
    let folder = folder();
    let mut source = Source::open(folder.path(), 0, 0);
    for _ in 0..8 {
        source.read("web", 5);
        source.commit(true);
    }
    let kept = self::folder();
    let splits = folder.path().join("splits");
    copy(&splits, kept.path());
    assert!(source.store().merge().expect("merged"));
    let next = source.next.clone();
    drop(source);
    // Killed before the old ones were deleted.
    copy(kept.path(), &splits);
    NAMES.iter().for_each(|name| fs::remove_file(folder.path().join(name)).expect("removed"));
    let source = Source::open(folder.path(), 0, 0);
    assert_eq!(source.next, next);
    all_once(source.store(), &next, 0);
    assert_eq!(fs::read_dir(splits).expect("listed").count(), 1);
}

#[test]
fn records_of_a_damaged_split_are_read_again_when_the_manifest_is_lost_with_it() {
    let folder = folder();
    let mut source = Source::open(folder.path(), 0, 0);
    for _ in 0..2 {
        source.read("web", 5);
        source.arrive();
        source.commit(true);
    }
    drop(source);
    NAMES.iter().for_each(|name| fs::write(folder.path().join(name), "x").expect("written"));
    fs::write(folder.path().join("splits/1/blocks"), "x").expect("written");
    let mut source = Source::open(folder.path(), 2, 0);
    assert_eq!((source.next["web"], source.entries), (5, 2));
    source.read("web", 5);
    let found = find(source.store(), "*");
    assert_eq!((found.records.len(), found.partial.len()), (12, 1), "{:?}", found.partial);
    source.commit(true);
    let ids: Vec<u64> =
        source.store().listing().expect("listed").splits.iter().map(|split| split.id).collect();
    assert!(ids[0] == 0 && ids[1] > 1000, "the archive may have had others: {ids:?}");
}

#[test]
fn an_order_to_delete_survives_the_loss_of_the_manifest() {
    let folder = folder();
    let mut source = Source::open(folder.path(), 0, 0);
    source.read("web", 5);
    source.commit(true);
    source.store().delete_records("shop", 3000).expect("ordered");
    // And so does what a commit without records says.
    source.next.insert("db", 7);
    source.commit(true);
    drop(source);
    for name in NAMES {
        fs::remove_file(folder.path().join(name)).expect("removed");
        let source = Source::open(folder.path(), 0, 0);
        assert_eq!((source.next["web"], source.next["db"]), (5, 7));
        assert_eq!(find(source.store(), "*").records.len(), 2);
    }
    NAMES.iter().for_each(|name| fs::remove_file(folder.path().join(name)).expect("removed"));
    let source = Source::open(folder.path(), 0, 0);
    assert_eq!((source.next["web"], source.next["db"]), (5, 7));
    assert_eq!(find(source.store(), "*").records.len(), 2);
}

#[test]
fn splits_of_a_version_that_carried_nothing_are_taken_in() {
    let folder = folder();
    let mut source = Source::open(folder.path(), 0, 0);
    source.read("web", 5);
    source.commit(true);
    let next = source.next.clone();
    drop(source);
    let resume = folder.path().join("splits/0/resume");
    fs::remove_file(&resume).expect("removed");
    all_once(Source::open(folder.path(), 0, 0).store(), &next, 0);
    assert!(resume.exists(), "it carries what the manifest says now");
    fs::remove_file(&resume).expect("removed");
    NAMES.iter().for_each(|name| fs::remove_file(folder.path().join(name)).expect("removed"));
    let source = Source::open(folder.path(), 0, 0);
    assert_eq!((find(source.store(), "*").records.len(), source.store().sizes().0), (5, 5));
}

#[test]
fn a_split_whose_folder_is_gone_keeps_nothing_from_starting() {
    let folder = folder();
    let mut source = Source::open(folder.path(), 0, 0);
    for _ in 0..2 {
        source.read("web", 5);
        source.commit(true);
    }
    drop(source);
    fs::remove_dir_all(folder.path().join("splits")).expect("removed");
    let source = Source::open(folder.path(), 0, 0);
    assert_eq!(find(source.store(), "*").partial.len(), 2);
}

pub(super) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("listed").map(|entry| entry.expect("listed")) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&to).expect("a folder");
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

//! A bit flipped anywhere in a split is found when it is read: an answer is what it
//! was, or names the split and has only what it had.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;

use super::{Retention, Store, loss_tests::folder, tests::info};
use crate::{
    record::{Level, Record, Source},
    search::{self, Request},
    tail::Batch,
    wire::NodeRequest,
};

/// Words, ids, templates, all and none.
const QUERIES: [&str; 6] =
    ["*", "number7", "NOT alpha", "9f3c2d71e5aa4b60", "/took \\d+3ms/", "pod:web level:warn"];

fn fill(folder: &Path) {
    let (store, _) = Store::open(folder, Retention::default()).expect("a store");
    for (pod, from) in [("web", 0u64), ("db", 1000)] {
        let record = |seq: u64| {
            let word = if seq.is_multiple_of(3) { "alpha" } else { "beta" };
            let id = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let id = if seq == 5 { "9f3c2d71e5aa4b60".to_owned() } else { format!("{id:016x}") };
            Record {
                time: (from + seq) as i64 * 1000,
                seq,
                level: if seq.is_multiple_of(2) { Level::Info } else { Level::Warn },
                source: Source::Stdout,
                body: Bytes::from(format!("{word} number{seq} id={id} took {}ms", seq * 7)),
            }
        };
        store.append(Batch { info: info(pod), records: (0..120).map(record).collect() }).expect("appended");
    }
    let pending = store.begin_commit(vec![]).expect("begun");
    store.finish_commit(&pending).expect("durable");
}

/// Ids of what is found, the count by level, and whether something is named as missing.
fn answers(store: &Store) -> Vec<(BTreeSet<String>, u64, bool)> {
    let answer = |query: &&str| {
        let request = NodeRequest { query: (*query).into(), ..NodeRequest::default() };
        let request = || Request::new(&request, Duration::from_secs(60)).expect("a query");
        let found = search::search(store, &request(), 10_000, "n1");
        let counted = search::facets(store, &request(), "n1");
        let is_named = !found.partial.is_empty() || !counted.partial.is_empty();
        (found.records.into_iter().map(|record| record.id).collect(), counted.count, is_named)
    };
    QUERIES.iter().map(answer).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let list =
        |path: PathBuf| fs::read_dir(path).expect("a folder").map(|entry| entry.expect("listed").path());
    let split = folder.join("splits/0");
    list(split.join("words")).chain([split.join("blocks")]).collect()
}

/// Every byte of small files, of large ones the ends and some between.
fn places(length: usize) -> Vec<usize> {
    let stride = (length / 60).max(1);
    let ends = (0..length.min(24)).chain(length.saturating_sub(48)..length);
    let mut places: Vec<usize> = ends.chain((0..length).step_by(stride)).collect();
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let whole = folder();
    fill(whole.path());
    let expected = answers(&Store::open(whole.path(), Retention::default()).expect("a store").0);
    assert!(expected.iter().all(|(ids, count, named)| !ids.is_empty() && *count > 0 && !named));
    let (mut flips, mut named) = (0, 0);
    for file in files(whole.path()) {
        let bytes = fs::read(&file).expect("read");
        for place in places(bytes.len()) {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            fs::write(&file, changed).expect("written");
            let found = answers(&Store::open(whole.path(), Retention::default()).expect("a store").0);
            for ((ids, count, is_named), (all, whole_count, _)) in found.iter().zip(&expected) {
                let where_ = format!("{} byte {place}", file.display());
                assert!(ids.is_subset(all) && *count <= *whole_count, "{where_}: more than there is");
                assert!(*is_named || (ids == all && count == whole_count), "{where_}: silently less");
            }
            flips += 1;
            named += usize::from(found.iter().any(|(_, _, named)| *named));
            restore(whole.path(), &file, &bytes);
        }
    }
    assert!(flips > 300 && named > flips / 2, "{named} of {flips} were named");
}

/// As it was before: a split that was set aside is put back.
fn restore(folder: &Path, file: &Path, bytes: &[u8]) {
    let (split, broken) = (folder.join("splits/0"), folder.join("broken/0"));
    if broken.exists() {
        fs::rename(&broken, &split).expect("moved");
    }
    fs::write(file, bytes).expect("written");
    // Without a list of splits the next start takes in what is there.
    for name in ["MANIFEST", "MANIFEST.copy"] {
        fs::write(folder.join(name), "").expect("written");
    }
}

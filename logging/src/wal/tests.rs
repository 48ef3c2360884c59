//! What was acknowledged is read back: from any cut, with any byte flipped, over
//! writes that fail.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record::{Level, Record, Source, StreamInfo};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn open(&self, covered: u64) -> Wal {
        Wal::open(&self.0.path().join("wal"), &self.0.path().join("broken"), covered).expect("opened")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(self.0.path().join("wal"))
            .expect("listed")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths
    }

    fn set_aside(&self) -> usize {
        fs::read_dir(self.0.path().join("broken")).expect("listed").count()
    }
}

fn left(wal: &mut Wal) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while let Some(entries) = wal.read_left().expect("read") {
        let text = |payload| String::from_utf8(payload).expect("text");
        all.extend(entries.into_iter().map(|entry| (entry.number, text(entry.payload))));
    }
    all
}

fn payloads(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn owned(entries: &[(u64, &str)]) -> Vec<(u64, String)> {
    entries.iter().map(|(number, text)| (*number, (*text).to_owned())).collect()
}

#[test]
fn entries_are_read_back_after_the_mark_and_numbers_go_on() {
    let folder = Folder::new();
    let mut wal = folder.open(0);
    assert_eq!(left(&mut wal), []);
    assert_eq!(wal.write(&payloads(&["a", "b"])).expect("written"), 1);
    assert_eq!(wal.write(&payloads(&["c"])).expect("written"), 3);
    drop(wal);
    let mut wal = folder.open(1);
    assert_eq!(left(&mut wal), owned(&[(2, "b"), (3, "c")]));
    assert_eq!(wal.write(&payloads(&["d"])).expect("written"), 4);
    assert_eq!(folder.segments().len(), 2);
    wal.forget(3);
    assert_eq!(folder.segments().len(), 1, "the covered segment is deleted");
    wal.forget(4);
    assert_eq!((folder.segments().len(), wal.bytes()), (0, 0));
    assert_eq!(wal.write(&payloads(&["e"])).expect("written"), 5);
    drop(wal);
    // All of it is covered by a manifest that is newer.
    let mut wal = folder.open(9);
    assert_eq!(left(&mut wal), []);
    assert_eq!((wal.write(&payloads(&["f"])).expect("written"), folder.set_aside()), (10, 0));
}

#[test]
fn a_full_log_takes_nothing_until_a_commit() {
    let folder = Folder::new();
    let mut wal = folder.open(0).with_limit(100);
    wal.write(&payloads(&[&"x".repeat(200)])).expect("written");
    let full = wal.write(&payloads(&["y"])).expect_err("full");
    assert!(full.to_string().contains("is full"), "{full}");
    wal.forget(1);
    assert_eq!(wal.write(&payloads(&["y"])).expect("written"), 2);
}

#[test]
fn what_a_failed_write_left_is_not_taken_for_what_came_after_it() {
    let folder = Folder::new();
    let mut wal = folder.open(0);
    wal.write(&payloads(&["a"])).expect("written");
    // The folder of the next segment is no folder: writing fails.
    wal.forget(1);
    let (place, away) = (folder.0.path().join("wal"), folder.0.path().join("away"));
    fs::rename(&place, &away).expect("renamed");
    wal.write(&payloads(&["lost"])).expect_err("no folder");
    fs::rename(&away, &place).expect("renamed");
    assert_eq!(wal.write(&payloads(&["b"])).expect("written"), 3);
    drop(wal);
    assert_eq!(left(&mut folder.open(1)), owned(&[(3, "b")]));
}

#[test]
fn a_version_that_is_not_known_is_set_aside() {
    let folder = Folder::new();
    let mut wal = folder.open(0);
    wal.write(&payloads(&["a"])).expect("written");
    drop(wal);
    let path = folder.segments().remove(0);
    let mut bytes = fs::read(&path).expect("read");
    bytes[7] = b'9';
    fs::write(&path, bytes).expect("written");
    assert_eq!((left(&mut folder.open(0)), folder.set_aside()), (vec![], 1));
}

/// A segment with these payloads, numbered from 1, and where each ends.
fn segment_of(payloads: &[Vec<u8>], salt: u64) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = segment::head(salt).to_vec();
    let mut ends = Vec::new();
    for (number, payload) in (1..).zip(payloads) {
        segment::put(&mut bytes, salt, number, payload);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn stream() -> impl Strategy<Value = Pushed> {
    let record = (any::<i64>(), any::<u64>(), 0usize..7, any::<bool>(), any::<Vec<u8>>());
    let record = record.prop_map(|(time, seq, level, stderr, body)| Record {
        time,
        seq,
        level: Level::ALL[level],
        source: if stderr { Source::Stderr } else { Source::Stdout },
        body: Bytes::from(body),
    });
    let names = proptest::array::uniform5(".{0,8}");
    let labels = proptest::collection::btree_map(".{0,6}", ".{0,6}", 0..4);
    (names, any::<u32>(), labels, proptest::collection::vec(record, 0..6)).prop_map(
        |(names, restart, labels, records)| {
            let [namespace, pod, uid, container, node] = names;
            let info = StreamInfo { namespace, pod, uid, container, restart, node };
            let labels: BTreeMap<String, String> = labels;
            Pushed { info: Arc::new(info), labels: Arc::new(labels), records }
        },
    )
}

proptest! {
    #[test]
    fn any_streams_are_read_as_they_were_written(streams in proptest::collection::vec(stream(), 0..4)) {
        let written = write_entry(&streams);
        prop_assert_eq!(read_entry(&written), Ok(Contents { streams: streams.clone(), is_judged: true }));
        // The version before had them as they came.
        let before = [&[1], &written[1..]].concat();
        prop_assert_eq!(read_entry(&before), Ok(Contents { streams, is_judged: false }));
    }

    #[test]
    fn any_bytes_are_an_entry_or_none(bytes: Vec<u8>, streams in proptest::collection::vec(stream(), 1..3), at: prop::sample::Index, bit in 0u8..8) {
        let _ = read_entry(&bytes);
        let mut written = write_entry(&streams);
        let at = at.index(written.len());
        written[at] ^= 1 << bit;
        let _ = read_entry(&written);
        let _ = segment::scan(&bytes, 0);
    }

    #[test]
    fn from_any_cut_all_whole_entries_are_read(
        payloads in proptest::collection::vec(any::<Vec<u8>>(), 0..8), salt: u64, cut: prop::sample::Index,
    ) {
        let (bytes, ends) = segment_of(&payloads, salt);
        let cut = cut.index(bytes.len() + 1);
        let scan = segment::scan(&bytes[..cut], 0).expect("a segment");
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let read: Vec<_> = scan.entries.iter().map(|(number, at)| (*number, bytes[at.clone()].to_vec())).collect();
        let expected: Vec<_> = (1..).zip(payloads).take(whole).collect();
        prop_assert_eq!(read, expected);
        prop_assert!(scan.damaged.is_empty());
    }

    #[test]
    fn a_flipped_bit_costs_the_entry_it_hit_and_no_other(
        payloads in proptest::collection::vec(any::<Vec<u8>>(), 1..8), salt: u64, at: prop::sample::Index, bit in 0u8..8,
    ) {
        let (mut bytes, ends) = segment_of(&payloads, salt);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(scan) = segment::scan(&bytes, 0) else {
            prop_assert!(at < segment::HEAD);
            return Ok(());
        };
        prop_assert!(at >= segment::HEAD);
        let hit = ends.iter().filter(|end| **end <= at).count();
        let read: Vec<_> = scan.entries.iter().map(|(number, at)| (*number, bytes[at.clone()].to_vec())).collect();
        let expected: Vec<_> = (1..).zip(payloads.clone()).filter(|(number, _)| *number != hit as u64 + 1).collect();
        prop_assert_eq!(read, expected);
        // At the end it can't be told from a write that was cut off.
        prop_assert_eq!(scan.damaged.len(), usize::from(hit + 1 < payloads.len()));
        prop_assert_eq!(scan.torn > 0, hit + 1 == payloads.len());
    }

    #[test]
    fn a_payload_that_looks_like_an_entry_is_none(payload: Vec<u8>, salt: u64, other: u64) {
        prop_assume!(salt != other);
        let mut forged = Vec::new();
        segment::put(&mut forged, other, 7, &payload);
        let (mut bytes, _) = segment_of(&[forged, b"next".to_vec()], salt);
        bytes[segment::HEAD] ^= 1;
        let scan = segment::scan(&bytes, 0).expect("a segment");
        prop_assert_eq!(scan.entries.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2]);
    }
}

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
    while let Some(left) = wal.read_left() {
        let text = |payload| String::from_utf8(payload).expect("text");
        all.extend(left.entries.into_iter().map(|entry| (entry.number, text(entry.payload))));
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
    // Another one of that number, from before the folder was emptied.
    let broken = folder.0.path().join("broken");
    fs::write(broken.join(path.file_name().expect("a name")), "older").expect("written");
    assert_eq!((left(&mut folder.open(0)), folder.set_aside()), (vec![], 2));
    // Again it is the same.
    assert_eq!((left(&mut folder.open(0)), folder.set_aside()), (vec![], 2));
}

#[test]
fn a_segment_that_the_disk_does_not_give_costs_no_other() {
    let folder = Folder::new();
    for text in ["a", "b", "c"] {
        folder.open(0).write(&payloads(&[text])).expect("written");
        // Each its own segment, with numbers that rise.
        let mut wal = folder.open(0);
        left(&mut wal);
        wal.write(&payloads(&["more"])).expect("written");
    }
    let segments = folder.segments();
    let before = left(&mut folder.open(0));
    // Reading the first page of a process's memory is an error of input and output.
    fs::remove_file(&segments[1]).expect("removed");
    std::os::unix::fs::symlink("/proc/self/mem", &segments[1]).expect("linked");
    fs::remove_file(&segments[2]).expect("removed");
    fs::create_dir(&segments[2]).expect("a folder");
    let mut wal = folder.open(0);
    let mut faults = Vec::new();
    let mut after = Vec::new();
    while let Some(read) = wal.read_left() {
        faults.extend(read.fault);
        after.extend(read.entries.into_iter().map(|entry| entry.number));
    }
    assert_eq!((faults.len(), folder.set_aside()), (2, 2), "{faults:?}");
    assert!(faults[0].contains("Input/output error"), "{faults:?}");
    assert!(after.contains(&before[0].0) && after.contains(&before.last().expect("entries").0), "{after:?}");
    wal.forget(u64::MAX);
    assert_eq!(folder.segments(), Vec::<PathBuf>::new());
}

#[test]
fn pages_that_can_not_be_read_hide_no_others() {
    let (bytes, _) = segment_of(&[vec![1; 3000], vec![2; 6000], vec![3; 3000]], 7);
    let read = |buffer: &mut [u8], at: u64| {
        let at = at as usize;
        if at == 4096 {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        buffer.copy_from_slice(&bytes[at..at + buffer.len()]);
        Ok(())
    };
    let scan = segment::scan(&log::pieces(bytes.len() as u64, read), 0).expect("a segment");
    assert_eq!(scan.entries.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(scan.damaged.len(), 1);
}

#[test]
fn what_was_refused_and_can_not_be_taken_back_does_not_count() {
    let folder = Folder::new();
    let mut wal = folder.open(0);
    wal.write(&payloads(&["a"])).expect("written");
    wal.disk = log::Disk { sync: failed, cut: |file, _| failed(file) };
    wal.write(&payloads(&["refused", "too"])).expect_err("no room");
    wal.write(&payloads(&["again"])).expect_err("no room");
    wal.disk = log::Disk::default();
    wal.write(&payloads(&["b"])).expect("written");
    wal.write(&payloads(&["c"])).expect("written");
    drop(wal);
    let texts = |covered| -> Vec<String> {
        left(&mut folder.open(covered)).into_iter().map(|(_, text)| text).collect()
    };
    assert_eq!(texts(0), ["a", "b", "c"]);
    assert_eq!(texts(1), ["b", "c"]);
    // And what could be taken back needs no word about it.
    let mut wal = folder.open(0);
    left(&mut wal);
    wal.disk.sync = failed;
    wal.write(&payloads(&["refused"])).expect_err("no room");
    drop(wal);
    assert_eq!(texts(0), ["a", "b", "c"]);
}

fn failed(_: &fs::File) -> std::io::Result<()> {
    Err(std::io::Error::from_raw_os_error(5))
}

#[test]
fn an_entry_of_a_later_version_is_told_from_one_that_is_damaged() {
    let mut bytes = write_entry(&[]);
    assert!(read_entry(&bytes).is_ok());
    bytes[0] = 9;
    assert_eq!(read_entry(&bytes), Err(BadEntry::Version(9)));
    assert_eq!(read_entry(&bytes[..0]), Err(BadEntry::Damaged));
    assert_eq!(read_entry(&[2, 5]), Err(BadEntry::Damaged));
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

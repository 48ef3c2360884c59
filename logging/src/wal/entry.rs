//! What one entry holds: the streams of one request, with their records. Pure.
//!
//! ```text
//! 0, ranges, then each: first, last       entries that don't count, by number
//! version, streams, then each: namespace, pod, uid, container, node, restart, labels, records
//! record: time and number as differences (zigzag), level and source, body
//! ```
//!
//! Version 1 had records as they came; since version 2 they are as their namespace
//! wants them. Numbers are varints, texts and lists have their length before them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::{
    block::varint::{put, take, unzigzag, zigzag},
    record::{Labels, Level, Record, Source, StreamInfo},
};

const VOID: u64 = 0;
const VERSION: u64 = 2;
/// Records are as they came.
const AS_THEY_CAME: u64 = 1;

/// Records of one stream that came by a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub info: Arc<StreamInfo>,
    pub labels: Labels,
    /// In the order they were sent.
    pub records: Vec<Record>,
}

/// The bytes are no entry that this version wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// A later version of the program wrote it.
    #[error("its version {0} is not known here, a later release reads it")]
    Version(u64),
    #[error("it is not what was written")]
    Damaged,
}

/// An entry that says which others don't count.
pub fn write_void(ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, VOID);
    put(&mut out, ranges.len() as u64);
    ranges.iter().flat_map(|(first, last)| [first, last]).for_each(|number| put(&mut out, *number));
    out
}

/// What such an entry says; `None` of another.
pub fn voided(mut bytes: &[u8]) -> Option<Vec<(u64, u64)>> {
    let bytes = &mut bytes;
    if take(bytes)? != VOID {
        return None;
    }
    let mut ranges = Vec::new();
    for _ in 0..take(bytes)? {
        ranges.push((take(bytes)?, take(bytes)?));
    }
    bytes.is_empty().then_some(ranges)
}

/// The bytes of an entry.
pub fn write_entry(streams: &[Pushed]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, VERSION);
    put(&mut out, streams.len() as u64);
    for stream in streams {
        let info = &stream.info;
        for text in [&info.namespace, &info.pod, &info.uid, &info.container, &info.node] {
            put_bytes(&mut out, text.as_bytes());
        }
        put(&mut out, u64::from(info.restart));
        put(&mut out, stream.labels.len() as u64);
        for (name, value) in stream.labels.iter() {
            put_bytes(&mut out, name.as_bytes());
            put_bytes(&mut out, value.as_bytes());
        }
        put(&mut out, stream.records.len() as u64);
        let (mut time, mut seq) = (0i64, 0u64);
        for record in &stream.records {
            put(&mut out, zigzag(record.time.wrapping_sub(time)));
            put(&mut out, zigzag(record.seq.wrapping_sub(seq) as i64));
            (time, seq) = (record.time, record.seq);
            out.push(record.level as u8 | (record.source as u8) << 4);
            put_bytes(&mut out, &record.body);
        }
    }
    out
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    pub streams: Vec<Pushed>,
    /// What their namespaces say was done to them before they were written.
    pub is_judged: bool,
}

/// The streams of an entry.
pub fn read_entry(mut bytes: &[u8]) -> Result<Contents, BadEntry> {
    let version = match take(&mut bytes) {
        Some(version @ (VERSION | AS_THEY_CAME)) => version,
        Some(version) => return Err(BadEntry::Version(version)),
        None => return Err(BadEntry::Damaged),
    };
    let read = |bytes: &mut &[u8]| -> Option<Contents> {
        let mut streams = Vec::new();
        for _ in 0..take(bytes)? {
            streams.push(read_stream(bytes)?);
        }
        bytes.is_empty().then_some(Contents { streams, is_judged: version != AS_THEY_CAME })
    };
    read(&mut bytes).ok_or(BadEntry::Damaged)
}

fn read_stream(bytes: &mut &[u8]) -> Option<Pushed> {
    let [namespace, pod, uid, container, node] =
        [take_text(bytes)?, take_text(bytes)?, take_text(bytes)?, take_text(bytes)?, take_text(bytes)?];
    let restart = u32::try_from(take(bytes)?).ok()?;
    let mut labels = BTreeMap::new();
    for _ in 0..take(bytes)? {
        labels.insert(take_text(bytes)?, take_text(bytes)?);
    }
    let mut records = Vec::new();
    let (mut time, mut seq) = (0i64, 0u64);
    for _ in 0..take(bytes)? {
        time = time.wrapping_add(unzigzag(take(bytes)?));
        seq = seq.wrapping_add(unzigzag(take(bytes)?) as u64);
        let (flags, rest) = bytes.split_first()?;
        *bytes = rest;
        let level = Level::from_number(flags & 15)?;
        let source = match flags >> 4 {
            0 => Source::Stdout,
            1 => Source::Stderr,
            _ => return None,
        };
        records.push(Record { time, seq, level, source, body: Bytes::copy_from_slice(take_bytes(bytes)?) });
    }
    let info = StreamInfo { namespace, pod, uid, container, restart, node };
    Some(Pushed { info: Arc::new(info), labels: Arc::new(labels), records })
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    std::str::from_utf8(take_bytes(bytes)?).ok().map(str::to_owned)
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(text)
}

//! The bytes of a block.
//!
//! ```text
//! "TPB" version   section of columns   section of bodies
//! section: bytes when unpacked (u32 LE), bytes (u32 LE), CRC-32 of the bytes (u32 LE), zstd frame
//! columns: count, times (delta, zigzag), numbers (delta, zigzag), levels, sources, lengths of bodies
//! bodies:  one after the other
//! ```
//!
//! Two sections, because a histogram or a count needs the columns only. Every
//! section has its own checksum, and a length that can't be is refused before
//! memory is taken.

use bytes::Bytes;

use super::varint::{put, take, unzigzag, zigzag};
use crate::{
    parse::MAX_BODY,
    record::{Level, Record, Source},
};

const MAGIC: [u8; 4] = *b"TPB\x01";
const SECTION_HEAD: usize = 12;
const ZSTD_LEVEL: i32 = 3;
/// No section is longer when unpacked.
const MAX_SECTION: usize = super::MAX_BYTES + 2 * MAX_BODY;

/// The bytes are no block, or were changed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("block is damaged: {0}")]
pub struct CorruptBlock(&'static str);

/// All of a block but the bodies; one entry a record in each column.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub times: Vec<i64>,
    pub seqs: Vec<u64>,
    pub levels: Vec<Level>,
    pub sources: Vec<Source>,
    pub lengths: Vec<usize>,
}

/// Records as a block.
pub(super) fn encode(records: &[Record]) -> std::io::Result<Vec<u8>> {
    let mut columns = Vec::with_capacity(records.len() * 6);
    put(&mut columns, records.len() as u64);
    let mut last = 0i64;
    for record in records {
        put(&mut columns, zigzag(record.time.wrapping_sub(last)));
        last = record.time;
    }
    let mut last = 0u64;
    for record in records {
        put(&mut columns, zigzag(record.seq.wrapping_sub(last) as i64));
        last = record.seq;
    }
    columns.extend(records.iter().map(|record| record.level as u8));
    columns.extend(records.iter().map(|record| record.source as u8));
    for record in records {
        put(&mut columns, record.body.len() as u64);
    }
    let mut bodies = Vec::with_capacity(records.iter().map(|record| record.body.len()).sum());
    for record in records {
        bodies.extend_from_slice(&record.body);
    }
    let mut block = MAGIC.to_vec();
    section(&mut block, &columns)?;
    section(&mut block, &bodies)?;
    Ok(block)
}

fn section(block: &mut Vec<u8>, raw: &[u8]) -> std::io::Result<()> {
    let packed = zstd::bulk::compress(raw, ZSTD_LEVEL)?;
    block.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    block.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    block.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
    block.extend_from_slice(&packed);
    Ok(())
}

/// The columns of a block.
pub fn columns(block: &[u8]) -> Result<Columns, CorruptBlock> {
    let (packed, raw_length, _) = open_section(sections(block)?)?;
    let raw = unpack(packed, raw_length)?;
    read_columns(&raw).ok_or(CorruptBlock("its columns end early"))
}

/// The bodies that belong to the columns.
pub fn bodies(block: &[u8], columns: &Columns) -> Result<Vec<Bytes>, CorruptBlock> {
    let (_, _, rest) = open_section(sections(block)?)?;
    let (packed, raw_length, _) = open_section(rest)?;
    let mut raw = Bytes::from(unpack(packed, raw_length)?);
    let mut bodies = Vec::with_capacity(columns.lengths.len());
    for length in &columns.lengths {
        if *length > raw.len() {
            return Err(CorruptBlock("its bodies end early"));
        }
        bodies.push(raw.split_to(*length));
    }
    Ok(bodies)
}

/// All records of a block. Their bodies share one buffer.
pub fn records(block: &[u8]) -> Result<Vec<Record>, CorruptBlock> {
    let columns = columns(block)?;
    let bodies = bodies(block, &columns)?;
    let record = |(at, body): (usize, Bytes)| Record {
        time: columns.times[at],
        seq: columns.seqs[at],
        level: columns.levels[at],
        source: columns.sources[at],
        body,
    };
    Ok(bodies.into_iter().enumerate().map(record).collect())
}

fn sections(block: &[u8]) -> Result<&[u8], CorruptBlock> {
    match block.split_at_checked(MAGIC.len()) {
        Some((magic, rest)) if magic == MAGIC => Ok(rest),
        Some((magic, _)) if magic.starts_with(b"TPB") => Err(CorruptBlock("its version is not known")),
        _ => Err(CorruptBlock("it does not begin as a block")),
    }
}

/// The first section's packed bytes, their unpacked length, and what follows.
fn open_section(bytes: &[u8]) -> Result<(&[u8], usize, &[u8]), CorruptBlock> {
    let short = CorruptBlock("it ends early");
    let Some((head, rest)) = bytes.split_at_checked(SECTION_HEAD) else { return Err(short) };
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let Some((packed, rest)) = rest.split_at_checked(number(4) as usize) else { return Err(short) };
    if crc32fast::hash(packed) != number(8) {
        return Err(CorruptBlock("its checksum is wrong"));
    }
    Ok((packed, number(0) as usize, rest))
}

fn unpack(packed: &[u8], length: usize) -> Result<Vec<u8>, CorruptBlock> {
    if length > MAX_SECTION {
        return Err(CorruptBlock("a length is too great"));
    }
    match zstd::bulk::decompress(packed, length) {
        Ok(raw) if raw.len() == length => Ok(raw),
        _ => Err(CorruptBlock("it can't be unpacked")),
    }
}

fn read_columns(mut raw: &[u8]) -> Option<Columns> {
    let raw = &mut raw;
    let count = usize::try_from(take(raw)?).ok().filter(|count| *count <= MAX_SECTION)?;
    let mut columns = Columns::default();
    let mut last = 0i64;
    for _ in 0..count {
        last = last.wrapping_add(unzigzag(take(raw)?));
        columns.times.push(last);
    }
    let mut last = 0u64;
    for _ in 0..count {
        last = last.wrapping_add(unzigzag(take(raw)?) as u64);
        columns.seqs.push(last);
    }
    let (levels, rest) = raw.split_at_checked(count)?;
    let (sources, rest) = rest.split_at_checked(count)?;
    *raw = rest;
    columns.levels = levels.iter().map(|level| Level::from_number(*level)).collect::<Option<_>>()?;
    let source = |source: &u8| if *source == Source::Stderr as u8 { Source::Stderr } else { Source::Stdout };
    columns.sources = sources.iter().map(source).collect();
    for _ in 0..count {
        columns.lengths.push(usize::try_from(take(raw)?).ok()?);
    }
    Some(columns)
}

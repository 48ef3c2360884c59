//! Columns of a block: all of its records but their bodies.
//!
//! ```text
//! version 1   count, times (delta, zigzag), numbers (delta, zigzag), levels, sources, lengths of bodies
//! version 2   count, times, numbers, levels, sources; all integers as `ints` has them
//! version 4   count, numbers, levels, sources; the times are a section of their own
//! ```

use super::{
    MAX_BODIES, ints,
    varint::{put, take, unzigzag, zigzag},
};
use crate::record::{Level, Record, Source};

/// Records that a reader believes in.
pub const MAX_COUNT: usize = 1 << 16;
/// Numbers as they are ordered: negative times come first.
const SIGN: u64 = 1 << 63;

/// All of a block but the bodies; one entry a record in each column.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Columns {
    pub times: Vec<i64>,
    pub seqs: Vec<u64>,
    pub levels: Vec<Level>,
    pub sources: Vec<Source>,
}

impl Columns {
    pub fn len(&self) -> usize {
        self.levels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }
}

/// All but the times.
pub(super) fn write(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + records.len());
    put(&mut out, records.len() as u64);
    write_small(&mut out, records);
    out
}

pub(super) fn write_times(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + records.len() * 6);
    write_column(&mut out, records, |record| record.time as u64 ^ SIGN);
    out
}

/// As version 2 has it.
#[cfg(test)]
pub(super) fn write_second(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, records.len() as u64);
    out.extend(write_times(records));
    write_small(&mut out, records);
    out
}

fn write_small(out: &mut Vec<u8>, records: &[Record]) {
    write_column(out, records, |record| record.seq);
    write_column(out, records, |record| record.level as u64);
    write_column(out, records, |record| record.source as u64);
}

fn write_column(out: &mut Vec<u8>, records: &[Record], of: impl Fn(&Record) -> u64) {
    let numbers: Vec<u64> = records.iter().map(of).collect();
    ints::write(out, &numbers, &mut Vec::new());
}

/// As version 2 has it.
pub(super) fn read_second(mut raw: &[u8]) -> Option<Columns> {
    let count = take_count(&mut raw)?;
    let times = take_times(&mut raw, count)?;
    read_small(raw, count).map(|columns| Columns { times, ..columns })
}

/// All but the times.
pub(super) fn read(mut raw: &[u8]) -> Option<Columns> {
    let count = take_count(&mut raw)?;
    read_small(raw, count)
}

pub(super) fn read_times(mut raw: &[u8], count: usize) -> Option<Vec<i64>> {
    take_times(&mut raw, count).filter(|_| raw.is_empty())
}

fn take_count(raw: &mut &[u8]) -> Option<usize> {
    usize::try_from(take(raw)?).ok().filter(|count| *count <= MAX_COUNT)
}

fn take_times(raw: &mut &[u8], count: usize) -> Option<Vec<i64>> {
    Some(ints::read(raw, count)?.into_iter().map(|time| (time ^ SIGN) as i64).collect())
}

fn read_small(mut raw: &[u8], count: usize) -> Option<Columns> {
    let raw = &mut raw;
    let mut column = || ints::read(raw, count);
    let seqs = column()?;
    let level = |number: u64| Level::from_number(u8::try_from(number).ok()?);
    let levels = column()?.into_iter().map(level).collect::<Option<_>>()?;
    let source = |number: u64| match number {
        0 => Some(Source::Stdout),
        1 => Some(Source::Stderr),
        _ => None,
    };
    let sources = column()?.into_iter().map(source).collect::<Option<_>>()?;
    raw.is_empty().then_some(Columns { times: Vec::new(), seqs, levels, sources })
}

/// As version 1 has it.
pub(super) fn write_plain(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * 6);
    put(&mut out, records.len() as u64);
    let mut last = 0i64;
    for record in records {
        put(&mut out, zigzag(record.time.wrapping_sub(last)));
        last = record.time;
    }
    let mut last = 0u64;
    for record in records {
        put(&mut out, zigzag(record.seq.wrapping_sub(last) as i64));
        last = record.seq;
    }
    out.extend(records.iter().map(|record| record.level as u8));
    out.extend(records.iter().map(|record| record.source as u8));
    for record in records {
        put(&mut out, record.body.len() as u64);
    }
    out
}

/// As version 1 has it, with the bodies' lengths.
pub(super) fn read_plain(mut raw: &[u8]) -> Option<(Columns, Vec<usize>)> {
    let raw = &mut raw;
    let count = usize::try_from(take(raw)?).ok().filter(|count| *count <= MAX_BODIES)?;
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
    let mut lengths = Vec::new();
    for _ in 0..count {
        lengths.push(usize::try_from(take(raw)?).ok()?);
    }
    Some((columns, lengths))
}

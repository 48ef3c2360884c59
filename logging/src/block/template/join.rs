//! Templates and columns back to bodies.
//!
//! Bytes from a disk are not trusted: every length is checked against what is
//! there, and what is written against what a block may have.

use super::{
    MARK, MAX_SLOTS, Piece, class, pieces,
    slot::{CODES, HEX, HEX_UPPER, MAX_DIGITS, NUMBER, NUMBER_WIDE, TEXT},
    times,
};
use crate::{
    block::{
        MAX_BODIES, ints,
        varint::{take, unzigzag},
    },
    query::lines::Run,
};

/// A template with the columns of its variables, for so many records.
#[derive(Debug)]
pub struct Template<'a> {
    pub(super) pieces: Vec<Piece<'a>>,
    pub(super) columns: Vec<Column<'a>>,
}

/// A slot's values, any of which can be written.
#[derive(Debug)]
pub(super) enum Column<'a> {
    Text {
        ends: Vec<usize>,
        text: &'a [u8],
    },
    Codes {
        ends: Vec<usize>,
        text: &'a [u8],
        codes: Vec<u64>,
    },
    Number {
        prefix: &'a [u8],
        numbers: Vec<u64>,
        widths: Option<Vec<u64>>,
    },
    /// `ends` and `digits` count half bytes.
    Hex {
        prefix: &'a [u8],
        ends: Vec<usize>,
        digits: &'a [u8],
        letters: &'static [u8; 16],
    },
    Uuid {
        bytes: &'a [u8],
        letters: &'static [u8; 16],
    },
    Address(Vec<u64>),
    Time {
        class: u8,
        unit: i64,
        distances: Vec<u64>,
    },
}

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

impl<'a> Template<'a> {
    /// Reads the columns of `count` records of the template with this key.
    pub fn read(key: &'a [u8], mut bytes: &'a [u8], count: usize) -> Option<Self> {
        let pieces: Vec<_> = pieces(key).collect();
        let n_slots = pieces.iter().filter(|piece| matches!(piece, Piece::Slot(_))).count();
        // Each variable has a byte at least, or there is but one.
        if n_slots > MAX_SLOTS
            || (n_slots > 1 && n_slots.checked_mul(count)? > MAX_BODIES)
            || key.ends_with(&[MARK])
        {
            return None;
        }
        let mut columns = Vec::with_capacity(n_slots);
        for piece in &pieces {
            if let Piece::Slot(class) = piece {
                columns.push(Column::read(*class, &mut bytes, count)?);
            }
        }
        bytes.is_empty().then_some(Self { pieces, columns })
    }
}

impl Template<'_> {
    /// Appends the variable of a slot in the template's record `at`, which was written at `time`.
    pub fn write_slot(&self, out: &mut Vec<u8>, slot: usize, at: usize, time: i64) -> Option<()> {
        self.columns.get(slot)?.write(out, at, time)
    }

    /// Whether the slot's variables are decimal in all records; `canonical`: and have no leading zeros.
    pub fn is_decimal(&self, slot: usize, canonical: bool) -> bool {
        let decimal = |text: &[u8]| {
            !text.is_empty()
                && text.iter().all(u8::is_ascii_digit)
                && (!canonical || text.len() == 1 || text[0] != b'0')
        };
        match self.columns.get(slot) {
            Some(Column::Number { prefix: [], widths, .. }) => !canonical || widths.is_none(),
            Some(Column::Text { ends, text } | Column::Codes { ends, text, .. }) => {
                (0..ends.len()).all(|at| range(ends, at).is_some_and(|range| decimal(&text[range])))
            }
            _ => false,
        }
    }

    /// Whether the slot's variables are such runs in all records.
    pub fn is_run(&self, slot: usize, run: Run) -> bool {
        let Some(column) = self.columns.get(slot) else { return false };
        match column {
            Column::Number { prefix: [], .. } if run == Run::Digits => true,
            Column::Number { numbers, .. } => {
                let mut text = Vec::new();
                (0..numbers.len()).all(|at| {
                    text.clear();
                    column.write(&mut text, at, 0).is_some() && run.holds(&text)
                })
            }
            Column::Text { ends, text } | Column::Codes { ends, text, .. } => {
                (0..ends.len()).all(|at| range(ends, at).is_some_and(|range| run.holds(&text[range])))
            }
            _ => false,
        }
    }
}

/// Appends the body of the template's record `at`, which was written at `time`.
pub fn join(out: &mut Vec<u8>, template: &Template<'_>, at: usize, time: i64) -> Option<()> {
    let mut columns = template.columns.iter();
    for piece in &template.pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text),
            Piece::Slot(_) => columns.next()?.write(out, at, time)?,
        }
    }
    (out.len() <= MAX_BODIES).then_some(())
}

impl<'a> Column<'a> {
    fn read(class: u8, bytes: &mut &'a [u8], count: usize) -> Option<Self> {
        match class {
            class::TOKEN | class::WHOLE => Self::read_texts(bytes, count),
            class::UUID | class::UUID_UPPER => {
                let letters = if class == class::UUID { LOWER } else { UPPER };
                Some(Self::Uuid { bytes: cut(bytes, count.checked_mul(16)?)?, letters })
            }
            class::ADDRESS => Some(Self::Address(ints::read(bytes, count)?)),
            _ => Some(Self::Time { class, unit: times::unit(class)?, distances: ints::read(bytes, count)? }),
        }
    }

    fn read_texts(bytes: &mut &'a [u8], count: usize) -> Option<Self> {
        match cut(bytes, 1)?[0] {
            TEXT => {
                let ends = ends(ints::read(bytes, count)?)?;
                let text = cut(bytes, ends.last().copied().unwrap_or(0))?;
                Some(Self::Text { ends, text })
            }
            CODES => {
                // A distinct text occurs.
                let n_distinct = usize::try_from(take(bytes)?).ok().filter(|n| *n <= count)?;
                let ends = ends(ints::read(bytes, n_distinct)?)?;
                let text = cut(bytes, ends.last().copied().unwrap_or(0))?;
                Some(Self::Codes { ends, text, codes: ints::read(bytes, count)? })
            }
            kind @ (NUMBER | NUMBER_WIDE) => {
                let prefix = cut_counted(bytes)?;
                let numbers = ints::read(bytes, count)?;
                let widths = if kind == NUMBER_WIDE { Some(ints::read(bytes, count)?) } else { None };
                Some(Self::Number { prefix, numbers, widths })
            }
            kind @ (HEX | HEX_UPPER) => {
                let prefix = cut_counted(bytes)?;
                let ends = ends(ints::read(bytes, count)?)?;
                let digits = cut(bytes, ends.last().copied().unwrap_or(0).div_ceil(2))?;
                Some(Self::Hex { prefix, ends, digits, letters: if kind == HEX { LOWER } else { UPPER } })
            }
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>, at: usize, time: i64) -> Option<()> {
        match self {
            Self::Text { ends, text } => out.extend_from_slice(&text[range(ends, at)?]),
            Self::Codes { ends, text, codes } => {
                let code = usize::try_from(*codes.get(at)?).ok()?;
                out.extend_from_slice(&text[range(ends, code)?]);
            }
            Self::Number { prefix, numbers, widths } => {
                out.extend_from_slice(prefix);
                let width = widths.as_ref().map_or(Some(1), |widths| widths.get(at).copied())?;
                write_decimal(out, *numbers.get(at)?, usize::try_from(width).ok()?)?;
            }
            Self::Hex { prefix, ends, digits, letters } => {
                out.extend_from_slice(prefix);
                let digit = |at: usize| {
                    letters[usize::from(digits[at / 2] >> if at.is_multiple_of(2) { 4 } else { 0 } & 15)]
                };
                out.extend(range(ends, at)?.map(digit));
            }
            Self::Uuid { bytes, letters } => {
                for (at, byte) in bytes.get(at * 16..at * 16 + 16)?.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        out.push(b'-');
                    }
                    out.extend([byte >> 4, byte & 15].map(|half| letters[usize::from(half)]));
                }
            }
            Self::Address(addresses) => {
                let address = u32::try_from(*addresses.get(at)?).ok()?;
                for (at, part) in address.to_be_bytes().into_iter().enumerate() {
                    if at > 0 {
                        out.push(b'.');
                    }
                    write_decimal(out, u64::from(part), 1)?;
                }
            }
            Self::Time { class, unit, distances } => {
                let units = unzigzag(*distances.get(at)?).wrapping_add(time.div_euclid(*unit));
                times::write(out, *class, units)?;
            }
        }
        Some(())
    }
}

/// Lengths as where each ends; all together they are within a block.
fn ends(lengths: Vec<u64>) -> Option<Vec<usize>> {
    let mut end = 0usize;
    let mut ends = Vec::with_capacity(lengths.len());
    for length in lengths {
        end = end.checked_add(usize::try_from(length).ok()?).filter(|end| *end <= 2 * MAX_BODIES)?;
        ends.push(end);
    }
    Some(ends)
}

pub(super) fn range(ends: &[usize], at: usize) -> Option<std::ops::Range<usize>> {
    let start = at.checked_sub(1).map_or(0, |before| ends.get(before).copied().unwrap_or(0));
    Some(start..*ends.get(at)?)
}

fn cut<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first)
}

fn cut_counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(bytes)?).ok()?;
    cut(bytes, length)
}

/// With zeros in front up to `width` digits.
fn write_decimal(out: &mut Vec<u8>, mut number: u64, width: usize) -> Option<()> {
    const MOST: usize = 20;
    if width > MAX_DIGITS {
        return None;
    }
    let (mut digits, mut from) = ([b'0'; MOST], MOST);
    while number > 0 {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[from.min(MOST - width)..]);
    Some(())
}

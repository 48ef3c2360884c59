//! The column of a slot: one variable of one template, over its records.
//!
//! ```text
//! addresses, times    integers
//! UUIDs               16 bytes each
//! tokens, whole bodies, by what fits all of them:
//!   TEXT     lengths (integers), bytes
//!   CODES    distinct texts, lengths and bytes; which one (integers)
//!   NUMBER   prefix, widths unless canonical, integers
//!   HEX(_UPPER)  prefix, digits (integers), half a byte each
//! ```
//!
//! The prefix is the letters that all begin with, or `0x`. Integers: [`ints`].

use super::{Intern, Spelt, Variable, class};
use crate::block::{ints, varint::put};

pub const TEXT: u8 = 0;
pub const CODES: u8 = 1;
pub const NUMBER: u8 = 2;
pub const NUMBER_WIDE: u8 = 3;
pub const HEX: u8 = 4;
pub const HEX_UPPER: u8 = 5;

/// A column of fewer texts is not looked at more closely.
const FEW: usize = 4;
/// Decimal digits that always fit 64 bits.
pub const MAX_DIGITS: usize = 19;

/// Buffers that are used again.
#[derive(Debug, Default)]
pub struct Scratch<'a> {
    numbers: Vec<u64>,
    lengths: Vec<u64>,
    ints: Vec<u64>,
    distinct: Intern,
    texts: Vec<&'a [u8]>,
}

/// Appends a slot's column: of each of the template's records its body and its variable. Gives what
/// they spell.
pub fn write_slot<'a>(
    out: &mut Vec<u8>,
    class: u8,
    variables: impl Iterator<Item = (&'a [u8], Variable)>,
    scratch: &mut Scratch<'a>,
) -> Spelt {
    if !matches!(class, class::TOKEN | class::WHOLE | class::UUID | class::UUID_UPPER) {
        scratch.numbers.clear();
        scratch.numbers.extend(variables.map(|(_, variable)| variable.number));
        ints::write(out, &scratch.numbers, &mut scratch.ints);
        return if class == class::ADDRESS { Spelt::default() } else { Spelt::ANY };
    }
    // Bodies lie far apart: who walks over the texts several times looks them up once.
    let mut texts = std::mem::take(&mut scratch.texts);
    texts.clear();
    texts.extend(variables.map(|(body, variable)| &body[variable.range()]));
    let spelt = match class {
        class::TOKEN | class::WHOLE => write_texts(out, &texts, scratch),
        _ => {
            let mut half = None;
            for text in &texts {
                text.iter().filter(|byte| **byte != b'-').for_each(|digit| push_hex(out, &mut half, *digit));
            }
            Spelt::HEX
        }
    };
    scratch.texts = texts;
    spelt
}

fn write_texts(out: &mut Vec<u8>, all: &[&[u8]], scratch: &mut Scratch<'_>) -> Spelt {
    let texts = || all.iter().copied();
    let spelt = || texts().fold(Spelt::default(), |spelt, text| spelt.and(Spelt::of(text)));
    let Some(first) = all.first().filter(|_| all.len() >= FEW) else {
        write_plain(out, texts(), scratch);
        return spelt();
    };
    let prefix = prefix(first, texts());
    let look = Look::at(texts().map(|text| &text[prefix..]));
    if look.decimal && look.longest <= MAX_DIGITS {
        out.push(if look.canonical { NUMBER } else { NUMBER_WIDE });
        put_bytes(out, &first[..prefix]);
        scratch.numbers.clear();
        scratch.numbers.extend(texts().map(|text| decimal(&text[prefix..])));
        ints::write(out, &scratch.numbers, &mut scratch.ints);
        if !look.canonical {
            write_lengths(out, texts().map(|text| text.len() - prefix), scratch);
        }
        return Spelt::of(&first[..prefix]);
    }
    let total: usize = texts().map(<[u8]>::len).sum();
    let hex = (look.hex_lower || look.hex_upper).then(|| total.div_ceil(2));
    if write_codes(out, texts(), hex.unwrap_or(total), scratch) {
        return Spelt::of(scratch.distinct.text());
    }
    if hex.is_none() {
        write_plain(out, texts(), scratch);
        return spelt();
    }
    out.push(if look.hex_lower { HEX } else { HEX_UPPER });
    put_bytes(out, &first[..prefix]);
    write_lengths(out, texts().map(|text| text.len() - prefix), scratch);
    let mut half = None;
    texts().for_each(|text| text[prefix..].iter().for_each(|digit| push_hex(out, &mut half, *digit)));
    out.extend(half);
    Spelt::HEX.and(Spelt::of(&first[..prefix]))
}

fn write_plain<'a>(
    out: &mut Vec<u8>,
    texts: impl Iterator<Item = &'a [u8]> + Clone,
    scratch: &mut Scratch<'_>,
) {
    out.push(TEXT);
    write_lengths(out, texts.clone().map(<[u8]>::len), scratch);
    texts.for_each(|text| out.extend_from_slice(text));
}

/// Writes codes of the distinct texts if that takes less than `bytes`.
fn write_codes<'a>(
    out: &mut Vec<u8>,
    texts: impl Iterator<Item = &'a [u8]>,
    bytes: usize,
    scratch: &mut Scratch<'_>,
) -> bool {
    let distinct = &mut scratch.distinct;
    distinct.clear();
    scratch.numbers.clear();
    for text in texts {
        scratch.numbers.push(u64::from(distinct.number(text)));
        if distinct.text().len() + distinct.count() * 2 > bytes {
            return false;
        }
    }
    let bits = usize::BITS - distinct.count().leading_zeros();
    if distinct.text().len() + distinct.count() + scratch.numbers.len() * bits as usize / 8 >= bytes {
        return false;
    }
    out.push(CODES);
    put(out, distinct.count() as u64);
    scratch.lengths.clear();
    scratch.lengths.extend((0..distinct.count()).map(|at| distinct.get(at).len() as u64));
    ints::write(out, &scratch.lengths, &mut scratch.ints);
    out.extend_from_slice(distinct.text());
    ints::write(out, &scratch.numbers, &mut scratch.ints);
    true
}

fn write_lengths(out: &mut Vec<u8>, lengths: impl Iterator<Item = usize>, scratch: &mut Scratch<'_>) {
    scratch.lengths.clear();
    scratch.lengths.extend(lengths.map(|length| length as u64));
    ints::write(out, &scratch.lengths, &mut scratch.ints);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes that all texts begin with, so that a number or an id is left.
fn prefix<'a>(first: &[u8], mut texts: impl Iterator<Item = &'a [u8]>) -> usize {
    let letters = first.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let length = if first.starts_with(b"0x") { 2 } else { letters };
    if texts.all(|text| text.starts_with(&first[..length])) { length } else { 0 }
}

/// What all texts have in common.
struct Look {
    decimal: bool,
    /// No leading zeros, never empty.
    canonical: bool,
    hex_lower: bool,
    hex_upper: bool,
    longest: usize,
}

impl Look {
    fn at<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut look = Self { decimal: true, canonical: true, hex_lower: true, hex_upper: true, longest: 0 };
        for text in texts {
            look.longest = look.longest.max(text.len());
            look.canonical &= text == b"0" || text.first().is_some_and(|byte| *byte != b'0');
            for byte in text {
                let digit = byte.is_ascii_digit();
                look.decimal &= digit;
                look.hex_lower &= digit || (b'a'..=b'f').contains(byte);
                look.hex_upper &= digit || (b'A'..=b'F').contains(byte);
            }
            if !(look.hex_lower || look.hex_upper) {
                break;
            }
        }
        look
    }
}

fn decimal(text: &[u8]) -> u64 {
    text.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Adds a hexadecimal digit; two make a byte, the first is the high half.
fn push_hex(out: &mut Vec<u8>, half: &mut Option<u8>, digit: u8) {
    let value = match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    };
    match half.take() {
        Some(high) => out.push(high | value),
        None => *half = Some(value << 4),
    }
}

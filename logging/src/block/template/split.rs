//! A body's template and variables, in one pass and without memory of its own.
//!
//! A run of ASCII letters and digits that has a digit is a variable, but for a
//! unit behind a number (`12ms`), which is a literal. Times, UUIDs and IPv4
//! addresses are one variable each.

use super::{MARK, MAX_SLOTS, class, times};
use crate::{block::varint::zigzag, query::text::is_token_byte};

const OTHER: u8 = 0;
const LETTER: u8 = 1;
const DIGIT: u8 = 2;

const KINDS: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_digit() {
            kinds[byte] = DIGIT;
        } else if (byte as u8).is_ascii_alphabetic() {
            kinds[byte] = LETTER;
        }
        byte += 1;
    }
    kinds
};

/// What may stand behind a number. No hexadecimal letters alone: ids end in those.
const UNITS: [&[u8]; 14] =
    [b"s", b"ms", b"us", b"ns", b"m", b"h", b"KB", b"MB", b"GB", b"Ki", b"Mi", b"Gi", b"KiB", b"MiB"];

/// A variable of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Where it stands.
    start: u32,
    end: u32,
    /// An address, or a time's distance from the record's (zigzag); of others 0.
    pub number: u64,
}

impl Variable {
    /// Bodies are far shorter than 4 GiB: see [`crate::block::MAX_BODIES`].
    fn new(start: usize, end: usize, number: u64) -> Self {
        Self { start: start as u32, end: end as u32, number }
    }

    pub fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Writes the template's key into `key`, which is emptied, and appends the variables.
pub fn split(body: &[u8], time: i64, key: &mut Vec<u8>, variables: &mut Vec<Variable>) {
    key.clear();
    let before = variables.len();
    if body.contains(&MARK) || !walk(body, time, key, variables) {
        key.clear();
        key.extend([MARK, class::WHOLE]);
        variables.truncate(before);
        variables.push(Variable::new(0, body.len(), 0));
    }
}

/// `false` when there are too many variables.
fn walk(body: &[u8], time: i64, key: &mut Vec<u8>, variables: &mut Vec<Variable>) -> bool {
    let most = variables.len() + MAX_SLOTS;
    let (mut at, mut literal) = (0, 0);
    while at < body.len() {
        let kind = KINDS[usize::from(body[at])];
        if kind == OTHER {
            at += 1;
            continue;
        }
        let start = at;
        let (class, number) = match compound(body, start, time, kind) {
            Some((class, length, number)) => {
                at += length;
                (class, number)
            }
            None => {
                let mut seen = 0;
                while let Some(kind @ 1..) = body.get(at).map(|byte| KINDS[usize::from(*byte)]) {
                    seen |= kind;
                    at += 1;
                }
                if seen & DIGIT == 0 {
                    continue;
                }
                if kind == DIGIT && seen & LETTER != 0 {
                    at -= unit_length(&body[start..at]);
                }
                (class::TOKEN, 0)
            }
        };
        if variables.len() == most {
            return false;
        }
        key.extend_from_slice(&body[literal..start]);
        key.extend([MARK, class]);
        variables.push(Variable::new(start, at, number));
        literal = at;
    }
    key.extend_from_slice(&body[literal..]);
    true
}

/// Class, length and number of the variable at `start`,
/// when that is more than a run of letters and digits.
fn compound(body: &[u8], start: usize, time: i64, kind: u8) -> Option<(u8, usize, u64)> {
    let rest = &body[start..];
    if kind == DIGIT {
        if let Some(found) = times::find(rest) {
            let value = found.units.wrapping_sub(time.div_euclid(times::unit(found.class)?));
            return Some((found.class, found.length, zigzag(value)));
        }
        if let Some((address, length)) = address(rest) {
            return Some((class::ADDRESS, length, u64::from(address)));
        }
    }
    let class = uuid(rest)?;
    // Its groups may have no digit: no word may run on into what stands beside it.
    let before = start.checked_sub(1).map(|before| body[before]);
    let beside = [before, rest.get(UUID_LENGTH).copied()];
    let alone = !beside.into_iter().flatten().any(is_token_byte);
    alone.then_some((class, UUID_LENGTH, 0))
}

fn address(rest: &[u8]) -> Option<(u32, usize)> {
    // Nearly all numbers end here.
    if !rest.get(1..4)?.contains(&b'.') {
        return None;
    }
    let (mut address, mut at) = (0u32, 0);
    for part in 0..4 {
        if part > 0 {
            if rest.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let digits = rest[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=3).contains(&digits) || (digits > 1 && rest[at] == b'0') {
            return None;
        }
        let number =
            rest[at..at + digits].iter().fold(0, |number, byte| number * 10 + u32::from(byte - b'0'));
        if number > 255 {
            return None;
        }
        address = address << 8 | number;
        at += digits;
    }
    Some((address, at))
}

const UUID_LENGTH: usize = 36;

/// The class of the UUID that the text begins with.
fn uuid(rest: &[u8]) -> Option<u8> {
    if rest.get(8) != Some(&b'-') {
        return None;
    }
    let text = rest.get(..UUID_LENGTH)?;
    let (mut lower, mut upper) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'-' if matches!(at, 8 | 13 | 18 | 23) => {}
            b'0'..=b'9' if !matches!(at, 8 | 13 | 18 | 23) => {}
            b'a'..=b'f' if !matches!(at, 8 | 13 | 18 | 23) => lower = true,
            b'A'..=b'F' if !matches!(at, 8 | 13 | 18 | 23) => upper = true,
            _ => return None,
        }
    }
    match (lower, upper) {
        (true, true) => None,
        (false, true) => Some(class::UUID_UPPER),
        _ => Some(class::UUID),
    }
}

/// How long the unit is that the run ends with, when the rest is a number.
fn unit_length(run: &[u8]) -> usize {
    let number = run.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unit = &run[number..];
    if UNITS.contains(&unit) { unit.len() } else { 0 }
}

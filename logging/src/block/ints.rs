//! A column of whole numbers in few bytes.
//!
//! ```text
//! mode: 1 byte   bit 0: the first number, then each one's difference to the one before (zigzag)
//!                bits 1..: 0 packed, 1 one by one (varint), 2 codes of a few distinct numbers
//! packed:   least, step (greatest common divisor), bits, then (number - least) / step, lowest bit first
//! varint:   number - least, one after the other, after least
//! codes:    how many, the distinct numbers ascending as differences, then a byte a number
//! ```
//!
//! What is smallest is taken; zstd comes over all of it, which is why codes keep
//! a byte each: their frequencies are zstd's to use. How many numbers there are
//! is known to the reader from elsewhere, and checked against the bytes before
//! memory is taken.

use super::varint::{put, take, unzigzag, zigzag};

const DELTA: u8 = 1;
const PACKED: u8 = 0;
const VARINT: u8 = 2;
const CODES: u8 = 4;
/// More distinct numbers have no codes.
const MAX_CODES: usize = 256;
/// Places of the table in which distinct numbers are looked for; at most a quarter is taken.
const PLACES: usize = 4 * MAX_CODES;
/// Packed numbers are wider only as eight whole bytes.
const MAX_BITS: u32 = 56;
/// Bits of the first number, where differences follow.
const FIRST: usize = 64;
/// Bits of step and width.
const PACKED_HEAD: usize = 16;

/// Appends the column.
pub fn write(out: &mut Vec<u8>, numbers: &[u64], scratch: &mut Vec<u64>) {
    let few = Few::of(numbers);
    if let Some(few) = &few
        && few.distinct.len() == 1
    {
        return few.write(out);
    }
    let plain = plain_cost(numbers);
    if let Some(few) = few
        && codes_cost(numbers.len(), few.distinct.len()) < plain
    {
        return few.write(out);
    }
    scratch.clear();
    let pairs = numbers.iter().zip(numbers.get(1..).unwrap_or_default());
    scratch.extend(pairs.map(|(last, number)| zigzag(number.wrapping_sub(*last) as i64)));
    let at = out.len();
    out.push(0);
    if plain_cost(scratch) + FIRST < plain {
        put(out, numbers[0]);
        out[at] = DELTA | write_plain(out, scratch);
    } else {
        out[at] = write_plain(out, numbers);
    }
}

/// Takes `count` numbers off the front; `None` when they can't be.
pub fn read(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let (mode, rest) = bytes.split_first()?;
    *bytes = rest;
    if *mode == CODES {
        return read_codes(bytes, count);
    }
    if mode & DELTA == 0 {
        return read_plain(bytes, *mode, count, count);
    }
    let mut last = take(bytes)?;
    let mut numbers = read_plain(bytes, mode & !DELTA, count.checked_sub(1)?, count)?;
    for number in &mut numbers {
        let first = last;
        last = last.wrapping_add(unzigzag(*number) as u64);
        *number = first;
    }
    numbers.push(last);
    Some(numbers)
}

/// Numbers of which few are distinct.
struct Few {
    /// Ascending.
    distinct: Vec<u64>,
    /// Of each number its place among them.
    codes: Vec<u8>,
}

impl Few {
    fn of(numbers: &[u64]) -> Option<Self> {
        let mut distinct: Vec<u64> = Vec::new();
        let mut codes = Vec::with_capacity(numbers.len());
        let mut places = [0u16; PLACES];
        for number in numbers {
            let mut at = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLACES;
            let code = loop {
                match usize::from(places[at]).checked_sub(1) {
                    Some(code) if distinct[code] == *number => break code,
                    Some(_) => at = (at + 1) % PLACES,
                    None if distinct.len() == MAX_CODES || distinct.len() * 2 > numbers.len() => return None,
                    None => {
                        distinct.push(*number);
                        places[at] = distinct.len() as u16;
                        break distinct.len() - 1;
                    }
                }
            };
            codes.push(code as u8);
        }
        // They stand as they came; from here on in order.
        let mut sorted: Vec<_> = distinct.iter().copied().enumerate().collect();
        sorted.sort_unstable_by_key(|(_, number)| *number);
        let mut ranks = [0; MAX_CODES];
        for (rank, (code, number)) in sorted.into_iter().enumerate() {
            ranks[code] = rank as u8;
            distinct[rank] = number;
        }
        codes.iter_mut().for_each(|code| *code = ranks[usize::from(*code)]);
        Some(Self { distinct, codes })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(CODES);
        put(out, self.distinct.len() as u64);
        let mut last = 0;
        for number in &self.distinct {
            put(out, number - last);
            last = *number;
        }
        if self.distinct.len() > 1 {
            out.extend_from_slice(&self.codes);
        }
    }
}

/// Bits that codes take once zstd has seen them, about.
fn codes_cost(count: usize, distinct: usize) -> usize {
    let bits = usize::BITS - distinct.saturating_sub(1).leading_zeros();
    distinct * 12 + count * bits as usize
}

fn plain_cost(numbers: &[u64]) -> usize {
    let span = Span::of(numbers);
    let packed = numbers.len() * span.bits() as usize + PACKED_HEAD;
    packed.min(varint_bits(numbers, span.least))
}

fn varint_bits(numbers: &[u64], least: u64) -> usize {
    let bits = |number: &u64| 8 * (64 - ((number - least) | 1).leading_zeros()).div_ceil(7) as usize;
    // The bits that say whether a number goes on cost zstd little.
    numbers.iter().map(bits).sum::<usize>() * 7 / 8
}

struct Span {
    least: u64,
    step: u64,
    most: u64,
}

impl Span {
    fn of(numbers: &[u64]) -> Self {
        let least = numbers.iter().copied().min().unwrap_or(0);
        let (mut step, mut most) = (0, 0);
        for number in numbers {
            let number = number - least;
            most = most.max(number);
            // Mostly it is a multiple: one division says so.
            if step != 1 && number != 0 {
                step = divisor(number, step);
            }
        }
        Self { least, step: step.max(1), most }
    }

    fn bits(&self) -> u32 {
        let bits = 64 - (self.most / self.step).leading_zeros();
        if bits > MAX_BITS { 64 } else { bits }
    }
}

fn divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Packed or one by one; gives which.
fn write_plain(out: &mut Vec<u8>, numbers: &[u64]) -> u8 {
    let span = Span::of(numbers);
    put(out, span.least);
    if varint_bits(numbers, span.least) < numbers.len() * span.bits() as usize + PACKED_HEAD {
        numbers.iter().for_each(|number| put(out, number - span.least));
        return VARINT;
    }
    put(out, span.step);
    let bits = span.bits();
    out.push(bits as u8);
    if bits == 64 {
        out.extend(numbers.iter().flat_map(|number| ((number - span.least) / span.step).to_le_bytes()));
        return PACKED;
    }
    let (mut held, mut full) = (0u64, 0);
    for number in numbers {
        held |= ((number - span.least) / span.step) << full;
        full += bits;
        while full >= 8 {
            out.push(held as u8);
            held >>= 8;
            full -= 8;
        }
    }
    if full > 0 {
        out.push(held as u8);
    }
    PACKED
}

/// `room`: what memory to take, `count` numbers are read.
fn read_plain(bytes: &mut &[u8], mode: u8, count: usize, room: usize) -> Option<Vec<u64>> {
    let least = take(bytes)?;
    if mode == VARINT {
        if count > bytes.len() {
            return None;
        }
        let mut numbers = Vec::with_capacity(room);
        for _ in 0..count {
            numbers.push(least.wrapping_add(take(bytes)?));
        }
        return Some(numbers);
    }
    if mode != PACKED {
        return None;
    }
    let step = take(bytes)?;
    let (bits, rest) = bytes.split_first()?;
    let bits = u32::from(*bits);
    if bits > MAX_BITS && bits != 64 {
        return None;
    }
    let (packed, rest) = rest.split_at_checked(count.checked_mul(bits as usize)?.div_ceil(8))?;
    *bytes = rest;
    let real = |number: u64| least.wrapping_add(number.wrapping_mul(step));
    let mut numbers = Vec::with_capacity(room);
    if bits == 64 {
        let whole = |eight: &[u8]| eight.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        numbers.extend(packed.chunks_exact(8).map(whole).map(real));
        return Some(numbers);
    }
    if bits == 0 {
        numbers.resize(count, least);
        return Some(numbers);
    }
    let (width, mask) = (bits as usize, (1u64 << bits) - 1);
    // Eight bytes at a time: a number is at most 56 bits and begins within the first of them.
    let whole = packed.len().saturating_sub(7) * 8 / width;
    let number = |eight: [u8; 8], bit: usize| real(u64::from_le_bytes(eight) >> (bit % 8) & mask);
    for bit in (0..whole.min(count)).map(|at| at * width) {
        let eight = packed.get(bit / 8..bit / 8 + 8)?;
        numbers.push(number(eight.try_into().ok()?, bit));
    }
    for bit in (numbers.len()..count).map(|at| at * width) {
        let rest = packed.get(bit / 8..)?;
        let mut eight = [0; 8];
        let length = rest.len().min(8);
        eight[..length].copy_from_slice(&rest[..length]);
        numbers.push(number(eight, bit));
    }
    Some(numbers)
}

fn read_codes(bytes: &mut &[u8], count: usize) -> Option<Vec<u64>> {
    let n_distinct = usize::try_from(take(bytes)?).ok().filter(|n| (1..=MAX_CODES).contains(n))?;
    let mut distinct = Vec::with_capacity(n_distinct);
    let mut last = 0u64;
    for _ in 0..n_distinct {
        last = last.checked_add(take(bytes)?)?;
        distinct.push(last);
    }
    if n_distinct == 1 {
        return Some(vec![last; count]);
    }
    let (codes, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    codes.iter().map(|code| distinct.get(usize::from(*code)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(numbers: &[u64]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, numbers, &mut Vec::new());
        out
    }

    fn numbers() -> impl Strategy<Value = Vec<u64>> {
        let spread =
            prop_oneof![Just(0u32), Just(3), Just(9), Just(31), Just(56), Just(57), Just(63), Just(64)];
        (spread, any::<u64>(), prop_oneof![Just(1u64), Just(1000)], any::<bool>()).prop_flat_map(
            |(bits, base, step, rising)| {
                let one = any::<u64>().prop_map(move |number| {
                    base.wrapping_add((number.checked_shr(64 - bits).unwrap_or(0)).wrapping_mul(step))
                });
                proptest::collection::vec(one, 0..300).prop_map(move |mut numbers| {
                    if rising {
                        numbers.sort_unstable();
                    }
                    numbers
                })
            },
        )
    }

    proptest! {
        #[test]
        fn numbers_come_back(numbers in numbers()) {
            let written = bytes(&numbers);
            let mut rest = written.as_slice();
            prop_assert_eq!(read(&mut rest, numbers.len()), Some(numbers));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), count in 0usize..5000) {
            read(&mut bytes.as_slice(), count);
        }
    }

    #[test]
    fn columns_take_few_bytes() {
        let check = |numbers: Vec<u64>, most: usize| {
            assert!(bytes(&numbers).len() <= most, "{}", bytes(&numbers).len())
        };
        check(vec![7; 4096], 3);
        check((1000..5096).collect(), 12);
        check((0..4096).map(|at| 1_700_000_000_000_000_000 + at * 1_000_000).collect(), 24);
        check(
            (0..4096u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54).collect(),
            4096 * 10 / 8 + 8,
        );
        // Nearly all small: no number pays for the one that is large.
        check((0..4096).map(|at| if at == 99 { u64::MAX } else { at % 100 }).collect(), 4096 + 20);
    }
}

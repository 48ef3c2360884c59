//! Samples of one series, packed while they come: about two bytes each.
//!
//! The first stands whole; of each next one there is a byte, and what does not fit in it:
//!
//! ```text
//! bit 7      the step in time is another than before: its change follows, as varint (zigzag)
//! bits 0-6   whole numbers: the change (zigzag) up to 111, or 111 + so many bytes follow
//!            floats: 0 the same, or 1 + 8 * (zero bytes in front) + (bytes that follow) - 1, of the XOR
//! ```
//!
//! A chunk has one [`Form`]; a number that does not fit it, or another quarter of an hour, begins a new one.

mod sealed;

use super::decimal;

pub use sealed::Sealed;

/// Samples of one chunk at most.
pub const MOST: u16 = 256;
const IRREGULAR: u8 = 0x80;
const SMALL: u64 = 111;

/// How the numbers of a chunk are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Whole numbers, times ten to the minus so many.
    Decimals(u8),
    /// As they are.
    Float,
}

impl Form {
    /// The form that a number needs when its neighbours had `before`.
    fn of(value: f64, before: Option<Form>) -> Form {
        let least = match before {
            Some(Form::Decimals(decimals)) => decimals,
            Some(Form::Float) => return Form::Float,
            None => 0,
        };
        decimal::decimals(value, least).map_or(Form::Float, Form::Decimals)
    }

    #[inline]
    fn bits(self, value: f64) -> Option<u64> {
        match self {
            Self::Decimals(decimals) => decimal::whole(value, decimals).map(|whole| whole as u64),
            Self::Float => Some(value.to_bits()),
        }
    }

    #[inline]
    fn value(self, bits: u64) -> f64 {
        match self {
            Self::Decimals(decimals) => decimal::number(bits as i64, decimals),
            Self::Float => f64::from_bits(bits),
        }
    }
}

/// Samples that were packed, as [`Sealed`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    pub first_time: i64,
    pub last_time: i64,
    first: u64,
    form: Form,
    pub count: u16,
    bytes: &'a [u8],
    /// These, and what stands before them.
    whole: &'a [u8],
}

impl Chunk<'_> {
    /// Gives each sample, oldest first.
    pub fn visit(&self, take: impl FnMut(i64, f64)) {
        unpack(self.form, self.first_time, self.first, self.count, self.bytes, take);
    }
}

/// Samples that more may follow. There is one of each series, so that it is as small as may be.
#[derive(Debug, Clone)]
pub struct Open {
    /// Room for what comes; so many bytes of it are used.
    room: Box<[u8]>,
    first_time: i64,
    first: u64,
    last: u64,
    /// Milliseconds from the first to the last sample, and of the last step.
    span: u32,
    step: u32,
    used: u16,
    count: u16,
    form: Form,
}

impl Open {
    /// Begins with one sample; `before` is the form of the chunk before.
    pub fn new(time: i64, value: f64, before: Option<Form>) -> Self {
        let form = Form::of(value, before);
        Self::of_one(time, form.bits(value).unwrap_or_default(), form)
    }

    fn of_one(time: i64, bits: u64, form: Form) -> Self {
        Self {
            room: Box::default(),
            first_time: time,
            first: bits,
            last: bits,
            span: 0,
            step: 0,
            used: 0,
            count: 1,
            form,
        }
    }

    pub fn first_time(&self) -> i64 {
        self.first_time
    }

    pub fn last_time(&self) -> i64 {
        self.first_time + i64::from(self.span)
    }

    /// Samples of it.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    pub fn last_value(&self) -> f64 {
        self.form.value(self.last)
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// Adds a sample that is newer than the last; `false`: it needs a chunk of its own.
    #[inline]
    pub fn push(&mut self, time: i64, value: f64) -> bool {
        if self.count >= MOST {
            return false;
        }
        let Some(bits) = self.form.bits(value) else { return false };
        // Farther away than 49 days it would not fit, which no sample of the same part of an hour is.
        let Ok(span) = u32::try_from(time.wrapping_sub(self.first_time)) else { return false };
        let Some(step) = span.checked_sub(self.span) else { return false };
        let irregular = if step == self.step { 0 } else { IRREGULAR };
        let mut sample = match self.form {
            Form::Decimals(_) => Coded::change(irregular, zigzag(bits.wrapping_sub(self.last) as i64)),
            Form::Float => Coded::xor(irregular, bits ^ self.last),
        };
        if irregular != 0 {
            sample.add_varint(zigzag(i64::from(step) - i64::from(self.step)));
        }
        self.put(sample.bytes());
        (self.step, self.span, self.last) = (step, span, bits);
        self.count += 1;
        true
    }

    #[inline]
    fn put(&mut self, sample: &[u8]) {
        let used = usize::from(self.used);
        let end = used + sample.len();
        if end > self.room.len() {
            self.make_room(end);
        }
        self.room[used..end].copy_from_slice(sample);
        self.used = end as u16;
    }

    fn make_room(&mut self, bytes: usize) {
        let mut room = std::mem::take(&mut self.room).into_vec();
        let size = size_for(bytes);
        room.reserve_exact(size - room.len());
        room.resize(size, 0);
        self.room = room.into_boxed_slice();
    }

    fn bytes(&self) -> &[u8] {
        &self.room[..usize::from(self.used)]
    }

    /// The last sample alone.
    pub fn newest(&self) -> Self {
        Self::of_one(self.last_time(), self.last, self.form)
    }

    /// Gives each sample, oldest first.
    pub fn visit(&self, take: impl FnMut(i64, f64)) {
        unpack(self.form, self.first_time, self.first, self.count, self.bytes(), take);
    }

    /// Bytes that it holds beside itself.
    pub fn size(&self) -> usize {
        self.room.len()
    }
}

/// The least size that the allocator has for so many bytes; those between two would be lost. There are four
/// from one power of two to the next, and none closer than 16 bytes.
fn size_for(bytes: usize) -> usize {
    bytes.next_multiple_of((bytes.next_power_of_two() / 8).max(16))
}

/// Bytes of one sample at most.
const LONGEST: usize = 1 + 8 + 10;

/// The bytes of one sample: how much room they need is known before there is some.
struct Coded {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Coded {
    /// A first byte, and so many of eight behind it.
    #[inline]
    fn new(head: u8, eight: [u8; 8], length: usize) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[0] = head;
        bytes[1..9].copy_from_slice(&eight);
        Self { bytes, length: 1 + length }
    }

    #[inline]
    fn change(irregular: u8, change: u64) -> Self {
        if change <= SMALL {
            return Self::new(irregular | change as u8, [0; 8], 0);
        }
        let length = 8 - change.leading_zeros() as usize / 8;
        Self::new(irregular | (SMALL as u8 + length as u8), change.to_le_bytes(), length)
    }

    #[inline]
    fn xor(irregular: u8, xor: u64) -> Self {
        if xor == 0 {
            return Self::new(irregular, [0; 8], 0);
        }
        let front = xor.leading_zeros() as usize / 8;
        let back = xor.trailing_zeros() as usize / 8;
        let length = 8 - front - back;
        let head = irregular | (1 + 8 * front as u8 + (length as u8 - 1));
        Self::new(head, (xor << (8 * front)).to_be_bytes(), length)
    }

    fn add_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.add(value as u8 | 0x80);
            value >>= 7;
        }
        self.add(value as u8);
    }

    #[inline]
    fn add(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The number at the front, which is taken away. Past the end, and past 64 bits, are zeros.
#[inline]
pub fn take_varint(bytes: &mut &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // The highest bit of each byte that is a last one.
        let ends = !word & 0x8080_8080_8080_8080;
        if ends != 0 {
            let length = ends.trailing_zeros() / 8 + 1;
            *bytes = &bytes[length as usize..];
            return sevens(word & (u64::MAX >> (64 - 8 * length)));
        }
    }
    take_long_varint(bytes)
}

/// The lower seven bits of each byte, side by side.
#[inline]
fn sevens(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let fours = (pairs & 0x0000_3fff_0000_3fff) | (pairs & 0x3fff_0000_3fff_0000) >> 2;
    (fours & 0x0fff_ffff) | (fours & 0x0fff_ffff_0000_0000) >> 4
}

/// Byte by byte: near the end, and what has nine of them or ten.
#[cold]
fn take_long_varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0u64, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    value
}

fn unpack(form: Form, mut time: i64, first: u64, count: u16, bytes: &[u8], mut take: impl FnMut(i64, f64)) {
    let (mut rest, mut last, mut step) = (bytes, first, 0i64);
    take(time, form.value(last));
    for _ in 1..count {
        let Some((head, after)) = rest.split_first() else { return };
        rest = after;
        let code = head & !IRREGULAR;
        last = match form {
            Form::Decimals(_) => {
                let change = if u64::from(code) <= SMALL {
                    u64::from(code)
                } else {
                    take_little(&mut rest, usize::from(code) - SMALL as usize)
                };
                last.wrapping_add(unzigzag(change) as u64)
            }
            Form::Float if code == 0 => last,
            Form::Float => last ^ take_big(&mut rest, usize::from(code - 1)),
        };
        if head & IRREGULAR != 0 {
            step = step.wrapping_add(unzigzag(take_varint(&mut rest)));
        }
        time = time.wrapping_add(step);
        take(time, form.value(last));
    }
}

#[inline]
fn take_little(rest: &mut &[u8], length: usize) -> u64 {
    let (front, after) = rest.split_at(length.min(rest.len()).min(8));
    *rest = after;
    let mut eight = [0; 8];
    eight[..front.len()].copy_from_slice(front);
    u64::from_le_bytes(eight)
}

#[inline]
fn take_big(rest: &mut &[u8], code: usize) -> u64 {
    let (start, length) = (code / 8, code % 8 + 1);
    let start = start.min(8);
    let (front, after) = rest.split_at(length.min(8 - start).min(rest.len()));
    *rest = after;
    let mut eight = [0; 8];
    eight[start..start + front.len()].copy_from_slice(front);
    u64::from_be_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Chunks of samples as the head makes them.
    fn pack(samples: &[(i64, f64)]) -> Sealed {
        let (mut chunks, mut open) = (Sealed::default(), None::<Open>);
        for (time, value) in samples {
            if open.as_mut().is_some_and(|open| open.push(*time, *value)) {
                continue;
            }
            let form = open.as_ref().map(Open::form);
            if let Some(ended) = open.replace(Open::new(*time, *value, form)) {
                chunks.push(&ended);
            }
        }
        open.iter().for_each(|open| chunks.push(open));
        chunks
    }

    fn sealed(open: &Open) -> Sealed {
        let mut chunks = Sealed::default();
        chunks.push(open);
        chunks
    }

    fn unpacked(chunks: &Sealed) -> Vec<(i64, u64)> {
        let mut found = Vec::new();
        for chunk in chunks.iter() {
            chunk.visit(|time, value| found.push((time, value.to_bits())));
        }
        found
    }

    #[test]
    fn a_regular_gauge_takes_a_byte_a_sample() {
        let samples: Vec<_> = (0..240).map(|n| (n * 15_000, 50.0 + (n % 7) as f64)).collect();
        let packed = pack(&samples);
        let chunks: Vec<_> = packed.iter().collect();
        assert_eq!((chunks.len(), chunks[0].count), (1, 240));
        // The first step is a change of step; two bytes more.
        assert!(chunks[0].bytes.len() <= 239 + 3, "{}", chunks[0].bytes.len());
    }

    #[test]
    fn a_number_with_more_decimals_begins_a_chunk() {
        let forms = |values: &[f64]| -> Vec<Form> {
            let samples: Vec<_> = values.iter().enumerate().map(|(n, value)| (n as i64, *value)).collect();
            pack(&samples).iter().map(|chunk| chunk.form).collect()
        };
        assert_eq!(
            forms(&[1.0, 2.0, 0.5, 3.0, 1.0 / 3.0, 7.0]),
            [Form::Decimals(0), Form::Decimals(1), Form::Float]
        );
    }

    #[test]
    fn what_is_too_far_away_begins_a_chunk() {
        let far = i64::from(u32::MAX);
        let mut open = Open::new(10, 1.0, None);
        assert!(!open.push(11 + far, 2.0) && !open.push(i64::MAX, 2.0) && open.push(10 + far, 2.0));
        // What is older than the last is none of it either, whoever asks.
        assert!(!open.push(12, 3.0) && !open.push(9, 3.0));
        assert_eq!((open.last_time(), open.count(), open.last_value()), (10 + far, 2, 2.0));
        assert_eq!(unpacked(&sealed(&open)), [(10, 1.0f64.to_bits()), (10 + far, 2.0f64.to_bits())]);
    }

    #[test]
    fn room_is_made_for_what_comes() {
        let mut open = Open::new(0, 0.5, Some(Form::Float));
        assert_eq!(open.size(), 0);
        let mut sizes = Vec::new();
        for n in 1..i64::from(MOST) {
            // Each step is another, and each number all of its eight bytes.
            assert!(open.push(n * n * 7, f64::from_bits(0x3ff1_2345_6789_abcd_u64.rotate_left(n as u32))));
            // No more than what is used asks for.
            assert_eq!(open.size(), size_for(usize::from(open.used)));
            sizes.push(open.size());
        }
        sizes.dedup();
        assert_eq!(&sizes[..3], [16, 32, 48]);
        let samples = unpacked(&sealed(&open));
        assert_eq!((samples.len(), size_of::<Open>()), (usize::from(MOST), 56));
        assert_eq!(unpacked(&sealed(&open.newest())).first(), samples.last());
    }

    #[test]
    fn sizes_are_those_of_the_allocator() {
        let sizes = [1, 16, 17, 100, 112, 113, 128, 129, 161, 257, 513, 4864].map(size_for);
        assert_eq!(sizes, [16, 16, 32, 112, 112, 128, 128, 160, 192, 320, 640, 5120]);
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i64..1000).prop_map(|n| n as f64),
            (0u32..10_000_000).prop_map(|n| f64::from(n) / 1000.0),
            Just(crate::series::STALE),
            Just(f64::INFINITY),
            Just(0.0),
        ]
    }

    proptest! {
        #[test]
        fn samples_come_back_to_the_bit(steps in prop::collection::vec((1i64..100_000, value()), 1..600), start in any::<i32>()) {
            let mut time = i64::from(start);
            let samples: Vec<_> = steps.iter().map(|(step, value)| { time += step; (time, *value) }).collect();
            let chunks = pack(&samples);
            let expected: Vec<_> = samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
            prop_assert_eq!(unpacked(&chunks), expected);
            for chunk in chunks.iter() {
                let mut times = Vec::new();
                chunk.visit(|time, _| times.push(time));
                prop_assert_eq!((times.first(), times.last(), times.len()),
                    (Some(&chunk.first_time), Some(&chunk.last_time), usize::from(chunk.count)));
            }
        }

        #[test]
        fn varints_come_back_wherever_they_stand(numbers in prop::collection::vec((any::<u64>(), 0u32..64), 1..20)) {
            let numbers: Vec<_> = numbers.into_iter().map(|(number, less)| number >> less).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put_varint(&mut bytes, *number));
            let mut rest = bytes.as_slice();
            let found: Vec<_> = numbers.iter().map(|_| take_varint(&mut rest)).collect();
            prop_assert_eq!((found, rest), (numbers, [0u8; 0].as_slice()));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), float in any::<bool>(), count in any::<u16>()) {
            let form = if float { Form::Float } else { Form::Decimals(3) };
            unpack(form, 0, 7, count, &bytes, |_, _| {});
        }
    }
}

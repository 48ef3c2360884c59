//! Chunks of one series that nothing follows any more, one behind the other in one piece of memory.
//!
//! A series has one or two of them most of the time. With a place and a piece of memory each, what was
//! beside their samples took half as much as these; here each begins with about 15 bytes:
//!
//! ```text
//! form         a byte: so many decimals, or 255: floats
//! count        a byte: samples, less one
//! first time   varint (zigzag), milliseconds
//! span         varint, from the first to the last time
//! first value  whole numbers: varint (zigzag); floats: eight bytes
//! length       varint, of the bytes that follow, as Open made them
//! ```
//!
//! It is memory only, and in no file. What it must not do: unpack samples, or change them.

use super::{Chunk, Form, Open, put_varint, take_little, take_varint, unzigzag, zigzag};

const FLOAT: u8 = 255;
/// Bytes before those of the samples, at most.
const LONGEST: usize = 2 + 10 + 5 + 10 + 3;

/// Chunks, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

/// A buffer of so many bytes has room for more than what comes next: a series of a thousand samples a
/// second would else be copied again and again.
const LARGE: usize = 16 << 10;

impl Sealed {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn push(&mut self, open: &Open) {
        let form = match open.form {
            Form::Decimals(decimals) => decimals,
            Form::Float => FLOAT,
        };
        let mut head = Vec::with_capacity(LONGEST);
        head.extend([form, (open.count - 1) as u8]);
        put_varint(&mut head, zigzag(open.first_time));
        put_varint(&mut head, u64::from(open.span));
        match open.form {
            Form::Decimals(_) => put_varint(&mut head, zigzag(open.first as i64)),
            Form::Float => head.extend_from_slice(&open.first.to_le_bytes()),
        }
        let bytes = open.bytes();
        put_varint(&mut head, bytes.len() as u64);
        let more = head.len() + bytes.len();
        if self.0.len() < LARGE {
            self.0.reserve_exact(more);
        } else {
            self.0.reserve(more);
        }
        self.0.extend_from_slice(&head);
        self.0.extend_from_slice(bytes);
    }

    pub fn iter(&self) -> Chunks<'_> {
        Chunks(&self.0)
    }

    /// A copy of those that are wanted.
    pub fn some(&self, wants: impl Fn(&Chunk<'_>) -> bool) -> Self {
        let length: usize = self.iter().filter(|chunk| wants(chunk)).map(|chunk| chunk.whole.len()).sum();
        let mut bytes = Vec::with_capacity(length);
        self.iter().filter(|chunk| wants(chunk)).for_each(|chunk| bytes.extend_from_slice(chunk.whole));
        Self(bytes)
    }

    /// Leaves those that are wanted.
    pub fn retain(&mut self, wants: impl Fn(&Chunk<'_>) -> bool) {
        if !self.iter().all(|chunk| wants(&chunk)) {
            *self = self.some(wants);
        }
    }

    /// Bytes that it holds beside itself.
    pub fn size(&self) -> usize {
        self.0.capacity()
    }
}

/// Walks over chunks.
#[derive(Debug, Clone)]
pub struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let all: &'a [u8] = self.0;
        let ([form, count], mut rest) = all.split_first_chunk::<2>()?;
        let form = if *form == FLOAT { Form::Float } else { Form::Decimals(*form) };
        let first_time = unzigzag(take_varint(&mut rest));
        let span = take_varint(&mut rest) as i64;
        let first = match form {
            Form::Decimals(_) => unzigzag(take_varint(&mut rest)) as u64,
            Form::Float => take_little(&mut rest, 8),
        };
        let length = take_varint(&mut rest) as usize;
        let (bytes, behind) = rest.split_at(length.min(rest.len()));
        self.0 = behind;
        Some(Chunk {
            first_time,
            last_time: first_time.wrapping_add(span),
            first,
            form,
            count: u16::from(*count) + 1,
            bytes,
            whole: &all[..all.len() - behind.len()],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A chunk that begins at a time, of these numbers, each a step after the other.
    fn open(time: i64, step: i64, numbers: &[f64]) -> Open {
        let mut open = Open::new(time, numbers[0], Some(Form::Decimals(0)));
        for (number, value) in (1..).zip(&numbers[1..]) {
            assert!(open.push(time + number * step, *value));
        }
        open
    }

    fn samples(visit: impl FnOnce(&mut dyn FnMut(i64, f64))) -> Vec<(i64, u64)> {
        let mut found = Vec::new();
        visit(&mut |time, value| found.push((time, value.to_bits())));
        found
    }

    #[test]
    fn what_stands_before_the_samples_is_short() {
        let mut chunks = Sealed::default();
        assert!(chunks.is_empty() && chunks.iter().next().is_none() && chunks.size() == 0);
        let one = open(1_760_000_000_000, 15_000, &[700.0; 60]);
        chunks.push(&one);
        let beside = chunks.size() - one.bytes().len();
        assert!(beside <= 15, "{beside} bytes beside the samples");
        assert_eq!((size_of::<Sealed>(), chunks.0.capacity()), (24, chunks.0.len()));
    }

    #[test]
    fn a_long_buffer_is_not_copied_for_each_chunk() {
        let (mut chunks, one) = (Sealed::default(), open(1_760_000_000_000, 1, &[700.5; 60]));
        let mut copies = 0;
        for _ in 0..100_000 {
            let room = chunks.0.capacity();
            chunks.push(&one);
            copies += usize::from(chunks.0.len() > LARGE && chunks.0.capacity() != room);
        }
        assert!((1..40).contains(&copies), "{copies} copies of {} bytes", chunks.0.len());
    }

    #[test]
    fn a_chunk_may_be_as_full_and_as_far_away_as_can_be() {
        let far = f64::from_bits(0x7123_4567_89ab_cdef);
        let mut full = Open::new(i64::MIN, 0.1, Some(Form::Float));
        for n in 1..i64::from(super::super::MOST) {
            assert!(full.push(i64::MIN + n * 16_843_009, if n % 2 == 0 { 0.1 } else { far }));
        }
        let least = open(i64::MAX, 0, &[-9e15]);
        let mut chunks = Sealed::default();
        [&full, &least, &full].iter().for_each(|one| chunks.push(one));
        let found: Vec<_> = chunks.iter().map(|chunk| samples(|take| chunk.visit(take))).collect();
        let expected = [&full, &least, &full].map(|one| samples(|take| one.visit(take)));
        assert_eq!(found, expected);
        assert_eq!(found[0].len(), 256);
        assert_eq!(chunks.iter().map(|chunk| chunk.count).collect::<Vec<_>>(), [256, 1, 256]);
    }

    proptest! {
        #[test]
        fn it_has_what_a_plain_list_has(
            made in prop::collection::vec(
                (any::<i32>(), 0i64..100_000, prop::collection::vec(-1000i32..1000, 1..9), any::<bool>()), 0..6),
            from in any::<i32>(),
        ) {
            let (mut chunks, mut plain) = (Sealed::default(), Vec::new());
            for (time, step, numbers, floats) in made {
                let numbers: Vec<_> = numbers.into_iter().map(f64::from).collect();
                let mut one = Open::new(i64::from(time), numbers[0], floats.then_some(Form::Float));
                for (at, number) in (1..).zip(&numbers[1..]) {
                    prop_assert!(one.push(i64::from(time) + at * step, *number));
                }
                chunks.push(&one);
                plain.push(one);
            }
            let wants = |last: i64| last >= i64::from(from);
            let some = chunks.some(|chunk| wants(chunk.last_time));
            for rid_of_some in [false, true] {
                if rid_of_some {
                    chunks.retain(|chunk| wants(chunk.last_time));
                    plain.retain(|one| wants(one.last_time()));
                    prop_assert_eq!(&some, &chunks);
                }
                let found: Vec<_> = chunks.iter().map(|chunk| {
                    (chunk.first_time, chunk.last_time, usize::from(chunk.count), samples(|take| chunk.visit(take)))
                }).collect();
                let expected: Vec<_> = plain.iter().map(|one| {
                    (one.first_time(), one.last_time(), one.count(), samples(|take| one.visit(take)))
                }).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

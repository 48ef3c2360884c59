//! The top of a protobuf message, field by field, without decoding what is in it.
//!
//! Two bytes of protobuf can be hundreds in memory; so large messages are taken apart here,
//! and decoded piece by piece. Pure.

use super::Refusal;

/// Walks over a message's fields that have a length: number and bytes. Others are passed over.
pub struct Fields<'a>(&'a [u8]);

/// The fields of a message.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

/// How many fields of a number, which have a length, a message has.
///
/// # Errors
/// It is no message.
pub fn count(message: &[u8], number: u32) -> Result<usize, Refusal> {
    let mut count = 0;
    for field in fields(message) {
        count += usize::from(field?.0 == number);
    }
    Ok(count)
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, &'a [u8]), Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.step() {
                Some(Some(field)) => return Some(Ok(field)),
                Some(None) => {}
                None => {
                    self.0 = &[];
                    return Some(Err(Refusal::malformed("the request is no protobuf message of this kind")));
                }
            }
        }
        None
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// One field; the inner `None` is one that is passed over, the outer a fault.
    fn step(&mut self) -> Option<Option<(u32, &'a [u8])>> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
        match key & 7 {
            0 => self.varint().map(|_| None),
            1 => self.take(8).map(|_| None),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length).map(|bytes| Some((number, bytes)))
            }
            5 => self.take(4).map(|_| None),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_with_a_length_are_seen() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1a, 0, 0x25, 1, 2, 3, 4, 0x22, 1, b'x'];
        let seen: Result<Vec<_>, _> = fields(&bytes).collect();
        assert_eq!(seen, Ok(vec![(2, &b"hi"[..]), (3, &b""[..]), (4, &b"x"[..])]));
        let counts = (count(&bytes, 2), count(&bytes, 1), count(&[0x12, 0, 0x12, 0], 2));
        assert_eq!(counts, (Ok(1), Ok(0), Ok(2)));
        for broken in [&[0x12, 9, 1][..], &[0x80], &[0x0b], &[0x02, 0]] {
            assert!(fields(broken).any(|field| field.is_err()), "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            fields(&bytes).for_each(drop);
        }
    }
}

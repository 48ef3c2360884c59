//! The fields of a protobuf message, one after another, as slices of its bytes.
//!
//! It holds nothing: whoever asks for a nested message gets its bytes and
//! walks or decodes them.

use prost::encoding::{WireType, decode_key, decode_varint};

/// The bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMessage;

/// The length-delimited fields of a message; others are passed over.
pub struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    pub fn over(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn next_field(&mut self) -> Result<Option<(u32, &'a [u8])>, NoMessage> {
        while !self.0.is_empty() {
            let (tag, wire) = decode_key(&mut self.0).map_err(|_| NoMessage)?;
            let skip = match wire {
                WireType::LengthDelimited => {
                    let length = decode_varint(&mut self.0).map_err(|_| NoMessage)?;
                    let length = usize::try_from(length).map_err(|_| NoMessage)?;
                    let (field, rest) = self.0.split_at_checked(length).ok_or(NoMessage)?;
                    self.0 = rest;
                    return Ok(Some((tag, field)));
                }
                WireType::Varint => {
                    decode_varint(&mut self.0).map_err(|_| NoMessage)?;
                    0
                }
                WireType::SixtyFourBit => 8,
                WireType::ThirtyTwoBit => 4,
                // Groups are of a version of protobuf that no log protocol was ever in.
                WireType::StartGroup | WireType::EndGroup => return Err(NoMessage),
            };
            self.0 = self.0.get(skip..).ok_or(NoMessage)?;
        }
        Ok(None)
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<(u32, &'a [u8]), NoMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_field();
        if next.is_err() {
            self.0 = &[];
        }
        next.transpose()
    }
}

/// Whether there are more than `most` messages in a message, down to the leaves: `inner` says what
/// kind is in a field of a kind, by its number. What can't be walked counts as far as it can; it
/// can't be decoded either.
pub fn is_more<K: Copy>(message: &[u8], kind: K, inner: &impl Fn(K, u32) -> Option<K>, most: usize) -> bool {
    let mut left = vec![(message, kind)];
    let mut count = 0;
    while let Some((message, kind)) = left.pop() {
        for (number, bytes) in Walk::over(message).map_while(Result::ok) {
            if let Some(kind) = inner(kind, number) {
                count += 1;
                if count > most {
                    return true;
                }
                left.push((bytes, kind));
            }
        }
    }
    false
}

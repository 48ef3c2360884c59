//! What goes around messages: the prefix and `Unknown` of one object or list,
//! and the frames of a watch. Pure.

use std::vec;

use bytes::Bytes;

use super::{
    MAGIC, Malformed,
    wire::{close, fields, open, put_bytes, put_head, put_integer, put_varint, varint_len},
};

/// `runtime.Unknown`: a message with the apiVersion and kind that say what it is.
#[derive(Debug, Default)]
pub struct Envelope<'a> {
    pub api_version: String,
    pub kind: String,
    pub raw: &'a [u8],
}

/// Reads an envelope behind its prefix.
pub fn unwrap(bytes: &[u8]) -> Result<Envelope<'_>, Malformed> {
    let mut envelope = Envelope::default();
    for field in fields(bytes) {
        let (number, payload) = field?;
        match number {
            1 => {
                for field in fields(payload.bytes()?) {
                    match field? {
                        (1, text) => envelope.api_version = text.text()?.into(),
                        (2, text) => envelope.kind = text.text()?.into(),
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = payload.bytes()?,
            _ => {}
        }
    }
    Ok(envelope)
}

/// The most that an envelope adds to its message, less the texts in it.
const ROOM: usize = 40;

/// A message in its envelope.
pub fn wrap(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + api_version.len() + kind.len() + ROOM);
    begin(&mut out, api_version, kind, message.len());
    out.extend_from_slice(message);
    out.extend_from_slice(END);
    out
}

/// contentEncoding and contentType, both empty.
const END: &[u8] = &[3 << 3 | 2, 0, 4 << 3 | 2, 0];

fn begin(out: &mut Vec<u8>, api_version: &str, kind: &str, length: usize) {
    out.extend_from_slice(MAGIC);
    let type_meta = open(out, 1);
    put_bytes(out, 1, api_version.as_bytes());
    put_bytes(out, 2, kind.as_bytes());
    close(out, type_meta);
    put_head(out, 2, 2);
    put_varint(out, length as u64);
}

/// What stands in a list beside its items.
#[derive(Debug, Default)]
pub struct ListHead<'a> {
    pub api_version: &'a str,
    /// The list's: `PodList`.
    pub kind: &'a str,
    pub resource_version: String,
    pub next: Option<String>,
    pub remaining: Option<u64>,
}

/// A list in chunks of about 64 KB, out of the messages of its items. Their
/// lengths are needed for its first bytes, so all of them are there already.
pub fn list(head: &ListHead<'_>, items: Vec<Bytes>) -> Chunks {
    let mut meta = Vec::new();
    let begin_meta = open(&mut meta, 1);
    put_bytes(&mut meta, 2, head.resource_version.as_bytes());
    if let Some(next) = &head.next {
        put_bytes(&mut meta, 3, next.as_bytes());
    }
    if let Some(remaining) = head.remaining {
        put_integer(&mut meta, 4, remaining.cast_signed());
    }
    close(&mut meta, begin_meta);
    let length: usize = items.iter().map(|item| 1 + varint_len(item.len()) + item.len()).sum();
    let mut first = Vec::new();
    begin(&mut first, head.api_version, head.kind, meta.len() + length);
    first.extend_from_slice(&meta);
    Chunks { length: first.len() + length + END.len(), first: Some(first), items: items.into_iter() }
}

pub struct Chunks {
    length: usize,
    first: Option<Vec<u8>>,
    items: vec::IntoIter<Bytes>,
}

const CHUNK: usize = 64 << 10;

impl Chunks {
    /// The bytes of all chunks.
    pub fn total(&self) -> usize {
        self.length
    }
}

impl Iterator for Chunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut chunk = match self.first.take() {
            Some(first) => first,
            None if self.length == 0 => return None,
            None => Vec::with_capacity(CHUNK + (CHUNK >> 2)),
        };
        while chunk.len() < CHUNK {
            let Some(item) = self.items.next() else {
                chunk.extend_from_slice(END);
                self.length = 0;
                break;
            };
            put_bytes(&mut chunk, 2, &item);
        }
        Some(chunk.into())
    }
}

/// One frame of a watch: its length in four bytes, and a `WatchEvent` with the
/// object, an envelope, in it.
pub fn frame(event: &str, object: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(object.len() + event.len() + ROOM);
    out.extend_from_slice(&[0; 4]);
    put_bytes(&mut out, 1, event.as_bytes());
    let extension = open(&mut out, 2);
    put_bytes(&mut out, 1, object);
    close(&mut out, extension);
    let length = u32::try_from(out.len() - 4).expect("an object is smaller than 4 GiB");
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.into()
}

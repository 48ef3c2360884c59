//! The bytes of a list: its head, and the objects one behind the other as they are held, or
//! what of them is their metadata.

use std::{sync::Arc, vec};

use bytes::{BufMut, Bytes, BytesMut};

use super::{CachedObject, ListResult, splice};

/// Kind and apiVersion of the list: `PodList`, `v1`.
pub struct ListHead<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub items: Items,
}

/// How the objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Items {
    Whole,
    /// As PartialObjectMetadata in a version of meta.k8s.io.
    Metadata(&'static str),
}

impl Items {
    /// Appends an object, given as it is held.
    pub fn write(self, out: &mut impl BufMut, json: &[u8]) {
        let Self::Metadata(version) = self else { return out.put_slice(json) };
        out.put_slice(br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/"#);
        out.put_slice(version.as_bytes());
        out.put_slice(br#"","metadata":"#);
        out.put_slice(splice::metadata(json).unwrap_or(b"{}"));
        out.put_u8(b'}');
    }
}

/// A list's JSON in chunks of about 64 KB: what has been sent needn't be kept, and its
/// memory is used again for what follows.
pub struct ListChunks {
    head: Option<Vec<u8>>,
    buffer: BytesMut,
    objects: vec::IntoIter<Arc<CachedObject>>,
    items: Items,
    first: bool,
    ended: bool,
}

const CHUNK: usize = 64 << 10;

impl ListChunks {
    pub fn new(head: ListHead<'_>, result: ListResult) -> Self {
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let (kind, api_version) = (quote(head.kind), quote(head.api_version));
        let mut meta = format!(r#""resourceVersion":"{}""#, result.revision);
        if let Some(next) = &result.next {
            meta.push_str(&format!(r#","continue":{}"#, quote(&next.encode())));
            if let Some(remaining) = result.remaining {
                meta.push_str(&format!(r#","remainingItemCount":{remaining}"#));
            }
        }
        let items = head.items;
        let head = format!(r#"{{"kind":{kind},"apiVersion":{api_version},"metadata":{{{meta}}},"items":["#);
        let objects = result.objects.into_iter();
        let buffer = BytesMut::new();
        Self { head: Some(head.into_bytes()), buffer, objects, items, first: true, ended: false }
    }
}

impl Iterator for ListChunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        self.buffer.reserve(CHUNK + (CHUNK >> 2));
        self.buffer.extend_from_slice(&self.head.take().unwrap_or_default());
        while self.buffer.len() < CHUNK {
            let Some(object) = self.objects.next() else {
                self.buffer.extend_from_slice(b"]}\n");
                self.ended = true;
                break;
            };
            if !std::mem::take(&mut self.first) {
                self.buffer.extend_from_slice(b",");
            }
            self.items.write(&mut self.buffer, &object.json);
        }
        Some(self.buffer.split().freeze())
    }
}

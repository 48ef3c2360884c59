//! The bytes of a list: its head, and the objects one behind the other as they are held, or
//! what of them is their metadata.

use std::{sync::Arc, vec};

use bytes::Bytes;

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
    pub fn write(self, out: &mut Vec<u8>, json: &[u8]) {
        let Self::Metadata(version) = self else { return out.extend_from_slice(json) };
        out.extend_from_slice(br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/"#);
        out.extend_from_slice(version.as_bytes());
        out.extend_from_slice(br#"","metadata":"#);
        out.extend_from_slice(splice::metadata(json).unwrap_or(b"{}"));
        out.push(b'}');
    }
}

/// A list's JSON in chunks of about 64 KB: what has been sent needn't be kept.
pub struct ListChunks {
    head: Option<Vec<u8>>,
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
        Self { head: Some(head.into_bytes()), objects, items, first: true, ended: false }
    }
}

impl Iterator for ListChunks {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut chunk = Vec::with_capacity(CHUNK + (CHUNK >> 2));
        chunk.extend(self.head.take().into_iter().flatten());
        while chunk.len() < CHUNK {
            let Some(object) = self.objects.next() else {
                chunk.extend_from_slice(b"]}\n");
                self.ended = true;
                break;
            };
            if !std::mem::take(&mut self.first) {
                chunk.push(b',');
            }
            self.items.write(&mut chunk, &object.json);
        }
        Some(chunk.into())
    }
}

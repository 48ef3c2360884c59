//! An object as the cache holds it, and its line in a watch.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use tiphys_api::labels::Labels;
use tiphys_store::Revision;

use super::{extract::Extract, splice, values::Values, watcher::EventKind};

/// One version of an object. Shared by every reader; never changed.
#[derive(Debug)]
pub struct CachedObject {
    /// The store's key.
    pub key: Arc<str>,
    pub revision: Revision,
    /// The object as JSON, `metadata.resourceVersion` included.
    pub json: Bytes,
    pub labels: Labels,
    /// Values of the selectable fields, in the order of [`Extract::fields`].
    pub fields: Values,
    /// Where the namespace and the name begin in the key.
    parts: (usize, usize),
    /// The event that brought the object, as a line; `json` is a part of it.
    line: Bytes,
    brought_by: EventKind,
    /// Made of few objects.
    forms: OnceLock<Box<Forms>>,
}

/// What an object is made into when somebody wants it so.
#[derive(Debug, Default)]
struct Forms {
    /// See [`CachedObject::protobuf`].
    protobuf: OnceLock<Bytes>,
    /// See [`CachedObject::value`].
    value: OnceLock<Arc<Value>>,
}

/// What the cache knows of the shape of its keys.
#[derive(Clone)]
pub struct Layout {
    pub prefix: String,
    pub namespaced: bool,
    pub extract: Arc<dyn Extract>,
}

impl CachedObject {
    /// From a record's value: `kind` says by which event it came.
    pub fn decode(layout: &Layout, key: &str, value: &[u8], revision: Revision, kind: EventKind) -> Self {
        let value = &*layout.extract.prepare(value);
        let (line, json) = framed(kind, value, revision);
        let meta = layout.extract.extract(value);
        let begin = layout.prefix.len().min(key.len());
        let slash = if layout.namespaced { key[begin..].find('/') } else { None };
        let name = slash.map_or(begin, |slash| begin + slash + 1);
        Self {
            key: key.into(),
            revision,
            json,
            labels: meta.labels,
            fields: meta.fields,
            parts: (begin, name),
            line,
            brought_by: kind,
            forms: OnceLock::new(),
        }
    }

    /// The same state, gone at `revision`: as watchers are told of a deletion.
    pub fn departed(&self, revision: Revision) -> Self {
        let (line, json) = framed(EventKind::Deleted, &self.json, revision);
        Self {
            key: self.key.clone(),
            revision,
            json,
            labels: self.labels.clone(),
            fields: self.fields.clone(),
            parts: self.parts,
            line,
            brought_by: EventKind::Deleted,
            forms: OnceLock::new(),
        }
    }

    /// Empty for a resource without namespaces.
    pub fn namespace(&self) -> &str {
        let (begin, name) = self.parts;
        &self.key[begin..name.saturating_sub(1).max(begin)]
    }

    pub fn name(&self) -> &str {
        &self.key[self.parts.1..]
    }

    /// The object as a message, made of its JSON when it is first wanted and kept as long as the object:
    /// those who list and watch in protobuf share it, and where nobody does, it costs nothing.
    pub fn protobuf<E>(&self, write: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Bytes, E> {
        let protobuf = &self.forms.get_or_init(Box::default).protobuf;
        if let Some(message) = protobuf.get() {
            return Ok(message.clone());
        }
        let message = write(&self.json)?.into();
        Ok(protobuf.get_or_init(|| message).clone())
    }

    /// The object decoded, once for all who ask, and kept as long as the object: several times its
    /// bytes, so only for what is few and asked for often.
    pub fn value(&self) -> Option<Arc<Value>> {
        let held = &self.forms.get_or_init(Box::default).value;
        if let Some(value) = held.get() {
            return Some(value.clone());
        }
        let value = serde_json::from_slice(&self.json).ok().map(Arc::new)?;
        Some(held.get_or_init(|| value).clone())
    }

    /// The line of an event with this object. That of the event which brought it is there already.
    pub fn line(&self, kind: EventKind) -> Bytes {
        if kind == self.brought_by {
            return self.line.clone();
        }
        let mut line = Vec::with_capacity(self.json.len() + FRAME);
        line.extend_from_slice(head(kind));
        line.extend_from_slice(&self.json);
        line.extend_from_slice(TAIL);
        line.into()
    }
}

const TAIL: &[u8] = b"}\n";
/// The most that a line adds to its object.
const FRAME: usize = 32;

fn head(kind: EventKind) -> &'static [u8] {
    match kind {
        EventKind::Added => br#"{"type":"ADDED","object":"#,
        EventKind::Modified => br#"{"type":"MODIFIED","object":"#,
        EventKind::Deleted => br#"{"type":"DELETED","object":"#,
        EventKind::Bookmark { .. } => br#"{"type":"BOOKMARK","object":"#,
    }
}

/// A line and the object within it: one allocation for both.
fn framed(kind: EventKind, value: &[u8], revision: Revision) -> (Bytes, Bytes) {
    let head = head(kind);
    let mut line = Vec::with_capacity(value.len() + splice::ROOM + FRAME);
    line.extend_from_slice(head);
    splice::splice_into(&mut line, value, revision);
    line.extend_from_slice(TAIL);
    let line = Bytes::from(line);
    let json = line.slice(head.len()..line.len() - TAIL.len());
    (line, json)
}

#[cfg(test)]
mod tests {
    use super::{super::FieldPaths, *};

    fn layout(namespaced: bool) -> Layout {
        let extract = Arc::new(FieldPaths::new(["spec.nodeName"]));
        Layout { prefix: "/registry/pods/".into(), namespaced, extract }
    }

    #[test]
    fn an_object_knows_its_name_and_its_lines() {
        let json = br#"{"metadata":{"labels":{"b":"2","a":"1"}},"spec":{"nodeName":"n"}}"#;
        let key = "/registry/pods/default/web";
        let object = CachedObject::decode(&layout(true), key, json, 7, EventKind::Modified);
        assert_eq!((object.namespace(), object.name()), ("default", "web"));
        assert_eq!((object.labels.get("a"), object.labels.get("c")), (Some("1"), None));
        assert_eq!(object.fields.get(0), Some("n"));
        let modified = object.line(EventKind::Modified);
        assert!(modified.starts_with(br#"{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"7""#));
        assert!(modified.ends_with(b"}}}\n"));
        assert_eq!(modified.as_ptr(), object.line(EventKind::Modified).as_ptr());
        assert!(object.line(EventKind::Added).starts_with(br#"{"type":"ADDED","object":{"#));
        let departed = object.departed(9);
        assert!(departed.json.starts_with(br#"{"metadata":{"resourceVersion":"9","labels""#));
        assert_eq!((departed.name(), departed.labels.get("b")), ("web", Some("2")));
    }

    #[test]
    fn a_cluster_scoped_object_has_no_namespace() {
        let object = CachedObject::decode(&layout(false), "/registry/pods/a", b"{}", 7, EventKind::Added);
        assert_eq!((object.namespace(), object.name()), ("", "a"));
    }
}

//! What selectors need of an object, read from its bytes once.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tiphys_api::labels::Labels;

use super::values::Values;

/// Labels and selectable fields of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub labels: Labels,
    /// Values of the selectable fields, in the order of [`Extract::fields`]; empty if absent.
    pub fields: Values,
}

/// Reads what selectors need. [`FieldPaths`] does for every kind whose fields are plain paths.
pub trait Extract: Send + Sync + 'static {
    /// Names of the selectable fields, without metadata.name and metadata.namespace, which every object has.
    fn fields(&self) -> &[String];
    /// Of bytes that are no object: nothing.
    fn extract(&self, json: &[u8]) -> Meta;
    /// The bytes to hold in the place of the stored ones.
    fn prepare<'a>(&self, json: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(json)
    }
}

/// Fields by their dotted paths: `spec.nodeName`, `status.phase`. Numbers and
/// booleans are taken as they are written.
#[derive(Debug, Clone)]
pub struct FieldPaths {
    paths: Vec<String>,
    root: Node,
}

impl FieldPaths {
    pub fn new<I, S>(paths: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let paths: Vec<String> = paths.into_iter().map(Into::into).collect();
        let mut root = Node::default();
        root.child("metadata").child("labels").labels = true;
        for (slot, path) in paths.iter().enumerate() {
            path.split('.').fold(&mut root, Node::child).slots.push(slot);
        }
        Self { paths, root }
    }
}

impl Extract for FieldPaths {
    fn fields(&self) -> &[String] {
        &self.paths
    }

    fn extract(&self, json: &[u8]) -> Meta {
        let mut found = Found { labels: Vec::new(), fields: vec![String::new(); self.paths.len()] };
        let mut json = serde_json::Deserializer::from_slice(json);
        if let Err(error) = (Walk { node: &self.root, found: &mut found }).deserialize(&mut json) {
            tracing::warn!(%error, "a stored object is no JSON");
        }
        Meta { labels: Labels::new(found.labels), fields: Values::new(&found.fields) }
    }
}

/// The paths as a tree: what is asked of each place.
#[derive(Debug, Clone, Default)]
struct Node {
    children: Vec<(String, Node)>,
    slots: Vec<usize>,
    labels: bool,
}

impl Node {
    fn child(&mut self, name: &str) -> &mut Self {
        let at = self.children.iter().position(|(child, _)| child == name).unwrap_or_else(|| {
            self.children.push((name.to_owned(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }
}

struct Found {
    labels: Vec<(Box<str>, Box<str>)>,
    fields: Vec<String>,
}

/// Walks one value along the tree and skips what nobody asks for.
struct Walk<'a> {
    node: &'a Node,
    found: &'a mut Found,
}

impl Walk<'_> {
    fn scalar(self, text: &str) {
        for slot in &self.node.slots {
            self.found.fields[*slot] = text.into();
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        if self.node.labels {
            while let Some((key, value)) = map.next_entry::<String, Option<String>>()? {
                self.found.labels.push((key.into(), value.unwrap_or_default().into()));
            }
            return Ok(());
        }
        while let Some(child) = map.next_key_seed(ChildOf(self.node))? {
            match child {
                Some(node) => map.next_value_seed(Walk { node, found: &mut *self.found })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut sequence: S) -> Result<(), S::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.scalar(text);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads a key and finds what is asked below it.
struct ChildOf<'a>(&'a Node);

impl<'a, 'de> DeserializeSeed<'de> for ChildOf<'a> {
    type Value = Option<&'a Node>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for ChildOf<'a> {
    type Value = Option<&'a Node>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().find(|(name, _)| name == key).map(|(_, node)| node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_fields_are_found_wherever_they_stand() {
        let paths = FieldPaths::new(["spec.nodeName", "status.phase", "type", "spec.unschedulable"]);
        let meta = paths.extract(
            br#"{"spec":{"containers":[{"nodeName":"no"}],"nodeName":"a\u0062","unschedulable":true},
                "metadata":{"labels":{"z":"1","app":"web"},"name":"x"},"type":"Opaque","status":null}"#,
        );
        assert_eq!(meta.labels.iter().collect::<Vec<_>>(), [("app", "web"), ("z", "1")]);
        let fields: Vec<_> = meta.fields.iter().collect();
        assert_eq!(fields, ["ab", "", "Opaque", "true"]);
    }

    #[test]
    fn odd_objects_have_no_meta() {
        let paths = FieldPaths::new(["a"]);
        for json in ["", "[]", "7", r#"{"metadata":[],"a":{}}"#, r#"{"metadata":{"labels":null}}"#] {
            let meta = paths.extract(json.as_bytes());
            assert_eq!((meta.labels.iter().count(), meta.fields.get(0)), (0, Some("")), "{json}");
        }
    }
}

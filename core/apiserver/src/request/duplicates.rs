//! Names that stand twice in one object of JSON or YAML: the later one counts, and who asked for
//! strictness is told. Of JSON likewise the fields that nobody knows, where they stand.

use std::{borrow::Cow, collections::HashSet, fmt, marker::PhantomData};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::yaml;

/// A name that stood in its object before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubled {
    /// `spec.containers[0].name`
    pub path: String,
    pub name: String,
    /// Of a YAML document, from 1; of JSON 0.
    pub line: u64,
}

/// What decoding stumbles over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// At a path of those that were given as unknown. What is below it is nobody's matter.
    Unknown(String),
    Doubled(Doubled),
}

/// Whether no name stands twice in this JSON, out of which `value` was read: it has as many members then.
pub fn has_none(json: &[u8], value: &Value) -> bool {
    colons(json) == members(value)
}

/// How many members are written.
fn colons(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b':' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

/// How many members were read.
fn members(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(|field| 1 + members(field)).sum(),
        Value::Array(items) => items.iter().map(members).sum(),
        _ => 0,
    }
}

/// The faults, in their order. Up to what can't be read: that is refused by who reads it
/// for its content.
pub fn of_json(json: &[u8], unknown: &HashSet<&str>) -> Vec<Fault> {
    let mut found = Vec::new();
    let _ = walk::<Name<'_>, _>(&mut serde_json::Deserializer::from_slice(json), unknown, &mut found);
    found
}

/// The doubled names of a YAML document.
pub fn of_yaml(text: &str) -> Vec<Doubled> {
    let mut found = Vec::new();
    let walk = |reader: serde_saphyr::Deserializer<'_, '_>| {
        walk::<Spanned<String>, _>(reader, &HashSet::new(), &mut found)
    };
    let _ = serde_saphyr::with_deserializer_from_str_with_options(text, yaml::options(), walk);
    let doubled = found.into_iter().filter_map(|fault| match fault {
        Fault::Doubled(doubled) => Some(doubled),
        Fault::Unknown(_) => None,
    });
    doubled.collect()
}

fn walk<'de, K: Key<'de>, D: Deserializer<'de>>(
    reader: D,
    unknown: &HashSet<&str>,
    found: &mut Vec<Fault>,
) -> Result<(), D::Error> {
    Walk::<K> { path: &mut String::new(), unknown, found, key: PhantomData }.deserialize(reader)
}

/// A name as a format has it, and its line if that is known.
trait Key<'de>: serde::Deserialize<'de> {
    fn split(self) -> (Cow<'de, str>, u64);
}

impl<'de> Key<'de> for Name<'de> {
    fn split(self) -> (Cow<'de, str>, u64) {
        (self.0, 0)
    }
}

impl<'de> Key<'de> for Spanned<String> {
    fn split(self) -> (Cow<'de, str>, u64) {
        let line = self.referenced.line();
        (self.value.into(), line)
    }
}

struct Walk<'a, K> {
    path: &'a mut String,
    unknown: &'a HashSet<&'a str>,
    found: &'a mut Vec<Fault>,
    key: PhantomData<K>,
}

impl<K> Walk<'_, K> {
    /// Goes on with what stands at the longer path.
    fn below<T>(&mut self, step: &str, go_on: impl FnOnce(Walk<'_, K>) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let (unknown, found) = (self.unknown, &mut *self.found);
        let result = go_on(Walk { path: self.path, unknown, found, key: PhantomData });
        self.path.truncate(length);
        result
    }
}

impl<'de, K: Key<'de>> DeserializeSeed<'de> for Walk<'_, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, K: Key<'de>> Visitor<'de> for Walk<'_, K> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut names: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(key) = map.next_key::<K>()? {
            let (name, line) = key.split();
            let dot = if self.path.is_empty() { "" } else { "." };
            let step = format!("{dot}{name}");
            let path = format!("{}{step}", self.path);
            if self.unknown.contains(path.as_str()) {
                self.found.push(Fault::Unknown(path));
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if names.contains(&name) {
                self.found.push(Fault::Doubled(Doubled { path, name: name.into_owned(), line }));
            } else {
                names.insert(name);
            }
            self.below(&step, |walk| map.next_value_seed(walk))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            let item = self.below(&format!("[{index}]"), |walk| items.next_element_seed(walk))?;
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A name, borrowed where it stands without escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_names_are_found_where_they_stand() {
        let table: [(&str, &[&str]); 6] = [
            (r#"{"a:\"": ":", "b:\\": {"c": "\\\":"}}"#, &[]),
            (r#"{"a": 1, "b": {"a": [1, 2.5, null, true, "a"]}}"#, &[]),
            (r#"{"a": 1, "a": 2, "a": 3}"#, &["a", "a"]),
            (r#"{"a": {"b": [{}, {"c": 1, "\u0063": 2}]}, "a": {}}"#, &["a.b[1].c", "a"]),
            (r#"[{"x": 1, "x": 1}]"#, &["[0].x"]),
            (r#"{"a": 1, "a": 2, "b""#, &["a"]),
        ];
        for (json, expected) in table {
            let found = of_json(json.as_bytes(), &HashSet::new()).into_iter().map(|fault| match fault {
                Fault::Doubled(doubled) => doubled.path,
                Fault::Unknown(path) => panic!("{path} is unknown"),
            });
            assert_eq!(found.collect::<Vec<_>>(), expected, "{json}");
            if let Ok(value) = serde_json::from_str(json) {
                assert_eq!(has_none(json.as_bytes(), &value), expected.is_empty(), "{json}");
            }
        }
        let yaml = "a: 1\nb:\n- {c: 1, c: 2}\n\na: 3\n1: x\n1: y\n";
        let doubled = |path: &str, name: &str, line| Doubled { path: path.into(), name: name.into(), line };
        assert_eq!(of_yaml(yaml), [doubled("b[0].c", "c", 3), doubled("a", "a", 5), doubled("1", "1", 7)]);
    }
}

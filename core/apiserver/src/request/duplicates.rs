//! Names that stand twice in one object of JSON or YAML: the later one counts, and who asked for
//! strictness is told.

use std::{borrow::Cow, collections::HashSet, fmt, marker::PhantomData};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
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

/// The doubled names, in their order. Up to what can't be read: that is refused by who reads it
/// for its content.
pub fn of_json(json: &[u8]) -> Vec<Doubled> {
    let mut found = Vec::new();
    let _ = walk::<Name<'_>, _>(&mut serde_json::Deserializer::from_slice(json), &mut found);
    found
}

/// As [`of_json`], of a YAML document.
pub fn of_yaml(text: &str) -> Vec<Doubled> {
    let mut found = Vec::new();
    let walk = |reader: serde_saphyr::Deserializer<'_, '_>| walk::<Spanned<String>, _>(reader, &mut found);
    let _ = serde_saphyr::with_deserializer_from_str_with_options(text, yaml::options(), walk);
    found
}

fn walk<'de, K: Key<'de>, D: Deserializer<'de>>(reader: D, found: &mut Vec<Doubled>) -> Result<(), D::Error> {
    Walk::<K> { path: &mut String::new(), found, key: PhantomData }.deserialize(reader)
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
    found: &'a mut Vec<Doubled>,
    key: PhantomData<K>,
}

impl<K> Walk<'_, K> {
    /// Goes on with what stands at the longer path.
    fn below<T>(&mut self, step: &str, go_on: impl FnOnce(Walk<'_, K>) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let result = go_on(Walk { path: self.path, found: self.found, key: PhantomData });
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
            if names.contains(&name) {
                let path = format!("{}{step}", self.path);
                self.found.push(Doubled { path, name: name.into_owned(), line });
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
        let table: [(&str, &[&str]); 5] = [
            (r#"{"a": 1, "b": {"a": [1, 2.5, null, true, "a"]}}"#, &[]),
            (r#"{"a": 1, "a": 2, "a": 3}"#, &["a", "a"]),
            (r#"{"a": {"b": [{}, {"c": 1, "\u0063": 2}]}, "a": {}}"#, &["a.b[1].c", "a"]),
            (r#"[{"x": 1, "x": 1}]"#, &["[0].x"]),
            (r#"{"a": 1, "a": 2, "b""#, &["a"]),
        ];
        for (json, expected) in table {
            let found: Vec<_> = of_json(json.as_bytes()).into_iter().map(|doubled| doubled.path).collect();
            assert_eq!(found, expected, "{json}");
        }
        let yaml = "a: 1\nb:\n- {c: 1, c: 2}\n\na: 3\n1: x\n1: y\n";
        let doubled = |path: &str, name: &str, line| Doubled { path: path.into(), name: name.into(), line };
        assert_eq!(of_yaml(yaml), [doubled("b[0].c", "c", 3), doubled("a", "a", 5), doubled("1", "1", 7)]);
    }
}

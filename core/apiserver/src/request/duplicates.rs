//! Names that stand twice in one object of JSON or YAML: the later one counts, and who asked for
//! strictness is told.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::yaml;

/// The places of the doubled names, in their order: `spec.containers[0].name`. Up to what can't be
/// read: that is refused by who reads it for its content.
pub fn of_json(json: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let _ = walk(&mut serde_json::Deserializer::from_slice(json), &mut found);
    found
}

/// As [`of_json`], of a YAML document.
pub fn of_yaml(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let walk = |reader: serde_saphyr::Deserializer<'_, '_>| walk(reader, &mut found);
    let _ = serde_saphyr::with_deserializer_from_str_with_options(text, yaml::options(), walk);
    found
}

fn walk<'de, D: Deserializer<'de>>(reader: D, found: &mut Vec<String>) -> Result<(), D::Error> {
    Walk { path: &mut String::new(), found }.deserialize(reader)
}

struct Walk<'a> {
    path: &'a mut String,
    found: &'a mut Vec<String>,
}

impl Walk<'_> {
    /// Goes on with what stands at the longer path.
    fn below<T>(&mut self, step: &str, go_on: impl FnOnce(Walk<'_>) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(step);
        let result = go_on(Walk { path: self.path, found: self.found });
        self.path.truncate(length);
        result
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut names: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let dot = if self.path.is_empty() { "" } else { "." };
            let step = format!("{dot}{}", name.0);
            if !names.insert(name.0) {
                self.below(&step, |walk| walk.found.push(walk.path.clone()));
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
            assert_eq!(of_json(json.as_bytes()), expected, "{json}");
        }
        let yaml = "a: 1\nb:\n- {c: 1, c: 2}\na: 3\n";
        assert_eq!(of_yaml(yaml), ["b[0].c", "a"]);
    }
}

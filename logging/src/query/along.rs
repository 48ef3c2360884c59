//! One field of a JSON object, found while the text is read: nothing else of it is
//! kept. Numbers, texts and arrays give what [`super::fields`] says.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::fields;

/// Appends the values of the field `path` of a body; `None` when the body is no JSON object.
pub fn values(body: &[u8], path: &str, found: &mut Vec<String>) -> Option<()> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let values = Along(path).deserialize(&mut json).ok()?;
    json.end().ok()?;
    found.extend(values);
    Some(())
}

/// What stands at the path in a value; nothing in one that is no object.
struct Along<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Along<'_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Along<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // Found below each name that leads on, by the name's length. Of a name that
        // is there twice the last counts.
        let mut below: Vec<(usize, Vec<String>)> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            let rest = self.0.strip_prefix(&*name);
            let values = match rest.map(|rest| (rest, rest.strip_prefix('.'))) {
                Some(("", _)) => {
                    let mut values = Vec::new();
                    fields::texts(&map.next_value::<Value>()?, &mut values);
                    values
                }
                Some((_, Some(rest))) => map.next_value_seed(Along(rest))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            below.retain(|(length, _)| *length != name.len());
            below.push((name.len(), values));
        }
        // The whole name first, then along its dots.
        below.sort_by_key(|(length, _)| if *length == self.0.len() { 0 } else { *length });
        Ok(below.into_iter().flat_map(|(_, values)| values).collect())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// A name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        from.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("5e2".to_owned()),
            Just("-1.50".to_owned()),
            Just("18446744073709551616".to_owned()),
            Just(r#""a\u0062\u001b[31mc""#.to_owned()),
            Just(r#""x"#.to_owned()),
        ];
        let name = prop_oneof![Just("a"), Just("b"), Just("a.b"), Just(r"\u0061"), Just("a.b.a"), Just("")];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let fields = prop::collection::vec((name.clone(), inner.clone()), 0..4);
            let object = fields.prop_map(|fields| {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!(" {{{}}} ", fields.join(","))
            });
            prop_oneof![
                object,
                prop::collection::vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(",")))
            ]
        })
    }

    proptest! {
        #[test]
        fn the_same_is_found_as_in_a_whole_value(
            body in json(), path in prop_oneof![Just("a"), Just("b"), Just("a.b"), Just("a.b.a"), Just("a.a"), Just("")]
        ) {
            let whole = fields::json(body.as_bytes());
            let expected = whole.map(|json| {
                let mut found = Vec::new();
                fields::along(&json, path, &mut found);
                found
            });
            let mut found = Vec::new();
            let is_json = values(body.as_bytes(), path, &mut found);
            prop_assert_eq!(is_json.map(|()| found), expected, "{} in {}", path, body);
        }
    }
}

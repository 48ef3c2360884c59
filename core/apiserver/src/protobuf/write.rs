//! JSON as a message, in one pass: the parser's events are written as they come,
//! and no value is built. Text and values go the same way.
//!
//! What JSON doesn't have isn't written, though Go would write its zeros: to a
//! reader of proto2 both are the same. Members that are no field are passed over.

use std::{cmp::Reverse, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use tiphys_api::schema::tags::around;

use super::{
    catalog::{Field, Instead, Message, Shape, catalog},
    wire::{close, open, put_bytes, put_head, put_integer},
};

/// A message out of the text of an object.
pub fn from_json(message: &Message, json: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    Object { message, out: &mut out }.deserialize(&mut serde_json::Deserializer::from_slice(json))?;
    Ok(out)
}

/// A message out of an object.
pub fn from_value(message: &Message, object: &Value) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::new();
    Object { message, out: &mut out }.deserialize(object)?;
    Ok(out)
}

/// The fields of an object, without what goes around them.
struct Object<'a> {
    message: &'a Message,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let mut inlined: Vec<(u32, Vec<u8>)> = Vec::new();
        while let Some(field) = map.next_key_seed(Name(self.message))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let out = match field.outer {
                0 => &mut *self.out,
                outer => part(&mut inlined, outer),
            };
            map.next_value_seed(Place { shape: &field.shape, number: field.number, item: false, out })?;
        }
        // Inner ones first: they are a part of those around them.
        inlined.sort_by_key(|(message, _)| Reverse(*message));
        while !inlined.is_empty() {
            let (message, bytes) = inlined.remove(0);
            match around(message) {
                (0, number) => put_bytes(self.out, number, &bytes),
                (outer, number) => put_bytes(part(&mut inlined, outer), number, &bytes),
            }
        }
        Ok(())
    }
}

/// What is to go into this message.
fn part(parts: &mut Vec<(u32, Vec<u8>)>, number: u32) -> &mut Vec<u8> {
    let at = parts.iter().position(|(of, _)| *of == number).unwrap_or_else(|| {
        parts.push((number, Vec::new()));
        parts.len() - 1
    });
    &mut parts[at].1
}

/// A member's name as the field that it is.
struct Name<'a>(&'a Message);

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<&'a Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'a> Visitor<'de> for Name<'a> {
    type Value = Option<&'a Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.by_name(name))
    }
}

/// Where a value goes: a field, or an item of one.
struct Place<'a> {
    shape: &'a Shape,
    number: u32,
    /// An item is written even if it is null: others keep their position.
    item: bool,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if *self.shape != Shape::Raw {
            return deserializer.deserialize_any(self);
        }
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        if raw.get() == "null" {
            return self.visit_unit();
        }
        let begin = open(self.out, self.number);
        put_bytes(self.out, 1, raw.get().as_bytes());
        close(self.out, begin);
        Ok(())
    }
}

impl Place<'_> {
    fn integer<E: Error>(self, value: i64) -> Result<(), E> {
        match self.shape {
            Shape::Integer => put_integer(self.out, self.number, value),
            Shape::Float => self.float(value as f64),
            Shape::Quantity => self.quantity(&value.to_string()),
            Shape::IntOrString => {
                let begin = open(self.out, self.number);
                put_integer(self.out, 1, 0);
                put_integer(self.out, 2, value);
                close(self.out, begin);
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Signed(value), &self)),
        }
        Ok(())
    }

    fn float(self, value: f64) {
        put_head(self.out, self.number, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn quantity(self, text: &str) {
        let begin = open(self.out, self.number);
        put_bytes(self.out, 1, text.as_bytes());
        close(self.out, begin);
    }

    fn time<E: Error>(self, text: &str, micro: bool) -> Result<(), E> {
        let time: Timestamp = text.parse().map_err(E::custom)?;
        // Rounded down: nanoseconds count forward from the second.
        let nanoseconds = time.as_nanosecond().rem_euclid(1_000_000_000) as i64;
        let second = time.as_nanosecond().div_euclid(1_000_000_000) as i64;
        let begin = open(self.out, self.number);
        put_integer(self.out, 1, second);
        put_integer(self.out, 2, if micro { nanoseconds / 1000 * 1000 } else { 0 });
        close(self.out, begin);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shape)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.item {
            put_head(self.out, self.number, self.shape.wire_type());
            let zeros = if self.shape.wire_type() == 1 { 8 } else { 1 };
            self.out.extend(std::iter::repeat_n(0, zeros));
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.shape {
            Shape::Truth => put_integer(self.out, self.number, value.into()),
            Shape::SchemaOr(_, instead @ Instead::Truth) => {
                let begin = open(self.out, self.number);
                put_integer(self.out, instead.other(), value.into());
                close(self.out, begin);
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Bool(value), &self)),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.shape {
            Shape::Float => self.float(value),
            Shape::Quantity => self.quantity(&value.to_string()),
            Shape::Integer if value.fract() == 0.0 && value.abs() < 9e15 => {
                put_integer(self.out, self.number, value as i64);
            }
            _ => return Err(E::invalid_type(serde::de::Unexpected::Float(value), &self)),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.shape {
            Shape::Text => put_bytes(self.out, self.number, text.as_bytes()),
            Shape::Binary => {
                let bytes = BASE64_STANDARD.decode(text).map_err(E::custom)?;
                put_bytes(self.out, self.number, &bytes);
            }
            Shape::Quantity => self.quantity(text),
            Shape::IntOrString => {
                let begin = open(self.out, self.number);
                put_integer(self.out, 1, 1);
                put_bytes(self.out, 3, text.as_bytes());
                close(self.out, begin);
            }
            Shape::Time(micro) => return self.time(text, *micro),
            _ => return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, items: S) -> Result<(), S::Error> {
        match self.shape {
            Shape::List(shape) => each(items, shape, self.number, self.out),
            Shape::SchemaOr(at, instead @ (Instead::Schemas | Instead::Texts)) => {
                let schemas = *instead == Instead::Schemas;
                let shape = if schemas { Shape::Message(*at) } else { Shape::Text };
                let begin = open(self.out, self.number);
                each(items, &shape, instead.other(), self.out)?;
                close(self.out, begin);
                Ok(())
            }
            _ => Err(S::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        match self.shape {
            Shape::Message(at) => {
                let begin = open(self.out, self.number);
                Object { message: catalog().message(*at), out: &mut *self.out }.visit_map(map)?;
                close(self.out, begin);
            }
            Shape::SchemaOr(at, instead) => {
                let begin = open(self.out, self.number);
                if *instead == Instead::Truth {
                    // Go sets both.
                    put_integer(self.out, instead.other(), 1);
                }
                Place {
                    shape: &Shape::Message(*at),
                    number: instead.schema(),
                    item: false,
                    out: &mut *self.out,
                }
                .visit_map(map)?;
                close(self.out, begin);
            }
            Shape::Map(shape) => loop {
                let before = self.out.len();
                let begin = open(self.out, self.number);
                let key = Place { shape: &Shape::Text, number: 1, item: true, out: &mut *self.out };
                if map.next_key_seed(key)?.is_none() {
                    self.out.truncate(before);
                    break;
                }
                entry_value(&mut map, shape, self.out)?;
                close(self.out, begin);
            },
            _ => return Err(M::Error::invalid_type(serde::de::Unexpected::Map, &self)),
        }
        Ok(())
    }
}

/// The items of a list, each in a field of its own.
fn each<'de, S: SeqAccess<'de>>(
    mut items: S,
    shape: &Shape,
    number: u32,
    out: &mut Vec<u8>,
) -> Result<(), S::Error> {
    while items.next_element_seed(Place { shape, number, item: true, out: &mut *out })?.is_some() {}
    Ok(())
}

/// A list inside a map is wrapped into a message of its own.
fn entry_value<'de, M: MapAccess<'de>>(
    map: &mut M,
    shape: &Shape,
    out: &mut Vec<u8>,
) -> Result<(), M::Error> {
    if !matches!(shape, Shape::List(_)) {
        return map.next_value_seed(Place { shape, number: 2, item: true, out });
    }
    let begin = open(out, 2);
    map.next_value_seed(Place { shape, number: 1, item: false, out: &mut *out })?;
    close(out, begin);
    Ok(())
}

//! A message as a JSON value, in the form in which Go would show it.
//!
//! Go writes a field that is no pointer even when it is empty, and leaves most of
//! these out of JSON; a pointer it writes only when it is set, and shows always.
//! So a zero that came is kept where the facts say that it counts, and dropped
//! elsewhere. What is no known field is passed over, as everywhere in protobuf.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tiphys_api::schema::tags::within;

use super::{
    Malformed,
    catalog::{Field, Instead, Message, Shape, catalog},
    wire::{Payload, fields, packed},
};

/// As deep as JSON is read, which is deeper than any object needs; a message that
/// nests further is an attack.
const DEEPEST: usize = 127;

pub fn read(message: &Message, bytes: &[u8]) -> Result<Value, Malformed> {
    let mut object = Map::new();
    collect(&mut object, message, 0, bytes, 0)?;
    Ok(Value::Object(object))
}

/// Adds the fields of a message, or of the one that is `outer` in it.
fn collect(
    object: &mut Map<String, Value>,
    message: &Message,
    outer: u32,
    bytes: &[u8],
    depth: usize,
) -> Result<(), Malformed> {
    if depth > DEEPEST {
        return Err(Malformed("the message nests too deep"));
    }
    for field in fields(bytes) {
        let (number, payload) = field?;
        if let Some(field) = message.by_place(outer, number) {
            add(object, field, payload, depth)?;
        } else if let Some(inner) = within(outer, number).filter(|inner| message.is_outer(*inner)) {
            collect(object, message, inner, payload.bytes()?, depth + 1)?;
        }
    }
    Ok(())
}

/// Adds one occurrence of a field. Several of a message are one, in parts.
fn add(
    object: &mut Map<String, Value>,
    field: &Field,
    payload: Payload<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    let slot = |object: &mut Map<String, Value>, empty: Value| {
        object.entry(field.name.as_str()).or_insert(empty).take()
    };
    let value = match &field.shape {
        Shape::List(shape) => {
            let mut list = slot(object, Value::Array(Vec::new()));
            items(&mut list, shape, payload, depth)?;
            list
        }
        Shape::Map(shape) => {
            let mut map = slot(object, Value::Object(Map::new()));
            let (key, value) = entry(shape, payload.bytes()?, depth)?;
            map[key] = value;
            map
        }
        Shape::Message(at) => {
            let mut inner = slot(object, Value::Object(Map::new()));
            if let Value::Object(inner) = &mut inner {
                collect(inner, catalog().message(*at), 0, payload.bytes()?, depth + 1)?;
            }
            inner
        }
        shape => value(shape, payload, depth)?,
    };
    if field.zero_counts || !is_zero(&field.shape, &value) {
        object.insert(field.name.clone(), value);
    } else {
        object.remove(&field.name);
    }
    if object.get(&field.name).is_some_and(Value::is_null) {
        object.remove(&field.name);
    }
    Ok(())
}

/// Whether JSON leaves the value out if its field is no pointer.
fn is_zero(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        // These are structs, which Go never takes for empty.
        (Shape::Quantity | Shape::IntOrString | Shape::Time(_) | Shape::Raw | Shape::SchemaOr(..), _) => {
            false
        }
        (_, Value::Bool(truth)) => !truth,
        (_, Value::Number(number)) => number.as_f64() == Some(0.0),
        (_, Value::String(text)) => text.is_empty(),
        _ => false,
    }
}

fn items(list: &mut Value, shape: &Shape, payload: Payload<'_>, depth: usize) -> Result<(), Malformed> {
    let Value::Array(list) = list else { return Ok(()) };
    match payload {
        Payload::Bytes(bytes) if *shape == Shape::Integer => {
            for number in packed(bytes) {
                list.push(number?.into());
            }
        }
        payload => list.push(value(shape, payload, depth)?),
    }
    Ok(())
}

/// An entry of a map: a message of key and value, either of which is left out if it is empty.
fn entry(shape: &Shape, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let (mut key, mut found) = (String::new(), Payload::Bytes(&[]));
    for field in fields(bytes) {
        match field? {
            (1, payload) => key = payload.text()?.to_owned(),
            (2, payload) => found = payload,
            _ => {}
        }
    }
    Ok((key, value(shape, found, depth + 1)?))
}

fn value(shape: &Shape, payload: Payload<'_>, depth: usize) -> Result<Value, Malformed> {
    Ok(match shape {
        Shape::Text => payload.text()?.into(),
        Shape::Binary => BASE64_STANDARD.encode(payload.bytes()?).into(),
        Shape::Truth => (payload.integer()? != 0).into(),
        Shape::Integer => payload.integer()?.into(),
        Shape::Float => float(payload.float()?),
        Shape::Message(at) => {
            let mut object = Map::new();
            collect(&mut object, catalog().message(*at), 0, payload.bytes()?, depth + 1)?;
            Value::Object(object)
        }
        // A list inside a map is wrapped into a message of its own.
        Shape::List(shape) => {
            let mut list = Value::Array(Vec::new());
            for field in fields(payload.bytes()?) {
                if let (1, item) = field? {
                    items(&mut list, shape, item, depth + 1)?;
                }
            }
            list
        }
        Shape::Map(_) => return Err(Malformed("a map stands where no map can be")),
        Shape::Quantity => match find(payload.bytes()?, 1)? {
            Some(text) if !text.bytes()?.is_empty() => text.text()?.into(),
            _ => "0".into(),
        },
        Shape::IntOrString => int_or_string(payload.bytes()?)?,
        Shape::Time(false) => time(payload.bytes()?, "%Y-%m-%dT%H:%M:%SZ")?,
        Shape::Time(true) => time(payload.bytes()?, "%Y-%m-%dT%H:%M:%S%.6fZ")?,
        Shape::SchemaOr(at, instead) => schema_or(*at, *instead, payload.bytes()?, depth)?,
        Shape::Raw => match find(payload.bytes()?, 1)? {
            Some(raw) if !raw.bytes()?.is_empty() => {
                serde_json::from_slice(raw.bytes()?).map_err(|_| Malformed("embedded JSON is not valid"))?
            }
            _ => Value::Null,
        },
    })
}

/// Go shows a whole number without a point.
fn float(number: f64) -> Value {
    let whole = number.fract() == 0.0 && number.abs() < 2_f64.powi(63);
    if whole { (number as i64).into() } else { number.into() }
}

/// A schema, or what stands in its place. Of both, Go shows the list, and the
/// schema before a truth value.
fn schema_or(at: usize, instead: Instead, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let (mut schema, mut list, mut allows) = (None, Vec::new(), false);
    for field in fields(bytes) {
        let (number, payload) = field?;
        if number == instead.schema() {
            let schema = schema.get_or_insert_with(Map::new);
            collect(schema, catalog().message(at), 0, payload.bytes()?, depth + 1)?;
        } else if number == instead.other() {
            match instead {
                Instead::Truth => allows = payload.integer()? != 0,
                Instead::Schemas => list.push(value(&Shape::Message(at), payload, depth + 1)?),
                Instead::Texts => list.push(payload.text()?.into()),
            }
        }
    }
    Ok(match (schema, instead) {
        _ if !list.is_empty() => list.into(),
        (Some(schema), _) => schema.into(),
        (None, Instead::Truth) => allows.into(),
        (None, _) => Value::Null,
    })
}

fn find(bytes: &[u8], wanted: u32) -> Result<Option<Payload<'_>>, Malformed> {
    let mut found = None;
    for field in fields(bytes) {
        let (number, payload) = field?;
        if number == wanted {
            found = Some(payload);
        }
    }
    Ok(found)
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
    let is_text = find(bytes, 1)?.map(Payload::integer).transpose()? == Some(1);
    if is_text {
        return Ok(find(bytes, 3)?.map(Payload::text).transpose()?.unwrap_or_default().into());
    }
    Ok(find(bytes, 2)?.map(Payload::integer).transpose()?.unwrap_or(0).into())
}

/// A time that isn't set is an empty message.
fn time(bytes: &[u8], format: &str) -> Result<Value, Malformed> {
    let number = |wanted| find(bytes, wanted)?.map(Payload::integer).transpose();
    let Some(seconds) = number(1)? else { return Ok(Value::Null) };
    let nanoseconds = i32::try_from(number(2)?.unwrap_or(0)).unwrap_or(0);
    let time = Timestamp::new(seconds, nanoseconds).map_err(|_| Malformed("a time is out of range"))?;
    Ok(time.strftime(format).to_string().into())
}

//! JSON as values of expressions, and back.
//!
//! Keys stay as they are: a policy reads any kind of object, so nothing is known of their
//! types. Times and quantities are texts; expressions make more of them themselves.

use std::{collections::HashMap, sync::Arc};

use kube_cel::cel::{
    Value as Cel,
    objects::{Key, Map, OptionalValue},
};
use serde_json::{Map as JsonMap, Value};

pub fn from_json(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Cel::Int(number),
            (None, Some(number)) => Cel::UInt(number),
            (None, None) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(from_json).collect())),
        Value::Object(fields) => {
            let entry =
                |(key, value): (&String, &Value)| (Key::String(Arc::new(key.clone())), from_json(value));
            Cel::Map(Map { map: Arc::new(fields.iter().map(entry).collect::<HashMap<_, _>>()) })
        }
    }
}

/// `None` for what JSON has no form for.
pub fn to_json(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(truth) => (*truth).into(),
        Cel::Int(number) => (*number).into(),
        Cel::UInt(number) => (*number).into(),
        Cel::Float(number) => serde_json::Number::from_f64(*number)?.into(),
        Cel::String(text) => text.as_str().into(),
        Cel::List(items) => items.iter().map(to_json).collect::<Option<Vec<_>>>()?.into(),
        Cel::Map(map) => {
            let mut fields = JsonMap::new();
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else { return None };
                fields.insert(key.as_ref().clone(), to_json(value)?);
            }
            fields.into()
        }
        Cel::Timestamp(time) => time.to_rfc3339().into(),
        Cel::Opaque(_) => match <&OptionalValue>::try_from(value).ok()?.value() {
            Some(inner) => to_json(inner)?,
            None => return None,
        },
        Cel::Bytes(_) | Cel::Duration(_) | Cel::Function(..) => return None,
    })
}

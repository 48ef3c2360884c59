//! Values that may be absent.

use std::sync::Arc;

use kube_cel::cel::Value;

use super::Table;
use crate::cel::{
    evaluate::{Outcome, optional},
    fault::Fault,
    operators as ops,
};

pub const FUNCTIONS: Table = &[
    ("optional.none", |args, _| match args {
        [] => Ok(optional(None)),
        _ => Err(Fault::overload()),
    }),
    ("optional.of", |args, _| match args {
        [value] => Ok(optional(Some(value.clone()))),
        _ => Err(Fault::overload()),
    }),
    ("optional.ofNonZeroValue", |args, _| match args {
        [value] => Ok(optional(Some(value.clone()).filter(|value| !is_zero(value)))),
        _ => Err(Fault::overload()),
    }),
    ("hasValue", |args, _| match args {
        [it] => Ok(Value::Bool(ops::optional(it)?.is_some())),
        _ => Err(Fault::overload()),
    }),
    ("value", |args, _| match args {
        [it] => ops::optional(it)?.cloned().ok_or_else(|| Fault::told("optional.none() dereference")),
        _ => Err(Fault::overload()),
    }),
    ("or", |args, _| match args {
        [it, other] => {
            ops::optional(other)?;
            Ok(if ops::optional(it)?.is_some() { it.clone() } else { other.clone() })
        }
        _ => Err(Fault::overload()),
    }),
    ("orValue", |args, _| match args {
        [it, other] => Ok(ops::optional(it)?.unwrap_or(other).clone()),
        _ => Err(Fault::overload()),
    }),
    ("optional.unwrap", |args, meter| unwrap(args, meter)),
    ("unwrapOpt", |args, meter| unwrap(args, meter)),
];

fn unwrap(args: &[Value], meter: &mut crate::cel::meter::Meter) -> Outcome {
    let [Value::List(items)] = args else { return Err(Fault::overload()) };
    meter.charge(items.len() as u64)?;
    let held = items.iter().map(ops::optional).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::List(Arc::new(held.into_iter().flatten().cloned().collect())))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::UInt(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.map.is_empty(),
        Value::Duration(span) => span.is_zero(),
        Value::Opaque(_) => ops::optional(value).is_ok_and(|held| held.is_none()),
        Value::Timestamp(_) | Value::Function(..) => false,
    }
}

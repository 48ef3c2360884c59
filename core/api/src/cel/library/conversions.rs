//! Values as values of other types, and types as values.

use std::sync::Arc;

use kube_cel::cel::{
    Value,
    objects::{Opaque, ValueType},
};

use super::{Table, addresses, opaque};
use crate::cel::{evaluate::Outcome, fault::Fault, meter::Meter};

/// A type as a value: `type(self) == string`.
#[derive(Debug, PartialEq, Eq)]
struct TypeValue(String);

impl Opaque for TypeValue {
    fn runtime_type_name(&self) -> &str {
        "type"
    }
}

/// Types that stand for themselves.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
    "int",
    "kubernetes.NamedFormat",
    "kubernetes.Quantity",
    "kubernetes.Semver",
    "kubernetes.URL",
    "list",
    "map",
    "net.CIDR",
    "net.IP",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

pub const FUNCTIONS: Table = &[
    ("bool", |args, _| match args {
        [Value::Bool(truth)] => Ok(Value::Bool(*truth)),
        [Value::String(text)] => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(unfit(&args[0], "bool")),
        },
        _ => Err(Fault::overload()),
    }),
    ("bytes", |args, meter| match args {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(Arc::clone(bytes))),
        [Value::String(text)] => {
            meter.bytes(text.len())?;
            Ok(Value::Bytes(Arc::new(text.as_bytes().to_vec())))
        }
        _ => Err(Fault::overload()),
    }),
    ("double", |args, meter| match args {
        [Value::Float(number)] => Ok(Value::Float(*number)),
        [Value::Int(number)] => Ok(Value::Float(*number as f64)),
        [Value::UInt(number)] => Ok(Value::Float(*number as f64)),
        [Value::String(text)] => {
            meter.bytes(text.len())?;
            text.parse().map(Value::Float).map_err(|_| unfit(&args[0], "double"))
        }
        _ => Err(Fault::overload()),
    }),
    ("int", int),
    ("uint", uint),
    ("string", |args, meter| match args {
        [value] => string(value, meter),
        _ => Err(Fault::overload()),
    }),
    ("dyn", |args, _| match args {
        [value] => Ok(value.clone()),
        _ => Err(Fault::overload()),
    }),
    ("type", |args, _| match args {
        [value] => Ok(type_value(&type_name(value))),
        _ => Err(Fault::overload()),
    }),
];

/// A type by its name.
pub fn type_named(name: &str) -> Option<Value> {
    TYPES.contains(&name).then(|| type_value(name))
}

fn type_value(name: &str) -> Value {
    Value::Opaque(Arc::new(TypeValue(name.to_owned())))
}

pub fn type_name(value: &Value) -> String {
    match value {
        Value::Opaque(opaque) => opaque.runtime_type_name().to_owned(),
        Value::Timestamp(_) => "google.protobuf.Timestamp".into(),
        Value::Duration(_) => "google.protobuf.Duration".into(),
        other => match other.type_of() {
            ValueType::Float => "double".into(),
            ValueType::Null => "null_type".into(),
            ty => ty.to_string(),
        },
    }
}

fn unfit(value: &Value, wanted: &str) -> Fault {
    Fault::told(format!("type conversion error from '{}' to '{wanted}'", type_name(value)))
}

fn int(args: &[Value], meter: &mut Meter) -> Outcome {
    let overflow = || Fault::told("integer overflow");
    let number = match args {
        [Value::Int(number)] => *number,
        [Value::UInt(number)] => i64::try_from(*number).map_err(|_| overflow())?,
        // Beyond these, a double is no integer that could be told apart from its neighbours.
        [Value::Float(number)]
            if *number > -9.223_372_036_854_775e18 && *number < 9.223_372_036_854_775e18 =>
        {
            *number as i64
        }
        [Value::Float(_)] => return Err(overflow()),
        [Value::String(text)] => {
            meter.bytes(text.len())?;
            text.parse().map_err(|_| unfit(&args[0], "int"))?
        }
        [Value::Timestamp(time)] => time.timestamp(),
        [Value::Duration(span)] => span.num_nanoseconds().ok_or_else(overflow)?,
        _ => return Err(Fault::overload()),
    };
    Ok(Value::Int(number))
}

fn uint(args: &[Value], meter: &mut Meter) -> Outcome {
    let overflow = || Fault::told("unsigned integer overflow");
    let number = match args {
        [Value::UInt(number)] => *number,
        [Value::Int(number)] => u64::try_from(*number).map_err(|_| overflow())?,
        [Value::Float(number)] if *number >= 0.0 && *number < 1.844_674_407_370_955e19 => *number as u64,
        [Value::Float(_)] => return Err(overflow()),
        [Value::String(text)] => {
            meter.bytes(text.len())?;
            text.parse().map_err(|_| unfit(&args[0], "uint"))?
        }
        _ => return Err(Fault::overload()),
    };
    Ok(Value::UInt(number))
}

/// # Errors
/// The value has no text.
pub fn string(value: &Value, meter: &mut Meter) -> Outcome {
    let text = match value {
        Value::String(text) => return Ok(Value::String(Arc::clone(text))),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => double(*number),
        Value::Bytes(bytes) => {
            meter.bytes(bytes.len())?;
            let text = String::from_utf8(bytes.to_vec());
            text.map_err(|_| Fault::told("invalid UTF-8 in bytes, cannot convert to string"))?
        }
        Value::Timestamp(time) => {
            let text = time.format("%Y-%m-%dT%H:%M:%S").to_string();
            let fraction = format!(".{:09}", time.timestamp_subsec_nanos());
            let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
            let offset = time.offset().local_minus_utc();
            let zone = if offset == 0 { "Z".to_owned() } else { time.format("%:z").to_string() };
            format!("{text}{fraction}{zone}")
        }
        Value::Duration(span) => {
            let nanoseconds = span.num_nanoseconds().unwrap_or_default();
            format!("{}s", nanoseconds as f64 / 1e9)
        }
        Value::Opaque(_) => match opaque::<TypeValue>(value) {
            Ok(ty) => ty.0.clone(),
            Err(_) => addresses::string(value).ok_or_else(Fault::overload)?,
        },
        _ => return Err(Fault::overload()),
    };
    Ok(Value::String(Arc::new(text)))
}

/// As Go's `%g`: with as many digits as it takes, and an exponent from a million on.
fn double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let plain = format!("{number:e}");
    let (mantissa, exponent) = plain.split_once('e').unwrap_or((&plain, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

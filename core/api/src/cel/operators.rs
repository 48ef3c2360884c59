//! What the operators do with values.
//!
//! Numbers of different types compare and are equal by their value; other values of different types
//! are not equal. Reading a field of something optional gives something optional.

use std::{cmp::Ordering, sync::Arc};

use kube_cel::cel::{
    Value,
    objects::{Key, Map, OptionalValue},
};

use super::{
    evaluate::{Outcome, optional as some_or_none},
    fault::Fault,
    meter::{Meter, tenth},
};

/// What an optional holds.
///
/// # Errors
/// The value is no optional.
pub fn optional(value: &Value) -> Result<Option<&Value>, Fault> {
    <&OptionalValue>::try_from(value).map(OptionalValue::value).map_err(|_| Fault::overload())
}

/// # Errors
/// The value can't be a key.
pub fn key(value: &Value) -> Result<Key, Fault> {
    Ok(match value {
        Value::Int(number) => Key::Int(*number),
        Value::UInt(number) => Key::Uint(*number),
        Value::Bool(truth) => Key::Bool(*truth),
        Value::String(text) => Key::String(Arc::clone(text)),
        _ => return Err(Fault::told("unsupported key type")),
    })
}

pub fn shown_key(key: &Key) -> String {
    match key {
        Key::Int(number) => number.to_string(),
        Key::Uint(number) => number.to_string(),
        Key::Bool(truth) => truth.to_string(),
        Key::String(text) => text.as_str().to_owned(),
    }
}

/// A value of a map; a number is found whatever its type is.
///
/// # Errors
/// What is looked for can't be a key.
pub fn entry<'a>(map: &'a Map, of: &Value) -> Result<Option<&'a Value>, Fault> {
    let whole = |number: f64| (number.fract() == 0.0).then_some(number);
    let keys = match of {
        Value::Int(number) => vec![Some(Key::Int(*number)), u64::try_from(*number).ok().map(Key::Uint)],
        Value::UInt(number) => vec![Some(Key::Uint(*number)), i64::try_from(*number).ok().map(Key::Int)],
        Value::Float(number) => {
            vec![whole(*number).map(|it| Key::Int(it as i64)), whole(*number).map(|it| Key::Uint(it as u64))]
        }
        other => vec![Some(key(other)?)],
    };
    Ok(keys.into_iter().flatten().find_map(|key| map.map.get(&key)))
}

fn no_key(of: &Value) -> Fault {
    match key(of) {
        Ok(key) => Fault::told(format!("no such key: {}", shown_key(&key))),
        Err(why) => why,
    }
}

/// `operand.name`
///
/// # Errors
/// There is no such field, or what has no fields.
pub fn field(operand: &Value, name: &str) -> Outcome {
    index(operand, &Value::String(Arc::new(name.to_owned())))
}

/// `has(operand.name)`
///
/// # Errors
/// The operand can have no fields.
pub fn has(operand: &Value, name: &str) -> Outcome {
    let name = Value::String(Arc::new(name.to_owned()));
    let held = match operand {
        Value::Opaque(_) => optional(operand)?,
        other => Some(other),
    };
    match held {
        Some(Value::Map(map)) => Ok(Value::Bool(entry(map, &name)?.is_some())),
        None => Ok(Value::Bool(false)),
        Some(_) => Err(Fault::overload()),
    }
}

/// `operand[of]`
///
/// # Errors
/// There is nothing at that place.
pub fn index(operand: &Value, of: &Value) -> Outcome {
    match operand {
        Value::Opaque(_) => perhaps(operand, of),
        Value::Map(map) => entry(map, of)?.cloned().ok_or_else(|| no_key(of)),
        Value::List(items) => {
            let place = place(of)?;
            let item = usize::try_from(place).ok().and_then(|place| items.get(place));
            item.cloned().ok_or_else(|| Fault::told(format!("index out of bounds: {place}")))
        }
        _ => Err(Fault::overload()),
    }
}

fn place(of: &Value) -> Result<i64, Fault> {
    match of {
        Value::Int(place) => Ok(*place),
        Value::UInt(place) => i64::try_from(*place).map_err(|_| Fault::told("index out of bounds")),
        Value::Float(place) if place.fract() == 0.0 => Ok(*place as i64),
        _ => Err(Fault::told("unsupported index value")),
    }
}

/// `operand[?of]` and `operand.?name`
///
/// # Errors
/// The operand has no elements, or `of` can name none.
pub fn perhaps(operand: &Value, of: &Value) -> Outcome {
    let held = match operand {
        Value::Opaque(_) => optional(operand)?,
        other => Some(other),
    };
    Ok(some_or_none(match held {
        None => None,
        Some(Value::Map(map)) => entry(map, of)?.cloned(),
        Some(Value::List(items)) => {
            usize::try_from(place(of)?).ok().and_then(|place| items.get(place)).cloned()
        }
        Some(_) => return Err(Fault::overload()),
    }))
}

/// `item in container`
///
/// # Errors
/// The container is none, or too dear to search.
pub fn within(item: &Value, container: &Value, meter: &mut Meter) -> Result<bool, Fault> {
    match container {
        Value::Map(map) => Ok(entry(map, item)?.is_some()),
        Value::List(items) => {
            for other in items.iter() {
                if equal(item, other, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(Fault::overload()),
    }
}

/// # Errors
/// They are too large to compare.
pub fn equal(left: &Value, right: &Value, meter: &mut Meter) -> Result<bool, Fault> {
    meter.charge(1)?;
    Ok(match (left, right) {
        (Value::String(a), Value::String(b)) => {
            meter.charge(tenth(a.len().min(b.len())))?;
            a == b
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            meter.charge(tenth(a.len().min(b.len())))?;
            a == b
        }
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (one, other) in a.iter().zip(b.iter()) {
                if !equal(one, other, meter)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.map.len() != b.map.len() {
                return Ok(false);
            }
            for (key, one) in a.map.iter() {
                match entry(b, &key.into())? {
                    Some(other) if equal(one, other, meter)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Opaque(_), Value::Opaque(_)) => match (optional(left), optional(right)) {
            (Ok(Some(one)), Ok(Some(other))) => equal(one, other, meter)?,
            _ => left == right,
        },
        _ => match numbers(left, right) {
            Some(order) => order == Some(Ordering::Equal),
            None => left == right,
        },
    })
}

/// How two numbers compare; `Some(None)` if one is no number at all.
fn numbers(left: &Value, right: &Value) -> Option<Option<Ordering>> {
    let with_float = |whole: i128, float: f64| {
        if float.is_nan() {
            return None;
        }
        // Beyond all integers, or else exact as one.
        if float >= 2e19 || float <= -1e19 {
            return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
        }
        let floor = float.floor();
        Some(whole.cmp(&(floor as i128)).then(if float > floor { Ordering::Less } else { Ordering::Equal }))
    };
    let whole = |value: &Value| match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::UInt(number) => Some(i128::from(*number)),
        _ => None,
    };
    Some(match (whole(left), whole(right), left, right) {
        (Some(a), Some(b), ..) => Some(a.cmp(&b)),
        (Some(a), _, _, Value::Float(b)) => with_float(a, *b),
        (_, Some(b), Value::Float(a), _) => with_float(b, *a).map(Ordering::reverse),
        (_, _, Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        _ => return None,
    })
}

/// How two values compare; nothing if one is no number.
///
/// # Errors
/// They have no order.
pub fn compare(left: &Value, right: &Value, meter: &mut Meter) -> Result<Option<Ordering>, Fault> {
    Ok(Some(match (left, right) {
        (Value::String(a), Value::String(b)) => {
            meter.charge(tenth(a.len().min(b.len())))?;
            a.cmp(b)
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            meter.charge(tenth(a.len().min(b.len())))?;
            a.cmp(b)
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        _ => return numbers(left, right).ok_or_else(Fault::overload),
    }))
}

/// `left + right`
///
/// # Errors
/// There is no such sum, or it is too large.
pub fn add(left: &Value, right: &Value, meter: &mut Meter) -> Outcome {
    Ok(match (left, right) {
        (Value::String(a), Value::String(b)) => {
            meter.bytes(a.len() + b.len())?;
            Value::String(Arc::new(format!("{a}{b}")))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            meter.bytes(a.len() + b.len())?;
            Value::Bytes(Arc::new([a.as_slice(), b.as_slice()].concat()))
        }
        (Value::List(a), Value::List(b)) => {
            meter.bytes(a.len() + b.len())?;
            Value::List(Arc::new(a.iter().chain(b.iter()).cloned().collect()))
        }
        (Value::Timestamp(time), Value::Duration(span)) | (Value::Duration(span), Value::Timestamp(time)) => {
            super::library::times::checked(time.checked_add_signed(*span))?
        }
        (Value::Duration(a), Value::Duration(b)) => span(a.checked_add(b))?,
        _ => arithmetic(left, right, i64::checked_add, u64::checked_add, |a, b| a + b)?,
    })
}

fn span(span: Option<chrono::Duration>) -> Outcome {
    let fits = span.filter(|span| span.num_nanoseconds().is_some());
    fits.map(Value::Duration).ok_or_else(|| Fault::told("duration overflow"))
}

/// `left - right`
///
/// # Errors
/// There is no such difference.
pub fn subtract(left: &Value, right: &Value) -> Outcome {
    match (left, right) {
        (Value::Timestamp(a), Value::Timestamp(b)) => span(Some(a.signed_duration_since(b))),
        (Value::Timestamp(time), Value::Duration(span)) => {
            super::library::times::checked(time.checked_sub_signed(*span))
        }
        (Value::Duration(a), Value::Duration(b)) => span(a.checked_sub(b)),
        _ => arithmetic(left, right, i64::checked_sub, u64::checked_sub, |a, b| a - b),
    }
}

/// `left * right`
///
/// # Errors
/// There is no such product.
pub fn multiply(left: &Value, right: &Value) -> Outcome {
    arithmetic(left, right, i64::checked_mul, u64::checked_mul, |a, b| a * b)
}

/// `left / right`
///
/// # Errors
/// There is no such quotient.
pub fn divide(left: &Value, right: &Value) -> Outcome {
    if matches!(right, Value::Int(0) | Value::UInt(0)) {
        return Err(Fault::told("division by zero"));
    }
    arithmetic(left, right, i64::checked_div, u64::checked_div, |a, b| a / b)
}

/// `left % right`
///
/// # Errors
/// There is no such remainder.
pub fn remainder(left: &Value, right: &Value) -> Outcome {
    match right {
        Value::Int(0) | Value::UInt(0) => Err(Fault::told("modulus by zero")),
        Value::Int(_) | Value::UInt(_) => {
            arithmetic(left, right, i64::checked_rem, u64::checked_rem, |a, _| a)
        }
        _ => Err(Fault::overload()),
    }
}

fn arithmetic(
    left: &Value,
    right: &Value,
    of_int: fn(i64, i64) -> Option<i64>,
    of_uint: fn(u64, u64) -> Option<u64>,
    of_double: fn(f64, f64) -> f64,
) -> Outcome {
    match (left, right) {
        (Value::Int(a), Value::Int(b)) => {
            of_int(*a, *b).map(Value::Int).ok_or_else(|| Fault::told("integer overflow"))
        }
        (Value::UInt(a), Value::UInt(b)) => {
            of_uint(*a, *b).map(Value::UInt).ok_or_else(|| Fault::told("unsigned integer overflow"))
        }
        (Value::Float(a), Value::Float(b)) => Ok(Value::Float(of_double(*a, *b))),
        _ => Err(Fault::overload()),
    }
}

/// `-operand`
///
/// # Errors
/// It has no negative.
pub fn negate(operand: &Value) -> Outcome {
    match operand {
        Value::Int(number) => {
            number.checked_neg().map(Value::Int).ok_or_else(|| Fault::told("integer overflow"))
        }
        Value::Float(number) => Ok(Value::Float(-number)),
        Value::Duration(it) => span(Some(-*it)),
        _ => Err(Fault::overload()),
    }
}

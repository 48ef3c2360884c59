//! Limits of strings and numbers, formats, and the values that `enum` allows.

use serde_json::{Number, Value};

use super::Outcome;
use crate::{
    custom::{Structural, formats, path::Path},
    field::{FieldError, Reason},
};

pub fn string(schema: &Structural, text: &str, at: &Path<'_>, out: &mut Outcome) {
    let limits = &schema.limits;
    let value = Value::from(text);
    let before = out.errors.len();
    let length = text.chars().count() as u64;
    if let Some(most) = limits.max_length.filter(|most| length > *most) {
        out.errors.push(FieldError::too_long(at.to_string(), most as usize));
    }
    if let Some(least) = limits.min_length.filter(|least| length < *least) {
        out.invalid(at, &value, &format!("should be at least {least} chars long"));
    }
    if let Some(pattern) = limits.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
        out.invalid(at, &value, &format!("should match '{pattern}'"));
    }
    if !schema.format.is_empty() && !formats::holds(&schema.format, text) {
        out.wrong_type(at, &schema.format, text);
    }
    out.passed += usize::from(out.errors.len() == before);
}

pub fn number(schema: &Structural, number: &Number, at: &Path<'_>, out: &mut Outcome) {
    let limits = &schema.limits;
    let Some(n) = number.as_f64() else { return };
    let value = Value::Number(number.clone());
    let before = out.errors.len();
    if let Some(factor) = limits.multiple_of.filter(|factor| !is_multiple(number, *factor)) {
        out.invalid(at, &value, &format!("should be a multiple of {}", shown(factor)));
    }
    if let Some(most) = limits.maximum {
        match limits.exclusive_maximum {
            true if n >= most => out.invalid(at, &value, &format!("should be less than {}", shown(most))),
            false if n > most => {
                out.invalid(at, &value, &format!("should be less than or equal to {}", shown(most)));
            }
            _ => {}
        }
    }
    if let Some(least) = limits.minimum {
        match limits.exclusive_minimum {
            true if n <= least => {
                out.invalid(at, &value, &format!("should be greater than {}", shown(least)))
            }
            false if n < least => {
                out.invalid(at, &value, &format!("should be greater than or equal to {}", shown(least)));
            }
            _ => {}
        }
    }
    if schema.format == "int32" && (n < f64::from(i32::MIN) || n > f64::from(i32::MAX)) {
        out.composite(format!("Checked value must be of type integer with format int32 in {at}"));
    }
    out.passed += usize::from(out.errors.len() == before);
}

pub fn allowed(schema: &Structural, value: &Value, at: &Path<'_>, out: &mut Outcome) {
    let Some(allowed) = &schema.limits.allowed else { return };
    if allowed.iter().any(|one| same(one, value)) {
        out.passed += 1;
        return;
    }
    let word = |value: &Value| {
        value.as_str().map_or_else(|| format!("{:?}", value.to_string()), |s| format!("{s:?}"))
    };
    let words: Vec<String> = allowed.iter().map(word).collect();
    let message = format!("Unsupported value: {value}: supported values: {}", words.join(", "));
    out.errors.push(FieldError { reason: Reason::NotSupported, field: at.to_string(), message });
}

/// 1 and 1.0 are one value.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

fn is_multiple(number: &Number, factor: f64) -> bool {
    if let (Some(n), true) = (number.as_i64(), factor.fract() == 0.0 && factor >= 1.0) {
        return n % (factor as i64) == 0;
    }
    let n = number.as_f64().unwrap_or_default();
    let times = if factor < 1.0 { 1.0 / factor * n } else { n / factor };
    (times - times.round()).abs() < 1e-9
}

/// A limit without a fraction as a whole number.
fn shown(limit: f64) -> String {
    limit.to_string()
}

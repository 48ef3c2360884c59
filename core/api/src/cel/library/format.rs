//! `'...'.format([...])`: values in a text, by the verbs `%s %d %f %e %b %o %x %X`.

use std::{fmt::Write, sync::Arc};

use kube_cel::cel::{Value, objects::Key};

use super::{conversions, texts::quoted};
use crate::cel::{
    evaluate::Outcome,
    fault::Fault,
    meter::{Meter, tenth},
};

/// Digits behind the point, unless the verb says it, and at most.
const DIGITS: usize = 6;
const MOST_DIGITS: usize = 100;

pub fn format(form: &str, values: &[Value], meter: &mut Meter) -> Outcome {
    meter.bytes(form.len())?;
    let mut text = String::new();
    let mut values = values.iter();
    let mut rest = form;
    let mut place = 0;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let (digits, after) = precision(after)?;
        let mut verbs = after.chars();
        let verb = verbs.next().ok_or_else(|| refused("unexpected end of string"))?;
        rest = verbs.as_str();
        let value = values.next().ok_or_else(|| Fault::told(format!("index {place} out of range")))?;
        place += 1;
        one(verb, digits, value, &mut text, meter)?;
    }
    text.push_str(rest);
    meter.charge(tenth(text.len()))?;
    Ok(Value::String(Arc::new(text)))
}

fn refused(why: &str) -> Fault {
    Fault::told(format!("could not parse formatting clause: {why}"))
}

fn precision(form: &str) -> Result<(usize, &str), Fault> {
    let Some(form) = form.strip_prefix('.') else { return Ok((DIGITS, form)) };
    let end = form.find(|c: char| !c.is_ascii_digit()).unwrap_or(form.len());
    let digits = form[..end].parse().ok().filter(|digits| *digits <= MOST_DIGITS);
    let digits = digits.ok_or_else(|| refused("precision is too large or no number"))?;
    Ok((digits, &form[end..]))
}

fn one(verb: char, digits: usize, value: &Value, text: &mut String, meter: &mut Meter) -> Result<(), Fault> {
    let made = match (verb, value) {
        ('s', value) => return shown(value, false, text, meter),
        ('d', Value::Int(number)) => number.to_string(),
        ('d', Value::UInt(number)) => number.to_string(),
        ('f' | 'e', value) => match (number(value), verb) {
            (Some(number), _) if number.is_nan() => "NaN".into(),
            (Some(number), _) if number.is_infinite() => if number > 0.0 { "∞" } else { "-∞" }.into(),
            (Some(number), 'f') => grouped(&format!("{number:.digits$}")),
            (Some(number), _) => scientific(number, digits),
            (None, _) => return Err(wrong(verb, value)),
        },
        ('b', Value::Bool(truth)) => u8::from(*truth).to_string(),
        ('b' | 'o' | 'x' | 'X', Value::Int(number)) => {
            let sign = if *number < 0 { "-" } else { "" };
            format!("{sign}{}", in_base(verb, number.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Value::UInt(number)) => in_base(verb, *number),
        ('x' | 'X', Value::String(it)) => in_hex(verb, it.as_bytes(), meter)?,
        ('x' | 'X', Value::Bytes(it)) => in_hex(verb, it, meter)?,
        ('d' | 'b' | 'o' | 'x' | 'X', value) => return Err(wrong(verb, value)),
        _ => return Err(refused(&format!("unrecognized formatting clause \"{verb}\""))),
    };
    text.push_str(&made);
    Ok(())
}

fn wrong(verb: char, value: &Value) -> Fault {
    let ty = conversions::type_name(value);
    let only = match verb {
        'd' => "decimal clause can only be used on integers",
        'f' => "fixed-point clause can only be used on doubles",
        'e' => "scientific clause can only be used on doubles",
        'b' => "only integers and bools can be formatted as binary",
        'o' => "octal clause can only be used on integers",
        'x' | 'X' => "only integers, byte buffers, and strings can be formatted as hex",
        _ => {
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, \
             durations, and timestamps"
        }
    };
    Fault::told(format!("error during formatting: {only}, was given {ty}"))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// Thousands apart, as in English.
fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(a, b)| (a, Some(b)));
    let mut grouped = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if let Some(fraction) = fraction {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    grouped
}

/// `1.5\u{202f}×\u{202f}10⁰⁰`, as English locales have it.
fn scientific(number: f64, digits: usize) -> String {
    let plain = format!("{number:.digits$e}");
    let (mantissa, exponent) = plain.split_once('e').unwrap_or((&plain, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |rest| ("⁻", rest));
    let raised = |digit: char| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit.to_digit(10).unwrap_or(0) as usize);
    let exponent: String = format!("{exponent:0>2}").chars().filter_map(raised).collect();
    format!("{mantissa}\u{202f}×\u{202f}10{sign}{exponent}")
}

fn in_base(verb: char, number: u64) -> String {
    match verb {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'x' => format!("{number:x}"),
        _ => format!("{number:X}"),
    }
}

fn in_hex(verb: char, bytes: &[u8], meter: &mut Meter) -> Result<String, Fault> {
    meter.bytes(bytes.len())?;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let written = if verb == 'x' { write!(text, "{byte:02x}") } else { write!(text, "{byte:02X}") };
        written.map_err(|why| Fault::told(why.to_string()))?;
    }
    Ok(text)
}

/// `%s`; within lists and maps, values are as literals.
fn shown(value: &Value, within: bool, text: &mut String, meter: &mut Meter) -> Result<(), Fault> {
    meter.charge(1)?;
    match value {
        Value::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                shown(item, true, text, meter)?;
            }
            text.push(']');
        }
        Value::Map(map) => {
            meter.charge(map.map.len() as u64)?;
            let mut entries = Vec::with_capacity(map.map.len());
            for (key, value) in map.map.iter() {
                let mut entry = match key {
                    Key::String(text) => quoted(text),
                    other => super::super::operators::shown_key(other),
                };
                entry.push(':');
                shown(value, true, &mut entry, meter)?;
                entries.push(entry);
            }
            entries.sort();
            meter.bytes(entries.iter().map(String::len).sum())?;
            text.push('{');
            text.push_str(&entries.join(", "));
            text.push('}');
        }
        Value::Null => text.push_str("null"),
        Value::Float(number) if within => {
            write!(text, "{number:.DIGITS$}").map_err(|why| Fault::told(why.to_string()))?;
        }
        other => {
            let Value::String(plain) = conversions::string(other, meter).map_err(|why| match why {
                Fault::Cost => Fault::Cost,
                Fault::Told(_) => wrong('s', other),
            })?
            else {
                return Err(wrong('s', other));
            };
            match (other, within) {
                (Value::String(_), true) => text.push_str(&quoted(&plain)),
                (Value::Bytes(_), true) => text.push_str(&format!("b{}", quoted(&plain))),
                (Value::Timestamp(_), true) => text.push_str(&format!("timestamp({})", quoted(&plain))),
                (Value::Duration(_), true) => text.push_str(&format!("duration({})", quoted(&plain))),
                _ => text.push_str(&plain),
            }
        }
    }
    Ok(())
}

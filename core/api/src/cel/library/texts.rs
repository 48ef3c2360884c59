//! Texts. Places in them are counted in characters.

use std::sync::Arc;

use kube_cel::cel::Value;

use super::{Table, format};
use crate::cel::{
    evaluate::Outcome,
    fault::Fault,
    meter::{Meter, tenth},
};

pub const FUNCTIONS: Table = &[
    ("size", |args, meter| {
        Ok(Value::Int(match args {
            [Value::String(text)] => {
                meter.charge(text.len() as u64 / 1024)?;
                text.chars().count()
            }
            [Value::Bytes(bytes)] => bytes.len(),
            [Value::List(items)] => items.len(),
            [Value::Map(map)] => map.map.len(),
            _ => return Err(Fault::overload()),
        } as i64))
    }),
    ("contains", |args, meter| {
        let [text, part] = words(args)?;
        meter.charge(tenth(text.len()).saturating_mul(tenth(part.len())))?;
        Ok(Value::Bool(text.contains(part)))
    }),
    ("startsWith", |args, meter| {
        let [text, part] = words(args)?;
        meter.bytes(part.len().min(text.len()))?;
        Ok(Value::Bool(text.starts_with(part)))
    }),
    ("endsWith", |args, meter| {
        let [text, part] = words(args)?;
        meter.bytes(part.len().min(text.len()))?;
        Ok(Value::Bool(text.ends_with(part)))
    }),
    ("charAt", |args, meter| {
        let [Value::String(text), Value::Int(place)] = args else { return Err(Fault::overload()) };
        let at = offset(text, *place, meter)?;
        Ok(made(text[at..].chars().take(1).collect()))
    }),
    ("lowerAscii", |args, meter| each(args, meter, |text| text.to_ascii_lowercase())),
    ("upperAscii", |args, meter| each(args, meter, |text| text.to_ascii_uppercase())),
    ("trim", |args, meter| each(args, meter, |text| text.trim().to_owned())),
    ("strings.quote", |args, meter| each(args, meter, quoted)),
    ("jsonpatch.escapeKey", |args, meter| {
        each(args, meter, |text| text.replace('~', "~0").replace('/', "~1"))
    }),
    ("replace", replace),
    ("split", split),
    ("substring", substring),
    ("join", join),
    ("format", |args, meter| {
        let [Value::String(form), Value::List(values)] = args else { return Err(Fault::overload()) };
        format::format(form, values, meter)
    }),
];

fn made(text: String) -> Value {
    Value::String(Arc::new(text))
}

/// Bytes of a text; of anything else none.
pub fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

fn word(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Fault::overload()),
    }
}

fn words<const N: usize>(args: &[Value]) -> Result<[&str; N], Fault> {
    let words = args.iter().map(word).collect::<Result<Vec<_>, _>>()?;
    words.try_into().map_err(|_| Fault::overload())
}

fn each(args: &[Value], meter: &mut Meter, work: impl FnOnce(&str) -> String) -> Outcome {
    let [text] = words(args)?;
    meter.bytes(text.len())?;
    Ok(made(work(text)))
}

fn out_of_range(place: i64) -> Fault {
    Fault::told(format!("index out of range: {place}"))
}

/// Where the character at this place begins; the end is a place, too.
fn offset(text: &str, place: i64, meter: &mut Meter) -> Result<usize, Fault> {
    let wanted = usize::try_from(place).map_err(|_| out_of_range(place))?;
    meter.bytes(text.len().min(wanted.saturating_mul(4)))?;
    let begins = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    begins.into_iter().nth(wanted).ok_or_else(|| out_of_range(place))
}

fn characters(text: &str) -> i64 {
    text.chars().count() as i64
}

/// Text, part and where to begin.
fn search<'a>(args: &'a [Value], meter: &mut Meter) -> Result<(&'a str, &'a str, Option<i64>), Fault> {
    let (text, part, from) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, Some(*from)),
        _ => return Err(Fault::overload()),
    };
    meter.bytes(text.len() + part.len())?;
    match from {
        Some(from) if from < 0 => Err(out_of_range(from)),
        _ => Ok((text, part, from)),
    }
}

pub fn index_of(args: &[Value], meter: &mut Meter) -> Outcome {
    let (text, part, from) = search(args, meter)?;
    let from = from.unwrap_or(0);
    let size = characters(text);
    if part.is_empty() {
        return Ok(Value::Int(from.min(size)));
    }
    if from >= size {
        return Ok(Value::Int(-1));
    }
    let begin = offset(text, from, meter)?;
    let found = text[begin..].find(part).map(|at| characters(&text[..begin + at]));
    Ok(Value::Int(found.unwrap_or(-1)))
}

pub fn last_index_of(args: &[Value], meter: &mut Meter) -> Outcome {
    let (text, part, from) = search(args, meter)?;
    let size = characters(text);
    if part.is_empty() {
        return Ok(Value::Int(from.map_or(size, |from| from.min(size))));
    }
    if from.is_some_and(|from| from >= size) {
        return Ok(Value::Int(-1));
    }
    // The part may begin there, and so end this much later.
    let end = match from {
        Some(from) => offset(text, size.min(from.saturating_add(characters(part))), meter)?,
        None => text.len(),
    };
    let found = text[..end].rfind(part).map(|at| characters(&text[..at]));
    Ok(Value::Int(found.unwrap_or(-1)))
}

fn replace(args: &[Value], meter: &mut Meter) -> Outcome {
    let (text, old, new, most) = match args {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, None),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(most)] => {
            (text, old, new, usize::try_from(*most).ok())
        }
        _ => return Err(Fault::overload()),
    };
    meter.bytes(text.len() * 2)?;
    let times = text.matches(old.as_str()).count().min(most.unwrap_or(usize::MAX));
    meter.bytes(times.saturating_mul(new.len()))?;
    Ok(made(text.replacen(old.as_str(), new, times)))
}

fn split(args: &[Value], meter: &mut Meter) -> Outcome {
    let (text, separator, most) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(most)] => (text, separator, *most),
        _ => return Err(Fault::overload()),
    };
    meter.bytes(text.len() * 2)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let parts: Vec<Value> = if separator.is_empty() {
        let mut parts: Vec<String> = text.chars().take(most).map(String::from).collect();
        let taken: usize = parts.iter().map(String::len).sum();
        if let Some(last) = parts.last_mut() {
            last.push_str(&text[taken..]);
        }
        parts.into_iter().map(made).collect()
    } else {
        text.splitn(most, separator.as_str()).map(|part| made(part.to_owned())).collect()
    };
    meter.charge(parts.len() as u64)?;
    Ok(Value::List(Arc::new(parts)))
}

fn substring(args: &[Value], meter: &mut Meter) -> Outcome {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(Fault::overload()),
    };
    meter.bytes(text.len())?;
    if let Some(end) = end.filter(|end| start > *end) {
        return Err(Fault::told(format!("invalid substring range. start: {start}, end: {end}")));
    }
    let from = offset(text, start, meter)?;
    let to = end.map_or(Ok(text.len()), |end| offset(text, end, meter))?;
    Ok(made(text[from..to].to_owned()))
}

fn join(args: &[Value], meter: &mut Meter) -> Outcome {
    let (items, separator) = match args {
        [Value::List(items)] => (items, ""),
        [Value::List(items), Value::String(separator)] => (items, separator.as_str()),
        _ => return Err(Fault::overload()),
    };
    let bytes: usize = items.iter().map(|item| length(item) + separator.len()).sum();
    meter.charge(items.len() as u64)?;
    meter.bytes(bytes * 2)?;
    let words = items.iter().map(word).collect::<Result<Vec<_>, _>>()?;
    Ok(made(words.join(separator)))
}

/// A text as a literal of the language.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

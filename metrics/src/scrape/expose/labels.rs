//! Name and labels of one series, from their text. Pure.

use std::borrow::Cow;

use crate::series::NAME;

/// A label, its value without escapes.
pub type Spelt<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Labels of one line. A store takes fewer; this bounds what reading them costs.
const MOST: usize = 500;

/// The labels of a series as it stands in a text, its name among them as `__name__`; in the
/// order in which they stand. A name may stand before the braces or, quoted, within.
///
/// # Errors
/// What is wrong, without where.
pub fn labels(series: &str) -> Result<Vec<Spelt<'_>>, String> {
    let mut found = Vec::with_capacity(8);
    let Some(brace) = series.find('{') else {
        name(series.trim_end_matches([' ', '\t']), &mut found)?;
        return Ok(found);
    };
    let before = series[..brace].trim_end_matches([' ', '\t']);
    if !before.is_empty() {
        name(before, &mut found)?;
    }
    let mut rest = blank(&series[brace + 1..]);
    loop {
        if found.len() > MOST {
            return Err(format!("more than {MOST} labels"));
        }
        if let Some(after) = rest.strip_prefix('}') {
            return match blank(after) {
                "" => Ok(found),
                more => Err(format!("{more:?} stands behind the labels")),
            };
        }
        rest = one(rest, &mut found)?;
    }
}

/// One label and the comma behind it; gives what is left.
fn one<'a>(text: &'a str, found: &mut Vec<Spelt<'a>>) -> Result<&'a str, String> {
    let (label, quoted, rest) = match text.starts_with('"') {
        true => {
            let (label, rest) = quoted(text)?;
            (label, true, blank(rest))
        }
        false => {
            let end = text.find(['=', '}', ',', '"']).unwrap_or(text.len());
            (Cow::Borrowed(text[..end].trim_end_matches([' ', '\t'])), false, &text[end..])
        }
    };
    let rest = match rest.strip_prefix('=') {
        Some(rest) => {
            if !quoted && !is_label(&label) {
                return Err(format!("{label:?} is no name of a label"));
            }
            if label.is_empty() {
                return Err("a label has no name".to_owned());
            }
            let (value, rest) = self::quoted(blank(rest))?;
            if found.iter().any(|(name, _)| *name == label) {
                return Err(format!("label {label:?} is there twice"));
            }
            found.push((label, value));
            rest
        }
        // A quoted name of the metric.
        None if quoted && !found.iter().any(|(name, _)| name == NAME) => {
            found.push((Cow::Borrowed(NAME), label));
            rest
        }
        None => return Err(format!("label {label:?} has no value")),
    };
    let rest = blank(rest);
    match rest.strip_prefix(',') {
        Some(rest) => Ok(blank(rest)),
        None if rest.starts_with('}') => Ok(rest),
        None => Err("a comma or the end of the labels is missing".to_owned()),
    }
}

/// A quoted text and what is behind it.
pub fn quoted(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let inner = text.strip_prefix('"').ok_or("a value must stand in quotes")?;
    let bytes = inner.as_bytes();
    let end = memchr::memchr2(b'"', b'\\', bytes).ok_or("a quote is not closed")?;
    if bytes[end] == b'"' {
        return Ok((Cow::Borrowed(&inner[..end]), &inner[end + 1..]));
    }
    let mut plain = String::from(&inner[..end]);
    let mut characters = inner[end..].char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Cow::Owned(plain), &inner[end + at + 1..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => plain.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => plain.push(escaped),
                // As Prometheus: what is no escape stands for itself.
                Some((_, other)) => plain.extend(['\\', other]),
                None => break,
            },
            other => plain.push(other),
        }
    }
    Err("a quote is not closed".to_owned())
}

fn blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

fn name<'a>(text: &'a str, found: &mut Vec<Spelt<'a>>) -> Result<(), String> {
    if !is_metric(text) {
        return Err(format!("{text:?} is no name of a metric"));
    }
    found.push((Cow::Borrowed(NAME), Cow::Borrowed(text)));
    Ok(())
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
pub fn is_metric(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':'))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

pub fn is_label(text: &str) -> bool {
    is_metric(text) && !text.contains(':')
}

/// Where the labels that begin with `{` at the text's start end, behind their `}`.
pub fn end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'}', &bytes[at..])?;
        if bytes[at] == b'}' {
            return Some(at + 1);
        }
        at += 1;
        loop {
            at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
            let escapes = bytes[at] == b'\\';
            at += if escapes { 2 } else { 1 };
            if at > bytes.len() {
                return None;
            }
            if !escapes {
                break;
            }
        }
    }
}

//! How grave a record is, found in its body: a field of JSON or logfmt, klog's
//! prefix, or a word near the begin. A body that says nothing is `unknown`;
//! that it came by stderr says nothing.

use serde_json::Value;

use crate::{
    query::{
        fields,
        text::{for_each_token, is_token_byte},
    },
    record::Level,
};

/// Field names that hold a level, the first one present counts.
const FIELDS: [&str; 7] = ["level", "severity", "lvl", "log.level", "loglevel", "levelname", "severity_text"];
/// How far into a text a level's word is looked for.
const WORD_WITHIN: usize = 120;

/// The level that the body tells.
pub fn level(body: &[u8]) -> Level {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let text = &body[start..];
    if text.first() == Some(&b'{')
        && let Some(json) = fields::json(text)
    {
        return json_level(&json).unwrap_or_default();
    }
    klog(text).or_else(|| logfmt(text)).or_else(|| word(text)).unwrap_or_default()
}

fn json_level(json: &Value) -> Option<Level> {
    let value = FIELDS.iter().find_map(|name| {
        json.get(name).or_else(|| name.split('.').try_fold(json, |value, part| value.get(part)))
    })?;
    match value {
        Value::String(text) => Level::from_word(text.trim()),
        // pino and bunyan count in tens from trace to fatal.
        Value::Number(number) => Some(match number.as_u64()? {
            10 => Level::Trace,
            20 => Level::Debug,
            30 => Level::Info,
            40 => Level::Warn,
            50 => Level::Error,
            60 => Level::Fatal,
            _ => return None,
        }),
        _ => None,
    }
}

/// `I0131 12:00:00.123456 ...`
fn klog(text: &[u8]) -> Option<Level> {
    let (first, rest) = text.split_first()?;
    let dated = rest.get(..4)?.iter().all(u8::is_ascii_digit) && rest.get(4) == Some(&b' ');
    match first {
        b'I' if dated => Some(Level::Info),
        b'W' if dated => Some(Level::Warn),
        b'E' if dated => Some(Level::Error),
        b'F' if dated => Some(Level::Fatal),
        _ => None,
    }
}

fn logfmt(text: &[u8]) -> Option<Level> {
    // Cheap no: most lines have no pair.
    if !text.contains(&b'=') {
        return None;
    }
    let mut found = None;
    fields::logfmt(text, |key, value| {
        if found.is_none() && FIELDS.contains(&key) {
            found = Level::from_word(&value);
        }
    });
    found
}

/// `ERROR`, `[warn]`, `Info:`. In lower case only with a mark beside, so that
/// "no error" in a sentence is no error.
fn word(text: &[u8]) -> Option<Level> {
    let head = &text[..text.len().min(WORD_WITHIN)];
    let mut at = 0;
    while at < head.len() {
        if !is_token_byte(head[at]) {
            at += 1;
            continue;
        }
        let end = head[at..].iter().position(|byte| !is_token_byte(*byte)).map_or(head.len(), |n| at + n);
        let run = &head[at..end];
        let before = at.checked_sub(1).and_then(|at| head.get(at));
        let marked = before.is_some_and(|byte| b"[<(|\"".contains(byte))
            || head.get(end).is_some_and(|byte| b"]>):|".contains(byte));
        let upper = run.iter().all(u8::is_ascii_uppercase);
        if (upper || marked) && (3..=13).contains(&run.len()) {
            let mut level = None;
            for_each_token(run, |token| level = std::str::from_utf8(token).ok().and_then(Level::from_word));
            // "unknown" and "fine" are words of their own.
            if let Some(level) =
                level.filter(|level| *level != Level::Unknown && !run.eq_ignore_ascii_case(b"fine"))
            {
                return Some(level);
            }
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found() {
        let check = |body: &str, expected| assert_eq!(level(body.as_bytes()), expected, "{body}");
        check(r#"{"level":"warning","msg":"ERROR"}"#, Level::Warn);
        check(r#"{"log":{"level":"error"}}"#, Level::Error);
        check(r#"{"level":50}"#, Level::Error);
        check(r#"{"msg":"ERROR"}"#, Level::Unknown);
        check("ts=1 level=debug msg=x", Level::Debug);
        check("E0131 12:00:00.1 1 main.go:1] gone", Level::Error);
        check("2026-01-31 12:00:00 ERROR [main] gone", Level::Error);
        check("[warn] careful", Level::Warn);
        check("panic: runtime error", Level::Fatal);
        check("error: no such file", Level::Error);
        check("there was no error at all", Level::Unknown);
        check("127.0.0.1 - - \"GET /info HTTP/1.1\" 200", Level::Unknown);
        check("", Level::Unknown);
    }
}

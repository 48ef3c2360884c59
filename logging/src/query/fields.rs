//! Fields of a body: JSON objects, logfmt (`key=value key="a value"`), and lines of known
//! formats, which [`super::lines`] reads.
//!
//! A name is looked up whole and then along its dots, so `http.status` finds
//! `{"http.status": 1}` and `{"http": {"status": 1}}`. An array has the values of
//! all its elements. A JSON object has its members only. Any other body has its pairs and
//! what its format says, also both of one name: a pair in a client's words hides nothing.
//! Bodies come here as [`super::plain`] gives them; values lose their colours too.

use std::borrow::Cow;

use serde_json::Value;

use super::{lines, plain::plain_text};

/// The values of the field in the body; empty when it isn't there.
pub fn values(body: &[u8], name: &str) -> Vec<String> {
    let mut found = Vec::new();
    if super::along::values(body, name, &mut found).is_none() {
        Fields::Text(body).values(name, &mut found);
    }
    found
}

/// A body's fields, for more than one question.
#[derive(Debug)]
pub enum Fields<'a> {
    Json(Value),
    /// A body that is no JSON object.
    Text(&'a [u8]),
}

impl<'a> Fields<'a> {
    pub fn of(body: &'a [u8]) -> Self {
        json(body).map_or(Self::Text(body), Self::Json)
    }

    /// Appends the values of the field.
    pub fn values(&self, name: &str, found: &mut Vec<String>) {
        let body = match self {
            Self::Json(json) => return along(json, name, found),
            Self::Text(body) => body,
        };
        let mut own = lines::value(body, name);
        found.extend(own.take_if(|(format, _)| format.leads()).map(|(_, value)| value));
        paired(body, name, found);
        found.extend(own.map(|(_, value)| value));
    }

    /// Calls `name` with the name of every field that has a value, nested ones along their dots.
    pub fn each_name(&self, name: &mut dyn FnMut(&str)) {
        match self {
            Self::Json(json) => names(json, &mut String::new(), name),
            Self::Text(body) => {
                lines::each_name(body, name);
                logfmt(body, |key, _| name(key));
            }
        }
    }
}

/// Appends the values of the pairs with this name.
pub fn paired(body: &[u8], name: &str, found: &mut Vec<String>) {
    logfmt(body, |key, value| {
        if key == name {
            found.push(match value {
                Cow::Borrowed(value) => value.to_owned(),
                Cow::Owned(value) => plain_text(&value).into_owned(),
            });
        }
    });
}

fn names(value: &Value, path: &mut String, name: &mut dyn FnMut(&str)) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        let before = path.len();
        path.push_str(if before > 0 { "." } else { "" });
        path.push_str(key);
        match value {
            Value::Object(_) => names(value, path, name),
            Value::Null => {}
            _ => name(path),
        }
        path.truncate(before);
    }
}

/// The body as a JSON object, if it is one.
pub fn json(body: &[u8]) -> Option<Value> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if body[start] != b'{' {
        return None;
    }
    // serde_json bounds the depth by itself; a deeper body is text.
    serde_json::from_slice(body).ok().filter(Value::is_object)
}

/// Appends the values that a path leads to.
pub fn along(value: &Value, path: &str, found: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    if let Some(value) = fields.get(path) {
        texts(value, found);
    }
    for (dot, _) in path.match_indices('.') {
        if let Some(inner) = fields.get(&path[..dot]) {
            along(inner, &path[dot + 1..], found);
        }
    }
}

/// The value as text. `null` is no value, an object only exists.
pub(super) fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Bool(value) => found.push(value.to_string()),
        Value::Number(value) => found.push(value.to_string()),
        Value::String(value) => found.push(plain_text(value).into_owned()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(_) => found.push(String::new()),
    }
}

/// Calls `pair` with each `key=value` of a body that is UTF-8.
pub fn logfmt<'a>(body: &'a [u8], mut pair: impl FnMut(&'a str, Cow<'a, str>)) {
    let Ok(mut rest) = std::str::from_utf8(body) else { return };
    while let Some(start) = rest.find(|c: char| !c.is_ascii_whitespace()) {
        rest = &rest[start..];
        let end = rest.find(|c: char| c == '=' || c == '"' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let is_key =
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-/@".contains(&b));
        rest = match after.strip_prefix('=') {
            Some(after) => {
                let (value, after) = logfmt_value(after);
                if is_key {
                    pair(key, value);
                }
                after
            }
            // No pair: on to the next white space.
            None => after.find(|c: char| c.is_ascii_whitespace()).map_or("", |space| &after[space..]),
        };
    }
}

fn logfmt_value(text: &str) -> (Cow<'_, str>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
        return (Cow::Borrowed(&text[..end]), &text[end..]);
    };
    let mut escaped = false;
    let end = quoted.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let Some(end) = end else { return (Cow::Borrowed(quoted), "") };
    let (raw, after) = (&quoted[..end], &quoted[end + 1..]);
    if !raw.contains('\\') {
        return (Cow::Borrowed(raw), after);
    }
    let decoded = serde_json::from_str::<String>(&format!("\"{raw}\""));
    (decoded.map_or(Cow::Borrowed(raw), Cow::Owned), after)
}

/// Texts of fields that are spelt otherwise in the raw body (by escapes, or as
/// floating point numbers). The index takes their tokens in as well, so that it
/// knows every token [`values`] can give.
pub fn hidden_texts(body: &[u8], mut found: impl FnMut(&str)) {
    let escapes = memchr::memchr(b'\\', body).is_some();
    let floats = || body.trim_ascii_start().starts_with(b"{") && may_have_float(body);
    if !escapes && !floats() {
        return;
    }
    if let Some(json) = json(body) {
        hidden_in(&json, escapes, &mut found);
    } else if escapes {
        logfmt(body, |_, value| {
            if let Cow::Owned(value) = value {
                found(&plain_text(&value));
            }
        });
    }
}

/// Whether a JSON body without escapes may have a number that is read as a floating
/// point number. Far cheaper than to read it.
fn may_have_float(body: &[u8]) -> bool {
    let mut rest = body;
    loop {
        let Some(quote) = memchr::memchr(b'"', rest) else { return has_float(rest) };
        if has_float(&rest[..quote]) {
            return true;
        }
        let text = &rest[quote + 1..];
        let Some(end) = memchr::memchr(b'"', text) else { return false };
        rest = &text[end + 1..];
    }
}

/// Whether what stands between texts may have one.
fn has_float(body: &[u8]) -> bool {
    // So many digits fit 64 bits.
    const DIGITS: usize = 18;
    let mut digits = 0;
    body.iter().any(|byte| {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'.' | b'e' | b'E' if digits > 0 => return true,
            _ => digits = 0,
        }
        digits > DIGITS
    })
}

fn hidden_in(value: &Value, escapes: bool, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) if escapes => found(&plain_text(text)),
        Value::Number(number) if number.is_f64() => found(&number.to_string()),
        Value::Array(values) => values.iter().for_each(|value| hidden_in(value, escapes, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if escapes {
                    found(name);
                }
                hidden_in(value, escapes, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_json_and_logfmt() {
        let check = |body: &str, name: &str, expected: &[&str]| {
            assert_eq!(values(body.as_bytes(), name), expected, "{name} in {body}");
        };
        check(r#"{"status":500,"http":{"path":"/a"},"http.x":true}"#, "status", &["500"]);
        check(r#"{"status":500,"http":{"path":"/a"}}"#, "http.path", &["/a"]);
        check(r#"{"http.x":true}"#, "http.x", &["true"]);
        check(r#"{"tags":["a","b"],"no":null}"#, "tags", &["a", "b"]);
        check(r#"{"no":null}"#, "no", &[]);
        check(r#"{"broken":"#, "broken", &[]);
        check(r#"level=info msg="a \"quoted\" one" n=5"#, "msg", &["a \"quoted\" one"]);
        check(r#"level=info msg="a \"quoted\" one" n=5"#, "n", &["5"]);
        check("started in 5s, mode=fast ok", "mode", &["fast"]);
        check("GET /a?b=c", "b", &[]);
        check("open=\"no end", "open", &["no end"]);
    }

    #[test]
    fn pairs_and_formats_hide_nothing_of_each_other() {
        let check = |body: &str, name: &str, expected: &[&str]| {
            assert_eq!(values(body.as_bytes(), name), expected, "{name} in {body}");
        };
        let line =
            r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 502 5 "-" "a status=200 b" rt=0.1"#;
        check(line, "status", &["502", "200"]);
        check(line, "rt", &["0.1"]);
        check(line, "method", &["GET"]);
        let line = r#"E0131 12:00:00.1 7 main.go:12] "gone" file="/etc/a" status=7"#;
        check(line, "file", &["/etc/a", "main.go"]);
        check(line, "status", &["7"]);
        check(line, "method", &[]);
        // JSON has its members and nothing else.
        check(
            r#"{"log":"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] \"GET / HTTP/1.1\" 502 5"}"#,
            "status",
            &[],
        );
    }

    #[test]
    fn texts_that_are_spelt_otherwise_are_found() {
        let check = |body: &str, expected: &[&str]| {
            let mut found = Vec::new();
            hidden_texts(body.as_bytes(), |text| found.push(text.to_owned()));
            assert_eq!(found, expected, "{body}");
        };
        check(r#"{"at":"2024-01-01T00:00:00.5Z","n":12,"ok":true,"big":123456789012345678}"#, &[]);
        check(r#"{"n":1.50}"#, &["1.5"]);
        check(r#"{"n":[1e3, 2E0]}"#, &["1000.0", "2.0"]);
        check(r#"{"n":123456789012345678901}"#, &["1.2345678901234568e+20"]);
        check(r#"{"n":"a\u0062"}"#, &["n", "ab"]);
        check("n=\"a\\nb\" x=1.50", &["a\nb"]);
    }

    #[test]
    fn abuse_16_a_deeply_nested_body_is_text() {
        let deep = format!("{}{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(json(deep.as_bytes()), None);
    }
}

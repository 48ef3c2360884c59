//! Attributes beside a text become part of the record's body, where search finds
//! them as fields. Pure.
//!
//! ```text
//! none                      the body as it was sent
//! the body is a JSON object  more members at its end; a name that is taken gets `attributes.` before it
//! any other text             ` name=value name="a value"` after it (logfmt)
//! a text that would hide them (an open quote), or bytes   {"body": ..., name: value}
//! ```

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::draft::{Capped, MAX_FIELDS, MAX_NAME, cut};
use crate::query::fields;

/// Fields of one record, in the order they were sent; each name once.
#[derive(Debug, Default)]
pub struct Fields {
    pairs: Vec<(String, Value)>,
    dropped: u64,
}

impl Fields {
    /// Adds a field. Empty ones say nothing and are left out.
    pub fn add(&mut self, name: &str, value: Value) {
        if name.is_empty() || matches!(&value, Value::Null) || value.as_str() == Some("") {
            return;
        }
        let name = cut(name, MAX_NAME);
        if self.pairs.len() >= MAX_FIELDS {
            self.dropped += 1;
            return;
        }
        self.pairs.push((name.to_owned(), value));
    }

    /// The body with the fields. What was too much is counted, and in the record too.
    pub fn join(mut self, body: &[u8], capped: &mut Capped) -> Vec<u8> {
        if self.dropped > 0 {
            capped.fields += self.dropped;
            capped.example = self.pairs.last().map(|(name, _)| name.clone()).unwrap_or_default();
            self.pairs.push(("dropped_fields".into(), self.dropped.into()));
        }
        join(body, self.pairs)
    }
}

fn join(body: &[u8], pairs: Vec<(String, Value)>) -> Vec<u8> {
    if pairs.is_empty() {
        return body.to_vec();
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return object("body_base64", STANDARD.encode(body), pairs);
    };
    if let Some(Value::Object(members)) = fields::json(body) {
        return into_object(text, &members, pairs);
    }
    let suffix = suffix(&pairs);
    let joined = match text.trim_end() {
        "" => suffix.join(" "),
        _ => format!("{text} {}", suffix.join(" ")),
    };
    // An open quote in the text would take the fields for its end.
    let mut found = Vec::new();
    fields::logfmt(joined.as_bytes(), |name, value| found.push((name, value)));
    let expected = pairs.iter().map(|(name, value)| (key(name), plain(value)));
    let all_there = found.len() >= pairs.len()
        && found[found.len() - pairs.len()..]
            .iter()
            .zip(expected)
            .all(|(found, (name, value))| found.0 == name && *found.1 == value);
    if all_there { joined.into_bytes() } else { object("body", text.to_owned(), pairs) }
}

fn object(name: &str, body: String, pairs: Vec<(String, Value)>) -> Vec<u8> {
    let mut members = Map::from_iter([(name.to_owned(), Value::String(body))]);
    for (name, value) in pairs {
        insert(&mut members, name, value);
    }
    Value::Object(members).to_string().into_bytes()
}

fn into_object(text: &str, members: &Map<String, Value>, pairs: Vec<(String, Value)>) -> Vec<u8> {
    let mut more = Map::new();
    for (name, value) in pairs {
        if members.get(&name) == Some(&value) {
            continue;
        }
        let name = if members.contains_key(&name) { format!("attributes.{name}") } else { name };
        insert(&mut more, name, value);
    }
    let (Some(end), false) = (text.rfind('}'), more.is_empty()) else { return text.as_bytes().to_vec() };
    let more = Value::Object(more).to_string();
    let comma = if members.is_empty() { "" } else { "," };
    format!("{}{comma}{}{}", &text[..end], &more[1..more.len() - 1], &text[end..]).into_bytes()
}

/// The first value of a name counts, a second one is kept beside it.
fn insert(members: &mut Map<String, Value>, name: String, value: Value) {
    let name = if members.contains_key(&name) { format!("attributes.{name}") } else { name };
    members.insert(name, value);
}

fn suffix(pairs: &[(String, Value)]) -> Vec<String> {
    let pair = |(name, value): &(String, Value)| {
        let value = plain(value);
        let bare = !value.is_empty()
            && value.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"\"\\=".contains(c));
        let value = if bare { value } else { Value::String(value).to_string() };
        format!("{}={value}", key(name))
    };
    pairs.iter().map(pair).collect()
}

/// A name that logfmt takes for one.
fn key(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-/@".contains(c);
    name.chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn joined(body: &str, pairs: &[(&str, Value)]) -> String {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.add(name, value.clone());
        }
        String::from_utf8(fields.join(body.as_bytes(), &mut Capped::default())).expect("text")
    }

    #[test]
    fn fields_stand_where_search_finds_them() {
        let check = |body: &str, pairs: &[(&str, Value)], expected: &str| {
            assert_eq!(joined(body, pairs), expected, "{body}");
        };
        check("it broke", &[], "it broke");
        check("it broke", &[("", json!(1)), ("a", json!("")), ("b", json!(null))], "it broke");
        check(
            "it broke",
            &[("code", json!(5)), ("why", json!("no disk"))],
            r#"it broke code=5 why="no disk""#,
        );
        check("", &[("event name", json!("x"))], "event_name=x");
        check("t", &[("list", json!([1, "a"]))], r#"t list="[1,\"a\"]""#);
        check(r#"{"msg":"a"}"#, &[("code", json!(5))], r#"{"msg":"a","code":5}"#);
        check("{ }", &[("code", json!(5))], r#"{ "code":5}"#);
        check(r#"{"code":4}"#, &[("code", json!(5))], r#"{"code":4,"attributes.code":5}"#);
        check(r#"{"code":5}"#, &[("code", json!(5))], r#"{"code":5}"#);
        check(r#"say="hi"#, &[("code", json!("a b"))], r#"{"body":"say=\"hi","code":"a b"}"#);
    }

    #[test]
    fn bytes_that_are_no_text_stay_exact() {
        let mut fields = Fields::default();
        fields.add("code", json!(5));
        let body = fields.join(b"\xff\x00", &mut Capped::default());
        assert_eq!(String::from_utf8_lossy(&body), r#"{"body_base64":"/wA=","code":5}"#);
        assert_eq!(Fields::default().join(b"\xff\x00", &mut Capped::default()), b"\xff\x00");
    }

    #[test]
    fn abuse_34_ten_thousand_fields_are_capped_and_counted() {
        let mut fields = Fields::default();
        for number in 0..10_000 {
            fields.add(&format!("f{number}"), json!(number));
        }
        let mut capped = Capped::default();
        let body = String::from_utf8(fields.join(b"still there", &mut capped)).expect("text");
        assert!(body.starts_with("still there f0=0 ") && body.ends_with(" f255=255 dropped_fields=9744"));
        assert_eq!((capped.fields, capped.example.as_str()), (9744, "f255"));
    }

    proptest! {
        #[test]
        fn any_field_beside_any_text_is_found(body in ".{0,40}", name in "[a-z][a-z._-]{0,9}", value in ".{1,20}") {
            prop_assume!(!value.contains('\u{1b}') && !value.contains("\\u001"));
            let text = joined(&body, &[(&name, json!(value))]);
            let found = fields::values(text.as_bytes(), &name);
            prop_assert!(found.contains(&value), "{} in {}: {:?}", name, text, found);
        }
    }
}

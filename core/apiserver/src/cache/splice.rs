//! Puts `metadata.resourceVersion` into an object's JSON without decoding it.
//!
//! One pass finds the top-level `metadata` and, in it, a stale `resourceVersion`;
//! the rest is copied as it is. Pure.

use bytes::Bytes;
use tiphys_store::Revision;

/// The object with its resourceVersion set: in the place of a stale one, else as
/// the first field of `metadata`, which is made if it is missing. Bytes that hold
/// no JSON object come back as they are.
pub fn with_resource_version(json: &[u8], revision: Revision) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + ROOM);
    splice_into(&mut out, json, revision);
    out.into()
}

/// An object's `metadata` as it is written.
pub fn metadata(json: &[u8]) -> Option<&[u8]> {
    let top = skip_space(json, 0);
    if json.get(top) != Some(&b'{') {
        return None;
    }
    let (from, to) = member(json, top + 1, b"metadata")??;
    json.get(from..to)
}

/// The most that [`splice_into`] adds.
pub const ROOM: usize = 60;

/// [`with_resource_version`], appended to a buffer.
pub fn splice_into(out: &mut Vec<u8>, json: &[u8], revision: Revision) {
    match place(json) {
        Some(Place::Replace(from, to)) => splice(out, json, from, to, &format!("\"{revision}\"")),
        Some(Place::Insert(at)) => {
            let comma = if empty_from(json, at) { "" } else { "," };
            splice(out, json, at, at, &format!("\"resourceVersion\":\"{revision}\"{comma}"));
        }
        Some(Place::NoMetadata(at)) => {
            let comma = if empty_from(json, at) { "" } else { "," };
            splice(out, json, at, at, &format!("\"metadata\":{{\"resourceVersion\":\"{revision}\"}}{comma}"));
        }
        None => out.extend_from_slice(json),
    }
}

fn splice(out: &mut Vec<u8>, json: &[u8], from: usize, to: usize, text: &str) {
    out.extend_from_slice(&json[..from]);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(&json[to..]);
}

/// Where the resourceVersion goes.
enum Place {
    /// From and to of the stale value.
    Replace(usize, usize),
    /// Behind the opening brace of `metadata`.
    Insert(usize),
    /// Behind the opening brace of the object.
    NoMetadata(usize),
}

fn place(json: &[u8]) -> Option<Place> {
    let top = skip_space(json, 0);
    if json.get(top) != Some(&b'{') {
        return None;
    }
    let Some((metadata, _)) = member(json, top + 1, b"metadata")? else {
        return Some(Place::NoMetadata(top + 1));
    };
    if json.get(metadata) != Some(&b'{') {
        return None;
    }
    Some(match member(json, metadata + 1, b"resourceVersion")? {
        Some((from, to)) => Place::Replace(from, to),
        None => Place::Insert(metadata + 1),
    })
}

/// Begin and end of the value of one member of the object whose inside begins at
/// `at`; the inner `None` if it has no such member, the outer if this is no JSON.
fn member(json: &[u8], mut at: usize, name: &[u8]) -> Option<Option<(usize, usize)>> {
    loop {
        at = skip_space(json, at);
        match *json.get(at)? {
            b'}' => return Some(None),
            b',' => at += 1,
            b'"' => {
                let key_end = skip_string(json, at)?;
                let key = &json[at + 1..key_end - 1];
                let colon = skip_space(json, key_end);
                if json.get(colon) != Some(&b':') {
                    return None;
                }
                let value = skip_space(json, colon + 1);
                let end = skip_value(json, value)?;
                if key == name {
                    return Some(Some((value, end)));
                }
                at = end;
            }
            _ => return None,
        }
    }
}

fn empty_from(json: &[u8], at: usize) -> bool {
    json.get(skip_space(json, at)) == Some(&b'}')
}

fn skip_space(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// The end of the string that begins at `at`.
fn skip_string(json: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        match *json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of the value that begins at `at`.
fn skip_value(json: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match *json.get(at)? {
            b'"' => at = skip_string(json, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ => at += 1,
        }
        if depth == 0 && json.get(at).is_none_or(|byte| b",}] \t\r\n".contains(byte)) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &str) {
        let spliced = with_resource_version(json.as_bytes(), 42);
        assert_eq!(String::from_utf8_lossy(&spliced), expected);
    }

    #[test]
    fn it_becomes_the_first_field_of_metadata() {
        check(r#"{"metadata":{"name":"a"}}"#, r#"{"metadata":{"resourceVersion":"42","name":"a"}}"#);
        check(
            r#"{"kind":"X", "metadata" : { } }"#,
            r#"{"kind":"X", "metadata" : {"resourceVersion":"42" } }"#,
        );
        check(r#"{"metadata":{}}"#, r#"{"metadata":{"resourceVersion":"42"}}"#);
    }

    #[test]
    fn a_stale_one_is_replaced() {
        check(
            r#"{"metadata":{"name":"a","resourceVersion":"7","uid":"u"}}"#,
            r#"{"metadata":{"name":"a","resourceVersion":"42","uid":"u"}}"#,
        );
        check(r#"{"metadata":{"resourceVersion":null}}"#, r#"{"metadata":{"resourceVersion":"42"}}"#);
    }

    #[test]
    fn only_the_top_level_metadata_counts() {
        check(
            r#"{"data":{"metadata":"{\"metadata\":{"},"spec":[{"metadata":{"resourceVersion":"1"}}],"metadata":{"labels":{"resourceVersion":"x"}}}"#,
            r#"{"data":{"metadata":"{\"metadata\":{"},"spec":[{"metadata":{"resourceVersion":"1"}}],"metadata":{"resourceVersion":"42","labels":{"resourceVersion":"x"}}}"#,
        );
        check(
            r#"{"a\"metadata":1,"n":-1.5e3,"b":true}"#,
            r#"{"metadata":{"resourceVersion":"42"},"a\"metadata":1,"n":-1.5e3,"b":true}"#,
        );
        check("{}", r#"{"metadata":{"resourceVersion":"42"}}"#);
    }

    #[test]
    fn what_is_no_object_stays() {
        for text in
            ["", "7", "[1]", r#"{"metadata":7}"#, r#"{"metadata":{"#, r#"{"a"#, "{\"a\":1", "nonsense"]
        {
            check(text, text);
        }
    }
}

//! Whether an answer has what is asked of it.

use regex::Regex;
use serde_json::Value;

/// What is missing, with the pointer to it; nothing if all is there.
pub fn missing(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    let differs = || Some(format!("at {at:?}: wanted {wanted}, found {found}"));
    match (wanted, found) {
        (Value::Object(fields), Value::Object(_)) => fields
            .iter()
            .find_map(|(key, value)| missing(value, &found[key.as_str()], &format!("{at}/{key}"))),
        (Value::Array(items), Value::Array(there)) if items.len() == there.len() => {
            let mut pairs = items.iter().zip(there).enumerate();
            pairs.find_map(|(index, (item, value))| missing(item, value, &format!("{at}/{index}")))
        }
        (Value::String(text), Value::String(there)) => {
            if holds(text, there) {
                None
            } else {
                differs()
            }
        }
        (wanted, found) if wanted == found => None,
        _ => differs(),
    }
}

/// A text itself, or a pattern between slashes.
fn holds(wanted: &str, there: &str) -> bool {
    let pattern = wanted.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    match pattern.filter(|pattern| !pattern.is_empty()) {
        Some(pattern) => matches(pattern, there),
        None => wanted == there,
    }
}

pub fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
}

#[test]
fn what_is_missing_is_named() {
    use serde_json::json;

    let found = json!({"a": [{"b": "word 1", "c": 2}], "d": null});
    for wanted in [json!({}), json!({"a": [{"b": "/^word \\d$/"}]}), json!({"d": null, "e": null})] {
        assert_eq!(missing(&wanted, &found, ""), None, "{wanted}");
    }
    for wanted in
        [json!({"a": []}), json!({"a": [{"b": "word"}]}), json!({"a": [{"c": "2"}]}), json!({"d": {}})]
    {
        assert!(missing(&wanted, &found, "").is_some(), "{wanted}");
    }
}

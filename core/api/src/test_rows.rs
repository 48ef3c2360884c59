//! Tables of tests as text: a line a case, `what => what is said of it`.

use serde_json::Value;

use crate::field::FieldError;

pub fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = table.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_once(" => ").unwrap_or_else(|| panic!("no arrow in {line}")))
}

pub fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Errors as the right side of a row.
pub fn said(errors: &[FieldError]) -> String {
    let words: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.message.trim_end())).collect();
    if words.is_empty() { "nothing".into() } else { words.join(" | ") }
}

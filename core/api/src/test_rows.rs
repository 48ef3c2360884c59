//! Tables of tests as text: a line a case, `what => what is said of it`.

use serde_json::Value;

pub fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = table.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_once(" => ").unwrap_or_else(|| panic!("no arrow in {line}")))
}

pub fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

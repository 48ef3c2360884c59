//! Rows with each value on a line of its own, for rows that are wider than a terminal. Pure.

use std::fmt::Write;

use serde_json::Value;

/// The answer in the format `columns`, written so; `None` if it isn't one.
pub fn shown(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let names: Vec<&str> =
        answer["columns"].as_array()?.iter().filter_map(|column| column["name"].as_str()).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (number, row) in answer["rows"].as_array()?.iter().enumerate() {
        let _ = writeln!(text, "-[ RECORD {} ]{}", number + 1, "-".repeat(width));
        for (name, value) in names.iter().zip(row.as_array()?) {
            let value = match value {
                Value::Null => String::new(),
                Value::String(value) => value.clone(),
                other => other.to_string(),
            };
            let gap = " ".repeat(width - name.chars().count());
            // Further lines stand below the first one.
            let value = value.replace('\n', &format!("\n{} | ", " ".repeat(width)));
            let _ = writeln!(text, "{name}{gap} | {value}");
        }
    }
    if text.is_empty() {
        text.push_str("(0 rows)\n");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn values_stand_below_each_other() {
        let answer = br#"{"columns": [{"name": "a"}, {"name": "body"}], "rows": [[1, "x\ny"], [null, "z"]]}"#;
        let expected =
            "-[ RECORD 1 ]----\na    | 1\nbody | x\n     | y\n-[ RECORD 2 ]----\na    | \nbody | z\n";
        assert_eq!(shown(answer).as_deref(), Some(expected));
        assert_eq!(shown(br#"{"columns": [], "rows": []}"#).as_deref(), Some("(0 rows)\n"));
        assert_eq!(shown(b"no"), None);
    }
}

//! Table cells as kubectl prints them: the columns and texts kinds share.
//!
//! A column's cell is a pure function of an object; kubectl prints the name in
//! capitals and aligns the cells. Columns marked [`wide`](Column::wide) show with `-o wide`.

use serde_json::{Value, json};

use crate::{access, human, kind::Column};

impl Column {
    /// A column of texts.
    pub const fn text(name: &'static str, cell: fn(&Value, i64) -> Value) -> Self {
        Self { name, kind: "string", format: "", description: "", priority: 0, cell }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str, cell: fn(&Value, i64) -> Value) -> Self {
        Self { name, kind: "integer", format: "", description: "", priority: 0, cell }
    }

    /// The same column, shown only with `-o wide`.
    pub const fn wide(self) -> Self {
        Self { priority: 1, ..self }
    }
}

/// The columns of a kind that has none of its own.
pub const NAME_AND_AGE: &[Column] = &[NAME, AGE];

pub const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "Name must be unique within a namespace.",
    priority: 0,
    cell: |object, _| access::text(object, "/metadata/name").into(),
};

pub const AGE: Column = Column {
    name: "Age",
    kind: "string",
    format: "",
    description: "Time since the object was created.",
    priority: 0,
    cell: |object, now| human::since(object.pointer("/metadata/creationTimestamp"), now).into(),
};

/// The text at a pointer, or `<none>`.
pub fn text_or_none(object: &Value, pointer: &str) -> Value {
    text_or(object, pointer, "<none>")
}

pub fn text_or(object: &Value, pointer: &str, absent: &str) -> Value {
    match access::text(object, pointer) {
        "" => absent.into(),
        text => text.into(),
    }
}

/// The number at a pointer, or 0.
pub fn number(object: &Value, pointer: &str) -> Value {
    json!(access::int(object, pointer).unwrap_or_default())
}

/// Texts joined by commas, or `<none>`.
pub fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    let texts: Vec<&str> = texts.into_iter().collect();
    if texts.is_empty() { "<none>".into() } else { texts.join(",").into() }
}

/// The first few texts, and how many more there are: `a,b,c + 2 more...`.
pub fn first_few(texts: &[String], limit: usize) -> String {
    match texts.len() {
        0 => "<none>".into(),
        n if n > limit => format!("{} + {} more...", texts[..limit].join(","), n - limit),
        _ => texts.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_lists() {
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "1970-01-01T00:01:00Z"}});
        assert_eq!((AGE.cell)(&object, 120), json!("60s"));
        assert_eq!((AGE.cell)(&json!({}), 120), json!("<unknown>"));
        let texts: Vec<String> = ["a", "b", "c", "d"].map(String::from).into();
        assert_eq!((first_few(&texts, 3), first_few(&[], 3)), ("a,b,c + 1 more...".into(), "<none>".into()));
    }
}

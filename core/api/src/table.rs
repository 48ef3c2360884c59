//! Table cells as kubectl prints them: the columns every kind shares.

use serde_json::{Value, json};

use crate::kind::Column;

/// The columns of a kind that has none of its own.
pub const NAME_AND_AGE: &[Column] = &[NAME, AGE];

pub const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    description: "Name must be unique within a namespace.",
    priority: 0,
    cell: |object, _| object.pointer("/metadata/name").cloned().unwrap_or_else(|| json!("")),
};

pub const AGE: Column = Column {
    name: "Age",
    kind: "string",
    format: "",
    description: "Time since the object was created.",
    priority: 0,
    cell: |_, _| Value::Null,
};

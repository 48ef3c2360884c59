//! Columns of a custom resource's table: the name, then `additionalPrinterColumns`, or the age
//! when there are none.

use serde_json::{Value, json};

use super::jsonpath::JsonPath;
use crate::{
    access::{int, list, text},
    human,
    table::NAME,
};

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// integer, number, string, boolean, date
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    path: JsonPath,
}

/// The columns behind the name.
pub fn of_version(version: &Value) -> Vec<Column> {
    let given = list(version, "/additionalPrinterColumns");
    let columns: Vec<Column> = given.iter().filter_map(column).collect();
    if !given.is_empty() {
        return columns;
    }
    let age = json!({
        "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
        "description": "Time since the object was created.",
    });
    column(&age).into_iter().collect()
}

fn column(column: &Value) -> Option<Column> {
    let path = text(column, "/jsonPath");
    let described = text(column, "/description");
    Some(Column {
        name: text(column, "/name").into(),
        kind: text(column, "/type").into(),
        format: text(column, "/format").into(),
        description: match described {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            text => text.into(),
        },
        priority: int(column, "/priority").unwrap_or_default(),
        path: JsonPath::parse(path).ok()?,
    })
}

/// The definitions of a table's columns.
pub fn definitions(columns: &[Column]) -> Vec<Value> {
    let name = json!({
        "name": NAME.name, "type": NAME.kind, "format": NAME.format,
        "description": NAME.description, "priority": 0,
    });
    let others = columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    });
    std::iter::once(name).chain(others).collect()
}

/// The cells of an object; `now` is seconds since the Unix epoch.
pub fn cells(columns: &[Column], object: &Value, now: i64) -> Vec<Value> {
    let name = (NAME.cell)(object, now);
    std::iter::once(name).chain(columns.iter().map(|column| column.cell(object, now))).collect()
}

impl Column {
    fn cell(&self, object: &Value, now: i64) -> Value {
        let Some(value) = self.path.find(object).into_iter().next() else { return Value::Null };
        match (self.kind.as_str(), value) {
            (_, Value::Null) => Value::Null,
            ("string", Value::String(text)) => text.as_str().into(),
            ("string", other) => other.to_string().into(),
            ("integer", Value::Number(n)) => match (n.as_i64(), n.as_f64()) {
                (Some(n), _) => n.into(),
                (None, Some(n)) => (n as i64).into(),
                _ => Value::Null,
            },
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
            ("date", Value::String(time)) => match time.parse::<jiff::Timestamp>() {
                Ok(_) => human::since(Some(value), now).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_columns_type() {
        let version = json!({"additionalPrinterColumns": [
            {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"},
            {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
            {"name": "Ports", "type": "string", "jsonPath": ".spec.ports"},
            {"name": "On", "type": "boolean", "jsonPath": ".spec.on"},
            {"name": "Made", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1},
            {"name": "None", "type": "string", "jsonPath": ".none"},
            {"name": "Wrong", "type": "integer", "jsonPath": ".spec.on"},
        ]});
        let object = json!({
            "metadata": {"name": "a", "creationTimestamp": "1970-01-01T00:01:00Z"},
            "spec": {"replicas": 3, "ports": [1, 2], "on": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let columns = of_version(&version);
        let expected = json!(["a", 3, "True", "[1,2]", true, "60s", null, null]);
        assert_eq!(json!(cells(&columns, &object, 120)), expected);
        assert_eq!(definitions(&columns)[5]["priority"], 1);
        let age = of_version(&json!({}));
        assert_eq!(json!(cells(&age, &object, 120)), json!(["a", "60s"]));
    }
}

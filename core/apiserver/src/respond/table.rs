//! `meta.k8s.io` Tables: what `kubectl get` prints. Pure, but for the clock.

use serde_json::{Value, json};
use tiphys_api::{custom::columns, kind::Column, table::NAME_AND_AGE};

use super::shape;
use crate::registry::Resource;

/// A Table of objects. Column definitions are sent when `with_columns`: a watch
/// sends them with its first event only.
pub fn of(
    resource: &Resource,
    version: &str,
    list_meta: Value,
    objects: Vec<Value>,
    include_object: &str,
    with_columns: bool,
) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let rows = objects.into_iter().map(|object| {
        let cells = cells(resource, &object, now);
        row(cells, object, version, include_object)
    });
    let columns = if with_columns { definitions(resource).into() } else { Value::Null };
    table(version, list_meta, rows.collect(), columns)
}

/// A Table of one object by columns that are not its resource's.
pub fn of_columns(columns: &[Column], version: &str, object: Value, include_object: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let list_meta = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
    let cells = columns.iter().map(|column| (column.cell)(&object, now)).collect();
    let row = row(cells, object, version, include_object);
    table(version, list_meta, vec![row], columns.iter().map(definition).collect())
}

fn row(cells: Vec<Value>, object: Value, version: &str, include_object: &str) -> Value {
    match include_object {
        "None" => json!({ "cells": cells }),
        "Object" => json!({ "cells": cells, "object": object }),
        _ => json!({ "cells": cells, "object": shape::metadata(object, version) }),
    }
}

fn table(version: &str, list_meta: Value, rows: Vec<Value>, columns: Value) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": list_meta,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

fn built_in(resource: &Resource) -> &'static [Column] {
    if resource.kind.columns.is_empty() { NAME_AND_AGE } else { resource.kind.columns }
}

fn definitions(resource: &Resource) -> Vec<Value> {
    if let Some(custom) = &resource.custom {
        return columns::definitions(&custom.version.columns);
    }
    built_in(resource).iter().map(definition).collect()
}

fn definition(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

fn cells(resource: &Resource, object: &Value, now: i64) -> Vec<Value> {
    match &resource.custom {
        Some(custom) => columns::cells(&custom.version.columns, object, now),
        None => built_in(resource).iter().map(|column| (column.cell)(object, now)).collect(),
    }
}

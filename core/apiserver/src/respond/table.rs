//! `meta.k8s.io` Tables: what `kubectl get` prints. Pure, but for the clock.

use serde_json::{Value, json};
use tiphys_api::{kind::Kind, table::NAME_AND_AGE};

use super::shape;

/// A Table of objects. Column definitions are sent when `with_columns`: a watch
/// sends them with its first event only.
pub fn of(
    kind: &Kind,
    version: &str,
    list_meta: Value,
    objects: Vec<Value>,
    include_object: &str,
    with_columns: bool,
) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let columns = if kind.columns.is_empty() { NAME_AND_AGE } else { kind.columns };
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": column.kind,
                "format": column.format,
                "description": column.description,
                "priority": column.priority,
            })
        })
        .collect();
    let row = |object: Value| {
        let cells: Vec<Value> = columns.iter().map(|column| (column.cell)(&object, now)).collect();
        match include_object {
            "None" => json!({ "cells": cells }),
            "Object" => json!({ "cells": cells, "object": object }),
            _ => json!({ "cells": cells, "object": shape::metadata(object, version) }),
        }
    };
    let mut table = json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": list_meta,
        "rows": objects.into_iter().map(row).collect::<Vec<_>>(),
    });
    table["columnDefinitions"] = if with_columns { definitions.into() } else { Value::Null };
    table
}

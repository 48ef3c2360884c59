//! `meta.k8s.io` Tables: what `kubectl get` prints. Pure, but for the clock.

use serde_json::{Value, json};
use tiphys_api::{custom::columns, table::NAME_AND_AGE};

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
    let row = |object: Value| {
        let cells = cells(resource, &object, now);
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
    table["columnDefinitions"] = if with_columns { definitions(resource).into() } else { Value::Null };
    table
}

fn built_in(resource: &Resource) -> &'static [tiphys_api::kind::Column] {
    if resource.kind.columns.is_empty() { NAME_AND_AGE } else { resource.kind.columns }
}

fn definitions(resource: &Resource) -> Vec<Value> {
    if let Some(custom) = &resource.custom {
        return columns::definitions(&custom.version.columns);
    }
    let definition = |column: &tiphys_api::kind::Column| {
        json!({
            "name": column.name,
            "type": column.kind,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    };
    built_in(resource).iter().map(definition).collect()
}

fn cells(resource: &Resource, object: &Value, now: i64) -> Vec<Value> {
    match &resource.custom {
        Some(custom) => columns::cells(&custom.version.columns, object, now),
        None => built_in(resource).iter().map(|column| (column.cell)(object, now)).collect(),
    }
}

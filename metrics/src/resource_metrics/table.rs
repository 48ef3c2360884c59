//! Metrics as a table, which is what `kubectl get podmetrics` shows. Columns as metrics-server's.

use serde_json::{Value, json};

use super::item::{self, Item, Measured};

/// A `Table` of meta.k8s.io in this version.
pub fn of(version: &str, kind: &str, items: &[Item], include: &str) -> Value {
    let column = |name: &str, format: &str, description: &str| json!({"name": name, "type": "string", "format": format, "description": description, "priority": 0});
    let rows: Vec<_> = items.iter().map(|item| row(version, kind, item, include)).collect();
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": {},
        "columnDefinitions": [
            column("Name", "name", "Name of the resource"), column("cpu", "quantity", ""),
            column("memory", "quantity", ""), column("Window", "duration", ""),
        ],
        "rows": rows,
    })
}

fn row(version: &str, kind: &str, item: &Item, include: &str) -> Value {
    let sum = |of: fn(&Measured) -> i64| -> i64 { item.usage.iter().map(of).sum() };
    let cells = [
        item.name.clone(),
        item::cpu(sum(Measured::cpu)),
        item::memory(sum(Measured::memory)),
        item::duration(item.window()),
    ];
    let mut row = json!({ "cells": cells });
    match include {
        "None" => {}
        "Object" => row["object"] = item.json(kind),
        _ => {
            row["object"] = json!({
                "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": item.metadata(),
            });
        }
    }
    row
}

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
        "Object" => row["object"] = item.object(kind),
        _ => row["object"] = item.partial(version),
    }
    row
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::memory::Reading;

    #[test]
    fn sums_are_canonical_and_zero_has_no_unit() {
        let cells = |usage: &[(f64, f64)]| {
            let reading =
                |value: f64| Reading { value, time: 0, window: 15_000_000, ways: Default::default() };
            let measured = |&(cpu, memory): &(f64, f64)| Measured {
                name: "c".into(),
                cpu: reading(cpu),
                memory: reading(memory),
            };
            let usage = usage.iter().map(measured).collect();
            let item = Item { namespace: "n".into(), name: "p".into(), labels: BTreeMap::new(), usage };
            of("v1", "PodMetrics", &[item], "None")["rows"][0]["cells"].clone()
        };
        assert_eq!(cells(&[(0.0, 0.0)]), json!(["p", "0", "0", "15s"]));
        assert_eq!(cells(&[(0.0, 229_376.0)]), json!(["p", "0", "224Ki", "15s"]));
        let halves = [(0.5, 524_288.0), (0.5, 524_288.0)];
        assert_eq!(cells(&halves), json!(["p", "1", "1Mi", "15s"]));
    }
}

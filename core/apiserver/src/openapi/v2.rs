//! The OpenAPI v2 document of all kinds, as JSON. Pure.

use serde_json::{Map, Value, json};
use tiphys_api::{kind::Kind, schema};

use super::{
    paths::{self, Operation, Path},
    root, v3,
};
use crate::discovery::GIT_VERSION;

pub fn document(kinds: &[&'static Kind]) -> Value {
    let mut all = Map::new();
    for kind in kinds {
        for path in paths::of(kind, &root(kind)) {
            let mut item = Map::new();
            for operation in &path.operations {
                item.insert(operation.method.into(), describe(&path, operation));
            }
            let parameters = in_path(&path);
            if !parameters.is_empty() {
                item.insert("parameters".into(), parameters.into());
            }
            all.insert(path.path, item.into());
        }
    }
    json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": GIT_VERSION },
        "paths": all,
        "definitions": schema::definitions_v2(),
    })
}

fn in_path(path: &Path) -> Vec<Value> {
    let names = [("name", path.named), ("namespace", path.namespaced)];
    let wanted = names.iter().filter(|(_, wanted)| *wanted);
    wanted
        .map(|(name, _)| json!({ "name": name, "in": "path", "required": true, "type": "string" }))
        .collect()
}

fn describe(path: &Path, operation: &Operation) -> Value {
    let query = operation.query.iter().map(|query| {
        json!({ "name": query.name, "in": "query", "type": query.kind, "description": query.description })
    });
    json!({
        "operationId": v3::id(path, operation),
        "consumes": ["application/json", "application/yaml"],
        "produces": ["application/json", "application/yaml"],
        "parameters": query.collect::<Vec<_>>(),
        "responses": { "200": { "description": "OK" } },
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind":
            { "group": operation.group, "version": operation.version, "kind": operation.kind },
    })
}

//! The OpenAPI v2 document of all kinds, as JSON. Pure.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tiphys_api::{custom::openapi, schema};

use super::{
    paths::{self, Operation, Path},
    root, v3,
};
use crate::{discovery::GIT_VERSION, registry::Resource};

pub fn document(resources: &[Arc<Resource>]) -> Value {
    let mut all = Map::new();
    let mut definitions = schema::definitions_v2();
    for resource in resources {
        let kind = resource.kind;
        if let Some(custom) = &resource.custom {
            let own = openapi::definitions(kind, &custom.version.openapi);
            definitions
                .extend(own.iter().map(|(name, definition)| (name.clone(), openapi::to_v2(definition))));
        }
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
        "definitions": definitions,
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

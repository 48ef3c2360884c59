//! An OpenAPI v3 document of one group and version. Pure.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tiphys_api::{custom::openapi, kind::Kind, kinds, schema};

use super::paths::{self, Operation, Path, Query};
use crate::{discovery::GIT_VERSION, registry::Resource};

const PREFIX: &str = "#/components/schemas/";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

const PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The document of the resources below a root such as `apis/apps/v1`.
pub fn document(root: &str, resources: &[Arc<Resource>]) -> Value {
    let mut names: Vec<String> = vec![STATUS.into()];
    let mut own = Map::new();
    let mut all = Map::new();
    for resource in resources {
        let kind = resource.kind;
        match &resource.custom {
            Some(custom) => own.extend(openapi::definitions(kind, &custom.version.openapi)),
            None => names.extend([kind.definition.into(), format!("{}List", kind.definition)]),
        }
        for path in paths::of(kind, root) {
            names.extend(path.operations.iter().filter_map(|op| definition(op, kind)).map(String::from));
            let item = item(&path, kind, resource.custom.is_some());
            all.insert(path.path, item);
        }
    }
    own.values().for_each(|definition| names.extend(schema::references(definition)));
    let mut schemas = schema::closure(names.iter().map(String::as_str));
    schemas.extend(own);
    schemas.insert(
        PATCH.into(),
        json!({ "type": "object", "description": "A patch of one of the four types." }),
    );
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Kubernetes", "version": GIT_VERSION },
        "paths": all,
        "components": { "schemas": schemas },
    })
}

/// The schema of an operation's object, if it has one. `kind` is the one whose path it is.
fn definition(operation: &Operation, kind: &Kind) -> Option<&'static str> {
    let own = match (operation.group, operation.version, operation.kind) {
        of_path if of_path == (kind.group, kind.version, kind.kind) => kind.definition,
        ("autoscaling", "v1", "Scale") => "io.k8s.api.autoscaling.v1.Scale",
        ("policy", "v1", "Eviction") => "io.k8s.api.policy.v1.Eviction",
        ("authentication.k8s.io", "v1", "TokenRequest") => "io.k8s.api.authentication.v1.TokenRequest",
        (group, version, kind) => {
            let api_version =
                if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            kinds::by_kind(&api_version, kind)?.definition
        }
    };
    Some(own)
}

fn item(path: &Path, kind: &Kind, custom: bool) -> Value {
    let mut item = Map::new();
    let mut parameters = Vec::new();
    if path.named {
        parameters.push(json!({
            "name": "name", "in": "path", "required": true,
            "description": format!("name of the {}", kind.kind),
            "schema": { "type": "string", "uniqueItems": true },
        }));
    }
    if path.namespaced {
        parameters.push(json!({
            "name": "namespace", "in": "path", "required": true,
            "description": "the namespace of the object",
            "schema": { "type": "string", "uniqueItems": true },
        }));
    }
    if !parameters.is_empty() {
        item.insert("parameters".into(), parameters.into());
    }
    for operation in &path.operations {
        item.insert(operation.method.into(), describe(path, operation, kind, custom));
    }
    item.into()
}

fn describe(path: &Path, operation: &Operation, kind: &Kind, custom: bool) -> Value {
    let mut described = json!({
        "operationId": id(path, operation),
        "parameters": operation.query.iter().map(parameter).collect::<Vec<_>>(),
        "responses": { "200": answer(operation, kind) },
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind":
            { "group": operation.group, "version": operation.version, "kind": operation.kind },
    });
    match operation.method {
        "patch" => {
            let content: Map<String, Value> = PATCH_TYPES
                .iter()
                .filter(|media_type| !(custom && media_type.contains("strategic")))
                .map(|media_type| {
                    ((*media_type).to_owned(), json!({ "schema": { "$ref": format!("{PREFIX}{PATCH}") } }))
                })
                .collect();
            described["requestBody"] = json!({ "required": true, "content": content });
        }
        "post" | "put" => {
            if let Some(name) = definition(operation, kind) {
                let schema = json!({ "schema": { "$ref": format!("{PREFIX}{name}") } });
                described["requestBody"] = json!({ "required": true, "content": { "*/*": schema } });
            }
        }
        _ => {}
    }
    described
}

fn parameter(query: &Query) -> Value {
    json!({
        "name": query.name,
        "in": "query",
        "description": query.description,
        "schema": { "type": query.kind, "uniqueItems": true },
    })
}

fn answer(operation: &Operation, kind: &Kind) -> Value {
    let name = match (operation.method, operation.list) {
        ("delete", _) => Some(STATUS.to_owned()),
        (_, true) => definition(operation, kind).map(|name| format!("{name}List")),
        _ => definition(operation, kind).map(String::from),
    };
    match name {
        Some(name) => {
            let schema = json!({ "schema": { "$ref": format!("{PREFIX}{name}") } });
            json!({ "description": "OK", "content": { "application/json": schema, "application/yaml": schema } })
        }
        None => json!({ "description": "OK" }),
    }
}

/// One of a kind in the document: `patchAppsV1NamespacesNamespaceDeploymentsName`.
pub fn id(path: &Path, operation: &Operation) -> String {
    let words = path.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let camel = words.map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    });
    std::iter::once(operation.method.to_owned()).chain(camel).collect()
}

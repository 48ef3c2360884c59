//! Custom resources: definitions, and what they define, through the API.

mod definitions;
mod lifecycle;
mod objects;
mod published;
pub mod versions;
mod webhooks;

use serde_json::{Value, json};

use super::harness::Harness;

pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub const CRONTABS: &str = "/apis/stable.example.com/v1/namespaces/default/crontabs";

/// A schema with a bit of everything.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "description": "A CronTab runs now and then.",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["cron"],
                "properties": {
                    "cron": {"type": "string", "pattern": "^[0-9* /]+$", "description": "When it runs."},
                    "image": {"type": "string", "default": "web:1"},
                    "replicas": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
                    "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {
                            "name": {"type": "string"}, "port": {"type": "integer"}}}},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                },
            },
            "status": {"type": "object", "properties": {
                "replicas": {"type": "integer"}, "selector": {"type": "string"}, "phase": {"type": "string"}}},
        },
    })
}

/// The definition of CronTabs.
pub fn crontabs() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "crontabs.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": {"plural": "crontabs", "kind": "CronTab", "shortNames": ["ct"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema()},
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                    "labelSelectorPath": ".status.selector"}},
                "additionalPrinterColumns": [
                    {"name": "Cron", "type": "string", "jsonPath": ".spec.cron"},
                    {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "selectableFields": [{"jsonPath": ".spec.image"}],
            }],
        },
    })
}

pub fn crontab(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {"name": name}, "spec": spec})
}

/// Creates a definition and waits until it is established.
pub async fn define(api: &Harness, definition: &Value) -> Value {
    let made = api.post(DEFINITIONS, definition).await.expect(201);
    let name = made["metadata"]["name"].as_str().expect("a name").to_owned();
    until(api, &name, |definition| condition(definition, "Established") == "True").await
}

/// Watches a definition until something holds of it.
pub async fn until(api: &Harness, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut events = api.watch(&format!("{DEFINITIONS}?watch=1&fieldSelector=metadata.name%3D{name}")).await;
    loop {
        let event = events.next().await.expect("the watch goes on");
        if holds(&event["object"]) {
            return event["object"].clone();
        }
    }
}

/// The status of a condition.
pub fn condition(definition: &Value, kind: &str) -> String {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    let mut found = conditions.filter(|condition| condition["type"] == kind);
    found.next().and_then(|condition| condition["status"].as_str()).unwrap_or_default().to_owned()
}

/// A server that serves CronTabs.
pub async fn with_crontabs() -> Harness {
    let api = Harness::start().await;
    define(&api, &crontabs()).await;
    api
}

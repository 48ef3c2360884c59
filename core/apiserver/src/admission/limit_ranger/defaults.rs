//! What containers get that say nothing of a resource. Pure.

use serde_json::{Map, Value};
use tiphys_api::access::{each, ensure, set};

use crate::admission::items;

/// Tells in the Pod what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

pub fn fill_in(pod: &mut Value, range: &Value) {
    let (requests, limits) = (defaults(range, "defaultRequest"), defaults(range, "default"));
    let mut told = Vec::new();
    for (list, word) in [("/spec/containers", "container"), ("/spec/initContainers", "init container")] {
        each(pod, list, |container| {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            for (field, amounts, what) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                let filled = add_missing(container, field, amounts);
                if !filled.is_empty() {
                    told.push(format!("{} {what} for {word} {name}", filled.join(", ")));
                }
            }
        });
    }
    if !told.is_empty()
        && let Some(metadata) = ensure(pod, "metadata")
        && let Some(annotations) = ensure(metadata, "annotations")
    {
        set(annotations, ANNOTATION, format!("LimitRanger plugin set: {}", told.join("; ")).into());
    }
}

/// The defaults of all container limits of the range.
fn defaults(range: &Value, field: &str) -> Map<String, Value> {
    let limits = items(&range["spec"]["limits"]).filter(|limit| limit["type"] == "Container");
    let amounts = limits.filter_map(|limit| limit[field].as_object());
    amounts.flatten().map(|(name, amount)| (name.clone(), amount.clone())).collect()
}

/// Names of the resources that were missing, sorted.
fn add_missing(container: &mut Value, field: &str, amounts: &Map<String, Value>) -> Vec<String> {
    if amounts.is_empty() {
        return Vec::new();
    }
    let Some(resources) = ensure(container, "resources") else { return Vec::new() };
    let Some(present) = ensure(resources, field) else { return Vec::new() };
    let mut filled = Vec::new();
    for (name, amount) in amounts {
        if present.get(name).is_none() {
            set(present, name, amount.clone());
            filled.push(name.clone());
        }
    }
    filled.sort();
    filled
}

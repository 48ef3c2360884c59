//! RuntimeClass: a Pod gets the overhead of its runtime and goes where that runtime is.

use async_trait::async_trait;
use serde_json::Value;
use tiphys_api::amounts;

use super::{Cluster, Plugin, Request, tolerations};
use crate::authz::{Refusal, find};

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

pub struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.is("", "pods") || !request.creates() {
            return Ok(());
        }
        let Some(class) = class(cluster, request).await? else { return Ok(()) };
        let (overhead, scheduling) = (&class["overhead"]["podFixed"], &class["scheduling"]);
        let spec = &request.new_object()["spec"];
        if overhead.is_object() && spec["overhead"].is_object() && !same(overhead, &spec["overhead"]) {
            return Err(request.forbid(MISMATCH));
        }
        if let Some(conflict) = conflict(&spec["nodeSelector"], &scheduling["nodeSelector"]) {
            return Err(request.forbid(&conflict));
        }
        let Some(pod) = request.object.as_deref_mut() else { return Ok(()) };
        if overhead.is_object() {
            pod["spec"]["overhead"] = overhead.clone();
        }
        for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
            pod["spec"]["nodeSelector"][key] = value.clone();
        }
        if scheduling["tolerations"].is_array() {
            let merged = tolerations::merge(&pod["spec"]["tolerations"], &scheduling["tolerations"]);
            pod["spec"]["tolerations"] = merged.into();
        }
        Ok(())
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        if !request.is("", "pods") || !request.creates() {
            return Ok(());
        }
        let class = class(cluster, request).await?;
        let wanted = class.as_ref().map(|class| &class["overhead"]["podFixed"]).filter(|it| it.is_object());
        let given = &request.new_object()["spec"]["overhead"];
        match wanted {
            Some(wanted) if !same(wanted, given) => Err(request.forbid(MISMATCH)),
            None if given.is_object() => Err(request.forbid(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            )),
            _ => Ok(()),
        }
    }
}

async fn class(cluster: &Cluster, request: &Request<'_>) -> Result<Option<std::sync::Arc<Value>>, Refusal> {
    let Some(name) = request.new_object()["spec"]["runtimeClassName"].as_str() else { return Ok(None) };
    match find(&*cluster.objects, "node.k8s.io", "runtimeclasses", "", name).await {
        Some(class) => Ok(Some(class)),
        None => Err(request.forbid(&format!("pod rejected: RuntimeClass {name:?} not found"))),
    }
}

fn same(one: &Value, other: &Value) -> bool {
    amounts::read(one, "") == amounts::read(other, "")
}

fn conflict(pod: &Value, class: &Value) -> Option<String> {
    let mut wanted = class.as_object().into_iter().flatten();
    let (key, value) = wanted.find(|(key, value)| pod[*key].is_string() && pod[*key] != **value)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(format!(
        "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
        text(value),
        text(&pod[key])
    ))
}

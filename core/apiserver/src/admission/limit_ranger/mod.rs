//! LimitRanger: containers get the defaults of their namespace's LimitRanges, and
//! Pods, containers and claims stay between their bounds.

mod bounds;
mod defaults;

use async_trait::async_trait;
use serde_json::Value;

use super::{Cluster, Operation, Plugin, Request, items};
use crate::authz::Refusal;

pub struct LimitRanger;

#[async_trait]
impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.is("", "pods") || !concerns(request) {
            return Ok(());
        }
        for range in cluster.objects.list("", "limitranges", request.namespace, &[]) {
            if let Some(pod) = request.object.as_deref_mut() {
                defaults::fill_in(pod, &range);
            }
        }
        Ok(())
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        if !concerns(request) {
            return Ok(());
        }
        for range in cluster.objects.list("", "limitranges", request.namespace, &[]) {
            let mut errors = Vec::new();
            for limit in items(&range["spec"]["limits"]) {
                errors.extend(broken(limit, request));
            }
            match errors.as_slice() {
                [] => {}
                [one] => return Err(request.forbid(one)),
                many => return Err(request.forbid(&format!("[{}]", many.join(", ")))),
            }
        }
        Ok(())
    }
}

/// New Pods and Pods whose resources change; claims always. What is to be deleted is left alone.
fn concerns(request: &Request<'_>) -> bool {
    let about = match (request.group, request.resource, request.subresource, request.operation) {
        ("", "pods", "", Operation::Create) | ("", "pods", "resize", Operation::Update) => true,
        ("", "persistentvolumeclaims", "", _) => request.writes(),
        _ => false,
    };
    about && !request.old_object()["metadata"]["deletionTimestamp"].is_string()
}

fn broken(limit: &Value, request: &Request<'_>) -> Vec<String> {
    let (new, old) = (request.new_object(), request.old);
    match (request.resource, limit["type"].as_str()) {
        ("pods", Some("Container")) => bounds::of_containers(limit, new, old),
        ("pods", Some("Pod")) => bounds::of_pod(limit, new, old),
        ("persistentvolumeclaims", Some("PersistentVolumeClaim")) => bounds::of_claim(limit, new, old),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;

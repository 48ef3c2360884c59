//! pods/binding: the scheduler gives a Pod its node. Once only.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use tiphys_api::serve::Body;

use crate::{
    context::Context,
    request::body,
    status::{ApiError, Result},
    write::{
        admit,
        commit::{self, Change, Part},
        decode, metadata,
    },
};

pub async fn create(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let binding = body::decode(&ctx.headers, bytes)?;
    let mut binding = decode::of_kind(ctx, "io.k8s.api.core.v1.Binding", binding)?;
    bind(ctx, &mut binding).await?;
    let status =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    ctx.answer_value(StatusCode::CREATED, &status)
}

/// Binds the Pod that the context names.
pub async fn bind(ctx: &Context, binding: &mut Value) -> Result<()> {
    admit::subresource(ctx, binding).await?;
    let binding = &*binding;
    let target = &binding["target"];
    let node = target["name"].as_str().unwrap_or_default().to_owned();
    let kind = target["kind"].as_str().unwrap_or("Node");
    if node.is_empty() || !matches!(kind, "" | "Node") {
        return Err(ApiError::bad_request("target.name: Required value: the name of a Node"));
    }
    let now = metadata::now();
    let change = |current: &crate::storage::Current| {
        let mut pod = current.object.clone();
        check(ctx, &pod, binding, &node)?;
        pod["spec"]["nodeName"] = node.clone().into();
        for part in ["annotations", "labels"] {
            merge(&mut pod, &binding["metadata"], part);
        }
        scheduled(&mut pod, &now);
        Ok(Change::to(pod))
    };
    commit::update(ctx, Part::Sub("binding"), &change).await.map(drop)
}

fn check(ctx: &Context, pod: &Value, binding: &Value, node: &str) -> Result<()> {
    let conflict = |why: &str| {
        ApiError::conflict(
            crate::status::GroupResource { group: "", resource: "pods/binding" },
            &ctx.info.name,
            why,
        )
    };
    let uid = metadata::text(binding, "uid");
    if !uid.is_empty() && uid != metadata::text(pod, "uid") {
        return Err(conflict("the pod has been replaced by another one of the same name"));
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return Err(conflict(&format!(
            "pod {} is being deleted, cannot be assigned to a host",
            ctx.info.name
        )));
    }
    match pod["spec"]["nodeName"].as_str().unwrap_or_default() {
        "" => {}
        other => {
            let why = format!("pod {} is already assigned to node {other:?}", ctx.info.name);
            return Err(conflict(&why));
        }
    }
    let gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    if gated {
        return Err(conflict(&format!(
            "pod {} has non-empty .spec.schedulingGates, node {node:?}",
            ctx.info.name
        )));
    }
    Ok(())
}

fn merge(pod: &mut Value, metadata: &Value, part: &str) {
    let Some(added) = metadata[part].as_object().filter(|added| !added.is_empty()) else { return };
    let fields = metadata::of(pod).entry(part).or_insert_with(|| json!({}));
    for (key, value) in added {
        fields[key] = value.clone();
    }
}

/// The condition PodScheduled becomes true.
fn scheduled(pod: &mut Value, now: &str) {
    let condition = json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": now,
    });
    if !pod["status"].is_object() {
        pod["status"] = json!({});
    }
    let mut conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|other| other["type"] != "PodScheduled");
    conditions.push(condition);
    pod["status"]["conditions"] = conditions.into();
}

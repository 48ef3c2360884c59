//! What a decision writes: the binding, or the condition that says why there is
//! none; and the events of both.

use k8s_openapi::{
    api::core::v1::{Binding, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tiphys_client::{Condition, Events};

use crate::pod_info::PodInfo;

/// The condition that says whether the Pod has a Node.
const SCHEDULED: &str = "PodScheduled";

/// How a binding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Yes,
    /// It will be tried again.
    Failed,
    /// The Pod is gone, or somebody else has bound it.
    NotOurs,
}

/// Writes the Pod's Node.
pub async fn bind(client: &Client, events: &Events, pod: &PodInfo, node: &str) -> Bound {
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(pod.name.to_string()),
            namespace: Some(pod.namespace.to_string()),
            uid: Some(pod.uid.to_string()),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
    let result =
        api.create_subresource::<_, Status>("binding", &pod.name, &PostParams::default(), &binding).await;
    match result {
        Ok(_) => {
            let message = format!("Successfully assigned {}/{} to {node}", pod.namespace, pod.name);
            events.normal(&*pod.pod, "Scheduled", message);
            Bound::Yes
        }
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
            tracing::debug!(
                pod = &*pod.name,
                namespace = &*pod.namespace,
                message = status.message,
                "pod was not bound"
            );
            Bound::NotOurs
        }
        Err(error) => {
            tracing::warn!(pod = &*pod.name, namespace = &*pod.namespace, node, %error, "binding failed");
            Bound::Failed
        }
    }
}

/// Says in the Pod's conditions, and in an event, why it has no Node.
pub async fn explain(client: &Client, events: &Events, pod: &PodInfo, message: String) {
    if let Some(condition) = unschedulable(pod.condition(SCHEDULED), &message, Timestamp::now()) {
        let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
        if let Err(error) = api.patch_status(&pod.name, &PatchParams::default(), &patch).await {
            let (pod, namespace) = (&*pod.name, &*pod.namespace);
            tracing::debug!(pod, namespace, %error, "condition was not written");
        }
    }
    events.warning(&*pod.pod, "FailedScheduling", message);
}

/// The condition PodScheduled with False; `None` when it says so already.
fn unschedulable(before: Option<&Condition>, message: &str, now: Timestamp) -> Option<Value> {
    let before = before.filter(|before| !before.holds);
    if before.is_some_and(|before| &*before.message == message) {
        return None;
    }
    let since = before.and_then(|before| before.since).unwrap_or(now);
    Some(json!({
        "type": SCHEDULED, "status": "False", "reason": "Unschedulable", "message": message,
        "lastTransitionTime": Time(since),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_written_once_and_keeps_its_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = unschedulable(None, "0/1 nodes are available: 1 Insufficient cpu.", at(5)).unwrap();
        assert_eq!((&first["status"], &first["reason"]), (&json!("False"), &json!("Unschedulable")));
        let pod = crate::sample::pod_with(json!({"conditions": [first]}));
        let first = pod.condition(SCHEDULED);
        assert_eq!(unschedulable(first, "0/1 nodes are available: 1 Insufficient cpu.", at(9)), None);
        let other = unschedulable(first, "0/2 nodes are available: 2 Insufficient cpu.", at(9)).unwrap();
        assert_eq!(other["lastTransitionTime"], json!(Time(at(5))));
    }
}

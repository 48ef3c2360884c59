//! What a decision writes: the binding, or the condition that says why there is
//! none; and the events of both.

use k8s_openapi::{
    api::core::v1::{Binding, ObjectReference, Pod, PodCondition},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tiphys_client::Events;

use crate::pod_info::PodInfo;

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
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            uid: Some(pod.uid.clone()),
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
                pod = pod.name,
                namespace = pod.namespace,
                message = status.message,
                "pod was not bound"
            );
            Bound::NotOurs
        }
        Err(error) => {
            tracing::warn!(pod = pod.name, namespace = pod.namespace, node, %error, "binding failed");
            Bound::Failed
        }
    }
}

/// Says in the Pod's conditions, and in an event, why it has no Node.
pub async fn explain(client: &Client, events: &Events, pod: &PodInfo, message: String) {
    let status = pod.pod.status.as_ref();
    let old = status.and_then(|status| status.conditions.clone()).unwrap_or_default();
    if let Some(conditions) = unschedulable(&old, &message, Timestamp::now()) {
        let patch = json!({"status": {"conditions": conditions}});
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace);
        if let Err(error) = api.patch_status(&pod.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            tracing::debug!(pod = pod.name, namespace = pod.namespace, %error, "condition was not written");
        }
    }
    events.warning(&*pod.pod, "FailedScheduling", message);
}

/// The conditions with PodScheduled False; `None` when they say so already.
fn unschedulable(old: &[PodCondition], message: &str, now: Timestamp) -> Option<Vec<PodCondition>> {
    let before = old.iter().find(|condition| condition.type_ == "PodScheduled");
    if before.is_some_and(|before| before.status == "False" && before.message.as_deref() == Some(message)) {
        return None;
    }
    let since = before
        .filter(|before| before.status == "False")
        .and_then(|before| before.last_transition_time.clone());
    let mut conditions: Vec<PodCondition> = old.to_vec();
    conditions.retain(|condition| condition.type_ != "PodScheduled");
    conditions.push(PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(since.unwrap_or(Time(now))),
        ..PodCondition::default()
    });
    Some(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_is_written_once_and_keeps_its_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let first = unschedulable(&[], "0/1 nodes are available: 1 Insufficient cpu.", at(5)).unwrap();
        assert_eq!((first[0].status.as_str(), first[0].reason.as_deref()), ("False", Some("Unschedulable")));
        assert_eq!(unschedulable(&first, "0/1 nodes are available: 1 Insufficient cpu.", at(9)), None);
        let other = unschedulable(&first, "0/2 nodes are available: 2 Insufficient cpu.", at(9)).unwrap();
        assert_eq!(other[0].last_transition_time.as_ref().unwrap().0, at(5));
    }
}

//! Ephemeral containers, as `kubectl debug` adds them to a Pod that runs.

use std::fs;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{self, IDLE, Node, is_ready, shell, status_of};

/// It sees its target's processes, is started once, and changes nothing of the Pod.
pub async fn debugging(mut node: Node) -> Node {
    let shared = node.shared("shared");
    let idle = json!({
        "terminationGracePeriodSeconds": 5,
        "volumes": [{"name": "shared", "hostPath": {"path": shared}}],
        "initContainers": [{"name": "done", "command": shell("exit 0")}],
        "containers": [{"name": "web", "command": shell(IDLE)}],
    });
    let pod = node.create("web", idle.clone()).await;
    let before = node.until_ready("web").await;

    let script = "tr '\\0' ' ' < /proc/1/cmdline; echo; until test -e /shared/go; do sleep 0.1; done; exit 3";
    add(&node, json!({"name": "late", "command": shell("exit 0"), "targetContainerName": "done"})).await;
    let held = |pod: &Pod| {
        let waiting = ephemeral(pod, "late").state.and_then(|state| state.waiting?.reason);
        waiting.as_deref() == Some("CreateContainerConfigError")
    };
    node.until("web", "without its target", held).await;
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let debug = json!({"name": "debug", "command": shell(script), "targetContainerName": "web", "volumeMounts": mounts});
    add(&node, debug).await;
    let runs = |pod: &Pod| ephemeral(pod, "debug").state.is_some_and(|state| state.running.is_some());
    let joined = node.until("web", "looked into", runs).await;
    assert!(is_ready(&joined), "{joined:#?}");
    assert_eq!(status_of(&joined, "web").container_id, status_of(&before, "web").container_id);
    let sees = async || node.log(&pod, "debug", 0).contains(IDLE);
    harness::eventually("it sees its target", sees).await;

    fs::write(shared.join("go"), "").expect("written");
    let ended = |pod: &Pod| ephemeral(pod, "debug").state.is_some_and(|state| state.terminated.is_some());
    let after = node.until("web", "left again", ended).await;
    let end = ephemeral(&after, "debug").state.and_then(|state| state.terminated).expect("it ended");
    assert_eq!((end.exit_code, is_ready(&after)), (3, true));

    // Neither a new kubelet nor other work starts it again.
    node.stop_kubelet().await;
    node.start_kubelet().await;
    node.create("other", idle).await;
    node.until_ready("other").await;
    let now = node.pods.get("web").await.expect("an answer");
    assert_eq!(ephemeral(&now, "debug"), ephemeral(&after, "debug"));
    node
}

async fn add(node: &Node, mut container: Value) {
    container["image"] = json!("box:1");
    let patch = json!({"spec": {"ephemeralContainers": [container]}});
    let how = PatchParams::default();
    node.pods.patch_ephemeral_containers("web", &how, &Patch::Strategic(patch)).await.expect("added");
}

fn ephemeral(pod: &Pod, name: &str) -> ContainerStatus {
    let statuses = pod.status.iter().flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
    statuses.into_iter().find(|status| status.name == name).cloned().unwrap_or_default()
}

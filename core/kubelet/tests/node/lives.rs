//! A Pod's life as its owner wants it, and a sandbox that dies under it.

use k8s_openapi::api::core::v1::Node as ApiNode;
use kube::{
    Api,
    api::{Patch, PatchParams},
    runtime::wait::await_condition,
};
use nix::{sys::signal, unistd::Pid};
use serde_json::json;

use crate::harness::{self, IDLE, Node, is_ready, open_ports, shell, status_of};

/// Init container, volumes, subPath, limits of grace, log.
pub async fn whole(node: Node) -> Node {
    let spec = json!({
        "terminationGracePeriodSeconds": 120,
        "volumes": [{"name": "data", "emptyDir": {}}],
        "initContainers": [{
            "name": "make", "command": shell("echo made > /data/part/file"),
            "volumeMounts": [{"name": "data", "mountPath": "/data/part", "subPath": "part"}],
        }],
        "containers": [{
            "name": "web",
            "command": shell("cat /data/part/file; trap 'echo last word; exit 0' TERM; while true; do sleep 0.1; done"),
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }],
    });
    let pod = node.create("web", spec).await;
    let ready = node.until_ready("web").await;
    let status = ready.status.clone().unwrap_or_default();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert!(status.pod_ip.is_some_and(|ip| ip.starts_with("10.200.0.")));
    let init = status_of(&ready, "make").state.and_then(|state| state.terminated).expect("it ended");
    assert_eq!((init.exit_code, init.reason.as_deref()), (0, Some("Completed")));
    let said = async || node.log(&pod, "web", 0).contains("stdout F made");
    harness::eventually("it read what was made", said).await;
    assert_eq!(open_ports(), [tiphys_api::names::KUBELET_PORT], "nothing else is to be asked");
    // What another says of the Pod's readiness, as after a silence of the node, does not last.
    node.say("web", "Ready", "False").await;
    node.until_ready("web").await;
    // The second time nothing else is news of the node.
    for _ in 0..2 {
        own_word_on_the_node(&node).await;
    }
    node.delete("web", 120).await;
    node.until_gone("web").await;
    assert!(node.log(&pod, "web", 0).contains("stdout F last word"), "it was asked to stop, not killed");
    node
}

/// The node lifecycle controller gives up on a node; the node answers at once.
async fn own_word_on_the_node(node: &Node) {
    let nodes: Api<ApiNode> = Api::all(node.client.clone());
    let silent = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}});
    let how = PatchParams::default();
    nodes.patch_status(harness::NAME, &how, &Patch::Strategic(silent)).await.expect("patched");
    let is_ready = |node: Option<&ApiNode>| {
        let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let ready = await_condition(nodes, harness::NAME, is_ready);
    tokio::time::timeout(harness::PATIENCE, ready).await.expect("ready in time").expect("the watch goes on");
}

/// With it everything starts over, init containers included.
pub async fn dead_sandbox(node: Node) -> Node {
    let spec = json!({
        "volumes": [{"name": "data", "emptyDir": {}}],
        "initContainers": [{
            "name": "count", "command": shell("echo once >> /data/file"),
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }],
        "containers": [{
            "name": "web", "command": shell(&format!("cat /data/file; {IDLE}")),
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }],
    });
    let pod = node.create("web", spec).await;
    node.until_ready("web").await;
    let sandboxes = node.sandboxes().await;
    let pid = node.cri.sandbox_pid(&sandboxes[0].id).await.expect("an answer").expect("it runs");
    signal::kill(Pid::from_raw(pid), signal::Signal::SIGKILL).expect("killed");
    let again = |pod: &_| is_ready(pod) && status_of(pod, "web").restart_count == 1;
    let ready = node.until("web", "ready again", again).await;
    assert_eq!(status_of(&ready, "count").restart_count, 1);
    // A container is ready when its process has started; it says so a moment later.
    let twice = async || node.log(&pod, "web", 1).matches("stdout F once").count() == 2;
    harness::eventually("the init container has run twice", twice).await;
    node
}

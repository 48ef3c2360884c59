//! Static Pods: manifests, their copies in the API, and their status there.

use std::{fs, path::Path};

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::harness::{self, IDLE, Node, is_ready, shell, status_of};

const COPY: &str = "local-node-1";

pub async fn manifests(mut node: Node) -> Node {
    let (file, away) = (node.manifests().join("local.yaml"), node.own.folder.join("local.yaml"));
    // The kubelet makes the folder too, when its reader has got so far.
    fs::create_dir_all(node.manifests()).expect("a folder");
    // It stops when it is let, so that it can be wanted again meanwhile. Two at a time would be seen.
    let end =
        "touch /shared/ending; until test -e /shared/let; do sleep 0.1; done; rmdir /shared/alone; exit 0";
    let begin = "mkdir /shared/alone || touch /shared/beside; while";
    let script = IDLE.replace("exit 0", end).replace("while", begin);
    let shared = node.shared("shared");
    let mut pod = harness::pod(
        "local",
        json!({
            "terminationGracePeriodSeconds": 900,
            "volumes": [{"name": "shared", "hostPath": {"path": shared}}],
            "containers": [{
                "name": "web", "command": shell(&script),
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                // Not before it listens to its end.
                "readinessProbe": {"exec": {"command": ["test", "-e", "/shared/alone"]}, "periodSeconds": 1},
            }],
        }),
    );
    let spec = pod.spec.as_mut().expect("a spec");
    spec.node_name = None;
    let mut manifest = serde_json::to_value(&pod).expect("JSON");
    (manifest["apiVersion"], manifest["kind"]) = (json!("v1"), json!("Pod"));
    fs::write(&away, manifest.to_string()).expect("written");
    fs::rename(&away, &file).expect("moved");
    let first = node.until_ready(COPY).await;
    let id = |pod: &Pod| status_of(pod, "web").container_id;

    // A new kubelet has the same Pod, and the copy stays.
    node.stop_kubelet().await;
    node.start_kubelet().await;
    // A copy that somebody deletes is made again, and shows the same container.
    node.delete(COPY, 30).await;
    let another = |pod: &Pod| pod.metadata.uid != first.metadata.uid && is_ready(pod);
    let again = node.until(COPY, "made again", another).await;
    assert_eq!(id(&again), id(&first));
    assert_eq!(status_of(&again, "web").restart_count, 0);

    // What another says of the copy's readiness does not last.
    node.say(COPY, "Ready", "False").await;
    node.until_ready(COPY).await;

    // Moved away and back, before it has ended.
    fs::rename(&file, &away).expect("moved");
    harness::eventually("it ends", async || shared.join("ending").exists()).await;
    fs::rename(&away, &file).expect("moved");
    fs::write(shared.join("let"), "").expect("written");
    let anew = |pod: &Pod| is_ready(pod) && id(pod) != id(&first);
    let second = node.until(COPY, "running anew", anew).await;

    // A changed manifest is another Pod, which waits for the end of the one before.
    forbid(&shared);
    fs::write(&away, format!("{manifest}\n")).expect("written");
    fs::rename(&away, &file).expect("moved");
    allow(&node, &shared, &second).await;
    let changed = |pod: &Pod| is_ready(pod) && id(pod) != id(&second);
    let third = node.until(COPY, "as changed", changed).await;

    // So does one that changed while no kubelet ran.
    node.stop_kubelet().await;
    fs::write(&away, format!("{manifest}\n\n")).expect("written");
    fs::rename(&away, &file).expect("moved");
    forbid(&shared);
    node.start_kubelet().await;
    allow(&node, &shared, &third).await;
    let changed = |pod: &Pod| is_ready(pod) && id(pod) != id(&third);
    node.until(COPY, "as changed meanwhile", changed).await;
    assert!(!shared.join("beside").exists(), "both ran side by side");

    fs::remove_file(&file).expect("removed");
    node.until_gone(COPY).await;
    harness::eventually("it has ended", async || node.pod_groups().is_empty()).await;
    node
}

/// What ends next waits to be let.
fn forbid(shared: &Path) {
    for flag in ["ending", "let"] {
        fs::remove_file(shared.join(flag)).expect("removed");
    }
}

/// Lets the one before end, when the kubelet looks after the next one already.
async fn allow(node: &Node, shared: &Path, before: &Pod) {
    harness::eventually("the one before ends", async || shared.join("ending").exists()).await;
    let follows = |copy: &Pod| {
        let status = copy.status.as_ref().filter(|_| copy.metadata.uid != before.metadata.uid);
        status.is_some_and(|status| status.start_time.is_some())
    };
    node.until(COPY, "looked after", follows).await;
    assert_eq!(node.sandboxes().await.len(), 1, "it does not wait");
    fs::write(shared.join("let"), "").expect("written");
}

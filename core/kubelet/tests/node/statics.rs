//! Static Pods: manifests, their copies in the API, and their status there.

use std::fs;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::harness::{self, IDLE, Node, is_ready, shell, status_of};

const COPY: &str = "local-node-1";

pub async fn manifests(mut node: Node) -> Node {
    let (file, away) = (node.manifests().join("local.yaml"), node.own.folder.join("local.yaml"));
    // The kubelet makes the folder too, when its reader has got so far.
    fs::create_dir_all(node.manifests()).expect("a folder");
    // It takes its time to stop, so that it can be wanted again meanwhile.
    let script = IDLE.replace("exit 0", "touch /shared/ending; sleep 1; exit 0");
    let shared = node.shared("shared");
    let mut pod = harness::pod(
        "local",
        json!({
            "volumes": [{"name": "shared", "hostPath": {"path": shared}}],
            "containers": [{
                "name": "web", "command": shell(&script),
                "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
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

    // Moved away and back, before it has ended.
    fs::rename(&file, &away).expect("moved");
    let ending = async {
        while !shared.join("ending").exists() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(harness::PATIENCE, ending).await.expect("it ends");
    fs::rename(&away, &file).expect("moved");
    let anew = |pod: &Pod| is_ready(pod) && id(pod) != id(&first);
    node.until(COPY, "running anew", anew).await;

    fs::remove_file(&file).expect("removed");
    node.until_gone(COPY).await;
    harness::eventually("it has ended", async || node.sandboxes().await.is_empty()).await;
    node
}

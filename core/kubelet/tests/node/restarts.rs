//! The kubelet ends and starts again while Pods run, begin and end.

use std::fs;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tiphys_client::Change;
use tiphys_lifecycle::Tasks;

use crate::harness::{self, IDLE, Node, is_ready, shell, status_of, statuses};

/// What runs goes on, as the same instances, and is never shown otherwise; what was
/// deleted meanwhile ends.
pub async fn adoption(mut node: Node) -> Node {
    let spec = |script: &str| {
        json!({
            "terminationGracePeriodSeconds": 120,
            "containers": [{
                "name": "web", "command": shell(script),
                // On a machine that stands still for a moment it stays ready.
                "readinessProbe": {
                    "exec": {"command": ["test", "-e", "/bin/sh"]}, "periodSeconds": 1, "timeoutSeconds": 120,
                },
                "lifecycle": {"postStart": {"exec": {"command": ["touch", "/hooked"]}}},
            }],
        })
    };
    let quiet = node.create("stays", spec(IDLE)).await;
    let gone = node.create("goes", spec(&IDLE.replace("exit 0", "echo last word; exit 0"))).await;
    let before = node.until_ready("stays").await;
    node.until_ready("goes").await;

    let watching = Tasks::new();
    let pods = harness::follow(&node.client, &watching);
    pods.ready().await;
    let mut changes = Box::pin(pods.changes());
    node.stop_kubelet().await;
    node.delete("goes", 120).await;
    node.start_kubelet().await;
    node.until_gone("goes").await;
    harness::eventually("the last word is written", async || node.log(&gone, "web", 0).contains("last word"))
        .await;
    // Another Pod starts: the kubelet is at work again.
    node.create("new", spec(IDLE)).await;
    loop {
        let change = tokio::time::timeout(harness::PATIENCE, changes.next()).await.expect("in time");
        let Some(Change::Applied(pod)) = change else { continue };
        match pod.metadata.name.as_deref() {
            Some("stays") => assert!(is_ready(&pod), "{pod:#?}"),
            Some("new") if is_ready(&pod) => break,
            _ => {}
        }
    }
    watching.shutdown(harness::PATIENCE).await;
    let after = node.pods.get("stays").await.expect("an answer");
    assert_eq!(statuses(&before), statuses(&after));
    let conditions = |pod: &Pod| pod.status.clone().and_then(|status| status.conditions);
    assert_eq!(conditions(&before), conditions(&after));
    // What it will say one day has a file to go to.
    assert!(node.log_file(&quiet, "web", 0).exists());
    node
}

/// A hook that was cut off is run; a Pod whose object went while nobody looked is
/// ended; conditions of others stay.
pub async fn unfinished(mut node: Node) -> Node {
    let shared = node.shared("shared");
    let wait = "touch /shared/begun; while ! test -e /shared/go; do sleep 0.1; done; echo x >> /shared/runs";
    let spec = json!({
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "shared", "hostPath": {"path": shared}}],
        "readinessGates": [{"conditionType": "example.com/gate"}],
        "containers": [{
            "name": "web", "command": shell(IDLE),
            "lifecycle": {"postStart": {"exec": {"command": shell(wait)}}},
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        }],
    });
    node.create("hooked", spec).await;
    let lost =
        json!({"terminationGracePeriodSeconds": 1, "containers": [{"name": "a", "command": shell(IDLE)}]});
    node.create("lost", lost).await;
    node.until_ready("lost").await;
    let running = |pod: &_| status_of(pod, "web").state.is_some_and(|state| state.running.is_some());
    // Each step is shown, the start of a container only after its hook.
    harness::eventually("the hook begins", async || shared.join("begun").exists()).await;
    node.stop_kubelet().await;
    let unready = node.pods.get("hooked").await.expect("an answer");
    assert!(!status_of(&unready, "web").ready);
    // Others write while the kubelet is away, and while it works.
    node.say("hooked", "DisruptionTarget", "True").await;
    node.delete("lost", 0).await;
    node.until_gone("lost").await;
    assert_eq!(node.sandboxes().await.len(), 2);
    fs::write(shared.join("go"), "").expect("written");
    node.start_kubelet().await;
    node.until("hooked", "running", running).await;
    node.say("hooked", "example.com/gate", "True").await;
    let ready = node.until_ready("hooked").await;
    assert!(harness::has_condition(&ready, "DisruptionTarget", "True"), "{ready:#?}");
    assert_eq!(status_of(&ready, "web").restart_count, 0);
    let runs = fs::read_to_string(shared.join("runs")).expect("the hook ran");
    assert!(runs.starts_with('x'), "{runs}");
    harness::eventually("the lost Pod is ended", async || node.sandboxes().await.len() == 1).await;
    node
}

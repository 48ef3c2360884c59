//! Plays the kubelets of all Nodes: a bound Pod runs and is ready at once, with
//! an address; a deleted one is gone at once. Pods with the label `stuck` never get ready.
//! Each node gives signs of life, which only a test that takes long has need of.

use std::{convert::Infallible, time::Duration};

use futures::StreamExt;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, Pod},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tiphys_lifecycle::{OnError, Tasks};

/// A node of which nothing is heard for four times as long is given up.
const SIGNS_OF_LIFE: Duration = Duration::from_secs(10);

pub fn start(client: &Client, tasks: &Tasks) {
    tasks.spawn("signs of life", OnError::Log, signs_of_life(client.clone()));
    let client = client.clone();
    tasks.spawn("kubelets", OnError::Log, async move {
        let pods: Api<Pod> = Api::all(client.clone());
        let mut events =
            watcher(pods, watcher::Config::default()).default_backoff().applied_objects().boxed();
        let mut last = 0u32;
        while let Some(event) = events.next().await {
            if let Ok(pod) = event {
                sync(&client, pod, &mut last).await;
            }
        }
        Ok::<(), Infallible>(())
    });
}

async fn signs_of_life(client: Client) -> Result<(), Infallible> {
    let (nodes, how) = (Api::<Node>::all(client.clone()), PatchParams::apply("kubelet").force());
    let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    loop {
        tokio::time::sleep(SIGNS_OF_LIFE).await;
        // A server that stops is asked in vain.
        let Ok(all) = nodes.list(&ListParams::default()).await else { continue };
        for name in all.items.into_iter().filter_map(|node| node.metadata.name) {
            let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": name}, "spec": {"renewTime": MicroTime(Timestamp::now())}});
            let _ = leases.patch(&name, &how, &Patch::Apply(lease)).await;
        }
    }
}

async fn sync(client: &Client, pod: Pod, last: &mut u32) {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let name = pod.metadata.name.clone().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
        return;
    }
    // A Pod may go at any moment; its next event tells.
    if pod.metadata.deletion_timestamp.is_some() {
        let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
        return;
    }
    let status = pod.status.clone().unwrap_or_default();
    if status.phase.as_deref() == Some("Running") || status.phase.as_deref() == Some("Failed") {
        return;
    }
    *last += 1;
    let address = format!("10.244.{}.{}", *last / 250, *last % 250 + 1);
    let stuck = pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key("stuck"));
    let ready = if stuck { "False" } else { "True" };
    let now = Timestamp::now();
    let patch = json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": now.to_string()}],
    }});
    let _ = pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
}

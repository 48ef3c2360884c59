//! Registers the node and keeps its status: written when something changed, every
//! few minutes for the heartbeat, and when somebody else wrote over it, as the node
//! lifecycle controller does when it has not heard of the node for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Node, NodeSpec, NodeStatus},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tiphys_client::{Cache, Change};
use tiphys_lifecycle::Backoff;

use super::{machine, status};
use crate::{Error, events::Kind, versions::is_newer, workers::Context};

/// While the node is not ready its state is looked at more often.
const LOOK_NOT_READY: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(300);

/// Makes the Node object, or brings the labels of an existing one up to date.
/// Tries until the API is there. A new node comes with its capacity, so that the
/// scheduler never sees one without.
pub(crate) async fn register(context: &Context) -> Node {
    let api: Api<Node> = Api::all(context.client.clone());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        match register_once(&api, context).await {
            Ok(node) => return node,
            Err(error) => {
                let pause = backoff.next_pause();
                tracing::info!(%error, ?pause, "node is not registered yet");
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn register_once(api: &Api<Node>, context: &Context) -> Result<Node, kube::Error> {
    let config = &context.config;
    let standard = [
        (tiphys_api::names::HOSTNAME, config.node_name.as_str()),
        ("kubernetes.io/arch", machine::architecture()),
        ("kubernetes.io/os", "linux"),
    ];
    let mut labels = config.labels.clone();
    labels.extend(standard.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let mut node = Node {
        metadata: ObjectMeta {
            name: Some(config.node_name.clone()),
            labels: Some(labels.clone()),
            ..Default::default()
        },
        spec: Some(NodeSpec {
            taints: (!config.taints.is_empty()).then(|| config.taints.clone()),
            ..Default::default()
        }),
        status: None,
    };
    node.status = Some(look(context, &node).await);
    match api.create(&PostParams::default(), &node).await {
        Err(kube::Error::Api(error)) if error.code == 409 => {
            let patch = json!({"metadata": {"labels": labels}});
            api.patch(&config.node_name, &PatchParams::default(), &Patch::Merge(patch)).await
        }
        other => other,
    }
}

/// Until the kubelet stops. `shown` is the API's copy of the node.
pub(crate) async fn keep(context: Arc<Context>, mut node: Node, shown: Cache<Node>) -> Result<(), Error> {
    let mut changes = Box::pin(shown.changes());
    let api: Api<Node> = Api::all(context.client.clone());
    let mut written: Option<Instant> = None;
    context.events.node(&node, Kind::Normal, "Starting", "Starting kubelet.");
    loop {
        let now = look(&context, &node).await;
        let is_ready = ready(&now);
        let was_ready = node.status.as_ref().is_some_and(ready);
        let fresh = written.is_some_and(|at| at.elapsed() < HEARTBEAT);
        let same = node.status.as_ref().is_some_and(|old| status::is_same(old, &now));
        if !fresh || !same {
            let patch = json!({"status": now});
            match api
                .patch_status(&context.config.node_name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Ok(answer) => {
                    node = answer;
                    // The answer of a server that sets fields of its own must not look like news.
                    node.status = Some(now);
                    written = Some(Instant::now());
                }
                Err(error) if crate::error::is_not_found(&error) => {
                    node = register(&context).await;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "node status was not written");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            }
            if is_ready && !was_ready {
                tracing::info!(node = %context.config.node_name, "node is ready");
                let message = format!("Node {} status is now: NodeReady", context.config.node_name);
                context.events.node(&node, Kind::Normal, "NodeReady", message);
            }
        }
        let contradicted = contradicted(&mut changes, &shown, &node);
        let pause = if is_ready { LOOK } else { LOOK_NOT_READY };
        // Without an answer the look is due.
        if let Ok(newest) = tokio::time::timeout(pause, contradicted).await {
            node = Node::clone(&newest);
        }
    }
}

/// The node, as soon as it is shown otherwise than it was written.
async fn contradicted(
    changes: &mut (impl Stream<Item = Change<Node>> + Unpin),
    shown: &Cache<Node>,
    written: &Node,
) -> Arc<Node> {
    let name = written.metadata.name.as_deref().unwrap_or_default();
    loop {
        let newest = shown.get("", name).filter(|newest| is_newer(&newest.metadata, &written.metadata));
        if let Some(newest) = newest.filter(|newest| status::is_contradicted(written, newest)) {
            return newest;
        }
        if changes.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

fn ready(status: &NodeStatus) -> bool {
    let conditions = status.conditions.iter().flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn look(context: &Context, node: &Node) -> NodeStatus {
    let mut trouble = Vec::new();
    match context.cri.conditions().await {
        Ok(conditions) => {
            let bad = conditions.into_iter().filter(|condition| !condition.status);
            trouble.extend(bad.map(|condition| {
                format!(
                    "container runtime: {} is false: {} {}",
                    condition.r#type, condition.reason, condition.message
                )
            }));
        }
        Err(error) => trouble.push(format!("container runtime is down: {error}")),
    }
    let images = context.cri.list_images().await.unwrap_or_default();
    let images = images
        .into_iter()
        .map(|image| (image.repo_tags.into_iter().chain(image.repo_digests).collect(), image.size));
    let version = context.cri.version().await;
    let version = version.map(|version| format!("{}://{}", version.runtime_name, version.runtime_version));
    let info = machine::info(&context.config.version, &version.unwrap_or_default());
    let health = machine::health(&context.config.root);
    let runtime = status::Runtime { trouble, images: images.collect() };
    status::status(node, &context.config, &health, &runtime, info, Timestamp::now())
}

//! Conditions of the cluster that `up` waits for, by watching, with a limit.

use std::{fmt::Debug, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Node},
};
use kube::{
    Api, Client,
    api::ListParams,
    runtime::wait::{Condition, await_condition},
};

/// Longer than a child may take until it is ready, which says more.
const LIMIT: Duration = Duration::from_secs(240);

/// # Errors
/// The node is not Ready in time.
pub async fn node_ready(client: &Client, name: &str) -> anyhow::Result<()> {
    let is_ready = |node: Option<&Node>| {
        let conditions =
            node.and_then(|node| node.status.as_ref()).and_then(|status| status.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let nodes: Api<Node> = Api::all(client.clone());
    let why = async || {
        let status = nodes.get_opt(name).await.ok().flatten()?.status?;
        status.conditions?.into_iter().find(|condition| condition.type_ == "Ready")?.message
    };
    until(nodes.clone(), name, is_ready, "node", why).await
}

/// # Errors
/// Fewer than `nodes` Pods of it are ready in time.
pub async fn daemon_set_ready(client: &Client, namespace: &str, name: &str, nodes: u8) -> anyhow::Result<()> {
    let is_ready = move |set: Option<&DaemonSet>| {
        set.and_then(|set| set.status.as_ref()).is_some_and(|status| status.number_ready >= i32::from(nodes))
    };
    let api = Api::namespaced(client.clone(), namespace);
    until(api, name, is_ready, "DaemonSet", async || last_warning(client, namespace).await).await
}

/// # Errors
/// It is not available in time.
pub async fn deployment_ready(client: &Client, namespace: &str, name: &str) -> anyhow::Result<()> {
    let is_ready = |deployment: Option<&Deployment>| {
        let Some(deployment) = deployment else { return false };
        let wanted = deployment.spec.replicas.unwrap_or(1);
        let status = deployment.status.as_ref();
        status.and_then(|status| status.available_replicas).unwrap_or(0) >= wanted
    };
    let api = Api::namespaced(client.clone(), namespace);
    until(api, name, is_ready, "Deployment", async || last_warning(client, namespace).await).await
}

/// Waits for the condition; `why` tells what stands in the way when the time is over.
async fn until<K>(
    api: Api<K>,
    name: &str,
    condition: impl Condition<K>,
    kind: &str,
    why: impl AsyncFnOnce() -> Option<String>,
) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + Debug + Send + Sync + serde::de::DeserializeOwned + 'static,
{
    if let Ok(waited) = tokio::time::timeout(LIMIT, await_condition(api, name, condition)).await {
        return waited.map(drop).with_context(|| format!("{kind} {name} can't be watched"));
    }
    let why = why().await.map(|why| format!(": {why}")).unwrap_or_default();
    anyhow::bail!("{kind} {name} is not ready after {} s{why}", LIMIT.as_secs())
}

/// The newest warning of the namespace.
async fn last_warning(client: &Client, namespace: &str) -> Option<String> {
    let events = Api::<Event>::namespaced(client.clone(), namespace);
    let events = events.list(&ListParams::default().fields("type=Warning")).await.ok()?;
    let time = |event: &Event| {
        let last = event.last_timestamp.clone().map(|time| time.0);
        last.or(event.event_time.clone().map(|time| time.0))
    };
    let newest = events.items.into_iter().max_by_key(time)?;
    let (object, reason) = (newest.involved_object.name?, newest.reason?);
    Some(format!("{object}: {reason}: {}", newest.message.unwrap_or_default()))
}

//! Conditions of the cluster that `up` waits for, by watching, with a limit.

use std::{fmt::Debug, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    core::v1::Node,
};
use kube::{
    Api, Client,
    runtime::wait::{Condition, await_condition},
};

const LIMIT: Duration = Duration::from_secs(120);

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
    until(Api::all(client.clone()), name, is_ready, "node").await
}

/// # Errors
/// Fewer than `nodes` Pods of it are ready in time.
pub async fn daemon_set_ready(client: &Client, namespace: &str, name: &str, nodes: u8) -> anyhow::Result<()> {
    let is_ready = move |set: Option<&DaemonSet>| {
        set.and_then(|set| set.status.as_ref()).is_some_and(|status| status.number_ready >= i32::from(nodes))
    };
    until(Api::namespaced(client.clone(), namespace), name, is_ready, "DaemonSet").await
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
    until(Api::namespaced(client.clone(), namespace), name, is_ready, "Deployment").await
}

async fn until<K>(api: Api<K>, name: &str, condition: impl Condition<K>, kind: &str) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + Debug + Send + Sync + serde::de::DeserializeOwned + 'static,
{
    tokio::time::timeout(LIMIT, await_condition(api, name, condition))
        .await
        .with_context(|| format!("{kind} {name} is not ready after {} s", LIMIT.as_secs()))??;
    Ok(())
}

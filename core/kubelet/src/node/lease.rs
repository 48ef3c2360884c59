//! The node's Lease in kube-node-lease: its sign of life.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::Node,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};

use crate::error::is_not_found;

const NAMESPACE: &str = "kube-node-lease";
const EVERY: Duration = Duration::from_secs(10);
/// Others hold the node for lost after this long.
const LASTS_SECONDS: i32 = 40;

/// Until the kubelet stops. A renewal that fails is tried again sooner.
pub(crate) async fn renew(client: Client, node: Node) -> Result<(), kube::Error> {
    let api: Api<Lease> = Api::namespaced(client, NAMESPACE);
    loop {
        let pause = match renew_once(&api, &node).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::debug!(%error, "lease was not renewed");
                Duration::from_secs(1)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn renew_once(api: &Api<Lease>, node: &Node) -> Result<(), kube::Error> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let now = MicroTime(Timestamp::now());
    let patch = serde_json::json!({"spec": {"holderIdentity": name, "leaseDurationSeconds": LASTS_SECONDS, "renewTime": now}});
    match api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Err(error) if is_not_found(&error) => {}
        other => return other.map(drop),
    }
    let owner = node.metadata.uid.clone().map(|uid| OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.clone(),
        uid,
        ..Default::default()
    });
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(NAMESPACE.into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name),
            lease_duration_seconds: Some(LASTS_SECONDS),
            renew_time: Some(now),
            ..Default::default()
        }),
    };
    api.create(&PostParams::default(), &lease).await.map(drop)
}

//! PodTopologyLabels: a Pod that gets its node gets the node's zone and region as labels,
//! so that its containers can be told them.

use async_trait::async_trait;
use serde_json::Value;
use tiphys_api::access::{ensure, set};

use super::{Cluster, Plugin, Request};
use crate::authz::{Refusal, find};

const LABELS: &[&str] = &["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

pub struct PodTopologyLabels;

#[async_trait]
impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.group.is_empty() || request.resource != "pods" || !request.creates() {
            return Ok(());
        }
        let object = request.new_object();
        let node = match request.subresource {
            "" => &object["spec"]["nodeName"],
            "binding" if matches!(object["target"]["kind"].as_str(), None | Some("" | "Node")) => {
                &object["target"]["name"]
            }
            _ => return Ok(()),
        };
        let Some(node) = node.as_str().filter(|node| !node.is_empty()) else { return Ok(()) };
        let Some(node) = find(&*cluster.objects, "", "nodes", "", node).await else { return Ok(()) };
        let known: Vec<(&str, &Value)> = LABELS
            .iter()
            .map(|label| (*label, &node["metadata"]["labels"][*label]))
            .filter(|(_, value)| value.is_string())
            .collect();
        if known.is_empty() {
            return Ok(());
        }
        let Some(object) = request.object.as_deref_mut() else { return Ok(()) };
        if let Some(metadata) = ensure(object, "metadata")
            && let Some(labels) = ensure(metadata, "labels")
        {
            known.into_iter().for_each(|(label, value)| set(labels, label, value.clone()));
        }
        Ok(())
    }
}

//! TaintNodesByCondition: a new Node takes no Pods until it was seen ready once.

use async_trait::async_trait;
use serde_json::json;

use super::{Cluster, Operation, Plugin, Request, items, list_mut};
use crate::authz::Refusal;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    async fn mutate(&self, _: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.is("", "nodes") || request.operation != Operation::Create {
            return Ok(());
        }
        let Some(node) = request.object.as_deref_mut() else { return Ok(()) };
        let tainted = items(&node["spec"]["taints"])
            .any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule");
        if !tainted {
            list_mut(&mut node["spec"], "taints").push(json!({ "key": NOT_READY, "effect": "NoSchedule" }));
        }
        Ok(())
    }
}

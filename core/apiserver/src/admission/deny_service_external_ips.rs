//! DenyServiceExternalIPs: a Service draws no traffic to addresses that it is not
//! given. Off unless asked for: clusters rely on the field.

use async_trait::async_trait;

use super::{Cluster, Plugin, Request, items};
use crate::authz::Refusal;

pub struct DenyServiceExternalIps;

#[async_trait]
impl Plugin for DenyServiceExternalIps {
    fn name(&self) -> &'static str {
        "DenyServiceExternalIPs"
    }

    async fn validate(&self, _: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        if !request.group.is_empty() || request.resource != "services" || !request.writes() {
            return Ok(());
        }
        let old = &request.old_object()["spec"]["externalIPs"];
        let mut new = items(&request.new_object()["spec"]["externalIPs"]);
        if new.all(|address| items(old).any(|before| before == address)) {
            return Ok(());
        }
        Err(request.forbid("Use of external IPs is denied by admission control"))
    }
}

//! ValidatingAdmissionWebhook: all at once, and any may refuse.

use async_trait::async_trait;
use futures::future::join_all;

use super::{Asked, ask, invocation};
use crate::{
    admission::{Cluster, Plugin, Request, matching},
    authz::Refusal,
};

pub struct ValidatingAdmissionWebhook;

#[async_trait]
impl Plugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        let configurations = cluster.webhooks.validating.all(&*cluster.objects);
        if configurations.is_empty() || matching::is_exempt_from_webhooks(request) {
            return Ok(());
        }
        let mut wanted = Vec::new();
        for hook in configurations.iter().flat_map(|hooks| hooks.iter()) {
            if let Some(invocation) = invocation(cluster, hook, request).await? {
                wanted.push((hook, invocation));
            }
        }
        let calls = wanted.iter().enumerate().map(|(index, (hook, invocation))| async move {
            if let Asked::Ignored = ask(cluster, hook, request, invocation, false).await? {
                let key = format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
                request.notes.annotate(key, hook.name.clone());
            }
            Ok(())
        });
        join_all(calls).await.into_iter().collect()
    }
}

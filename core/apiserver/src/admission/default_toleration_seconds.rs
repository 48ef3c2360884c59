//! DefaultTolerationSeconds: a Pod stays five minutes on a node that is not ready
//! or not reachable, unless it says otherwise.

use async_trait::async_trait;
use serde_json::json;

use super::{Cluster, Plugin, Request, items, list_mut};
use crate::authz::Refusal;

const TAINTS: &[&str] = &["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const SECONDS: i64 = 300;

pub struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    async fn mutate(&self, _: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if !request.is("", "pods") || !request.writes() {
            return Ok(());
        }
        let Some(pod) = request.object.as_deref_mut() else { return Ok(()) };
        for taint in TAINTS {
            let tolerated = items(&pod["spec"]["tolerations"]).any(|toleration| {
                let key = toleration["key"].as_str().unwrap_or_default();
                let effect = toleration["effect"].as_str().unwrap_or_default();
                (key == *taint || key.is_empty()) && (effect == "NoExecute" || effect.is_empty())
            });
            if !tolerated {
                list_mut(&mut pod["spec"], "tolerations").push(json!({
                    "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
                }));
            }
        }
        Ok(())
    }
}

//! MutatingAdmissionWebhook: each may change the object by a JSON patch.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Asked, Hook, Invocation, ask, invocation};
use crate::{
    admission::{Cluster, Plugin, Request, matching, review},
    authz::Refusal,
    patch,
    request::body,
};

pub struct MutatingAdmissionWebhook;

#[async_trait]
impl Plugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        let configurations = cluster.webhooks.mutating.all(&*cluster.objects);
        if configurations.is_empty() || matching::is_exempt_from_webhooks(request) {
            return Ok(());
        }
        let second = request.again.second;
        if second {
            let object = request.new_object().clone();
            request.again.webhooks.resume(&object);
        }
        let hooks = configurations.iter().flat_map(|hooks| hooks.iter()).enumerate();
        for (index, hook) in hooks {
            if second && !request.again.webhooks.is_due(&hook.id) {
                continue;
            }
            if let Some(invocation) = invocation(cluster, hook, request).await? {
                let round = format!("round_{}_index_{index}", u8::from(second));
                call(cluster, hook, request, &invocation, &round).await?;
            }
        }
        let object = request.new_object().clone();
        request.again.webhooks.finish(&object);
        Ok(())
    }
}

async fn call(
    cluster: &Cluster,
    hook: &Hook,
    request: &mut Request<'_>,
    invocation: &Invocation,
    round: &str,
) -> Result<(), Refusal> {
    let changed = match ask(cluster, hook, request, invocation, true).await? {
        Asked::Ignored => {
            let key = format!("failed-open.mutating.webhook.admission.k8s.io/{round}");
            request.notes.annotate(key, hook.name.clone());
            false
        }
        Asked::Answered(answer) => match answer.patch {
            None => false,
            Some(patch) => {
                let told = json!({ "configuration": hook.configuration, "webhook": hook.name,
                                   "patch": patch, "patchType": "JSONPatch" });
                request.notes.annotate(format!("patch.webhook.admission.k8s.io/{round}"), told.to_string());
                apply(cluster, hook, request, invocation, &patch).await?
            }
        },
    };
    let told = json!({ "configuration": hook.configuration, "webhook": hook.name, "mutated": changed });
    request.notes.annotate(format!("mutation.webhook.admission.k8s.io/{round}"), told.to_string());
    if changed {
        request.again.webhooks.changed();
        request.again.wanted = true;
    }
    if hook.follows() {
        request.again.webhooks.follows(&hook.id);
    }
    Ok(())
}

/// Whether the patch has changed anything.
async fn apply(
    cluster: &Cluster,
    hook: &Hook,
    request: &mut Request<'_>,
    invocation: &Invocation,
    patch: &Value,
) -> Result<bool, Refusal> {
    let internal = |why: String| Refusal::internal(format!("Internal error occurred: {why}"));
    let Some(object) = request.object.as_deref() else {
        return Err(internal(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            hook.name
        )));
    };
    let before = &invocation.pictures.new;
    let patched =
        patch::json::apply(before, patch, body::LIMIT).map_err(|error| internal(error.to_string()))?;
    if patched == *before {
        return Ok(false);
    }
    let own = review::is_of_its_own(request, object, &*cluster.versions);
    let accepted = match own {
        true => patched,
        false => {
            let versions = &cluster.versions;
            versions.accept(patched, &invocation.shown, &request.api_version()).await.map_err(internal)?
        }
    };
    if accepted == *object {
        return Ok(false);
    }
    if let Some(object) = request.object.as_deref_mut() {
        *object = accepted;
    }
    Ok(true)
}

//! MutatingAdmissionPolicy: what the bound policies make of the object, one after the other.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    apply,
    compiled::Mutation,
    invocations::{self, Denial, Found, Invocation},
    json_patch,
    validations::value,
};
use crate::{
    admission::{
        Cluster, Plugin, Request,
        expressions::{Values, all_hold, namespace_object},
        matching, review,
    },
    authz::Refusal,
    cel::from_json,
};
use tiphys_api::schema::Schema;

pub struct MutatingAdmissionPolicy;

#[async_trait]
impl Plugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    async fn mutate(&self, cluster: &Cluster, request: &mut Request<'_>) -> Result<(), Refusal> {
        if matching::is_exempt_from_policies(request) {
            return Ok(());
        }
        let Found { invocations, mut denials } =
            invocations::find(cluster, &cluster.policies.mutating, request).await;
        if !invocations.is_empty() {
            let namespace = namespace_object(cluster, request).await?;
            if request.again.second {
                let object = request.new_object().clone();
                request.again.policies.resume(&object);
            }
            for invocation in &invocations {
                let why = invoke(cluster, request, &namespace, invocation).await.err();
                denials.extend(why.filter(|_| !invocation.policy.ignores_failure()).map(|message| Denial {
                    policy: invocation.policy.clone(),
                    binding: Some(Arc::clone(&invocation.binding)),
                    message,
                    reason: "Invalid".into(),
                }));
            }
            let object = request.new_object().clone();
            request.again.policies.finish(&object);
        }
        if denials.is_empty() { Ok(()) } else { Err(refusal(request, &denials)) }
    }
}

/// Makes the policy's mutations, those after a failed one included.
async fn invoke(
    cluster: &Cluster,
    request: &mut Request<'_>,
    namespace: &Value,
    invocation: &Invocation,
) -> Result<(), String> {
    let policy = &invocation.policy;
    let values = Values::new(cluster, request, &invocation.version, namespace).await?;
    let hold = {
        let scope = values.scope(&policy.variables).with("params", from_json(&invocation.param));
        all_hold(&policy.conditions, &scope)?
    };
    if !hold {
        return Ok(());
    }
    let id = invocation.id();
    if request.again.second && !request.again.policies.is_due(&id) {
        return Ok(());
    }
    let mut failed = None;
    let mut changed = false;
    for mutation in &policy.mutations {
        match mutate(cluster, request, namespace, invocation, mutation).await {
            Ok(did) => changed |= did,
            Err(why) => failed = failed.or(Some(why)),
        }
    }
    if changed {
        request.again.policies.changed();
        request.again.wanted = true;
    }
    if policy.follows() {
        request.again.policies.follows(&id);
    }
    failed.map_or(Ok(()), Err)
}

/// Whether the object is another one now.
async fn mutate(
    cluster: &Cluster,
    request: &mut Request<'_>,
    namespace: &Value,
    invocation: &Invocation,
    mutation: &Mutation,
) -> Result<bool, String> {
    let Some(object) = request.object.as_deref() else { return Ok(false) };
    let own = review::is_of_its_own(request, object, &*cluster.versions);
    let values = Values::new(cluster, request, &invocation.version, namespace).await?;
    let before = &values.pictures.new;
    let after = {
        let scope = values.scope(&invocation.policy.variables).with("params", from_json(&invocation.param));
        let made = |expression| value(expression, &scope).map_err(|error| error.to_string());
        match mutation {
            Mutation::Apply(expression) => {
                let schema = cluster.versions.schema(&invocation.version).filter(|_| !own);
                apply::apply(before, &made(expression)?, schema.as_deref().unwrap_or_else(|| Schema::any()))?
            }
            Mutation::Patch(expression) => json_patch::apply(before, &made(expression)?)?,
        }
    };
    if after == *before {
        return Ok(false);
    }
    let after = match own {
        true => after,
        false => cluster.versions.accept(after, &invocation.version, &request.api_version()).await?,
    };
    match request.object.as_deref_mut() {
        Some(object) if *object != after => {
            *object = after;
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn refusal(request: &Request<'_>, denials: &[Denial]) -> Refusal {
    let told = |denial: &Denial| match &denial.binding {
        Some(binding) => format!(
            "policy '{}' with binding '{}' denied request: {}",
            denial.policy.name, binding.name, denial.message
        ),
        None => format!("policy {:?} denied request: {}", denial.policy.name, denial.message),
    };
    let mut refusal = request.forbid("admission request denied by policy");
    if let Some(first) = denials.first() {
        refusal.message = told(first);
        if !first.reason.is_empty() {
            refusal.reason = first.reason.clone().into();
        }
    }
    if let Some(details) = &mut refusal.details {
        details["causes"] = denials.iter().map(|denial| json!({ "message": told(denial) })).collect();
    }
    refusal
}

//! Which policies are evaluated for a write, with which bindings and parameters.

use std::sync::Arc;

use serde_json::Value;

use super::{Binding, Kept, Policy, params};
use crate::{
    admission::{Cluster, Request, Version, matching},
    authz::Refusal,
};

/// A policy that is to be evaluated.
pub struct Invocation {
    pub policy: Arc<Policy>,
    pub binding: Arc<Binding>,
    /// In which version it sees the write.
    pub version: Version,
    pub param: Value,
}

impl Invocation {
    /// Tells it from all others.
    pub fn id(&self) -> String {
        let text = |key: &str| self.param["metadata"][key].as_str().unwrap_or_default();
        format!("{}/{}/{}/{}", self.policy.name, self.binding.name, text("namespace"), text("name"))
    }
}

/// A policy that could not be evaluated, or that denies.
pub struct Denial {
    pub policy: Arc<Policy>,
    pub binding: Option<Arc<Binding>>,
    pub message: String,
    /// Empty: the plug-in's own.
    pub reason: String,
}

#[derive(Default)]
pub struct Found {
    pub invocations: Vec<Invocation>,
    /// Of policies that don't ignore failures.
    pub denials: Vec<Denial>,
}

impl Found {
    fn failed(&mut self, policy: &Arc<Policy>, binding: Option<&Arc<Binding>>, why: &str) {
        if policy.ignores_failure() {
            return;
        }
        let what = if binding.is_some() { "binding" } else { "policy" };
        self.denials.push(Denial {
            policy: policy.clone(),
            binding: binding.cloned(),
            message: format!("failed to configure {what}: {why}"),
            reason: String::new(),
        });
    }
}

pub(super) async fn find(cluster: &Cluster, kept: &Kept, request: &Request<'_>) -> Found {
    let mut found = Found::default();
    let policies = kept.policies.all(&*cluster.objects);
    if policies.is_empty() {
        return found;
    }
    let bindings = kept.bindings.all(&*cluster.objects);
    for policy in policies {
        let bound: Vec<_> = bindings.iter().filter(|binding| binding.policy == policy.name).collect();
        if bound.is_empty() {
            continue;
        }
        match matching::constrained(cluster, &policy.spec["matchConstraints"], request).await {
            Err(why) => found.failed(&policy, None, &why.message),
            Ok(None) => {}
            Ok(Some(version)) => {
                for binding in bound {
                    if let Err(why) = bind(cluster, &mut found, &policy, binding, &version, request).await {
                        found.failed(&policy, Some(binding), &why);
                    }
                }
            }
        }
    }
    found
}

async fn bind(
    cluster: &Cluster,
    found: &mut Found,
    policy: &Arc<Policy>,
    binding: &Arc<Binding>,
    version: &Version,
    request: &Request<'_>,
) -> Result<(), String> {
    let resources = &binding.spec["matchResources"];
    let concerned = match resources.is_object() {
        true => matching::constrained(cluster, resources, request)
            .await
            .map_err(|why: Refusal| why.message)?
            .is_some(),
        false => true,
    };
    if !concerned {
        return Ok(());
    }
    let params =
        params::params(cluster, &policy.spec["paramKind"], &binding.spec["paramRef"], request).await?;
    found.invocations.extend(params.into_iter().map(|param| Invocation {
        policy: policy.clone(),
        binding: binding.clone(),
        version: version.clone(),
        param,
    }));
    Ok(())
}

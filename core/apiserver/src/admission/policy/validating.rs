//! ValidatingAdmissionPolicy: what the bound policies deny, in the words of the first that does.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Binding,
    invocations::{self, Denial, Found, Invocation},
    permission,
    validations::{Verdict, verdict},
};
use crate::{
    admission::{
        Cluster, Plugin, Request, Version,
        expressions::{Values, namespace_object},
        items, matching,
    },
    authz::Refusal,
    cel::from_json,
};

const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";
/// Failures that the audit log gets of one write, and bytes of an annotation.
const MOST_FAILURES: usize = 50;
const LONGEST_ANNOTATION: usize = 10 * 1024;

pub struct ValidatingAdmissionPolicy;

#[async_trait]
impl Plugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        if matching::is_exempt_from_policies(request) {
            return permission::check(cluster, request).await;
        }
        let Found { invocations, denials } =
            invocations::find(cluster, &cluster.policies.validating, request).await;
        let mut outcome = Outcome { denials, ..Outcome::default() };
        if !invocations.is_empty() {
            let namespace = namespace_object(cluster, request).await?;
            let mut views: BTreeMap<&Version, Result<Values, String>> = BTreeMap::new();
            for invocation in &invocations {
                let version = &invocation.version;
                if !views.contains_key(version) {
                    views.insert(version, Values::new(cluster, request, version, &namespace).await);
                }
                outcome.add(request, invocation, judged(&views[version], invocation));
            }
        }
        outcome.publish(request)
    }
}

/// What the policy says; a version that can't be shown is a failure of its own.
fn judged(values: &Result<Values, String>, invocation: &Invocation) -> Result<Verdict, String> {
    let values = values.as_ref().map_err(Clone::clone)?;
    let scope = values.scope(&invocation.policy.variables).with("params", from_json(&invocation.param));
    Ok(verdict(&invocation.policy, &scope))
}

#[derive(Default)]
struct Outcome {
    denials: Vec<Denial>,
    failures: Vec<Value>,
    /// By policy and key; each value once.
    annotations: BTreeMap<String, Vec<String>>,
}

impl Outcome {
    fn add(&mut self, request: &Request<'_>, invocation: &Invocation, verdict: Result<Verdict, String>) {
        let (policy, binding) = (&invocation.policy, &invocation.binding);
        let denial = |message: String, reason: String| Denial {
            policy: policy.clone(),
            binding: Some(Arc::clone(binding)),
            message,
            reason,
        };
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(_) if policy.ignores_failure() => return,
            Err(why) => {
                let message = format!("failed to configure binding: failed to convert object version: {why}");
                self.denials.push(denial(message, String::new()));
                return;
            }
        };
        for denied in verdict.denials {
            let (name, bound) = (&policy.name, &binding.name);
            if acts(binding, "Audit") {
                self.failures.push(json!({
                    "message": denied.message, "policy": name, "binding": bound,
                    "expressionIndex": denied.index, "validationActions": binding.spec["validationActions"],
                }));
            }
            if acts(binding, "Warn") {
                request.notes.warn(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{bound}': {}",
                    denied.message
                ));
            }
            if acts(binding, "Deny") {
                self.denials.push(denial(denied.message, denied.reason));
            }
        }
        self.denials.extend(verdict.failures.into_iter().map(|why| denial(why, String::new())));
        for (key, mut value) in verdict.annotations {
            value.truncate(value.floor_char_boundary(LONGEST_ANNOTATION));
            let values = self.annotations.entry(format!("{}/{key}", policy.name)).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }

    fn publish(mut self, request: &Request<'_>) -> Result<(), Refusal> {
        for (key, values) in self.annotations {
            request.notes.annotate(key, values.join(", "));
        }
        if !self.failures.is_empty() {
            self.failures.truncate(MOST_FAILURES);
            request.notes.annotate(FAILURES, Value::from(self.failures).to_string());
        }
        match self.denials.first() {
            None => Ok(()),
            Some(first) => Err(refusal(request, first)),
        }
    }
}

fn acts(binding: &Binding, action: &str) -> bool {
    items(&binding.spec["validationActions"]).any(|other| other == action)
}

fn refusal(request: &Request<'_>, denial: &Denial) -> Refusal {
    let binding = denial
        .binding
        .as_ref()
        .map(|binding| format!(" with binding '{}'", binding.name))
        .unwrap_or_default();
    let policy = &denial.policy.name;
    let message = format!("ValidatingAdmissionPolicy '{policy}'{binding} denied request: {}", denial.message);
    let mut refusal = request.forbid(&message);
    refusal.code = match denial.reason.as_str() {
        "Forbidden" => 403,
        "Unauthorized" => 401,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    refusal.reason = if denial.reason.is_empty() { "Invalid".into() } else { denial.reason.clone().into() };
    if let Some(details) = &mut refusal.details {
        details["causes"] = json!([{ "message": message }]);
    }
    refusal
}

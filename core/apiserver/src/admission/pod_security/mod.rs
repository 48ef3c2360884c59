//! PodSecurity: Pods meet the standard that their namespace enforces. Workloads are
//! warned of what their Pods would be refused for.

mod checks;
mod policy;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use async_trait::async_trait;
use checks::{Pod, details, reasons, violations};
use policy::{Level, Policy, Standard};
use serde_json::{Value, json};
use tiphys_api::field::FieldError;

use super::{Cluster, Plugin, Request, items};
use crate::authz::{Refusal, find};

/// Where the template of a workload's Pods stands.
const WORKLOADS: &[(&str, &str, &str)] = &[
    ("", "replicationcontrollers", "/spec/template"),
    ("", "podtemplates", "/template"),
    ("apps", "replicasets", "/spec/template"),
    ("apps", "deployments", "/spec/template"),
    ("apps", "statefulsets", "/spec/template"),
    ("apps", "daemonsets", "/spec/template"),
    ("batch", "jobs", "/spec/template"),
    ("batch", "cronjobs", "/spec/jobTemplate/spec/template"),
];

/// Pods of a namespace that are looked at when it becomes stricter.
const MOST_PODS: usize = 3000;
const ANNOTATIONS: &str = "pod-security.kubernetes.io/";

pub struct PodSecurity;

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        if !request.writes() {
            return Ok(());
        }
        match (request.group, request.resource, request.subresource) {
            ("", "namespaces", "") => namespace(cluster, request),
            ("", "pods", "" | "ephemeralcontainers" | "resize") => pod(cluster, request).await,
            (group, resource, "") => {
                let workload = WORKLOADS.iter().find(|known| (known.0, known.1) == (group, resource));
                if let Some((_, _, template)) = workload {
                    workload_of(cluster, request, template).await;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

async fn pod(cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
    let namespace = find(&*cluster.objects, "", "namespaces", "", request.namespace).await;
    let Some(namespace) = namespace else {
        return Err(Refusal::internal(format!("failed to lookup namespace {:?}", request.namespace)));
    };
    let (policy, errors) = policy::of_labels(&namespace["metadata"]["labels"]);
    if errors.is_empty() && policy.is_open() {
        request.notes.annotate(format!("{ANNOTATIONS}enforce-policy"), policy.enforce.to_string());
        return Ok(());
    }
    let new = request.new_object();
    if !request.creates() && !is_significant(new, request.old_object()) {
        return Ok(());
    }
    evaluate(request, policy, &errors, Pod { metadata: &new["metadata"], spec: &new["spec"] }, true)
}

async fn workload_of(cluster: &Cluster, request: &Request<'_>, template: &str) {
    let namespace = find(&*cluster.objects, "", "namespaces", "", request.namespace).await;
    let Some(namespace) = namespace else { return };
    let (policy, errors) = policy::of_labels(&namespace["metadata"]["labels"]);
    let quiet = [policy.warn, policy.audit].iter().all(|standard| standard.level == Level::Privileged);
    if errors.is_empty() && quiet {
        return;
    }
    let Some(template) = request.new_object().pointer(template).filter(|it| it.is_object()) else { return };
    let pod = Pod { metadata: &template["metadata"], spec: &template["spec"] };
    // Nothing is enforced of a workload: so nothing is refused.
    let _ = evaluate(request, policy, &errors, pod, false);
}

fn evaluate(
    request: &Request<'_>,
    policy: Policy,
    errors: &[FieldError],
    pod: Pod<'_>,
    enforce: bool,
) -> Result<(), Refusal> {
    let annotate = |key: &str, value: String| request.notes.annotate(format!("{ANNOTATIONS}{key}"), value);
    if let Some(error) = errors.first() {
        annotate("error", format!("Failed to parse policy: {error}"));
    }
    let told = |standard: Standard| {
        let found = violations(standard, pod);
        (!found.is_empty()).then(|| format!("violate PodSecurity \"{standard}\": {}", details(&found)))
    };
    if let Some(told) = told(policy.audit) {
        annotate("audit-violations", format!("would {told}"));
    }
    if enforce {
        annotate("enforce-policy", policy.enforce.to_string());
        if let Some(told) = told(policy.enforce) {
            return Err(request.forbid(&told.replacen("violate", "violates", 1)));
        }
    }
    if let Some(told) = told(policy.warn) {
        request.notes.warn(format!("would {told}"));
    }
    Ok(())
}

/// Of a Pod that exists, only images and ephemeral containers matter: nothing else
/// that the standards look at can change.
fn is_significant(new: &Value, old: &Value) -> bool {
    let list = |pod: &Value, key: &str| pod["spec"][key].as_array().cloned().unwrap_or_default();
    for key in ["containers", "initContainers"] {
        let (new, old) = (list(new, key), list(old, key));
        let changed = new.iter().zip(&old).any(|(new, old)| new["image"] != old["image"]);
        if new.len() != old.len() || changed {
            return true;
        }
    }
    let before = list(old, "ephemeralContainers");
    list(new, "ephemeralContainers").iter().any(|container| {
        let same = before.iter().find(|other| other["name"] == container["name"]);
        same.is_none_or(|same| same["image"] != container["image"])
    })
}

/// Labels must make sense; a stricter standard is tried on the Pods that run.
fn namespace(cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
    let labels = |object: &Value| policy::of_labels(&object["metadata"]["labels"]);
    let (policy, errors) = labels(request.new_object());
    let (before, errors_before) = match request.old {
        Some(old) => labels(old),
        None => (Policy::DEFAULT, Vec::new()),
    };
    if !errors.is_empty() && errors != errors_before {
        return Err(invalid(request.object_name(), &errors));
    }
    let (new, old) = (policy.enforce, before.enforce);
    let relaxed = new.version == old.version && new.level <= old.level;
    if request.creates() || new == old || new.level == Level::Privileged || relaxed {
        return Ok(());
    }
    for warning in of_existing(cluster, request.object_name(), new) {
        request.notes.warn(warning);
    }
    Ok(())
}

fn invalid(name: &str, errors: &[FieldError]) -> Refusal {
    let error = crate::status::ApiError::invalid("", "Namespace", name, errors);
    let status = error.to_value();
    let details = Some(status["details"].clone()).filter(|details| *details != json!(null));
    Refusal { details, ..Refusal::new(422, "Invalid", error.message) }
}

/// Warnings about Pods that would be refused now.
fn of_existing(cluster: &Cluster, namespace: &str, standard: Standard) -> Vec<String> {
    let pods = one_of_each_controller(cluster.objects.list("", "pods", namespace, &[]));
    let mut warnings = Vec::new();
    if pods.len() > MOST_PODS {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {MOST_PODS} of {} existing pods",
            pods.len()
        ));
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in pods.iter().take(MOST_PODS) {
        let wrong = violations(standard, Pod { metadata: &pod["metadata"], spec: &pod["spec"] });
        if !wrong.is_empty() {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            found.entry(reasons(&wrong)).or_default().push(name.to_owned());
        }
    }
    if !found.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{standard}\""
        ));
    }
    let mut lines: Vec<String> = found.into_iter().map(|(why, pods)| line(&why, &pods)).collect();
    lines.sort();
    warnings.extend(lines);
    warnings
}

/// `web-1 (and 2 other pods): hostPort`
fn line(why: &str, pods: &[String]) -> String {
    let first = pods.iter().min().map(String::as_str).unwrap_or_default();
    match pods.len() {
        0 | 1 => format!("{first}: {why}"),
        2 => format!("{first} (and 1 other pod): {why}"),
        n => format!("{first} (and {} other pods): {why}", n - 1),
    }
}

/// One Pod of each controller first, then their other Pods: so that a bound hides least.
fn one_of_each_controller(pods: Vec<Arc<Value>>) -> Vec<Arc<Value>> {
    let mut seen = HashSet::new();
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for pod in pods {
        let is_new = controller(&pod).is_none_or(|uid| seen.insert(uid));
        if is_new { first.push(pod) } else { others.push(pod) }
    }
    first.extend(others);
    first
}

fn controller(pod: &Value) -> Option<String> {
    let mut owners = items(&pod["metadata"]["ownerReferences"]);
    owners.find(|owner| owner["controller"] == true)?["uid"].as_str().map(String::from)
}

#[cfg(test)]
mod tests;

//! Whether a rule of a webhook or policy concerns a write.

use serde_json::Value;
use tiphys_api::validate::labels;

use super::{Cluster, Operation, Request, items, versions::Version};
use crate::authz::{Refusal, find};

/// The version of the resource in which one of the rules names the write: in the version it came in, or with `Equivalent` in any
/// other that is served. `None`: no rule concerns it.
pub fn shown(cluster: &Cluster, rules: &Value, policy: &Value, request: &Request<'_>) -> Option<Version> {
    let itself = own(cluster, request);
    if items(rules).any(|rule| concerns(rule, request, &itself)) {
        return Some(itself);
    }
    if *policy == "Exact" {
        return None;
    }
    let all = cluster.versions.of(request.group, request.resource);
    let is_own = |other: &Version| other.group == itself.group && other.version == itself.version;
    // Earlier rules first.
    items(rules).find_map(|rule| {
        all.iter().find(|version| !is_own(version) && concerns(rule, request, version)).cloned()
    })
}

/// The version in which the write came.
fn own(cluster: &Cluster, request: &Request<'_>) -> Version {
    let all = cluster.versions.of(request.group, request.resource);
    let found = all.into_iter().find(|it| it.group == request.group && it.version == request.version);
    found.unwrap_or_else(|| Version {
        group: request.group.to_owned(),
        version: request.version.to_owned(),
        resource: request.resource.to_owned(),
        kind: String::new(),
    })
}

/// Whether the rule is about the write, when its resource goes by this version.
pub fn concerns(rule: &Value, request: &Request<'_>, version: &Version) -> bool {
    let named = |key: &str, wanted: &str| items(&rule[key]).any(|item| item == "*" || item == wanted);
    scope(rule, request)
        && named("operations", request.operation.as_str())
        && named("apiGroups", &version.group)
        && named("apiVersions", &version.version)
        && items(&rule["resources"]).filter_map(Value::as_str).any(|name| {
            let (resource, sub) = name.split_once('/').unwrap_or((name, ""));
            (resource == "*" || resource == version.resource) && (sub == "*" || sub == request.subresource)
        })
        && names(rule, request)
}

/// Namespaces count as cluster-scoped, whatever their requests say.
fn scope(rule: &Value, request: &Request<'_>) -> bool {
    let is_namespace = request.group.is_empty() && request.resource == "namespaces";
    let namespaced = !is_namespace && !request.namespace.is_empty();
    match rule["scope"].as_str() {
        Some("Cluster") => !namespaced,
        Some("Namespaced") => namespaced,
        _ => true,
    }
}

/// Policies may name objects.
fn names(rule: &Value, request: &Request<'_>) -> bool {
    let mut names = items(&rule["resourceNames"]).peekable();
    names.peek().is_none() || names.any(|name| name == request.object_name())
}

/// `namespaceSelector` and `objectSelector`.
pub async fn selected(cluster: &Cluster, selectors: &Value, request: &Request<'_>) -> Result<bool, Refusal> {
    if !object_selected(&selectors["objectSelector"], request) {
        return Ok(false);
    }
    let selector = &selectors["namespaceSelector"];
    let is_namespace = request.group.is_empty() && request.resource == "namespaces";
    if labels::is_empty(Some(selector)) || (request.namespace.is_empty() && !is_namespace) {
        return Ok(true);
    }
    let matches = |object: &Value| labels::matches(selector, labels_of(object));
    if is_namespace && request.subresource.is_empty() && request.operation != Operation::Delete {
        return Ok(matches(request.new_object()));
    }
    let name = if request.namespace.is_empty() { request.object_name() } else { request.namespace };
    match find(&*cluster.objects, "", "namespaces", "", name).await {
        Some(namespace) => Ok(matches(&namespace)),
        None => Err(Refusal::not_found("", "namespaces", name)),
    }
}

/// Either the new or the old object may be the one that is meant.
fn object_selected(selector: &Value, request: &Request<'_>) -> bool {
    if labels::is_empty(Some(selector)) {
        return true;
    }
    let objects = [request.object.as_deref(), request.old];
    objects.into_iter().flatten().any(|object| labels::matches(selector, labels_of(object)))
}

pub fn labels_of(object: &Value) -> &serde_json::Map<String, Value> {
    static NONE: std::sync::LazyLock<serde_json::Map<String, Value>> =
        std::sync::LazyLock::new(Default::default);
    object["metadata"]["labels"].as_object().unwrap_or(&NONE)
}

/// `matchConstraints` or `matchResources` of a policy. `None`: it is not concerned.
pub async fn constrained(
    cluster: &Cluster,
    constraints: &Value,
    request: &Request<'_>,
) -> Result<Option<Version>, Refusal> {
    let policy = &constraints["matchPolicy"];
    if shown(cluster, &constraints["excludeResourceRules"], policy, request).is_some() {
        return Ok(None);
    }
    let rules = &constraints["resourceRules"];
    let found = match items(rules).next() {
        None => Some(own(cluster, request)),
        Some(_) => shown(cluster, rules, policy, request),
    };
    match found {
        Some(version) if selected(cluster, constraints, request).await? => Ok(Some(version)),
        _ => Ok(None),
    }
}

/// Objects about admission itself: no webhook may keep them from being changed.
pub fn is_exempt_from_webhooks(request: &Request<'_>) -> bool {
    const KINDS: &[&str] = &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];
    is_exempt_from_policies(request)
        || (request.group == super::compiled::GROUP && KINDS.contains(&request.resource))
}

/// Policies are nothing that policies decide about.
pub fn is_exempt_from_policies(request: &Request<'_>) -> bool {
    const KINDS: &[&str] = &[
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    ];
    request.group == super::compiled::GROUP && KINDS.contains(&request.resource)
}

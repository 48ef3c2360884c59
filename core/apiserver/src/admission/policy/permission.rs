//! Who writes a policy or a binding must be able to read its parameters.
//!
//! Else a policy would tell, by what it denies, what its author may not see.

use serde_json::{Value, json};
use tiphys_api::{auth::Attributes, field::FieldError};

use crate::{
    admission::{Cluster, Request, Version, compiled::GROUP},
    authz::{Refusal, find},
};

pub async fn check(cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
    let (new, old) = (&request.new_object()["spec"], &request.old_object()["spec"]);
    if !request.writes() || !request.subresource.is_empty() {
        return Ok(());
    }
    let (kind, field, why) = match request.resource {
        "validatingadmissionpolicies" | "mutatingadmissionpolicies" => {
            let kind = &new["paramKind"];
            if !kind.is_object() || *kind == old["paramKind"] {
                return Ok(());
            }
            (kind.clone(), "spec.paramKind", all_of(cluster, request, kind))
        }
        _ => {
            let same = ["paramRef", "policyName"].iter().all(|key| new[key] == old[key]);
            if same || !new["paramRef"].is_object() {
                return Ok(());
            }
            let policies = format!("{}policies", request.resource.trim_end_matches("policybindings"));
            let name = new["policyName"].as_str().unwrap_or_default();
            // Before there is a policy nobody knows what is read: who may read everything may bind.
            let policy = find(&*cluster.objects, GROUP, &policies, "", name).await;
            let kind = policy.map(|policy| policy["spec"]["paramKind"].clone()).unwrap_or_default();
            let why = referred(cluster, request, &kind, &new["paramRef"]);
            (kind, "spec.paramRef", why)
        }
    };
    match why {
        None => Ok(()),
        Some(why) => Err(invalid(request, field, &format!("{why}{}", shown(&kind)))),
    }
}

fn all_of(cluster: &Cluster, request: &Request<'_>, kind: &Value) -> Option<String> {
    let allowed = may(cluster, request, kind, "get", "*", "*");
    let user = &request.user.name;
    (!allowed).then(|| {
        format!("user {user} must have \"get\" permission on all objects of the referenced paramKind")
    })
}

fn referred(cluster: &Cluster, request: &Request<'_>, kind: &Value, reference: &Value) -> Option<String> {
    let text = |key: &str| reference[key].as_str().unwrap_or_default();
    let namespace = match text("namespace") {
        "" => "*",
        namespace => namespace,
    };
    let (verb, name) = match text("name") {
        "" => ("list", ""),
        name => ("get", name),
    };
    let allowed = may(cluster, request, kind, verb, namespace, name);
    let user = &request.user.name;
    (!allowed).then(|| format!("user {user} does not have {verb:?} permission on the referenced param"))
}

fn may(
    cluster: &Cluster,
    request: &Request<'_>,
    kind: &Value,
    verb: &str,
    namespace: &str,
    name: &str,
) -> bool {
    let text = |key: &str| kind[key].as_str().unwrap_or_default();
    let anything =
        || Version { group: "*".into(), version: "*".into(), resource: "*".into(), kind: String::new() };
    let served = cluster.versions.of_kind(text("apiVersion"), text("kind"));
    let version = served.map_or_else(anything, |(version, _)| version);
    let attributes = Attributes::Resource {
        verb: verb.to_owned(),
        group: version.group,
        version: version.version,
        resource: version.resource,
        subresource: String::new(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    cluster.authorizer.authorize(request.user, &attributes).is_ok()
}

fn shown(kind: &Value) -> String {
    let text = |key: &str| kind[key].as_str().unwrap_or("*");
    format!(" (kind={}, apiVersion={})", text("kind"), text("apiVersion"))
}

fn invalid(request: &Request<'_>, field: &str, why: &str) -> Refusal {
    let error = FieldError::forbidden(field, why);
    let kind = request.new_object()["kind"].as_str().unwrap_or_default();
    let name = request.object_name();
    let message = format!("{kind}.{GROUP} {name:?} is invalid: {error}");
    let cause = json!({ "reason": error.reason.as_str(), "message": error.message, "field": error.field });
    let details = json!({ "name": name, "group": GROUP, "kind": kind, "causes": [cause] });
    Refusal { details: Some(details), ..Refusal::new(422, "Invalid", message) }
}

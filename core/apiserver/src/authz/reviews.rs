//! Access reviews: questions to the authorizer as objects.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::auth::{Attributes, UserInfo};

use super::{Decision, Rbac, Refusal};

/// Answers a review of `authorization.k8s.io/v1`: SubjectAccessReview,
/// LocalSubjectAccessReview (in `namespace`), SelfSubjectAccessReview or
/// SelfSubjectRulesReview, asked by `user`. Gives the object with its status.
pub fn review(
    rbac: &Rbac,
    kind: &str,
    namespace: &str,
    user: &UserInfo,
    mut object: Value,
) -> Result<Value, Refusal> {
    object["apiVersion"] = "authorization.k8s.io/v1".into();
    object["kind"] = kind.into();
    object["status"] = match kind {
        "SelfSubjectRulesReview" => rules_status(rbac, user, &object)?,
        "SelfSubjectAccessReview" => status(&rbac.decide(user, &attributes(&object["spec"])?)),
        "SubjectAccessReview" => {
            status(&rbac.decide(&subject(&object["spec"])?, &attributes(&object["spec"])?))
        }
        "LocalSubjectAccessReview" => {
            let asked = &object["spec"]["resourceAttributes"]["namespace"];
            if asked != namespace {
                let message = "spec.resourceAttributes.namespace must match metadata.namespace";
                return Err(invalid(kind, message));
            }
            status(&rbac.decide(&subject(&object["spec"])?, &attributes(&object["spec"])?))
        }
        other => return Err(Refusal::not_found("authorization.k8s.io", other, "")),
    };
    Ok(object)
}

fn status(decision: &Decision) -> Value {
    let mut status = json!({ "allowed": decision.allowed });
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.clone().into();
    }
    status
}

fn rules_status(rbac: &Rbac, user: &UserInfo, object: &Value) -> Result<Value, Refusal> {
    let namespace = object["spec"]["namespace"].as_str().unwrap_or_default();
    if namespace.is_empty() {
        return Err(Refusal::bad_request("no namespace on request"));
    }
    let (of_paths, of_resources): (Vec<Value>, Vec<Value>) =
        rbac.rules(user, namespace).into_iter().partition(|rule| rule["nonResourceURLs"].is_array());
    Ok(json!({ "resourceRules": of_resources, "nonResourceRules": of_paths, "incomplete": false }))
}

/// Whom a SubjectAccessReview is about.
fn subject(spec: &Value) -> Result<UserInfo, Refusal> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Subject {
        user: String,
        uid: String,
        groups: Option<Vec<String>>,
        extra: Option<BTreeMap<String, Vec<String>>>,
    }
    let subject = Subject::deserialize(spec)
        .map_err(|error| Refusal::bad_request(format!("the subject of the review is not valid: {error}")))?;
    let groups = subject.groups.unwrap_or_default();
    if subject.user.is_empty() && groups.is_empty() {
        return Err(invalid(
            "SubjectAccessReview",
            "spec.user: Invalid value: \"\": at least one of user or group must be specified",
        ));
    }
    Ok(UserInfo { name: subject.user, uid: subject.uid, groups, extra: subject.extra.unwrap_or_default() })
}

/// What a review asks for.
fn attributes(spec: &Value) -> Result<Attributes, Refusal> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    match (&spec["resourceAttributes"], &spec["nonResourceAttributes"]) {
        (asked @ Value::Object(_), Value::Null) => Ok(Attributes::Resource {
            verb: text(asked, "verb"),
            group: text(asked, "group"),
            version: text(asked, "version"),
            resource: text(asked, "resource"),
            subresource: text(asked, "subresource"),
            namespace: text(asked, "namespace"),
            name: text(asked, "name"),
        }),
        (Value::Null, asked @ Value::Object(_)) => {
            Ok(Attributes::NonResource { verb: text(asked, "verb"), path: text(asked, "path") })
        }
        _ => Err(invalid(
            "SubjectAccessReview",
            "exactly one of spec.nonResourceAttributes or spec.resourceAttributes must be specified",
        )),
    }
}

fn invalid(kind: &str, message: &str) -> Refusal {
    Refusal::new(422, "Invalid", format!("{kind}.authorization.k8s.io \"\" is invalid: {message}"))
}

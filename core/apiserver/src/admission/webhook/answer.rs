//! An AdmissionReview sent, and its answer looked at as by one who does not trust it.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Hook, Invocation};
use crate::{
    admission::{Cluster, items},
    authz::Refusal,
    webhook::{Limits, Target, WebhookError},
};

/// Of an answer, what is read: no object is larger. In bytes.
const ANSWER_LIMIT: usize = 3 << 20;

/// What a webhook has answered.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    allowed: bool,
    result: Value,
    /// A JSON patch that changes something.
    pub patch: Option<Value>,
    pub warnings: Vec<String>,
    pub annotations: BTreeMap<String, String>,
}

impl Answer {
    /// The refusal, in the webhook's words.
    pub fn refused(&self, webhook: &str) -> Option<Refusal> {
        if self.allowed {
            return None;
        }
        let text = |key: &str| self.result[key].as_str().unwrap_or_default();
        let denied = format!("admission webhook {webhook:?} denied the request");
        let message = match (text("message"), text("reason")) {
            ("", "") => format!("{denied} without explanation"),
            ("", reason) => format!("{denied}: {reason}"),
            (message, _) => format!("{denied}: {message}"),
        };
        let code = self.result["code"].as_u64().and_then(|code| u16::try_from(code).ok());
        let code = code.filter(|code| (400..600).contains(code)).unwrap_or(400);
        let details = Some(self.result["details"].clone()).filter(Value::is_object);
        Some(Refusal { details, ..Refusal::new(code, text("reason").to_owned(), message) })
    }
}

/// Asks the webhook.
///
/// # Errors
/// It can't be reached, takes too long, or answers with what is no answer.
pub async fn exchange(
    cluster: &Cluster,
    hook: &Hook,
    invocation: &Invocation,
    mutating: bool,
) -> Result<Answer, String> {
    let versions = &hook.config["admissionReviewVersions"];
    let known = items(versions).filter_map(Value::as_str).find(|version| ["v1", "v1beta1"].contains(version));
    let version = known.ok_or(
        "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)",
    )?;
    let uid = uuid::Uuid::new_v4().to_string();
    let review = review(version, &uid, invocation);
    let failed = |error: WebhookError| format!("failed to call webhook: {error}");
    let mut target = Target::of(&hook.config["clientConfig"]).map_err(failed)?;
    target.path.push_str(&format!("?timeout={}s", hook.timeout().as_secs()));
    let limits = Limits { time: hook.timeout(), answer: ANSWER_LIMIT };
    let answer = cluster.webhooks.client.post(&target, &review, limits).await.map_err(failed)?;
    read(version, &uid, mutating, &answer).map_err(|why| format!("received invalid webhook response: {why}"))
}

fn review(version: &str, uid: &str, invocation: &Invocation) -> Value {
    let mut request = json!({ "uid": uid });
    if let (Some(all), Some(fields)) = (request.as_object_mut(), invocation.request.as_object()) {
        all.extend(fields.clone());
        all.insert("object".into(), invocation.pictures.new.clone());
        all.insert("oldObject".into(), invocation.pictures.old.clone());
    }
    json!({ "kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request })
}

fn read(version: &str, uid: &str, mutating: bool, review: &Value) -> Result<Answer, String> {
    let response = &review["response"];
    if !response.is_object() {
        return Err("webhook response was absent".into());
    }
    let strict = version == "v1";
    if strict {
        identity(uid, review)?;
    }
    let text = |value: &Value| value.as_str().map(String::from);
    Ok(Answer {
        allowed: response["allowed"] == true,
        result: response["status"].clone(),
        patch: patch(response, mutating, strict)?,
        warnings: items(&response["warnings"]).filter_map(text).collect(),
        annotations: response["auditAnnotations"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
            .collect(),
    })
}

fn identity(uid: &str, review: &Value) -> Result<(), String> {
    let given = review["response"]["uid"].as_str().unwrap_or_default();
    if given != uid {
        return Err(format!("expected response.uid={uid:?}, got {given:?}"));
    }
    let (kind, version) = (review["kind"].as_str(), review["apiVersion"].as_str());
    if (kind, version) != (Some("AdmissionReview"), Some("admission.k8s.io/v1")) {
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {}, Kind={}",
            version.unwrap_or_default(),
            kind.unwrap_or_default()
        ));
    }
    Ok(())
}

fn patch(response: &Value, mutating: bool, strict: bool) -> Result<Option<Value>, String> {
    let given = response["patch"].as_str().filter(|patch| !patch.is_empty());
    let kind = &response["patchType"];
    if !mutating {
        return match (given, kind.is_null()) {
            _ if !strict => Ok(None),
            (Some(_), _) => Err("validating webhook may not return response.patch".into()),
            (None, false) => Err("validating webhook may not return response.patchType".into()),
            (None, true) => Ok(None),
        };
    }
    match (given, kind.as_str()) {
        (Some(_), None) if strict => {
            return Err("webhook returned response.patch but not response.patchType".into());
        }
        (None, Some(_)) if strict => {
            return Err("webhook returned response.patchType but not response.patch".into());
        }
        (Some(_), Some(other)) if strict && other != "JSONPatch" => {
            return Err(format!("unsupported patch type {other:?}"));
        }
        _ => {}
    }
    let Some(given) = given else { return Ok(None) };
    let undecodable = |error: String| format!("received undecodable patch in webhook response: {error}");
    let bytes = BASE64_STANDARD.decode(given).map_err(|error| undecodable(error.to_string()))?;
    let patch: Value = serde_json::from_slice(&bytes).map_err(|error| undecodable(error.to_string()))?;
    Ok(Some(patch).filter(|patch| patch.as_array().is_none_or(|operations| !operations.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(response: Value) -> Value {
        json!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response })
    }

    #[test]
    fn answers_that_are_none() {
        let patch = BASE64_STANDARD.encode("[{\"op\":\"remove\",\"path\":\"/a\"}]");
        let table = [
            (true, json!({}), "webhook response was absent"),
            (true, answered(json!({ "uid": "x" })), "expected response.uid=\"u\", got \"x\""),
            (
                true,
                json!({ "kind": "Pod", "response": { "uid": "u" } }),
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got , Kind=Pod",
            ),
            (
                true,
                answered(json!({ "uid": "u", "patch": patch })),
                "webhook returned response.patch but not response.patchType",
            ),
            (
                true,
                answered(json!({ "uid": "u", "patchType": "JSONPatch" })),
                "webhook returned response.patchType but not response.patch",
            ),
            (
                true,
                answered(json!({ "uid": "u", "patchType": "Merge", "patch": patch })),
                "unsupported patch type \"Merge\"",
            ),
            (
                false,
                answered(json!({ "uid": "u", "patchType": "JSONPatch", "patch": patch })),
                "validating webhook may not return response.patch",
            ),
        ];
        for (mutating, review, expected) in table {
            assert_eq!(read("v1", "u", mutating, &review), Err(expected.to_owned()), "{review}");
        }
        let garbled = answered(json!({ "uid": "u", "patchType": "JSONPatch", "patch": "?" }));
        assert!(read("v1", "u", true, &garbled).unwrap_err().starts_with("received undecodable patch"));
        let old = json!({ "response": { "allowed": true, "patch": patch } });
        assert!(read("v1beta1", "u", true, &old).unwrap().patch.is_some(), "the beta is believed as it is");
    }

    #[test]
    fn refusals_are_worded_as_clients_know_them() {
        let refused = |status: Value| {
            let answer = read("v1", "u", false, &answered(json!({ "uid": "u", "status": status }))).unwrap();
            let refusal = answer.refused("a.b.c").unwrap();
            (refusal.code, refusal.reason.to_string(), refusal.message)
        };
        let denied = "admission webhook \"a.b.c\" denied the request";
        let table = [
            (Value::Null, (400, String::new(), format!("{denied} without explanation"))),
            (json!({ "reason": "Odd" }), (400, "Odd".into(), format!("{denied}: Odd"))),
            (
                json!({ "code": 403, "reason": "Forbidden", "message": "no" }),
                (403, "Forbidden".into(), format!("{denied}: no")),
            ),
            (json!({ "code": 200, "message": "no" }), (400, String::new(), format!("{denied}: no"))),
        ];
        for (status, expected) in table {
            assert_eq!(refused(status.clone()), expected, "{status}");
        }
    }
}

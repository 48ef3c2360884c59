//! A request turned down, as the `Status` that its sender gets.
//!
//! Authentication, authorization, admission and streaming all refuse with this
//! one type; the verbs turn it into their own error or straight into a response.

use std::borrow::Cow;

use serde_json::{Value, json};

/// Why a request is turned down. `code` is the HTTP status, `reason` the word
/// that clients match on (`Forbidden`, `NotFound`, ...).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: u16,
    pub reason: Cow<'static, str>,
    pub message: String,
    /// `StatusDetails`: name, group, kind, causes.
    pub details: Option<Value>,
}

impl Refusal {
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), message: message.into(), details: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401. Says nothing about what was wrong: that goes into the log.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 403 about `resource` (`deployments`) of `group`, worded as upstream does:
    /// `deployments.apps "web" is forbidden: <why>`. An empty name is left out.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = format!("{} is forbidden: {why}", qualified(group, resource, name));
        Self { details: Some(details(group, resource, name)), ..Self::new(403, "Forbidden", message) }
    }

    /// 404: `pods "web" not found`.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} not found", qualified(group, resource, name));
        Self { details: Some(details(group, resource, name)), ..Self::new(404, "NotFound", message) }
    }

    /// 500 with the message as it is.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

/// `pods`, `deployments.apps "web"`.
fn qualified(group: &str, resource: &str, name: &str) -> String {
    let mut text = resource.to_owned();
    if !group.is_empty() {
        text.push('.');
        text.push_str(group);
    }
    if !name.is_empty() {
        text.push_str(&format!(" {name:?}"));
    }
    text
}

fn details(group: &str, resource: &str, name: &str) -> Value {
    let mut details = json!({ "kind": resource });
    if !group.is_empty() {
        details["group"] = group.into();
    }
    if !name.is_empty() {
        details["name"] = name.into();
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_worded_as_clients_expect() {
        let refusal = Refusal::forbidden("apps", "deployments", "web", "no");
        assert_eq!(refusal.message, "deployments.apps \"web\" is forbidden: no");
        assert_eq!(
            refusal.status()["details"],
            json!({"kind": "deployments", "group": "apps", "name": "web"})
        );
        assert_eq!(Refusal::not_found("", "pods", "x").message, "pods \"x\" not found");
        assert_eq!(Refusal::unauthorized().status()["code"], 401);
    }
}

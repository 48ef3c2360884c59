//! The one place where errors become a Kubernetes `Status`.
//!
//! Clients match on `reason` and `code`, people read `message`, and tools such
//! as kubectl read `details.causes`. So each constructor here gives exactly one
//! of the API's reasons with the wording that clients know. Every part of the
//! crate returns [`ApiError`]; nothing else builds a Status by hand.

use std::{borrow::Cow, fmt};

use http::StatusCode;
use serde_json::{Value, json};
use tiphys_api::field::FieldError;

pub type Result<T> = std::result::Result<T, ApiError>;

/// A failed request, as the `Status` that its caller gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub code: StatusCode,
    /// The machine-readable reason: `NotFound`, `Conflict`, ...
    pub reason: Cow<'static, str>,
    pub message: String,
    pub details: Option<Box<Details>>,
    /// `metadata.continue`: by it a list goes on that could not be continued as it was.
    pub proceed: Option<Box<str>>,
}

/// What the error is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    pub name: String,
    pub group: String,
    /// The plural resource; for `Invalid` the kind.
    pub kind: String,
    pub uid: String,
    pub causes: Vec<Cause>,
    pub retry_after_seconds: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

/// A resource by group and plural, printed as `deployments.apps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupResource<'a> {
    pub group: &'a str,
    pub resource: &'a str,
}

impl fmt::Display for GroupResource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group {
            "" => f.write_str(self.resource),
            group => write!(f, "{}.{group}", self.resource),
        }
    }
}

impl GroupResource<'_> {
    fn details(self, name: &str) -> Option<Box<Details>> {
        Some(Box::new(Details {
            name: name.into(),
            group: self.group.into(),
            kind: self.resource.into(),
            ..Details::default()
        }))
    }
}

impl ApiError {
    pub fn new(code: StatusCode, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), message: message.into(), details: None, proceed: None }
    }

    pub fn not_found(resource: GroupResource<'_>, name: &str) -> Self {
        let message = format!("{resource} \"{name}\" not found");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(resource.details(name))
    }

    /// No such path or resource type.
    pub fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
            .about(Some(Box::default()))
    }

    pub fn already_exists(resource: GroupResource<'_>, name: &str) -> Self {
        let message = format!("{resource} \"{name}\" already exists");
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(resource.details(name))
    }

    /// The caller's object is not the newest.
    pub fn modified(resource: GroupResource<'_>, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub fn conflict(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {why}");
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(resource.details(name))
    }

    /// Field errors of one object.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let kind_name = match group {
            "" => kind.to_owned(),
            group => format!("{kind}.{group}"),
        };
        let listed = match errors {
            [] => String::new(),
            [one] => format!(": {one}"),
            many => format!(": [{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let causes = errors.iter().map(|error| Cause {
            reason: error.reason.as_str().into(),
            message: error.message.clone(),
            field: error.field.clone(),
        });
        let details = Details {
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
            causes: causes.collect(),
            ..Details::default()
        };
        let message = format!("{kind_name} \"{name}\" is invalid{listed}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(Some(Box::new(details)))
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// `why` is the authorizer's or admission plug-in's sentence.
    pub fn forbidden(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{resource} is forbidden: {why}"),
            name => format!("{resource} \"{name}\" is forbidden: {why}"),
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(resource.details(name))
    }

    /// A path that is no resource.
    pub fn forbidden_path(why: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", format!("forbidden: {why}")).about(Some(Box::default()))
    }

    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .about(Some(Box::default()))
    }

    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// History before this revision is gone: the client lists again.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// A revision that this server has not reached.
    pub fn revision_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let cause = Cause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            ..Cause::default()
        };
        let details = Details { causes: vec![cause], retry_after_seconds: 1, ..Details::default() };
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", format!("Timeout: {message}"))
            .about(Some(Box::new(details)))
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let details = Details { retry_after_seconds, ..Details::default() };
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).about(Some(Box::new(details)))
    }

    pub fn internal(error: impl fmt::Display) -> Self {
        let message = format!("Internal error occurred: {error}");
        let cause = Cause { message: error.to_string(), ..Cause::default() };
        let details = Details { causes: vec![cause], ..Details::default() };
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message).about(Some(Box::new(details)))
    }

    /// What upstream has no word for: a 500 with the bare message.
    pub fn unnamed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// It took too long, and whether it was done is not known. Without Retry-After:
    /// clients would repeat a write by themselves.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    pub fn about(mut self, details: Option<Box<Details>>) -> Self {
        self.details = details;
        self
    }

    pub fn continued_by(mut self, token: String) -> Self {
        self.proceed = Some(token.into());
        self
    }

    /// The `Status` object of the wire.
    pub fn to_value(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code.as_u16(),
        });
        if !self.reason.is_empty() {
            status["reason"] = (*self.reason).into();
        }
        if let Some(token) = &self.proceed {
            status["metadata"]["continue"] = (**token).into();
        }
        if let Some(details) = &self.details {
            status["details"] = details.to_value();
        }
        status
    }
}

impl Details {
    fn to_value(&self) -> Value {
        let mut details = serde_json::Map::new();
        let texts = [("name", &self.name), ("group", &self.group), ("kind", &self.kind), ("uid", &self.uid)];
        for (key, text) in texts {
            if !text.is_empty() {
                details.insert(key.into(), text.as_str().into());
            }
        }
        if !self.causes.is_empty() {
            details.insert("causes".into(), self.causes.iter().map(Cause::to_value).collect());
        }
        if self.retry_after_seconds > 0 {
            details.insert("retryAfterSeconds".into(), self.retry_after_seconds.into());
        }
        Value::Object(details)
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut cause = serde_json::Map::new();
        for (key, text) in [("reason", &self.reason), ("message", &self.message), ("field", &self.field)] {
            if !text.is_empty() {
                cause.insert(key.into(), text.as_str().into());
            }
        }
        Value::Object(cause)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use tiphys_api::field::Reason;

    use super::*;

    const DEPLOYMENTS: GroupResource<'_> = GroupResource { group: "apps", resource: "deployments" };
    const PODS: GroupResource<'_> = GroupResource { group: "", resource: "pods" };

    fn check(error: &ApiError, code: u16, reason: &str, message: &str) {
        assert_eq!((error.code.as_u16(), &*error.reason, error.message.as_str()), (code, reason, message));
    }

    #[test]
    fn messages_are_the_ones_clients_know() {
        check(&ApiError::not_found(PODS, "x"), 404, "NotFound", "pods \"x\" not found");
        check(
            &ApiError::already_exists(DEPLOYMENTS, "x"),
            409,
            "AlreadyExists",
            "deployments.apps \"x\" already exists",
        );
        check(
            &ApiError::modified(PODS, "x"),
            409,
            "Conflict",
            "Operation cannot be fulfilled on pods \"x\": the object has been modified; \
             please apply your changes to the latest version and try again",
        );
    }

    #[test]
    fn one_field_error_stands_alone_and_several_are_listed() {
        let error = |field: &str| FieldError {
            reason: Reason::Required,
            field: field.into(),
            message: "Required value".into(),
        };
        let one = ApiError::invalid("apps", "Deployment", "x", &[error("spec.a")]);
        check(&one, 422, "Invalid", "Deployment.apps \"x\" is invalid: spec.a: Required value");
        let two = ApiError::invalid("", "Pod", "x", &[error("a"), error("b")]);
        check(&two, 422, "Invalid", "Pod \"x\" is invalid: [a: Required value, b: Required value]");
        assert_eq!(two.to_value()["details"]["causes"][1]["field"], "b");
    }
}

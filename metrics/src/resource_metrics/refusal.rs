//! What is refused, in metrics-server's words: clients go by `reason` and `details`, people read the
//! message. The API server, which this is mounted into, passes over bodies that nobody reads.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::GROUP;

/// A `Status` without details.
pub fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    (code, Json(failure(code, reason, message))).into_response()
}

fn detailed(code: StatusCode, reason: &str, message: &str, details: Value) -> Response {
    let mut status = failure(code, reason, message);
    status["details"] = details;
    (code, Json(status)).into_response()
}

fn failure(code: StatusCode, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    })
}

/// There is no such object: `kind` is `node` or `pods`.
pub fn unknown(kind: &str, name: &str) -> Response {
    let message = format!("{kind} {name:?} not found");
    detailed(StatusCode::NOT_FOUND, "NotFound", &message, json!({"name": name, "kind": kind}))
}

/// There is the object, but no figures of it now. The name of a Pod is said with its namespace.
pub fn unmeasured(resource: &str, name: &str) -> Response {
    let message = format!("{resource}.{GROUP} {name:?} not found");
    let details = json!({"name": name, "group": GROUP, "kind": resource});
    detailed(StatusCode::NOT_FOUND, "NotFound", &message, details)
}

/// Figures are asked for again and again: they have no changes to follow.
pub fn watch(resource: &str) -> Response {
    let message = format!("watch is not supported on resources of kind \"{resource}.{GROUP}\"");
    let details = json!({"group": GROUP, "kind": resource});
    detailed(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", &message, details)
}

pub fn not_acceptable() -> Response {
    let text = "only the following media types are accepted: application/json, \
                application/vnd.kubernetes.protobuf";
    status(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", text)
}

/// Figures are read only.
pub async fn method_not_allowed() -> Response {
    let message = "the server does not allow this method on the requested resource";
    detailed(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message, json!({}))
}

//! What is wrong with probes and lifecycle handlers.

use serde_json::Value;

use crate::{
    access::{int, list, present},
    field::FieldError,
    validate::{Errors, one_of, port_or_name, required},
};

/// All probes and handlers of a container at `path`.
pub fn validate_all(container: &Value, path: &str, is_init: bool, errors: &mut Errors) {
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = present(container, &format!("/{key}")) else { continue };
        let field = format!("{path}.{key}");
        if is_init {
            errors.push(FieldError::forbidden(
                field,
                "may not be set for init containers without restartPolicy=Always",
            ));
        } else {
            validate(probe, &field, key, errors);
        }
    }
    for key in ["postStart", "preStop"] {
        let Some(handler) = present(container, &format!("/lifecycle/{key}")) else { continue };
        validate_handler(
            handler,
            &format!("{path}.lifecycle.{key}"),
            &["exec", "httpGet", "tcpSocket", "sleep"],
            errors,
        );
    }
}

fn validate(probe: &Value, path: &str, key: &str, errors: &mut Errors) {
    validate_handler(probe, path, &["exec", "httpGet", "tcpSocket", "grpc"], errors);
    for figure in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        crate::validate::not_negative(probe, figure, path, errors);
    }
    if key != "readinessProbe" && int(probe, "/successThreshold").is_some_and(|n| n != 1) {
        let threshold = probe.get("successThreshold").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), threshold, "must be 1"));
    }
}

fn validate_handler(handler: &Value, path: &str, kinds: &[&str], errors: &mut Errors) {
    let given: Vec<&str> =
        kinds.iter().copied().filter(|kind| handler.get(kind).is_some_and(|v| !v.is_null())).collect();
    match given.as_slice() {
        [] => errors.push(FieldError::required(path, "must specify a handler type")),
        [_] => {}
        [_, rest @ ..] => {
            let more = rest.iter().map(|kind| format!("{path}.{kind}"));
            errors.extend(more.map(|f| FieldError::forbidden(f, "may not specify more than 1 handler type")));
        }
    }
    if let Some(exec) = present(handler, "/exec")
        && list(exec, "/command").is_empty()
    {
        errors.push(FieldError::required(format!("{path}.exec.command"), ""));
    }
    if let Some(http) = present(handler, "/httpGet") {
        let path = format!("{path}.httpGet");
        required(http, "path", &path, errors);
        port_or_name(http.get("port"), &format!("{path}.port"), errors);
        one_of(http, "scheme", &path, &["HTTP", "HTTPS"], errors);
    }
    if let Some(tcp) = present(handler, "/tcpSocket") {
        port_or_name(tcp.get("port"), &format!("{path}.tcpSocket.port"), errors);
    }
    if let Some(grpc) = present(handler, "/grpc") {
        crate::validate::port(grpc.get("port").unwrap_or(&Value::Null), &format!("{path}.grpc.port"), errors);
    }
}

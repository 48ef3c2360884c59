//! What is wrong with probes and lifecycle handlers.

use serde_json::Value;

use crate::{
    access::{has, int, list, present, text},
    field::FieldError,
    validate::{Errors, names, not_negative, obey, one_of, port, port_or_name, required},
};

const FIGURES: [&str; 5] =
    ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];

/// All probes and handlers of a container at `path`. One that runs once, to an end, has none.
pub fn validate_all(container: &Value, grace: Option<i64>, path: &str, once: bool, errors: &mut Errors) {
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"];
    if once {
        for key in probes.into_iter().chain(["lifecycle"]).filter(|key| has(container, &format!("/{key}"))) {
            let detail = "may not be set for init containers without restartPolicy=Always";
            errors.push(FieldError::forbidden(format!("{path}.{key}"), detail));
        }
        return;
    }
    for key in ["postStart", "preStop"] {
        let Some(handler) = present(container, &format!("/lifecycle/{key}")) else { continue };
        let path = format!("{path}.lifecycle.{key}");
        validate_handler(handler, grace, &path, &["exec", "httpGet", "tcpSocket", "sleep"], errors);
    }
    for key in probes {
        if let Some(probe) = present(container, &format!("/{key}")) {
            validate(probe, grace, &format!("{path}.{key}"), key, errors);
        }
    }
}

fn validate(probe: &Value, grace: Option<i64>, path: &str, key: &str, errors: &mut Errors) {
    validate_handler(probe, grace, path, &["exec", "httpGet", "tcpSocket", "grpc"], errors);
    FIGURES.iter().for_each(|figure| not_negative(probe, figure, path, errors));
    let own_grace = int(probe, "/terminationGracePeriodSeconds");
    let field = format!("{path}.terminationGracePeriodSeconds");
    if let Some(seconds) = own_grace.filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid(&*field, &seconds.into(), "must be greater than 0"));
    }
    if key == "readinessProbe" {
        if let Some(seconds) = own_grace {
            errors.push(FieldError::invalid(field, &seconds.into(), "must not be set for readinessProbes"));
        }
    } else if int(probe, "/successThreshold").is_some_and(|n| n != 1) {
        let threshold = probe.get("successThreshold").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid(format!("{path}.successThreshold"), threshold, "must be 1"));
    }
}

fn validate_handler(handler: &Value, grace: Option<i64>, path: &str, kinds: &[&str], errors: &mut Errors) {
    let given: Vec<&str> = kinds.iter().copied().filter(|kind| has(handler, &format!("/{kind}"))).collect();
    match given.as_slice() {
        [] => errors.push(FieldError::required(path, "must specify a handler type")),
        [kind, rest @ ..] => {
            action(kind, &handler[kind], grace, &format!("{path}.{kind}"), errors);
            let more = rest.iter().map(|kind| format!("{path}.{kind}"));
            errors.extend(more.map(|f| FieldError::forbidden(f, "may not specify more than 1 handler type")));
        }
    }
}

fn action(kind: &str, action: &Value, grace: Option<i64>, path: &str, errors: &mut Errors) {
    match kind {
        "exec" if list(action, "/command").is_empty() => {
            errors.push(FieldError::required(format!("{path}.command"), ""));
        }
        "httpGet" => {
            required(action, "path", path, errors);
            port_or_name(action.get("port"), &format!("{path}.port"), errors);
            one_of(action, "scheme", path, &["HTTP", "HTTPS"], errors);
            for header in list(action, "/httpHeaders") {
                obey(names::http_header, text(header, "/name"), &format!("{path}.httpHeaders"), errors);
            }
        }
        "tcpSocket" => port_or_name(action.get("port"), &format!("{path}.port"), errors),
        "grpc" => port(action.get("port").unwrap_or(&Value::Null), &format!("{path}.port"), errors),
        "sleep" => {
            let seconds = int(action, "/seconds").unwrap_or(0);
            if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                let detail =
                    format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                errors.push(FieldError::invalid(path, &seconds.into(), detail));
            }
        }
        _ => {}
    }
}

//! What a claim asks for: requests for devices of a class, constraints between them,
//! configuration for their drivers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{each_up_to, names, taint, unique};
use crate::{
    access::{default, each, int, list, present, text, with},
    custom::cel,
    field::FieldError,
    validate::{Errors, driver_name, names as forms, not_negative, obey, one_of, quantity},
};

/// Requests, constraints, configurations, selectors: so many of each.
pub const MOST: usize = 32;
const MOST_ALTERNATIVES: usize = 8;
const LONGEST_EXPRESSION: usize = 10 * 1024;
const LONGEST_PARAMETERS: usize = 10 * 1024;

/// The requests of a claim by name, each with its alternatives.
pub type Names<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// Defaults of a claim's spec.
pub fn defaults(spec: &mut Value) {
    each(spec, "/devices/requests", |request| {
        with(request, "/exactly", one_default);
        each(request, "/firstAvailable", one_default);
    });
}

fn one_default(request: &mut Value) {
    default(request, "allocationMode", "ExactCount");
    if text(request, "/allocationMode") == "ExactCount" && int(request, "/count").unwrap_or(0) == 0 {
        request["count"] = 1.into();
    }
    each(request, "/tolerations", |toleration| default(toleration, "operator", "Equal"));
}

/// The spec of a claim at `path`.
pub fn claim(spec: &Value, path: &str, errors: &mut Errors) {
    let devices = spec.get("devices").unwrap_or(&Value::Null);
    let path = format!("{path}.devices");
    let known = request_names(devices);
    each_up_to(devices, "requests", &path, MOST, errors, request);
    unique(devices, "requests", "name", &path, errors);
    each_up_to(devices, "constraints", &path, MOST, errors, |given, path, errors| {
        constraint(given, path, &known, errors);
    });
    each_up_to(devices, "config", &path, MOST, errors, |config, path, errors| {
        references(config, path, &known, errors);
        opaque(config, path, errors);
    });
}

/// The names that the rest of the claim may refer to.
pub fn request_names(devices: &Value) -> Names<'_> {
    let alternatives =
        |request| list(request, "/firstAvailable").iter().map(|one| text(one, "/name")).collect::<Vec<_>>();
    list(devices, "/requests").iter().map(|request| (text(request, "/name"), alternatives(request))).collect()
}

fn request(request: &Value, path: &str, errors: &mut Errors) {
    names::label(text(request, "/name"), &format!("{path}.name"), errors);
    let alternatives = !list(request, "/firstAvailable").is_empty();
    match (present(request, "/exactly"), alternatives) {
        (None, false) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required";
            errors.push(FieldError::required(path, detail));
        }
        (Some(_), true) => {
            let detail =
                "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.push(FieldError::invalid(path, &Value::Null, detail));
        }
        (Some(exactly), false) => one(exactly, &format!("{path}.exactly"), errors),
        (None, true) => {
            each_up_to(
                request,
                "firstAvailable",
                path,
                MOST_ALTERNATIVES,
                errors,
                |alternative, path, errors| {
                    names::label(text(alternative, "/name"), &format!("{path}.name"), errors);
                    one(alternative, path, errors);
                },
            );
            unique(request, "firstAvailable", "name", path, errors);
        }
    }
}

fn one(request: &Value, path: &str, errors: &mut Errors) {
    let (class, field) = (text(request, "/deviceClassName"), format!("{path}.deviceClassName"));
    if class.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else {
        obey(forms::dns_subdomain, class, &field, errors);
    }
    selectors(request, path, errors);
    one_of(request, "allocationMode", path, &["All", "ExactCount"], errors);
    let count = int(request, "/count").unwrap_or(0);
    let at_count = format!("{path}.count");
    match text(request, "/allocationMode") {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.push(FieldError::invalid(at_count, &count.into(), detail));
        }
        "ExactCount" if count <= 0 => {
            errors.push(FieldError::invalid(at_count, &count.into(), "must be greater than zero"));
        }
        _ => {}
    }
    each_up_to(request, "tolerations", path, taint::MOST, errors, taint::toleration);
    let requests = request.pointer("/capacity/requests").and_then(Value::as_object);
    for (name, amount) in requests.into_iter().flatten() {
        let path = format!("{path}.capacity.requests");
        names::qualified(name, &path, errors);
        quantity(amount, &format!("{path}[{name}]"), errors);
    }
}

/// `selectors` of a request or class: expressions over one device.
pub fn selectors(object: &Value, path: &str, errors: &mut Errors) {
    each_up_to(object, "selectors", path, MOST, errors, |selector, path, errors| {
        let Some(given) = present(selector, "/cel") else {
            return errors.push(FieldError::required(format!("{path}.cel"), ""));
        };
        let (expression, field) = (text(given, "/expression"), format!("{path}.cel.expression"));
        if expression.len() > LONGEST_EXPRESSION {
            errors.push(FieldError::too_long(field, LONGEST_EXPRESSION));
        } else if let Err(why) = cel::syntax(expression) {
            let detail = format!("compilation failed: {why}");
            errors.push(FieldError::invalid(field, &expression.into(), detail));
        }
    });
}

fn constraint(constraint: &Value, path: &str, known: &Names<'_>, errors: &mut Errors) {
    references(constraint, path, known, errors);
    let given =
        ["matchAttribute", "distinctAttribute"].map(|key| (key, text(constraint, &format!("/{key}"))));
    match given.into_iter().find(|(_, name)| !name.is_empty()) {
        Some((key, name)) => names::fully_qualified(name, &format!("{path}.{key}"), errors),
        None => {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple \
                          fields are set";
            errors.push(FieldError::required(path, detail));
        }
    }
}

/// The names in `requests` must be there.
pub fn references(object: &Value, path: &str, known: &Names<'_>, errors: &mut Errors) {
    each_up_to(object, "requests", path, MOST, errors, |name, path, errors| {
        reference(name.as_str().unwrap_or_default(), path, known, errors);
    });
    let all = list(object, "/requests");
    for (index, name) in all.iter().enumerate().filter(|(index, name)| all[..*index].contains(name)) {
        errors.push(FieldError::duplicate(format!("{path}.requests[{index}]"), name));
    }
}

/// `request`, or `request/alternative`.
pub fn reference(name: &str, path: &str, known: &Names<'_>, errors: &mut Errors) {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() <= 2 {
        parts.iter().for_each(|part| names::label(part, path, errors));
    }
    let found = match parts.as_slice() {
        [request] => known.contains_key(request),
        [request, alternative] => known.get(request).is_some_and(|all| all.contains(alternative)),
        _ => false,
    };
    if !found {
        let detail = "must be the name of a request in the claim or the name of a request and a subrequest \
                      separated by '/'";
        errors.push(FieldError::invalid(path, &name.into(), detail));
    }
}

/// Parameters that only the driver understands.
pub fn opaque(config: &Value, path: &str, errors: &mut Errors) {
    let path = format!("{path}.opaque");
    let Some(opaque) = present(config, "/opaque") else {
        return errors.push(FieldError::required(path, ""));
    };
    driver_name(text(opaque, "/driver"), &format!("{path}.driver"), errors);
    let field = format!("{path}.parameters");
    match present(opaque, "/parameters") {
        None => errors.push(FieldError::required(field, "")),
        Some(parameters) if !parameters.is_object() => {
            errors.push(FieldError::invalid(field, parameters, "must be a valid JSON object"));
        }
        Some(parameters) if parameters.to_string().len() > LONGEST_PARAMETERS => {
            errors.push(FieldError::too_long(field, LONGEST_PARAMETERS));
        }
        Some(_) => {}
    }
}

/// How long a toleration holds may not be negative.
pub fn seconds(toleration: &Value, path: &str, errors: &mut Errors) {
    not_negative(toleration, "tolerationSeconds", path, errors);
}

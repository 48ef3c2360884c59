//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy with their bindings: rules about writes,
//! written as expressions.
//!
//! Expressions are checked where they are compiled; here is everything about them that can be
//! said without reading them.

use serde_json::Value;

use super::admission_rules::{conditions, rule_defaults, rules, selectors};
use crate::{
    access::{default, each, empty_status, ensure, has, keep_status, list, present, text, with},
    cel::words::is_reserved,
    field::FieldError,
    kind::{Column, Conversion, Kind, METADATA, Subresource},
    table::{AGE, NAME, text_or, text_or_none},
    validate::{Errors, labels, names, one_of},
};

const GROUP: &str = "admissionregistration.k8s.io";
const MOST_ANNOTATIONS: usize = 20;
/// Of the expression of an audit annotation; its value may be twice as long.
const LONGEST_VALUE_EXPRESSION: usize = 5 * 1024;
const REASONS: [&str; 4] = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];

pub static VALIDATING: Kind = Kind {
    subresources: &[Subresource::Status],
    status_keeps: METADATA,
    default: policy_defaults,
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate: validate_validating,
    categories: &["api-extensions"],
    counts_generations: true,
    columns: &[
        NAME,
        Column::number("Validations", |p, _| list(p, "/spec/validations").len().into()),
        Column::text("ParamKind", |p, _| param_kind(p)),
        AGE,
    ],
    ..Kind::cluster(
        GROUP,
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "validatingadmissionpolicy",
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    )
};

pub static VALIDATING_BINDING: Kind = Kind {
    default: binding_defaults,
    validate: |binding| {
        let mut errors = validate_binding(binding);
        actions(list(binding, "/spec/validationActions"), &mut errors);
        errors
    },
    categories: &["api-extensions"],
    counts_generations: true,
    columns: BINDING_COLUMNS,
    ..Kind::cluster(
        GROUP,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
        "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    )
};

pub static MUTATING: Kind = Kind {
    default: mutating_defaults,
    validate: validate_mutating,
    categories: &["api-extensions"],
    counts_generations: true,
    columns: MUTATING_COLUMNS,
    ..Kind::cluster(
        GROUP,
        "v1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicy",
        "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    )
};

pub static MUTATING_BINDING: Kind = Kind {
    default: binding_defaults,
    validate: validate_binding,
    categories: &["api-extensions"],
    counts_generations: true,
    columns: BINDING_COLUMNS,
    ..Kind::cluster(
        GROUP,
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicybinding",
        "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    )
};

/// Before they were stable.
pub static MUTATING_BETA: Kind = Kind {
    default: mutating_defaults,
    validate: validate_mutating,
    categories: &["api-extensions"],
    counts_generations: true,
    columns: MUTATING_COLUMNS,
    stored_as: Some(BETA),
    ..Kind::cluster(
        GROUP,
        "v1beta1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicy",
        "io.k8s.api.admissionregistration.v1beta1.MutatingAdmissionPolicy",
    )
};

pub static MUTATING_BINDING_BETA: Kind = Kind {
    default: binding_defaults,
    validate: validate_binding,
    categories: &["api-extensions"],
    counts_generations: true,
    columns: BINDING_COLUMNS,
    stored_as: Some(BETA),
    ..Kind::cluster(
        GROUP,
        "v1beta1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicybinding",
        "io.k8s.api.admissionregistration.v1beta1.MutatingAdmissionPolicyBinding",
    )
};

/// The two versions have the same fields.
const BETA: Conversion = Conversion {
    version: "v1",
    to_stored: |object| versioned(object, "admissionregistration.k8s.io/v1"),
    from_stored: |object| versioned(object, "admissionregistration.k8s.io/v1beta1"),
};

const BINDING_COLUMNS: &[Column] = &[
    NAME,
    Column::text("PolicyName", |b, _| text_or(b, "/spec/policyName", "")),
    Column::text("ParamRef", |b, _| param_ref(b)),
    AGE,
];

const MUTATING_COLUMNS: &[Column] = &[
    NAME,
    Column::number("Mutations", |p, _| list(p, "/spec/mutations").len().into()),
    Column::text("ParamKind", |p, _| param_kind(p)),
    AGE,
];

fn versioned(mut object: Value, version: &str) -> Value {
    crate::access::set(&mut object, "apiVersion", version.into());
    object
}

fn param_kind(policy: &Value) -> Value {
    match present(policy, "/spec/paramKind") {
        Some(kind) => format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")).into(),
        None => "<unset>".into(),
    }
}

fn param_ref(binding: &Value) -> Value {
    match present(binding, "/spec/paramRef") {
        None => "<unset>".into(),
        Some(reference) if has(reference, "/name") => match text(reference, "/namespace") {
            "" => text_or_none(reference, "/name"),
            namespace => format!("{namespace}/{}", text(reference, "/name")).into(),
        },
        Some(_) => "<selector>".into(),
    }
}

fn policy_defaults(policy: &mut Value) {
    with(policy, "/spec", |spec| {
        default(spec, "failurePolicy", "Fail");
        with(spec, "/matchConstraints", match_defaults);
    });
}

fn mutating_defaults(policy: &mut Value) {
    policy_defaults(policy);
    with(policy, "/spec", |spec| default(spec, "reinvocationPolicy", "Never"));
}

fn binding_defaults(binding: &mut Value) {
    with(binding, "/spec/matchResources", match_defaults);
}

fn match_defaults(resources: &mut Value) {
    default(resources, "matchPolicy", "Equivalent");
    let _ = ensure(resources, "namespaceSelector");
    let _ = ensure(resources, "objectSelector");
    each(resources, "/resourceRules", rule_defaults);
    each(resources, "/excludeResourceRules", rule_defaults);
}

fn validate_validating(policy: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = policy.get("spec").unwrap_or(&Value::Null);
    validate_policy(spec, &mut errors);
    let (validations, annotations) = (list(spec, "/validations"), list(spec, "/auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required("spec.validations", detail));
        errors.push(FieldError::required("spec.auditAnnotations", detail));
    }
    for (index, validation) in validations.iter().enumerate() {
        self::validation(validation, &format!("spec.validations[{index}]"), &mut errors);
    }
    audit_annotations(annotations, text(policy, "/metadata/name"), &mut errors);
    errors
}

fn validate_mutating(policy: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = policy.get("spec").unwrap_or(&Value::Null);
    validate_policy(spec, &mut errors);
    one_of(spec, "reinvocationPolicy", "spec", &["IfNeeded", "Never"], &mut errors);
    let mutations = list(spec, "/mutations");
    if mutations.is_empty() {
        errors.push(FieldError::required("spec.mutations", "mutations must contain at least one item"));
    }
    for (index, mutation) in mutations.iter().enumerate() {
        self::mutation(mutation, &format!("spec.mutations[{index}]"), &mut errors);
    }
    errors
}

/// What both kinds of policies have.
fn validate_policy(spec: &Value, errors: &mut Errors) {
    one_of(spec, "failurePolicy", "spec", &["Fail", "Ignore"], errors);
    if let Some(kind) = present(spec, "/paramKind") {
        validate_param_kind(kind, errors);
    }
    match present(spec, "/matchConstraints") {
        None => errors.push(FieldError::required("spec.matchConstraints", "")),
        Some(constraints) => {
            match_resources(constraints, "spec.matchConstraints", errors);
            if list(constraints, "/resourceRules").is_empty() {
                errors.push(FieldError::required("spec.matchConstraints.resourceRules", ""));
            }
        }
    }
    conditions(list(spec, "/matchConditions"), "spec.matchConditions", errors);
    for (index, variable) in list(spec, "/variables").iter().enumerate() {
        self::variable(variable, &format!("spec.variables[{index}]"), errors);
    }
}

fn validate_param_kind(kind: &Value, errors: &mut Errors) {
    let path = "spec.paramKind";
    let version = text(kind, "/apiVersion");
    let (group, short) = version.split_once('/').unwrap_or(("", version));
    let field = format!("{path}.apiVersion");
    if version.is_empty() {
        errors.push(FieldError::required(&*field, ""));
    } else {
        let of_group = if group.is_empty() { Vec::new() } else { names::dns_subdomain(group) };
        if !of_group.is_empty() {
            errors.push(FieldError::invalid(&*field, &group.into(), of_group.join(",")));
        }
        let of_version = names::dns_1035_label(short);
        if !of_version.is_empty() {
            errors.push(FieldError::invalid(&*field, &version.into(), of_version.join(",")));
        }
    }
    let name = text(kind, "/kind");
    let wrong = names::dns_1035_label(&name.to_lowercase());
    if name.is_empty() {
        errors.push(FieldError::required(format!("{path}.kind"), ""));
    } else if !wrong.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
        errors.push(FieldError::invalid(format!("{path}.kind"), &name.into(), detail));
    }
}

fn match_resources(resources: &Value, path: &str, errors: &mut Errors) {
    one_of(resources, "matchPolicy", path, &["Equivalent", "Exact"], errors);
    selectors(resources, path, errors);
    for key in ["resourceRules", "excludeResourceRules"] {
        let listed = list(resources, &format!("/{key}"));
        for (index, rule) in listed.iter().enumerate() {
            resource_names(list(rule, "/resourceNames"), &format!("{path}.{key}[{index}]"), errors);
        }
        rules(listed, &format!("{path}.{key}"), errors);
    }
}

fn resource_names(given: &[Value], path: &str, errors: &mut Errors) {
    for (index, name) in given.iter().enumerate() {
        let field = format!("{path}.resourceNames[{index}]");
        let wrong = names::path_segment(name.as_str().unwrap_or_default());
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid(&*field, name, w)));
        if given[..index].contains(name) {
            errors.push(FieldError::duplicate(field, name));
        }
    }
}

fn variable(variable: &Value, path: &str, errors: &mut Errors) {
    let name = text(variable, "/name");
    if name.trim().is_empty() {
        errors.push(FieldError::required(format!("{path}.name"), "name is not specified"));
    } else if !is_identifier(name) {
        let detail = "name is not a valid CEL identifier";
        errors.push(FieldError::invalid(format!("{path}.name"), &name.into(), detail));
    }
    expression(variable, "expression", path, errors);
}

fn expression(object: &Value, key: &str, path: &str, errors: &mut Errors) {
    if text(object, &format!("/{key}")).trim().is_empty() {
        errors.push(FieldError::required(format!("{path}.{key}"), &format!("{key} is not specified")));
    }
}

fn is_identifier(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(inner) && !name.starts_with(|c: char| c.is_ascii_digit()) && !is_reserved(name)
}

fn validation(validation: &Value, path: &str, errors: &mut Errors) {
    expression(validation, "expression", path, errors);
    let (message, by_expression) = (text(validation, "/message"), text(validation, "/messageExpression"));
    if !by_expression.is_empty() && by_expression.trim().is_empty() {
        let field = format!("{path}.messageExpression");
        errors.push(FieldError::invalid(field, &by_expression.into(), "must be non-empty if specified"));
    }
    let field = format!("{path}.message");
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(FieldError::invalid(field, &message.into(), "message must be non-empty if specified"));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(FieldError::invalid(field, &message.into(), "message must not contain line breaks"));
    }
    if has(validation, "/reason") {
        one_of(validation, "reason", path, &REASONS, errors);
    }
}

fn audit_annotations(annotations: &[Value], policy: &str, errors: &mut Errors) {
    let path = "spec.auditAnnotations";
    if annotations.len() > MOST_ANNOTATIONS {
        let detail = format!("must not have more than {MOST_ANNOTATIONS} auditAnnotations");
        errors.push(FieldError::invalid(path, &annotations.into(), detail));
    }
    for (index, annotation) in annotations.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let key = text(annotation, "/key");
        let wrong = names::qualified(&format!("{policy}/{key}"));
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.key"), &key.into(), w)));
        expression(annotation, "valueExpression", &path, errors);
        if text(annotation, "/valueExpression").trim().len() > LONGEST_VALUE_EXPRESSION {
            let detail = format!("must not exceed {LONGEST_VALUE_EXPRESSION} bytes in length");
            errors.push(FieldError::required(format!("{path}.valueExpression"), &detail));
        }
        if annotations[..index].iter().any(|other| text(other, "/key") == key) {
            errors.push(FieldError::duplicate(format!("{path}.key"), &key.into()));
        }
    }
}

fn mutation(mutation: &Value, path: &str, errors: &mut Errors) {
    let ways = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];
    one_of(mutation, "patchType", path, &ways.map(|(kind, _)| kind), errors);
    for (kind, field) in ways {
        let given = present(mutation, &format!("/{field}"));
        let path = format!("{path}.{field}");
        match (text(mutation, "/patchType") == kind, given) {
            (true, None) => {
                errors
                    .push(FieldError::required(path, &format!("must be specified when patchType is {kind}")));
            }
            (true, Some(given)) => expression(given, "expression", &path, errors),
            (false, Some(_)) => {
                errors.push(FieldError::invalid(
                    path,
                    &"".into(),
                    format!("must not be specified when patchType is not {kind}"),
                ));
            }
            (false, None) => {}
        }
    }
}

fn validate_binding(binding: &Value) -> Errors {
    let mut errors = Vec::new();
    let policy = text(binding, "/spec/policyName");
    if policy.is_empty() {
        errors.push(FieldError::required("spec.policyName", ""));
    } else {
        let wrong = names::dns_subdomain(policy);
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid("spec.policyName", &policy.into(), w)));
    }
    if let Some(reference) = present(binding, "/spec/paramRef") {
        validate_param_ref(reference, &mut errors);
    }
    if let Some(resources) = present(binding, "/spec/matchResources") {
        match_resources(resources, "spec.matchResources", &mut errors);
    }
    errors
}

fn validate_param_ref(reference: &Value, errors: &mut Errors) {
    let path = "spec.paramRef";
    let (name, selector) = (text(reference, "/name"), present(reference, "/selector"));
    if !name.is_empty() {
        let wrong = names::path_segment(name);
        errors
            .extend(wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.name"), &name.into(), w)));
    }
    if let Some(selector) = selector {
        labels::selector(selector, &format!("{path}.selector"), errors);
    }
    match (name.is_empty(), selector) {
        (true, None) => errors.push(FieldError::required(path, "one of name or selector must be specified")),
        (false, Some(_)) => {
            let detail = "name and selector are mutually exclusive";
            errors.push(FieldError::forbidden(format!("{path}.name"), detail));
            errors.push(FieldError::forbidden(format!("{path}.selector"), detail));
        }
        _ => {}
    }
    one_of(reference, "parameterNotFoundAction", path, &["Allow", "Deny"], errors);
}

fn actions(actions: &[Value], errors: &mut Errors) {
    let path = "spec.validationActions";
    let known = ["Audit", "Deny", "Warn"];
    for (index, action) in actions.iter().enumerate() {
        let text = action.as_str().unwrap_or_default();
        if !known.contains(&text) {
            errors.push(FieldError::not_supported(format!("{path}[{index}]"), text, &known));
        }
        if actions[..index].contains(action) {
            errors.push(FieldError::duplicate(format!("{path}[{index}]"), action));
        }
    }
    let has = |name: &str| actions.iter().any(|action| action == name);
    if has("Deny") && has("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                      API response and headers serves no purpose)";
        errors.push(FieldError::invalid(path, &actions.into(), detail));
    }
    if actions.is_empty() {
        errors.push(FieldError::required(path, "at least one validation action is required"));
    }
}

#[cfg(test)]
mod tests;

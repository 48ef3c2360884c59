//! What webhooks and policies share: rules about which writes concern them, and conditions.

use serde_json::Value;

use crate::{
    access::{default, has, list, present, text},
    field::FieldError,
    validate::{Errors, labels, names, one_of},
};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const MOST_CONDITIONS: usize = 64;

pub fn rule_defaults(rule: &mut Value) {
    default(rule, "scope", "*");
}

pub fn rules(rules: &[Value], path: &str, errors: &mut Errors) {
    for (index, rule) in rules.iter().enumerate() {
        self::rule(rule, &format!("{path}[{index}]"), errors);
    }
}

fn rule(rule: &Value, path: &str, errors: &mut Errors) {
    let operations = wildcard_alone(rule, "operations", "operations", path, errors);
    for (index, operation) in operations.iter().enumerate() {
        let operation = operation.as_str().unwrap_or_default();
        if !OPERATIONS.contains(&operation) {
            errors.push(FieldError::not_supported(
                format!("{path}.operations[{index}]"),
                operation,
                &OPERATIONS,
            ));
        }
    }
    wildcard_alone(rule, "apiGroups", "API groups", path, errors);
    for (index, version) in
        wildcard_alone(rule, "apiVersions", "API versions", path, errors).iter().enumerate()
    {
        if version.as_str().is_none_or(str::is_empty) {
            errors.push(FieldError::required(format!("{path}.apiVersions[{index}]"), ""));
        }
    }
    resources(list(rule, "/resources"), &format!("{path}.resources"), errors);
    if has(rule, "/scope") {
        one_of(rule, "scope", path, &["*", "Cluster", "Namespaced"], errors);
    }
}

/// A list that is not empty; `*` stands alone in it.
fn wildcard_alone<'a>(
    rule: &'a Value,
    key: &str,
    word: &str,
    path: &str,
    errors: &mut Errors,
) -> &'a [Value] {
    let items = list(rule, &format!("/{key}"));
    if items.is_empty() {
        errors.push(FieldError::required(format!("{path}.{key}"), ""));
    }
    if items.len() > 1 && items.iter().any(|item| item == "*") {
        let detail = format!("if '*' is present, must not specify other {word}");
        errors.push(FieldError::invalid(format!("{path}.{key}"), &items.into(), detail));
    }
    items
}

/// `pods`, `pods/*`, `*/scale`, `*`, `*/*`: nothing may be said twice.
fn resources(resources: &[Value], path: &str, errors: &mut Errors) {
    if resources.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let names: Vec<&str> = resources.iter().map(|it| it.as_str().unwrap_or_default()).collect();
    let (mut all_below, mut of_all) = (Vec::new(), Vec::new());
    for (index, name) in names.iter().enumerate() {
        let field = format!("{path}[{index}]");
        if name.is_empty() {
            errors.push(FieldError::required(field, ""));
            continue;
        }
        let Some((resource, sub)) = name.split_once('/') else { continue };
        let mut covered = |by: String| {
            let detail = format!("if '{by}' is present, must not specify {name}");
            errors.push(FieldError::invalid(&*field, &(*name).into(), detail));
        };
        if all_below.contains(&resource) {
            covered(format!("{resource}/*"));
        }
        if of_all.contains(&sub) {
            covered(format!("*/{sub}"));
        }
        if sub == "*" {
            all_below.push(resource);
        }
        if resource == "*" {
            of_all.push(sub);
        }
    }
    if names.len() > 1 && names.contains(&"*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(FieldError::invalid(path, &resources.into(), detail));
    }
    let plain = names.iter().any(|name| !name.contains('/') && *name != "*" && !name.is_empty());
    if names.contains(&"*") && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(path, &resources.into(), detail));
    }
}

/// `namespaceSelector` and `objectSelector`.
pub fn selectors(object: &Value, path: &str, errors: &mut Errors) {
    for key in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = present(object, &format!("/{key}")) {
            labels::selector(selector, &format!("{path}.{key}"), errors);
        }
    }
}

/// Names and presence of match conditions; what they say is checked where expressions are compiled.
pub fn conditions(conditions: &[Value], path: &str, errors: &mut Errors) {
    if conditions.len() > MOST_CONDITIONS {
        errors.push(FieldError::too_many(path, conditions.len(), MOST_CONDITIONS));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = format!("{path}[{index}]");
        if text(condition, "/expression").trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.expression"), ""));
        }
        let name = text(condition, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
            continue;
        }
        let wrong = names::qualified(name);
        errors
            .extend(wrong.into_iter().map(|w| FieldError::invalid(format!("{path}.name"), &name.into(), w)));
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
        }
        seen.push(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_said_once() {
        let shown = |names: Value| -> Vec<String> {
            let mut errors = Vec::new();
            resources(names.as_array().unwrap(), "r", &mut errors);
            errors.iter().map(ToString::to_string).collect()
        };
        for good in [json!(["pods"]), json!(["pods", "pods/status"]), json!(["*", "*/scale"]), json!(["*/*"])]
        {
            assert!(shown(good.clone()).is_empty(), "{good}");
        }
        let table = [
            (json!([]), "r: Required value"),
            (json!([""]), "r[0]: Required value"),
            (
                json!(["pods/*", "pods/status"]),
                "r[1]: Invalid value: \"pods/status\": if 'pods/*' is present, must not specify pods/status",
            ),
            (
                json!(["*/scale", "pods/scale"]),
                "r[1]: Invalid value: \"pods/scale\": if '*/scale' is present, must not specify pods/scale",
            ),
            (
                json!(["*/*", "pods"]),
                "r: Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources",
            ),
            (
                json!(["*", "pods"]),
                "r: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
            ),
        ];
        for (names, expected) in table {
            assert_eq!(shown(names), [expected]);
        }
    }
}

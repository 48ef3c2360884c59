//! Selectors over nodes: terms of which one must match, each of requirements that all must.
//!
//! Of a Pod's node affinity, a volume's, and of slices of devices.

use serde_json::Value;

use super::{Errors, labels, names};
use crate::{
    access::{list, text},
    field::FieldError,
};

/// A selector at `path`: at least one term.
pub fn selector(selector: &Value, path: &str, errors: &mut Errors) {
    let terms = list(selector, "/nodeSelectorTerms");
    let path = format!("{path}.nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(FieldError::required(path, "must have at least one node selector term"));
        return;
    }
    for (index, given) in terms.iter().enumerate() {
        term(given, &format!("{path}[{index}]"), true, errors);
    }
}

/// One term: requirements on labels, and on the node's name. A wish, which may stay unmet, may name
/// values that no label can have.
pub fn term(term: &Value, path: &str, is_required: bool, errors: &mut Errors) {
    for (index, wanted) in list(term, "/matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        requirement(wanted, &path, errors);
        if is_required {
            values(wanted, &path, errors);
        }
    }
    for (index, wanted) in list(term, "/matchFields").iter().enumerate() {
        field(wanted, &format!("{path}.matchFields[{index}]"), errors);
    }
}

fn requirement(wanted: &Value, path: &str, errors: &mut Errors) {
    let values = list(wanted, "/values");
    let at_values = format!("{path}.values");
    match text(wanted, "/operator") {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.push(FieldError::required(&*at_values, detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(&*at_values, detail));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
            errors.push(FieldError::required(&*at_values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.push(not_an_operator(other, path)),
    }
    labels::key_of(text(wanted, "/key"), &format!("{path}.key"), errors);
}

fn values(wanted: &Value, path: &str, errors: &mut Errors) {
    for (index, value) in list(wanted, "/values").iter().enumerate() {
        let wrong = names::label_value(value.as_str().unwrap_or_default());
        let field = format!("{path}.values[{index}]");
        errors.extend(wrong.into_iter().map(|why| FieldError::invalid(&*field, value, why)));
    }
}

fn field(wanted: &Value, path: &str, errors: &mut Errors) {
    let values = list(wanted, "/values");
    match text(wanted, "/operator") {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(FieldError::required(format!("{path}.values"), detail));
        }
        "In" | "NotIn" => {}
        other => errors.push(not_an_operator(other, path)),
    }
    let key = text(wanted, "/key");
    if key != "metadata.name" {
        let detail = "not a valid field selector key";
        return errors.push(FieldError::invalid(format!("{path}.key"), &key.into(), detail));
    }
    for (index, value) in values.iter().enumerate() {
        let wrong = names::dns_subdomain(value.as_str().unwrap_or_default());
        let field = format!("{path}.values[{index}]");
        errors.extend(wrong.into_iter().map(|why| FieldError::invalid(&*field, value, why)));
    }
}

fn not_an_operator(operator: &str, path: &str) -> FieldError {
    FieldError::invalid(format!("{path}.operator"), &operator.into(), "not a valid selector operator")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_rows::{json_of, rows};

    const TABLE: &str = r#"
{"matchExpressions":[{"key":"a","operator":"In","values":["b"]},{"key":"c","operator":"Exists"}]} => none
{"matchFields":[{"key":"metadata.name","operator":"In","values":["n"]}]} => none
{"matchExpressions":[{"key":"a","operator":"In"}]} => t[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'
{"matchExpressions":[{"key":"a","operator":"Gt","values":["1","2"]}]} => t[0].matchExpressions[0].values: Required value: must be specified single value when `operator` is 'Lt' or 'Gt'
{"matchExpressions":[{"key":"a","operator":"Exists","values":["1"]}]} => t[0].matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'
{"matchExpressions":[{"key":"a","operator":"Is"}]} => t[0].matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator
{"matchFields":[{"key":"metadata.name","operator":"Exists"}]} => t[0].matchFields[0].operator: Invalid value: "Exists": not a valid selector operator
{"matchFields":[{"key":"spec.x","operator":"In","values":["n"]}]} => t[0].matchFields[0].key: Invalid value: "spec.x": not a valid field selector key"#;

    #[test]
    fn terms_are_checked() {
        for (given, expected) in rows(TABLE) {
            let mut errors = Errors::new();
            term(&json_of(given), "t[0]", true, &mut errors);
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let told = if told.is_empty() { "none".to_owned() } else { told.join("; ") };
            assert_eq!(told, expected, "{given}");
        }
    }
}

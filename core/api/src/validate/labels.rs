//! Labels, and selectors over them.

use serde_json::{Map, Value};

use super::{Errors, names};
use crate::{
    access::{entries, list, text},
    field::FieldError,
};

/// A map of labels at `path`.
pub fn labels(map: Option<&Value>, path: &str, errors: &mut Errors) {
    for (key, value) in map.and_then(Value::as_object).into_iter().flatten() {
        key_of(key, path, errors);
        let wrong = names::label_value(value.as_str().unwrap_or_default());
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid(path, value, w)));
    }
}

/// A key of a label, annotation or selector.
pub fn key_of(key: &str, path: &str, errors: &mut Errors) {
    errors.extend(names::qualified(key).into_iter().map(|w| FieldError::invalid(path, &key.into(), w)));
}

/// A label selector object: `matchLabels` and `matchExpressions`.
pub fn selector(selector: &Value, path: &str, errors: &mut Errors) {
    labels(selector.get("matchLabels"), &format!("{path}.matchLabels"), errors);
    for (index, wanted) in list(selector, "/matchExpressions").iter().enumerate() {
        requirement(wanted, &format!("{path}.matchExpressions[{index}]"), errors);
    }
}

fn requirement(wanted: &Value, path: &str, errors: &mut Errors) {
    let n_values = list(wanted, "/values").len();
    let values = format!("{path}.values");
    match text(wanted, "/operator") {
        "In" | "NotIn" if n_values == 0 => {
            errors.push(FieldError::required(values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if n_values > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(FieldError::forbidden(values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => {
            let operator = wanted.get("operator").unwrap_or(&Value::Null);
            errors.push(FieldError::invalid(
                format!("{path}.operator"),
                operator,
                "not a valid selector operator",
            ));
        }
    }
    key_of(text(wanted, "/key"), &format!("{path}.key"), errors);
    for (index, value) in list(wanted, "/values").iter().enumerate() {
        let wrong = names::label_value(value.as_str().unwrap_or_default());
        let field = format!("{path}.values[{index}]");
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid(&field, value, w)));
    }
}

pub fn is_empty(selector: Option<&Value>) -> bool {
    let Some(selector) = selector.and_then(Value::as_object) else { return true };
    let empty = |v: &Value| match v {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    };
    selector.values().all(empty)
}

/// Whether a label selector object matches these labels. An empty one matches all.
pub fn matches(selector: &Value, labels: &Map<String, Value>) -> bool {
    let get = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = entries(selector, "/matchLabels").all(|(key, value)| get(key) == value.as_str());
    equal
        && list(selector, "/matchExpressions").iter().all(|wanted| {
            let actual = get(text(wanted, "/key"));
            let listed = || list(wanted, "/values").iter().any(|v| v.as_str() == actual);
            match text(wanted, "/operator") {
                "In" => actual.is_some() && listed(),
                "NotIn" => actual.is_none() || !listed(),
                "Exists" => actual.is_some(),
                "DoesNotExist" => actual.is_none(),
                _ => false,
            }
        })
}

/// A selector (an object, or a plain map of labels) as text: `app=web,tier in (a,b)`.
pub fn to_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector.filter(|s| s.is_object()) else { return "<none>".into() };
    let labels = selector
        .get("matchLabels")
        .or_else(|| selector.get("matchExpressions").is_none().then_some(selector));
    let equal = labels.and_then(Value::as_object).into_iter().flatten();
    let mut parts: Vec<String> =
        equal.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    parts.extend(list(selector, "/matchExpressions").iter().map(|wanted| {
        let key = text(wanted, "/key");
        let values: Vec<&str> = list(wanted, "/values").iter().filter_map(Value::as_str).collect();
        match text(wanted, "/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        }
    }));
    if parts.is_empty() { "<none>".into() } else { parts.join(",") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_match_and_print() {
        let labels = json!({"app": "web", "tier": "a"});
        let labels = labels.as_object().unwrap();
        let table = [
            (json!({}), true, "<none>"),
            (json!({"matchLabels": {"app": "web"}}), true, "app=web"),
            (json!({"matchLabels": {"app": "db"}}), false, "app=db"),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]}),
                true,
                "tier in (a,b)",
            ),
            (
                json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a"]}]}),
                false,
                "tier notin (a)",
            ),
            (json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), true, "!zone"),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}),
                false,
                "app=web,x",
            ),
        ];
        for (selector, matched, shown) in table {
            assert_eq!(matches(&selector, labels), matched, "{selector}");
            assert_eq!(to_text(Some(&selector)), shown);
        }
        assert_eq!(to_text(Some(&json!({"app": "web", "b": "c"}))), "app=web,b=c");
    }
}

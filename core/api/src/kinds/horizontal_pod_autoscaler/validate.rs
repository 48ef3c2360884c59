//! What is wrong with a HorizontalPodAutoscaler (v2).

use serde_json::Value;

use crate::{
    access::{has, int, list, present, text},
    field::FieldError,
    validate::{Errors, at_least, one_of, required},
};

const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

pub fn v2(hpa: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = hpa.get("spec").unwrap_or(&Value::Null);
    let target = spec.get("scaleTargetRef").unwrap_or(&Value::Null);
    required(target, "kind", "spec.scaleTargetRef", &mut errors);
    required(target, "name", "spec.scaleTargetRef", &mut errors);
    at_least(spec, "minReplicas", "spec", 1, &mut errors);
    let (least, most) = (int(spec, "/minReplicas"), int(spec, "/maxReplicas").unwrap_or_default());
    let given = Value::from(most);
    if most < 1 {
        errors.push(FieldError::invalid("spec.maxReplicas", &given, "must be greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid("spec.maxReplicas", &given, detail));
    }
    for (index, metric) in list(spec, "/metrics").iter().enumerate() {
        validate_metric(metric, &format!("spec.metrics[{index}]"), &mut errors);
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = present(spec, &format!("/behavior/{direction}")) {
            validate_rules(rules, &format!("spec.behavior.{direction}"), &mut errors);
        }
    }
    errors
}

fn validate_metric(metric: &Value, path: &str, errors: &mut Errors) {
    let kind = text(metric, "/type");
    let Some((_, key)) = SOURCES.iter().find(|(name, _)| *name == kind) else {
        if kind.is_empty() {
            errors.push(FieldError::required(format!("{path}.type"), "must specify a metric source type"));
        } else {
            errors.push(FieldError::not_supported(
                format!("{path}.type"),
                kind,
                &SOURCES.map(|(name, _)| name),
            ));
        }
        return;
    };
    let Some(source) = metric.get(key).filter(|v| !v.is_null()) else {
        let detail = format!("must populate information for the given metric source `{kind}`");
        errors.push(FieldError::required(format!("{path}.{key}"), &detail));
        return;
    };
    let path = format!("{path}.{key}");
    match *key {
        "resource" => required(source, "name", &path, errors),
        "containerResource" => {
            required(source, "name", &path, errors);
            required(source, "container", &path, errors);
        }
        _ => {
            required(source.get("metric").unwrap_or(&Value::Null), "name", &format!("{path}.metric"), errors)
        }
    }
    validate_target(source.get("target").unwrap_or(&Value::Null), &format!("{path}.target"), key, errors);
}

fn validate_target(target: &Value, path: &str, source: &str, errors: &mut Errors) {
    one_of(target, "type", path, &["AverageValue", "Utilization", "Value"], errors);
    at_least(target, "averageUtilization", path, 1, errors);
    for key in ["averageValue", "value"] {
        if let Some(value) = present(target, &format!("/{key}")) {
            let amount = value.as_str().unwrap_or_default().parse::<crate::quantity::Quantity>();
            if !amount.is_ok_and(|amount| !amount.is_negative() && amount.millis() > 0) {
                errors.push(FieldError::invalid(format!("{path}.{key}"), value, "must be positive"));
            }
        }
    }
    let keys: &[&str] = match source {
        "resource" | "containerResource" => &["averageUtilization", "averageValue"],
        "pods" => &["averageValue"],
        _ => &["value", "averageValue"],
    };
    let given = keys.iter().filter(|key| has(target, &format!("/{key}"))).count();
    if given == 0 {
        let detail = format!("must set either a {}", keys.join(" or "));
        errors.push(FieldError::required(format!("{path}.{}", keys[0]), &detail));
    } else if given > 1 {
        errors.push(FieldError::forbidden(
            format!("{path}.{}", keys[1]),
            "may not set both a target value and an average",
        ));
    }
}

fn validate_rules(rules: &Value, path: &str, errors: &mut Errors) {
    let window = present(rules, "/stabilizationWindowSeconds");
    if let Some(window) = window.filter(|w| !w.as_i64().is_some_and(|n| (0..=3_600).contains(&n))) {
        let detail = "must be greater than or equal to zero and less than or equal to 3600";
        errors.push(FieldError::invalid(format!("{path}.stabilizationWindowSeconds"), window, detail));
    }
    one_of(rules, "selectPolicy", path, &["Disabled", "Max", "Min"], errors);
    for (index, policy) in list(rules, "/policies").iter().enumerate() {
        let path = format!("{path}.policies[{index}]");
        one_of(policy, "type", &path, &["Percent", "Pods"], errors);
        at_least(policy, "value", &path, 1, errors);
        let period = policy.get("periodSeconds").unwrap_or(&Value::Null);
        if !period.as_i64().is_some_and(|n| (1..=1_800).contains(&n)) {
            let detail = "must be greater than zero and less than or equal to 1800";
            errors.push(FieldError::invalid(format!("{path}.periodSeconds"), period, detail));
        }
    }
}

//! What is wrong with a HorizontalPodAutoscaler (v2).

use serde_json::Value;

use crate::{
    access::{has, int, list, present, text},
    field::FieldError,
    quantity::Quantity,
    validate::{Errors, names, not_negative, obey, optional_one_of},
};

const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];
/// In the order in which what was filled in is looked at.
const KEYS: [&str; 5] = ["object", "external", "pods", "resource", "containerResource"];
const LONGEST_WINDOW: i64 = 3_600;
const LONGEST_PERIOD: i64 = 1_800;

pub fn v2(hpa: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = hpa.get("spec").unwrap_or(&Value::Null);
    let (least, most) = (int(spec, "/minReplicas"), int(spec, "/maxReplicas").unwrap_or_default());
    if let Some(least) = least.filter(|least| *least < 0) {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.minReplicas", &least.into(), detail));
    }
    let given = Value::from(most);
    if most < 1 {
        errors.push(FieldError::invalid("spec.maxReplicas", &given, "must be greater than 0"));
    }
    if least.is_some_and(|least| most < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid("spec.maxReplicas", &given, detail));
    }
    reference(spec.get("scaleTargetRef"), "spec.scaleTargetRef", &mut errors);
    let from_outside = |metric: &Value| has(metric, "/object") || has(metric, "/external");
    if least == Some(0) && !list(spec, "/metrics").iter().any(from_outside) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden("spec.metrics", detail));
    }
    for (index, given) in list(spec, "/metrics").iter().enumerate() {
        metric(given, &format!("spec.metrics[{index}]"), &mut errors);
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(given) = present(spec, &format!("/behavior/{direction}")) {
            rules(given, &format!("spec.behavior.{direction}"), &mut errors);
        }
    }
    errors
}

pub fn status(new: &Value, _: &Value) -> Errors {
    let mut errors = Vec::new();
    if let Some(status) = present(new, "/status") {
        not_negative(status, "currentReplicas", "status", &mut errors);
        not_negative(status, "desiredReplicas", "status", &mut errors);
    }
    errors
}

fn reference(reference: Option<&Value>, path: &str, errors: &mut Errors) {
    let reference = reference.unwrap_or(&Value::Null);
    for key in ["kind", "name"] {
        segment(text(reference, &format!("/{key}")), &format!("{path}.{key}"), "", errors);
    }
}

fn segment(name: &str, field: &str, detail: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(FieldError::required(field, detail));
    } else {
        obey(names::path_segment, name, field, errors);
    }
}

fn metric(metric: &Value, path: &str, errors: &mut Errors) {
    let kind = text(metric, "/type");
    let field = format!("{path}.type");
    if kind.is_empty() {
        errors.push(FieldError::required(&field, "must specify a metric source type"));
    }
    let mut given: Vec<&str> = KEYS.into_iter().filter(|key| has(metric, &format!("/{key}"))).collect();
    if let Some(first) = given.first() {
        source(first, &metric[first], &format!("{path}.{first}"), errors);
    }
    let only = given.len() == 1;
    match SOURCES.iter().find(|(name, _)| *name == kind) {
        Some((_, key)) => {
            if !given.contains(key) {
                let detail = "must populate information for the given metric source";
                errors.push(FieldError::required(format!("{path}.{key}"), detail));
            }
            given.retain(|other| other != key);
        }
        None => errors.push(FieldError::not_supported(field, kind, &SOURCES.map(|(name, _)| name))),
    }
    for other in given.iter().filter(|_| !only) {
        let detail = "must populate the given metric source only";
        errors.push(FieldError::forbidden(format!("{path}.{other}"), detail));
    }
}

fn source(key: &str, source: &Value, path: &str, errors: &mut Errors) {
    if key == "object" {
        reference(source.get("describedObject"), &format!("{path}.describedObject"), errors);
    }
    match key {
        "resource" | "containerResource" if text(source, "/name").is_empty() => {
            errors.push(FieldError::required(format!("{path}.name"), "must specify a resource name"));
        }
        "resource" | "containerResource" => {}
        _ => {
            let field = format!("{path}.metric.name");
            segment(text(source, "/metric/name"), &field, "must specify a metric name", errors);
        }
    }
    if key == "containerResource" {
        match text(source, "/container") {
            "" => errors.push(FieldError::required(format!("{path}.container"), "must specify a container")),
            name => obey(names::dns_label, name, &format!("{path}.container"), errors),
        }
    }
    let path = format!("{path}.target");
    let target = source.get("target").unwrap_or(&Value::Null);
    amounts(target, &path, errors);
    let given = |key: &str| has(target, &format!("/{key}"));
    let (one, other) = match key {
        "resource" | "containerResource" => ("averageUtilization", "averageValue"),
        _ => ("averageValue", "value"),
    };
    let missing = match key {
        "pods" if !given("averageValue") => "must specify a positive target averageValue",
        "pods" => return,
        _ if given(one) || given(other) => "",
        "object" => "must set either a target value or averageValue",
        "external" => "must set either a target value for metric or a per-pod target",
        _ => "must set either a target raw value or a target utilization",
    };
    if !missing.is_empty() {
        errors.push(FieldError::required(format!("{path}.{one}"), missing));
    }
    let twice = match key {
        "external" => "may not set both a target value for metric and a per-pod target",
        "object" | "pods" => return,
        _ => "may not set both a target raw value and a target utilization",
    };
    if given(one) && given(other) {
        errors.push(FieldError::forbidden(format!("{path}.{other}"), twice));
    }
}

fn amounts(target: &Value, path: &str, errors: &mut Errors) {
    match text(target, "/type") {
        "" => errors.push(FieldError::required(format!("{path}.type"), "must specify a metric target type")),
        "Utilization" | "Value" | "AverageValue" => {}
        kind => {
            let detail = "must be either Utilization, Value, or AverageValue";
            errors.push(FieldError::invalid(format!("{path}.type"), &kind.into(), detail));
        }
    }
    for key in ["value", "averageValue"] {
        if let Some(value) = present(target, &format!("/{key}")) {
            let amount = value.as_str().unwrap_or_default().parse::<Quantity>();
            if !amount.is_ok_and(|amount| amount > Quantity::ZERO) {
                errors.push(FieldError::invalid(format!("{path}.{key}"), value, "must be positive"));
            }
        }
    }
    if let Some(share) = present(target, "/averageUtilization").filter(|share| share.as_i64() < Some(1)) {
        errors.push(FieldError::invalid(
            format!("{path}.averageUtilization"),
            share,
            "must be greater than 0",
        ));
    }
}

fn rules(rules: &Value, path: &str, errors: &mut Errors) {
    let mut within = |value: Option<&Value>, field: String, least: i64, most: i64| {
        let Some(value) = value else { return };
        let number = value.as_i64().unwrap_or_default();
        if number < least {
            let detail = if least == 0 {
                "must be greater than or equal to zero"
            } else {
                "must be greater than zero"
            };
            errors.push(FieldError::invalid(&field, value, detail));
        }
        if number > most {
            let detail = format!("must be less than or equal to {most}");
            errors.push(FieldError::invalid(&field, value, detail));
        }
    };
    let window = present(rules, "/stabilizationWindowSeconds");
    within(window, format!("{path}.stabilizationWindowSeconds"), 0, LONGEST_WINDOW);
    let policies = list(rules, "/policies");
    for (index, policy) in policies.iter().enumerate() {
        let path = format!("{path}.policies[{index}]");
        let zero = Value::from(0);
        let number = |key: &str| policy.get(key).unwrap_or(&zero);
        within(Some(number("value")), format!("{path}.value"), 1, i64::MAX);
        within(Some(number("periodSeconds")), format!("{path}.periodSeconds"), 1, LONGEST_PERIOD);
    }
    optional_one_of(rules, "selectPolicy", path, &["Disabled", "Max", "Min"], errors);
    if policies.is_empty() {
        errors.push(FieldError::required(format!("{path}.policies"), "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let kind = text(policy, "/type");
        if !["Percent", "Pods"].contains(&kind) {
            let field = format!("{path}.policies[{index}].type");
            errors.push(FieldError::not_supported(field, kind, &["Percent", "Pods"]));
        }
    }
    if let Some(tolerance) = present(rules, "/tolerance") {
        let amount = tolerance.as_str().unwrap_or_default().parse::<Quantity>();
        if amount.is_ok_and(Quantity::is_negative) {
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(format!("{path}.tolerance"), tolerance, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_metrics_that_need_no_pods_scale_to_none() {
        let outside = json!({"type": "External", "external":
            {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "5"}}});
        let cpu = json!({"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}});
        let wrong = |least: i64, metrics: Value| -> Vec<String> {
            let spec = json!({"minReplicas": least, "maxReplicas": 3, "metrics": metrics,
                "scaleTargetRef": {"kind": "Deployment", "name": "web"}});
            v2(&json!({ "spec": spec })).iter().map(ToString::to_string).collect()
        };
        assert_eq!(wrong(0, json!([cpu, outside])), Vec::<String>::new());
        assert_eq!(wrong(1, json!([cpu])), Vec::<String>::new());
        let refused = wrong(0, json!([cpu]));
        assert!(refused[0].starts_with("spec.metrics: Forbidden: must specify at least one"), "{refused:?}");
        assert!(wrong(-1, json!([outside]))[0].contains("greater than or equal to 0"));
    }
}

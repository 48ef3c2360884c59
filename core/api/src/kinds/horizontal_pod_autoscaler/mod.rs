//! HorizontalPodAutoscaler: how many replicas, by metrics. Stored as v2; v1 is converted.

use serde_json::{Value, json};

use crate::{
    access::{default, each, empty_status, ensure, has, int, keep_status, list, set, text},
    kind::{Column, Conversion, Kind, Subresource},
    table::{AGE, NAME, number},
};

mod convert;
mod validate;

const GROUP: &str = "autoscaling";
const NAMES: [&str; 3] = ["HorizontalPodAutoscaler", "horizontalpodautoscalers", "horizontalpodautoscaler"];

pub static V2: Kind = Kind {
    default: defaults,
    validate: validate::v2,
    validate_status: validate::status,
    columns: &[
        NAME,
        Column::text("Reference", |hpa, _| reference(hpa)),
        Column::text("Targets", |hpa, _| targets(hpa).into()),
        Column::text("MinPods", |hpa, _| min_pods(hpa)),
        Column::number("MaxPods", |hpa, _| number(hpa, "/spec/maxReplicas")),
        Column::number("Replicas", |hpa, _| number(hpa, "/status/currentReplicas")),
        AGE,
    ],
    ..base("v2", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler")
};

pub static V1: Kind = Kind {
    default: |hpa| {
        if let Some(spec) = ensure(hpa, "spec") {
            default(spec, "minReplicas", 1);
        }
    },
    validate: |hpa| validate::v2(&convert::to_v2(hpa.clone())),
    validate_status: validate::status,
    columns: &[
        NAME,
        Column::text("Reference", |hpa, _| reference(hpa)),
        Column::text("Targets", |hpa, _| targets(&convert::to_v2(hpa.clone())).into()),
        Column::text("MinPods", |hpa, _| min_pods(hpa)),
        Column::number("MaxPods", |hpa, _| number(hpa, "/spec/maxReplicas")),
        Column::number("Replicas", |hpa, _| number(hpa, "/status/currentReplicas")),
        AGE,
    ],
    stored_as: Some(Conversion { version: "v2", to_stored: convert::to_v2, from_stored: convert::to_v1 }),
    ..base("v1", "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler")
};

const fn base(version: &'static str, definition: &'static str) -> Kind {
    let kind = Kind::namespaced(GROUP, version, NAMES[0], NAMES[1], NAMES[2], definition);
    Kind {
        short_names: &["hpa"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        prepare_create: empty_status,
        prepare_update: keep_status,
        ..kind
    }
}

fn defaults(hpa: &mut Value) {
    let Some(spec) = ensure(hpa, "spec") else { return };
    default(spec, "minReplicas", 1);
    if list(spec, "/metrics").is_empty() {
        let cpu = json!([{"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]);
        set(spec, "metrics", cpu);
    }
    let has_rules = has(spec, "/behavior/scaleUp") || has(spec, "/behavior/scaleDown");
    let Some(behavior) = spec.get_mut("behavior").filter(|_| has_rules) else { return };
    if let Some(up) = ensure(behavior, "scaleUp") {
        default(up, "stabilizationWindowSeconds", 0);
        rules(
            up,
            json!([
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ]),
        );
    }
    if let Some(down) = ensure(behavior, "scaleDown") {
        rules(down, json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]));
    }
}

fn rules(rules: &mut Value, policies: Value) {
    default(rules, "selectPolicy", "Max");
    if list(rules, "/policies").is_empty() {
        set(rules, "policies", policies);
    }
    each(rules, "/policies", |policy| default(policy, "periodSeconds", 15));
}

fn reference(hpa: &Value) -> Value {
    format!("{}/{}", text(hpa, "/spec/scaleTargetRef/kind"), text(hpa, "/spec/scaleTargetRef/name")).into()
}

fn min_pods(hpa: &Value) -> Value {
    int(hpa, "/spec/minReplicas").map_or_else(|| "<unset>".into(), |n| n.to_string().into())
}

/// `cpu: 12%/50%, memory: 10Mi/20Mi + 1 more...`
fn targets(hpa: &Value) -> String {
    const SHOWN: usize = 2;
    let current = list(hpa, "/status/currentMetrics");
    let metrics = list(hpa, "/spec/metrics").iter().enumerate();
    let all: Vec<String> =
        metrics.map(|(i, metric)| target(metric, current.get(i).unwrap_or(&Value::Null))).collect();
    match all.len() {
        0 => "<none>".into(),
        n if n > SHOWN => format!("{} + {} more...", all[..SHOWN].join(", "), n - SHOWN),
        _ => all.join(", "),
    }
}

fn target(metric: &Value, current: &Value) -> String {
    let source = match text(metric, "/type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".into(),
    };
    let amount = |of: &Value, which: &str| int(of, which).map(|n| format!("{n}%"));
    let quantity = |of: &Value, which: &str| Some(text(of, which).to_owned()).filter(|q| !q.is_empty());
    let (wanted, seen) = (format!("/{source}/target"), format!("/{source}/current"));
    let is_resource = source == "resource" || source == "containerResource";
    let prefix =
        if is_resource { format!("{}: ", text(metric, &format!("/{source}/name"))) } else { String::new() };
    let average = quantity(metric, &format!("{wanted}/averageValue"));
    let (now, goal, suffix) = match average {
        Some(goal) => {
            let suffix = if ["object", "external"].contains(&source) { " (avg)" } else { "" };
            (quantity(current, &format!("{seen}/averageValue")), Some(goal), suffix)
        }
        None if is_resource => (
            amount(current, &format!("{seen}/averageUtilization")),
            amount(metric, &format!("{wanted}/averageUtilization")).or(Some("<auto>".into())),
            "",
        ),
        None => {
            (quantity(current, &format!("{seen}/value")), quantity(metric, &format!("{wanted}/value")), "")
        }
    };
    let unknown = || "<unknown>".to_owned();
    format!("{prefix}{}/{}{suffix}", now.unwrap_or_else(unknown), goal.unwrap_or_else(unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_as_kubectl_shows_them() {
        let hpa = json!({
            "spec": {"metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "20Mi"}}},
                {"type": "Pods", "pods": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "1"}}},
            ]},
            "status": {"currentMetrics": [
                {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 12, "averageValue": "60m"}}},
            ]},
        });
        assert_eq!(targets(&hpa), "cpu: 12%/50%, memory: <unknown>/20Mi + 1 more...");
        assert_eq!(targets(&json!({})), "<none>");
    }

    #[test]
    fn rules_are_filled_in_only_where_some_are_given() {
        let mut hpa =
            json!({"spec": {"maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}}}});
        defaults(&mut hpa);
        assert_eq!(hpa["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 80);
        assert_eq!(hpa["spec"]["behavior"]["scaleUp"]["policies"][0]["value"], 4);
        assert_eq!(hpa["spec"]["behavior"]["scaleDown"]["policies"][0]["value"], 100);
        let once = hpa.clone();
        defaults(&mut hpa);
        assert_eq!(hpa, once);
    }
}

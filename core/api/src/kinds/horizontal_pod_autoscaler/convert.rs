//! Between autoscaling/v1 and v2.
//!
//! v1 has a field for CPU utilization only. What else a v2 object says travels in
//! annotations of the v1 view, under the names that clients know, so that reading
//! as v1 and writing back loses nothing.

use serde_json::{Map, Value, json};

use crate::access::{ensure, has, int, list, remove, set, text};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";

pub fn to_v2(mut hpa: Value) -> Value {
    set(&mut hpa, "apiVersion", json!("autoscaling/v2"));
    let mut taken = |name: &str| take_annotation(&mut hpa, name);
    let (metrics, behavior, conditions, current) =
        (taken(METRICS), taken(BEHAVIOR), taken(CONDITIONS), taken(CURRENT_METRICS));
    let mut others: Vec<Value> = each_of(metrics).map(|m| spec_to_v2(&m)).collect();
    if let Some(spec) = hpa.get_mut("spec") {
        if let Some(percent) = int(spec, "/targetCPUUtilizationPercentage") {
            others.insert(0, cpu(json!({"target": {"type": "Utilization", "averageUtilization": percent}})));
        }
        remove(spec, "targetCPUUtilizationPercentage");
        if !others.is_empty() {
            set(spec, "metrics", others.into());
        }
        if let Some(behavior) = behavior {
            set(spec, "behavior", behavior);
        }
    }
    if let Some(status) = hpa.get_mut("status") {
        let mut now: Vec<Value> = each_of(current).map(|m| status_to_v2(&m)).collect();
        if let Some(percent) = int(status, "/currentCPUUtilizationPercentage") {
            now.insert(0, cpu(json!({"current": {"averageUtilization": percent}})));
        }
        remove(status, "currentCPUUtilizationPercentage");
        if !now.is_empty() {
            set(status, "currentMetrics", now.into());
        }
        if let Some(conditions) = conditions {
            set(status, "conditions", conditions);
        }
    }
    hpa
}

pub fn to_v1(mut hpa: Value) -> Value {
    set(&mut hpa, "apiVersion", json!("autoscaling/v1"));
    let mut notes: Vec<(&str, Value)> = Vec::new();
    if let Some(spec) = hpa.get_mut("spec") {
        let (percent, others) = split_cpu(list(spec, "/metrics"), "/resource/target/averageUtilization");
        remove(spec, "metrics");
        if let Some(percent) = percent {
            set(spec, "targetCPUUtilizationPercentage", percent.into());
        }
        if !others.is_empty() {
            notes.push((METRICS, others.iter().map(spec_to_v1).collect()));
        }
        if let Some(behavior) = spec.as_object_mut().and_then(|s| s.remove("behavior")) {
            notes.push((BEHAVIOR, behavior));
        }
    }
    if let Some(status) = hpa.get_mut("status") {
        let (percent, others) =
            split_cpu(list(status, "/currentMetrics"), "/resource/current/averageUtilization");
        remove(status, "currentMetrics");
        if let Some(percent) = percent {
            set(status, "currentCPUUtilizationPercentage", percent.into());
        }
        if !others.is_empty() {
            notes.push((CURRENT_METRICS, others.iter().map(status_to_v1).collect()));
        }
        if let Some(conditions) = status.as_object_mut().and_then(|s| s.remove("conditions")) {
            notes.push((CONDITIONS, conditions));
        }
    }
    if !notes.is_empty()
        && let Some(annotations) = ensure(&mut hpa, "metadata").and_then(|m| ensure(m, "annotations"))
    {
        notes.into_iter().for_each(|(name, value)| set(annotations, name, value.to_string().into()));
    }
    hpa
}

fn cpu(figures: Value) -> Value {
    let mut resource = figures;
    set(&mut resource, "name", json!("cpu"));
    json!({"type": "Resource", "resource": resource})
}

/// The first CPU utilization, and every other metric. A status keeps its average value beside the
/// percentage, so such an entry stays among the others too.
fn split_cpu(metrics: &[Value], utilization: &str) -> (Option<i64>, Vec<Value>) {
    let is_cpu = |m: &&Value| text(m, "/resource/name") == "cpu" && int(m, utilization).is_some();
    let first = metrics.iter().position(|m| is_cpu(&m));
    let percent = first.and_then(|i| int(&metrics[i], utilization));
    let others = metrics.iter().enumerate().filter(|(i, _)| Some(*i) != first).map(|(_, m)| m.clone());
    (percent, others.collect())
}

fn take_annotation(hpa: &mut Value, name: &str) -> Option<Value> {
    let metadata = hpa.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let value = annotations.remove(name)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    serde_json::from_str(value.as_str()?).ok()
}

fn each_of(list: Option<Value>) -> impl Iterator<Item = Value> {
    match list {
        Some(Value::Array(items)) => items.into_iter(),
        _ => Vec::new().into_iter(),
    }
}

/// The key of a source's figures: `resource`, `containerResource`, `pods`, `object`, `external`.
fn source_key(metric: &Value) -> Option<String> {
    let kind = text(metric, "/type");
    let first = kind.chars().next()?.to_lowercase();
    Some(first.chain(kind.chars().skip(1)).collect())
}

fn rebuilt(metric: &Value, build: impl FnOnce(&Value, &mut Map<String, Value>)) -> Value {
    let Some(key) = source_key(metric) else { return metric.clone() };
    let mut out = Map::new();
    build(metric.get(&key).unwrap_or(&Value::Null), &mut out);
    json!({"type": text(metric, "/type"), key: out})
}

fn carry(from: &Value, pointer: &str, to: &mut Map<String, Value>, key: &str) {
    if let Some(value) = from.pointer(pointer).filter(|v| !v.is_null()) {
        to.insert(key.to_owned(), value.clone());
    }
}

/// Where the describing fields of a metric stand: pointer in v2, key in v1.
const IDENTITY: [(&str, &str); 6] = [
    ("/name", "name"),
    ("/container", "container"),
    ("/describedObject", "target"),
    ("/metric/name", "metricName"),
    ("/metric/selector", "selector"),
    ("/metric/selector", "metricSelector"),
];

fn identity_to_v1(metric: &Value, source: &Value, out: &mut Map<String, Value>) {
    let selector = if text(metric, "/type") == "External" { "metricSelector" } else { "selector" };
    for (pointer, key) in IDENTITY {
        if pointer != "/metric/selector" || key == selector {
            carry(source, pointer, out, key);
        }
    }
}

fn identity_to_v2(source: &Value, out: &mut Map<String, Value>) {
    carry(source, "/name", out, "name");
    carry(source, "/container", out, "container");
    carry(source, "/target", out, "describedObject");
    let mut metric = Map::new();
    carry(source, "/metricName", &mut metric, "name");
    carry(source, "/selector", &mut metric, "selector");
    carry(source, "/metricSelector", &mut metric, "selector");
    if !metric.is_empty() {
        out.insert("metric".into(), metric.into());
    }
}

fn spec_to_v1(metric: &Value) -> Value {
    rebuilt(metric, |source, out| {
        identity_to_v1(metric, source, out);
        carry(source, "/target/averageUtilization", out, "targetAverageUtilization");
        carry(source, "/target/value", out, "targetValue");
        let average = if text(metric, "/type") == "Object" { "averageValue" } else { "targetAverageValue" };
        carry(source, "/target/averageValue", out, average);
    })
}

fn spec_to_v2(metric: &Value) -> Value {
    rebuilt(metric, |source, out| {
        identity_to_v2(source, out);
        let mut target = Map::new();
        carry(source, "/targetAverageUtilization", &mut target, "averageUtilization");
        carry(source, "/targetAverageValue", &mut target, "averageValue");
        carry(source, "/averageValue", &mut target, "averageValue");
        if target.is_empty() || has(source, "/targetAverageValue") {
            carry(source, "/targetValue", &mut target, "value");
        }
        let kind = match () {
            () if target.contains_key("averageUtilization") => "Utilization",
            () if target.contains_key("averageValue") => "AverageValue",
            () => "Value",
        };
        target.insert("type".into(), json!(kind));
        out.insert("target".into(), target.into());
    })
}

fn status_to_v1(metric: &Value) -> Value {
    rebuilt(metric, |source, out| {
        identity_to_v1(metric, source, out);
        carry(source, "/current/averageUtilization", out, "currentAverageUtilization");
        carry(source, "/current/averageValue", out, "currentAverageValue");
        carry(source, "/current/value", out, "currentValue");
    })
}

fn status_to_v2(metric: &Value) -> Value {
    rebuilt(metric, |source, out| {
        identity_to_v2(source, out);
        let mut current = Map::new();
        carry(source, "/currentAverageUtilization", &mut current, "averageUtilization");
        carry(source, "/currentAverageValue", &mut current, "averageValue");
        carry(source, "/currentValue", &mut current, "value");
        out.insert("current".into(), current.into());
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_loses_nothing_of_v2() {
        let stored = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a", "annotations": {"mine": "1"}},
            "spec": {"maxReplicas": 5, "minReplicas": 1, "metrics": [
                {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
                {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                {"type": "Pods", "pods": {"metric": {"name": "x", "selector": {"matchLabels": {"a": "b"}}},
                    "target": {"type": "AverageValue", "averageValue": "10"}}},
                {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "3"}}},
                {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "r"},
                    "target": {"type": "AverageValue", "averageValue": "4"}}},
            ], "behavior": {"scaleDown": {"selectPolicy": "Max"}}},
            "status": {"currentReplicas": 1, "desiredReplicas": 2,
                "conditions": [{"type": "AbleToScale", "status": "True"}],
                "currentMetrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 9}}},
                    {"type": "Pods", "pods": {"metric": {"name": "x"}, "current": {"averageValue": "7"}}},
                ]},
        });
        let v1 = to_v1(stored.clone());
        assert_eq!(v1["spec"]["targetCPUUtilizationPercentage"], 50);
        assert!(v1["spec"].get("metrics").is_none() && v1["spec"].get("behavior").is_none());
        assert_eq!(v1["status"]["currentCPUUtilizationPercentage"], 9);
        assert_eq!(to_v2(v1), stored);
    }

    #[test]
    fn what_kubectl_autoscale_writes() {
        let v1 = json!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 40}});
        let v2 = to_v2(v1.clone());
        assert_eq!(v2["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 40);
        assert_eq!(to_v1(v2), v1);
    }
}

//! Pod: containers that run together on one node.

use serde_json::{Value, json};

use crate::{
    access::{find, keep_status, list, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    pod::{defaults, placing, qos, status, summary, update, validate as spec_rules},
    table::{AGE, NAME, text_or_none},
    validate::Errors,
};

pub static KIND: Kind = Kind {
    short_names: &["po"],
    categories: &["all"],
    subresources: &[
        Subresource::Status,
        Subresource::Named("attach"),
        Subresource::Named("binding"),
        Subresource::Named("ephemeralcontainers"),
        Subresource::Named("eviction"),
        Subresource::Named("exec"),
        Subresource::Named("log"),
        Subresource::Named("portforward"),
        Subresource::Named("proxy"),
        Subresource::Named("resize"),
    ],
    status_keeps: &["ownerReferences"],
    default: |pod| {
        with(pod, "/spec", |spec| {
            // Requests first: a quantity given as a limit only is one for both.
            defaults::pod_only(spec);
            defaults::spec(spec);
        });
    },
    prepare_create: |pod| {
        let class = qos::class(pod.get("spec").unwrap_or(&Value::Null));
        let mut status = json!({"phase": "Pending", "qosClass": class});
        if !list(pod, "/spec/schedulingGates").is_empty() {
            status["conditions"] = json!([gated()]);
        }
        set(pod, "status", status);
        placing::resolve_label_keys(pod);
    },
    prepare_update: keep_status,
    validate,
    validate_create: spec_rules::new_pod,
    validate_update: update::validate,
    validate_status: status::validate,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Ready", |pod, _| {
            let summary = summary::of(pod);
            format!("{}/{}", summary.ready, summary.total).into()
        }),
        Column::text("Status", |pod, _| summary::of(pod).status.into()),
        Column::text("Restarts", |pod, now| summary::of(pod).restarts_text(now).into()),
        AGE,
        Column::text("IP", |pod, _| ip(pod)).wide(),
        Column::text("Node", |pod, _| text_or_none(pod, "/spec/nodeName")).wide(),
        Column::text("Nominated Node", |pod, _| text_or_none(pod, "/status/nominatedNodeName")).wide(),
        Column::text("Readiness Gates", |pod, _| readiness_gates(pod)).wide(),
    ],
    selectable: &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ],
    ..Kind::namespaced("", "v1", "Pod", "pods", "pod", "io.k8s.api.core.v1.Pod")
};

fn validate(pod: &Value) -> Errors {
    let mut errors = Vec::new();
    spec_rules::pod(pod, &mut errors);
    annotations(pod, &mut errors);
    errors
}

/// Annotations that mean something to the API itself.
fn annotations(pod: &Value, errors: &mut Errors) {
    let annotations = pod.pointer("/metadata/annotations").unwrap_or(&Value::Null);
    let field = |key: &str| format!("metadata.annotations[{key}]");
    let mirror = "kubernetes.io/config.mirror";
    if let Some(value) = annotations.get(mirror).filter(|_| text(pod, "/spec/nodeName").is_empty()) {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(field(mirror), value, detail));
    }
    let cost = "controller.kubernetes.io/pod-deletion-cost";
    let wrong = |value: &&Value| {
        let text = value.as_str().unwrap_or_default();
        !text.parse::<i32>().is_ok_and(|number| number.to_string() == text)
    };
    if let Some(value) = annotations.get(cost).filter(wrong) {
        errors.push(FieldError::invalid(field(cost), value, "must be a 32bit integer"));
    }
}

/// A Pod with gates is not placed, and says so from its first moment.
fn gated() -> Value {
    json!({
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    })
}

fn ip(pod: &Value) -> Value {
    match list(pod, "/status/podIPs").first() {
        Some(first) => text_or_none(first, "/ip"),
        None => text_or_none(pod, "/status/podIP"),
    }
}

fn readiness_gates(pod: &Value) -> Value {
    let gates = list(pod, "/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let conditions = list(pod, "/status/conditions");
    let met = |gate: &&Value| {
        find(conditions, "type", text(gate, "/conditionType")).is_some_and(|c| text(c, "/status") == "True")
    };
    format!("{}/{}", gates.iter().filter(met).count(), gates.len()).into()
}

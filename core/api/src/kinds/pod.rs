//! Pod: containers that run together on one node.

use serde_json::{Value, json};

use crate::{
    access::{find, keep_status, list, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    pod::{defaults, qos, summary, update, validate as spec_rules},
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
    ],
    default: |pod| {
        with(pod, "/spec", |spec| {
            // Requests first: a quantity given as a limit only is one for both.
            defaults::pod_only(spec);
            defaults::spec(spec);
        });
    },
    prepare_create: |pod| {
        let class = qos::class(pod.get("spec").unwrap_or(&Value::Null));
        set(pod, "status", json!({"phase": "Pending", "qosClass": class}));
    },
    prepare_update: keep_status,
    validate,
    validate_update: update::validate,
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
    match pod.get("spec") {
        Some(spec) => spec_rules::spec(spec, "spec", &mut errors),
        None => errors.push(FieldError::required("spec.containers", "")),
    }
    errors
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

//! NetworkPolicy: which traffic Pods take. Served; nothing enforces it yet.

use serde_json::{Value, json};

use crate::{
    access::{default, each, ensure, has, list, present, set},
    kind::{Column, Kind},
    table::{AGE, NAME},
    validate::{Errors, labels},
};

pub static KIND: Kind = Kind {
    short_names: &["netpol"],
    default: defaults,
    validate: |policy| -> Errors {
        let mut errors = Vec::new();
        if let Some(selector) = present(policy, "/spec/podSelector") {
            labels::selector(selector, "spec.podSelector", &mut errors);
        }
        errors
    },
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Pod-Selector", |p, _| labels::to_text(p.pointer("/spec/podSelector")).into()),
        AGE,
    ],
    ..Kind::namespaced(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        "networkpolicy",
        "io.k8s.api.networking.v1.NetworkPolicy",
    )
};

fn defaults(policy: &mut Value) {
    let Some(spec) = ensure(policy, "spec") else { return };
    if !has(spec, "/policyTypes") {
        let with_egress = !list(spec, "/egress").is_empty();
        set(spec, "policyTypes", if with_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
    for rules in ["/ingress", "/egress"] {
        each(spec, rules, |rule| each(rule, "/ports", |port| default(port, "protocol", "TCP")));
    }
}

//! Bindings of admission policies: where they hold, with which parameters.

use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingAdmissionPolicyBinding, ParamRef, ValidatingAdmissionPolicyBinding,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const VALIDATING: &[Name] = &[
    ("kube_validatingadmissionpolicybinding_info", Gauge, "A binding, with its policy and parameters"),
    ("kube_validatingadmissionpolicybinding_created", Gauge, "When it was made, since the Unix epoch"),
    (
        "kube_validatingadmissionpolicybinding_validation_action",
        Gauge,
        "What is done where its policy refuses",
    ),
];

/// The first of them, of policies that change.
pub const MUTATING: &[Name] = &[
    ("kube_mutatingadmissionpolicybinding_info", Gauge, "A binding, with its policy and parameters"),
    ("kube_mutatingadmissionpolicybinding_created", Gauge, "When it was made, since the Unix epoch"),
];

pub fn validating(object: &ValidatingAdmissionPolicyBinding) -> Rows {
    let (meta, spec) = (&object.metadata, &object.spec);
    let label = "validatingadmissionpolicybinding";
    let mut rows = tell(label, VALIDATING, meta, &spec.policy_name, spec.param_ref.as_ref());
    for action in &spec.validation_actions {
        let name = "kube_validatingadmissionpolicybinding_validation_action";
        rows.with(name, &[("action", action)], 1.0);
    }
    rows
}

pub fn mutating(object: &MutatingAdmissionPolicyBinding) -> Rows {
    let spec = object.spec.clone().unwrap_or_default();
    let policy = spec.policy_name.as_deref().unwrap_or_default();
    let label = "mutatingadmissionpolicybinding";
    tell(label, MUTATING, &object.metadata, policy, spec.param_ref.as_ref())
}

fn tell(
    label: &'static str,
    names: &[Name],
    meta: &ObjectMeta,
    policy: &str,
    parameters: Option<&ParamRef>,
) -> Rows {
    let [info, created] = [0, 1].map(|at: usize| names[at].0);
    let mut rows = Rows::of(label, meta);
    let of = |word: fn(&ParamRef) -> Option<&String>| {
        parameters.and_then(word).map(String::as_str).unwrap_or_default()
    };
    let labels = [
        ("policy_name", policy),
        ("param_name", of(|parameters| parameters.name.as_ref())),
        ("param_namespace", of(|parameters| parameters.namespace.as_ref())),
        ("param_not_found_action", of(|parameters| parameters.parameter_not_found_action.as_ref())),
    ];
    rows.with(info, &labels, 1.0);
    rows.time(created, meta.creation_timestamp.as_ref());
    rows
}

//! Admission policies in CEL, those that refuse and those that change.

use k8s_openapi::{
    api::admissionregistration::v1::{MutatingAdmissionPolicy, ParamKind, ValidatingAdmissionPolicy},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const VALIDATING: &[Name] = &[
    ("kube_validatingadmissionpolicy_info", Gauge, "A policy that refuses, with what it has for parameters"),
    ("kube_validatingadmissionpolicy_created", Gauge, "When it was made, since the Unix epoch"),
];

/// The same of those that change, and in the same order.
pub const MUTATING: &[Name] = &[
    ("kube_mutatingadmissionpolicy_info", Gauge, "A policy that changes, with what it has for parameters"),
    ("kube_mutatingadmissionpolicy_created", Gauge, "When it was made, since the Unix epoch"),
];

pub fn validating(object: &ValidatingAdmissionPolicy) -> Rows {
    let spec = object.spec.clone().unwrap_or_default();
    let failure = ("failure_policy", spec.failure_policy.as_deref().unwrap_or_default());
    let parameters = spec.param_kind.as_ref();
    tell("validatingadmissionpolicy", VALIDATING, &object.metadata, parameters, &[failure])
}

pub fn mutating(object: &MutatingAdmissionPolicy) -> Rows {
    let spec = object.spec.clone().unwrap_or_default();
    let own = [
        ("failure_policy", spec.failure_policy.as_deref().unwrap_or_default()),
        ("reinvocation_policy", spec.reinvocation_policy.as_deref().unwrap_or_default()),
    ];
    tell("mutatingadmissionpolicy", MUTATING, &object.metadata, spec.param_kind.as_ref(), &own)
}

fn tell(
    label: &'static str,
    names: &[Name],
    meta: &ObjectMeta,
    parameters: Option<&ParamKind>,
    own: &[(&str, &str)],
) -> Rows {
    let [info, created] = [0, 1].map(|at: usize| names[at].0);
    let mut rows = Rows::of(label, meta);
    let version = parameters.and_then(|kind| kind.api_version.as_deref()).unwrap_or_default();
    let kind = parameters.and_then(|kind| kind.kind.as_deref()).unwrap_or_default();
    let labels = [("param_api_version", version), ("param_kind", kind)];
    rows.with(info, &[&labels[..], own].concat(), 1.0);
    rows.time(created, meta.creation_timestamp.as_ref());
    rows
}

//! Secrets, without their content.
//!
//! Their type is part of that, but Secrets can be chosen by it: those of each usual type are
//! watched by themselves, and who is chosen has it. Of others no type is told.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;

use super::{Name, rows::Rows, told::Told, watched::Watch};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_secret_info", Gauge, "A Secret"),
    ("kube_secret_type", Gauge, "Its type, where that is a usual one"),
    ("kube_secret_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_secret_owner", Gauge, "Who owns it"),
    ("kube_secret_metadata_resource_version", Gauge, "The version of the object"),
];

/// Those of Kubernetes, and of Helm's releases.
pub const TYPES: [&str; 9] = [
    "Opaque",
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/basic-auth",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/tls",
    "bootstrap.kubernetes.io/token",
    "helm.sh/release.v1",
];

/// Watches Secrets, and those of each type.
pub fn start(watch: &Watch<'_>) -> Vec<Arc<Told>> {
    let of_type = |kind: &'static str| {
        let tell = move |object: &PartialObjectMeta<Secret>| tell_type(object, kind);
        watch.chosen::<PartialObjectMeta<Secret>>(&format!("type={kind}"), tell)
    };
    let mut all = watch.objects(tell);
    all.extend(TYPES.map(of_type));
    all
}

pub fn tell(object: &PartialObjectMeta<Secret>) -> Rows {
    let mut rows = Rows::of("secret", &object.metadata);
    rows.put("kube_secret_info", 1);
    rows.time("kube_secret_created", object.metadata.creation_timestamp.as_ref());
    rows.owners("kube_secret_owner", &object.metadata);
    rows.version("kube_secret_metadata_resource_version", &object.metadata);
    rows
}

fn tell_type(object: &PartialObjectMeta<Secret>, kind: &str) -> Rows {
    let mut rows = Rows::of("secret", &object.metadata);
    rows.with("kube_secret_type", &[("type", kind)], 1.0);
    rows
}

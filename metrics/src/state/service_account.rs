//! Service accounts, with the names of Secrets that they refer to: who may list them reads those
//! there, too.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{
    Name,
    rows::{Rows, said},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_serviceaccount_info", Gauge, "A service account, with whether Pods are given its token"),
    ("kube_serviceaccount_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_serviceaccount_deleted", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_serviceaccount_secret", Gauge, "A Secret that its Pods may mount"),
    ("kube_serviceaccount_image_pull_secret", Gauge, "A Secret with which its Pods' images are pulled"),
];

pub fn tell(object: &ServiceAccount) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("serviceaccount", meta);
    rows.own("uid", meta.uid.as_deref());
    let mounts = said(object.automount_service_account_token);
    rows.with("kube_serviceaccount_info", &[("automount_token", mounts)], 1.0);
    rows.time("kube_serviceaccount_created", meta.creation_timestamp.as_ref());
    rows.time("kube_serviceaccount_deleted", meta.deletion_timestamp.as_ref());
    for secret in object.secrets.iter().flatten().filter_map(|secret| secret.name.as_deref()) {
        rows.with("kube_serviceaccount_secret", &[("name", secret)], 1.0);
    }
    for secret in object.image_pull_secrets.iter().flatten() {
        rows.with("kube_serviceaccount_image_pull_secret", &[("name", &secret.name)], 1.0);
    }
    rows
}

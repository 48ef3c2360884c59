//! Deployments.

use k8s_openapi::api::apps::v1::Deployment;

use super::{
    Name,
    rows::{Rows, count_of},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_deployment_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_deployment_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_deployment_owner", Gauge, "Who owns it"),
    ("kube_deployment_metadata_generation", Gauge, "The version of its spec"),
    ("kube_deployment_spec_replicas", Gauge, "Pods that are wanted"),
    ("kube_deployment_spec_paused", Gauge, "Whether it rolls nothing out"),
    (
        "kube_deployment_spec_strategy_rollingupdate_max_unavailable",
        Gauge,
        "Pods that may be missing while it rolls out",
    ),
    (
        "kube_deployment_spec_strategy_rollingupdate_max_surge",
        Gauge,
        "Pods beyond those wanted while it rolls out",
    ),
    ("kube_deployment_status_observed_generation", Gauge, "The version of the spec that was acted on"),
    ("kube_deployment_status_replicas", Gauge, "Pods that there are"),
    ("kube_deployment_status_replicas_ready", Gauge, "Pods that are ready"),
    ("kube_deployment_status_replicas_available", Gauge, "Pods that are available"),
    ("kube_deployment_status_replicas_unavailable", Gauge, "Pods that are not available"),
    ("kube_deployment_status_replicas_updated", Gauge, "Pods of the newest template"),
    ("kube_deployment_status_terminating_replicas", Gauge, "Pods that are on their way out"),
    ("kube_deployment_status_condition", Gauge, "A condition in each of its states"),
];

pub fn tell(object: &Deployment) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("deployment", meta);
    rows.time("kube_deployment_created", meta.creation_timestamp.as_ref());
    rows.time("kube_deployment_deletion_timestamp", meta.deletion_timestamp.as_ref());
    rows.owners("kube_deployment_owner", meta);
    rows.whole("kube_deployment_metadata_generation", meta.generation);
    let spec = &object.spec;
    let replicas = spec.replicas.unwrap_or(1);
    rows.put("kube_deployment_spec_replicas", replicas);
    rows.flag("kube_deployment_spec_paused", spec.paused == Some(true));
    let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    if let Some(rolling) = rolling {
        let unavailable = count_of(rolling.max_unavailable.as_ref(), replicas, false);
        rows.some("kube_deployment_spec_strategy_rollingupdate_max_unavailable", unavailable);
        let surge = count_of(rolling.max_surge.as_ref(), replicas, true);
        rows.some("kube_deployment_spec_strategy_rollingupdate_max_surge", surge);
    }
    let Some(status) = &object.status else { return rows };
    rows.whole("kube_deployment_status_observed_generation", status.observed_generation);
    rows.put("kube_deployment_status_replicas", status.replicas.unwrap_or_default());
    rows.put("kube_deployment_status_replicas_ready", status.ready_replicas.unwrap_or_default());
    rows.put("kube_deployment_status_replicas_available", status.available_replicas.unwrap_or_default());
    rows.put("kube_deployment_status_replicas_unavailable", status.unavailable_replicas.unwrap_or_default());
    rows.put("kube_deployment_status_replicas_updated", status.updated_replicas.unwrap_or_default());
    rows.some("kube_deployment_status_terminating_replicas", status.terminating_replicas);
    for condition in status.conditions.iter().flatten() {
        let reason = condition.reason.as_deref().unwrap_or_default();
        let labels = [("condition", condition.type_.as_deref().unwrap_or_default()), ("reason", reason)];
        let status = condition.status.as_deref().unwrap_or_default();
        rows.condition("kube_deployment_status_condition", &labels, status);
    }
    rows
}

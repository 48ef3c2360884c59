//! Pods; their containers: [`super::pod_containers`].
//!
//! There are many of them, so of states that exclude each other only the one that holds has
//! a series: those of the others would be most of what a cluster's Pods cost here.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::OwnerReference};

use super::{Name, pod_containers, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_pod_info", Gauge, "A Pod, with where it runs and who made it"),
    ("kube_pod_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_pod_start_time", Gauge, "When the node took it up, since the Unix epoch"),
    ("kube_pod_completion_time", Gauge, "When its last container ended, since the Unix epoch"),
    ("kube_pod_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_pod_owner", Gauge, "Who owns it"),
    ("kube_pod_restart_policy", Gauge, "What becomes of containers that end"),
    ("kube_pod_status_phase", Gauge, "Its phase"),
    ("kube_pod_status_ready", Gauge, "Whether it is ready"),
    ("kube_pod_status_ready_time", Gauge, "Since when it is ready, since the Unix epoch"),
    ("kube_pod_status_scheduled", Gauge, "Whether it has a node"),
    ("kube_pod_status_scheduled_time", Gauge, "When it got its node, since the Unix epoch"),
    ("kube_pod_status_initialized_time", Gauge, "When its init containers were done, since the Unix epoch"),
    ("kube_pod_status_unschedulable", Gauge, "It finds no node"),
    ("kube_pod_status_reason", Gauge, "Why it was ended"),
    ("kube_pod_status_qos_class", Gauge, "Its class of service"),
    ("kube_pod_spec_volumes_persistentvolumeclaims_info", Gauge, "A claim that it uses"),
];

/// Of whatever else a reason may say, nobody knows how much there is.
const REASONS: [&str; 5] = ["Evicted", "NodeAffinity", "NodeLost", "Shutdown", "UnexpectedAdmissionError"];

pub fn tell(object: &Pod) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("pod", meta);
    rows.own("uid", meta.uid.as_deref());
    let spec = object.spec.clone().unwrap_or_default();
    let status = object.status.clone().unwrap_or_default();
    let node = spec.node_name.as_deref().unwrap_or_default();
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let made_by = owners.iter().find(|owner| owner.controller == Some(true));
    let of = |word: fn(&OwnerReference) -> &str| made_by.map_or("", word);
    let info = [
        ("host_ip", status.host_ip.as_deref().unwrap_or_default()),
        ("pod_ip", status.pod_ip.as_deref().unwrap_or_default()),
        ("node", node),
        ("created_by_kind", of(|owner| &owner.kind)),
        ("created_by_name", of(|owner| &owner.name)),
        ("priority_class", spec.priority_class_name.as_deref().unwrap_or_default()),
        ("host_network", if spec.host_network == Some(true) { "true" } else { "false" }),
    ];
    rows.with("kube_pod_info", &info, 1.0);
    rows.time("kube_pod_created", meta.creation_timestamp.as_ref());
    rows.time("kube_pod_deletion_timestamp", meta.deletion_timestamp.as_ref());
    rows.time("kube_pod_start_time", status.start_time.as_ref());
    rows.owners("kube_pod_owner", meta);
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    rows.with("kube_pod_restart_policy", &[("type", policy)], 1.0);
    state(&mut rows, object);
    for volume in spec.volumes.iter().flatten() {
        if let Some(claim) = &volume.persistent_volume_claim {
            let labels = [("volume", volume.name.as_str()), ("persistentvolumeclaim", &claim.claim_name)];
            rows.with("kube_pod_spec_volumes_persistentvolumeclaims_info", &labels, 1.0);
        }
    }
    pod_containers::tell(&mut rows, &spec, &status, node);
    rows
}

fn state(rows: &mut Rows, object: &Pod) {
    let Some(status) = &object.status else { return };
    let phase = status.phase.as_deref().unwrap_or("Pending");
    rows.with("kube_pod_status_phase", &[("phase", phase)], 1.0);
    if let Some(reason) = status.reason.as_deref().filter(|reason| REASONS.contains(reason)) {
        rows.with("kube_pod_status_reason", &[("reason", reason)], 1.0);
    }
    if let Some(class) = &status.qos_class {
        rows.with("kube_pod_status_qos_class", &[("qos_class", class)], 1.0);
    }
    for condition in status.conditions.iter().flatten() {
        let holds = condition.status == "True";
        let since = condition.last_transition_time.as_ref().filter(|_| holds);
        match condition.type_.as_str() {
            "Ready" => {
                states(rows, "kube_pod_status_ready", &condition.status);
                rows.time("kube_pod_status_ready_time", since);
            }
            "PodScheduled" => {
                states(rows, "kube_pod_status_scheduled", &condition.status);
                rows.time("kube_pod_status_scheduled_time", since);
                if condition.reason.as_deref() == Some("Unschedulable") {
                    rows.put("kube_pod_status_unschedulable", 1);
                }
            }
            "Initialized" => rows.time("kube_pod_status_initialized_time", since),
            _ => {}
        }
    }
    let ends = status.container_statuses.iter().flatten().map(|container| {
        let ended = container.state.as_ref().and_then(|state| state.terminated.as_ref());
        ended.and_then(|ended| ended.finished_at.as_ref())
    });
    // All have ended.
    let last = ends.collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max_by_key(|end| end.0));
    rows.time("kube_pod_completion_time", last);
}

/// Under the label `condition`.
fn states(rows: &mut Rows, name: &'static str, status: &str) {
    rows.with(name, &[("condition", &status.to_ascii_lowercase())], 1.0);
}

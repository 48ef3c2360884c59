//! Pods; their containers: [`super::pod_containers`].
//!
//! There are many of them, so of states that exclude each other only the one that holds has
//! a series: those of the others would be most of what a cluster's Pods cost here.

use std::net::IpAddr;

use k8s_openapi::{
    api::core::v1::{Pod, PodSpec, PodStatus},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};

use super::{
    Name, pod_containers,
    rows::{Rows, number, said},
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_pod_info", Gauge, "A Pod, with where it runs and who made it"),
    ("kube_pod_ips", Gauge, "An address of it"),
    ("kube_pod_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_pod_start_time", Gauge, "When the node took it up, since the Unix epoch"),
    ("kube_pod_completion_time", Gauge, "When its last container ended, since the Unix epoch"),
    ("kube_pod_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_pod_owner", Gauge, "Who owns it"),
    ("kube_pod_restart_policy", Gauge, "What becomes of containers that end"),
    ("kube_pod_scheduler", Gauge, "Who gives it a node"),
    ("kube_pod_service_account", Gauge, "As whom it asks the API"),
    ("kube_pod_tolerations", Gauge, "A taint that doesn't keep it away"),
    ("kube_pod_runtimeclass_name_info", Gauge, "What runs its containers"),
    ("kube_pod_overhead_cpu_cores", Gauge, "Cores that it takes beside those of its containers"),
    ("kube_pod_overhead_memory_bytes", Gauge, "Memory that it takes beside that of its containers"),
    ("kube_pod_resourceclaim_info", Gauge, "A claim of devices that it uses"),
    ("kube_pod_status_phase", Gauge, "Its phase"),
    ("kube_pod_status_ready", Gauge, "Whether it is ready"),
    ("kube_pod_status_ready_time", Gauge, "Since when it is ready, since the Unix epoch"),
    ("kube_pod_status_container_ready_time", Gauge, "Since when its containers are, since the Unix epoch"),
    ("kube_pod_status_scheduled", Gauge, "Whether it has a node"),
    ("kube_pod_status_scheduled_time", Gauge, "When it got its node, since the Unix epoch"),
    ("kube_pod_status_initialized_time", Gauge, "When its init containers were done, since the Unix epoch"),
    ("kube_pod_status_unschedulable", Gauge, "It finds no node"),
    ("kube_pod_status_unscheduled_time", Gauge, "Since when it has no node, since the Unix epoch"),
    ("kube_pod_status_reason", Gauge, "Why it was ended"),
    ("kube_pod_status_disruption_reason", Gauge, "Why it is about to be ended by others"),
    ("kube_pod_status_qos_class", Gauge, "Its class of service"),
    ("kube_pod_spec_volumes_persistentvolumeclaims_info", Gauge, "A claim that it uses"),
    ("kube_pod_spec_volumes_persistentvolumeclaims_readonly", Gauge, "Whether it only reads of a claim"),
];

/// Of whatever else a reason may say, nobody knows how much there is: it is [`OTHER`].
const REASONS: [&str; 8] = [
    "Evicted",
    "NodeAffinity",
    "NodeLost",
    "PreemptionByScheduler",
    "SchedulingGated",
    "Shutdown",
    "TerminationByKubelet",
    "UnexpectedAdmissionError",
];
/// The same of what disrupts a Pod.
const DISRUPTIONS: [&str; 5] = [
    "PreemptionByScheduler",
    "DeletionByTaintManager",
    "EvictionByEvictionAPI",
    "DeletionByPodGC",
    "TerminationByKubelet",
];
const OTHER: &str = "Other";

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
        ("host_network", said(Some(spec.host_network == Some(true)))),
    ];
    rows.with("kube_pod_info", &info, 1.0);
    rows.time("kube_pod_created", meta.creation_timestamp.as_ref());
    rows.time("kube_pod_deletion_timestamp", meta.deletion_timestamp.as_ref());
    rows.time("kube_pod_start_time", status.start_time.as_ref());
    rows.owners("kube_pod_owner", meta);
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    rows.with("kube_pod_restart_policy", &[("type", policy)], 1.0);
    addresses(&mut rows, &status);
    asked(&mut rows, &spec);
    claims(&mut rows, &spec, &status);
    state(&mut rows, object);
    pod_containers::tell(&mut rows, &spec, &status, node);
    rows
}

fn addresses(rows: &mut Rows, status: &PodStatus) {
    for address in status.pod_ips.iter().flatten().map(|one| one.ip.as_str()) {
        let family = match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(_)) => "4",
            Ok(IpAddr::V6(_)) => "6",
            Err(_) => continue,
        };
        rows.with("kube_pod_ips", &[("ip", address), ("ip_family", family)], 1.0);
    }
}

/// What it asks for beside its containers.
fn asked(rows: &mut Rows, spec: &PodSpec) {
    let scheduler = spec.scheduler_name.as_deref().unwrap_or_default();
    rows.with("kube_pod_scheduler", &[("name", scheduler)], 1.0);
    let account = spec.service_account_name.as_deref().unwrap_or_default();
    rows.with("kube_pod_service_account", &[("service_account", account)], 1.0);
    for toleration in spec.tolerations.iter().flatten() {
        let seconds = toleration.toleration_seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
        let labels = [
            ("key", toleration.key.as_deref().unwrap_or_default()),
            ("operator", toleration.operator.as_deref().unwrap_or_default()),
            ("value", toleration.value.as_deref().unwrap_or_default()),
            ("effect", toleration.effect.as_deref().unwrap_or_default()),
            ("toleration_seconds", seconds.as_str()),
        ];
        rows.with("kube_pod_tolerations", &labels, 1.0);
    }
    if let Some(class) = &spec.runtime_class_name {
        rows.with("kube_pod_runtimeclass_name_info", &[("runtimeclass_name", class)], 1.0);
    }
    let overhead = |of: &str| spec.overhead.as_ref().and_then(|amounts| amounts.get(of)).and_then(number);
    rows.some("kube_pod_overhead_cpu_cores", overhead("cpu"));
    rows.some("kube_pod_overhead_memory_bytes", overhead("memory"));
}

/// Of volumes and of devices.
fn claims(rows: &mut Rows, spec: &PodSpec, status: &PodStatus) {
    for volume in spec.volumes.iter().flatten() {
        if let Some(claim) = &volume.persistent_volume_claim {
            let labels = [("volume", volume.name.as_str()), ("persistentvolumeclaim", &claim.claim_name)];
            rows.with("kube_pod_spec_volumes_persistentvolumeclaims_info", &labels, 1.0);
            let reads = f64::from(u8::from(claim.read_only == Some(true)));
            rows.with("kube_pod_spec_volumes_persistentvolumeclaims_readonly", &labels, reads);
        }
    }
    for claim in spec.resource_claims.iter().flatten() {
        // Of one that is made of a template the name is known when it is made.
        let made = status.resource_claim_statuses.iter().flatten().find(|made| made.name == claim.name);
        let made = made.and_then(|made| made.resource_claim_name.as_deref());
        let template = claim.resource_claim_template_name.as_deref();
        let labels = [
            ("claim_name", claim.name.as_str()),
            ("resourceclaim_name", claim.resource_claim_name.as_deref().or(made).unwrap_or_default()),
            ("resourceclaim_template_name", template.unwrap_or_default()),
        ];
        rows.with("kube_pod_resourceclaim_info", &labels, 1.0);
    }
}

fn state(rows: &mut Rows, object: &Pod) {
    let Some(status) = &object.status else { return };
    let phase = status.phase.as_deref().unwrap_or("Pending");
    rows.with("kube_pod_status_phase", &[("phase", phase)], 1.0);
    if let Some(reason) = status.reason.as_deref().filter(|reason| !reason.is_empty()) {
        rows.with("kube_pod_status_reason", &[("reason", known(&REASONS, reason))], 1.0);
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
            "ContainersReady" => rows.time("kube_pod_status_container_ready_time", since),
            "DisruptionTarget" => {
                let reason = known(&DISRUPTIONS, condition.reason.as_deref().unwrap_or_default());
                rows.with("kube_pod_status_disruption_reason", &[("reason", reason)], 1.0);
            }
            "PodScheduled" => {
                states(rows, "kube_pod_status_scheduled", &condition.status);
                let lost = condition.last_transition_time.as_ref().filter(|_| condition.status == "False");
                rows.time("kube_pod_status_unscheduled_time", lost);
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

fn known<'a>(all: &[&str], reason: &'a str) -> &'a str {
    if all.contains(&reason) { reason } else { OTHER }
}

/// Under the label `condition`.
fn states(rows: &mut Rows, name: &'static str, status: &str) {
    rows.with(name, &[("condition", &status.to_ascii_lowercase())], 1.0);
}

//! The containers of Pods, and those that initialize them.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodSpec, PodStatus};

use super::{Name, rows::Rows};
use crate::series::MetricKind::{Counter, Gauge};

pub const NAMES: &[Name] = &[
    ("kube_pod_container_info", Gauge, "A container, with its image"),
    ("kube_pod_container_resource_requests", Gauge, "What a container asks for"),
    ("kube_pod_container_resource_limits", Gauge, "What a container is held to"),
    ("kube_pod_container_state_started", Gauge, "When it was started, since the Unix epoch"),
    ("kube_pod_container_status_waiting", Gauge, "Whether it waits"),
    ("kube_pod_container_status_waiting_reason", Gauge, "Why it waits"),
    ("kube_pod_container_status_running", Gauge, "Whether it runs"),
    ("kube_pod_container_status_terminated", Gauge, "Whether it has ended"),
    ("kube_pod_container_status_terminated_reason", Gauge, "Why it has ended"),
    ("kube_pod_container_status_last_terminated_reason", Gauge, "Why it ended the last time"),
    ("kube_pod_container_status_last_terminated_exitcode", Gauge, "With which code it ended the last time"),
    (
        "kube_pod_container_status_last_terminated_timestamp",
        Gauge,
        "When it ended the last time, since the Unix epoch",
    ),
    ("kube_pod_container_status_ready", Gauge, "Whether it is ready"),
    ("kube_pod_container_status_restarts_total", Counter, "How often it was restarted"),
];

/// The same of those that initialize, and in the same order.
pub const INIT_NAMES: &[Name] = &[
    ("kube_pod_init_container_info", Gauge, "An init container, with its image"),
    ("kube_pod_init_container_resource_requests", Gauge, "What an init container asks for"),
    ("kube_pod_init_container_resource_limits", Gauge, "What an init container is held to"),
    ("kube_pod_init_container_state_started", Gauge, "When it was started, since the Unix epoch"),
    ("kube_pod_init_container_status_waiting", Gauge, "Whether it waits"),
    ("kube_pod_init_container_status_waiting_reason", Gauge, "Why it waits"),
    ("kube_pod_init_container_status_running", Gauge, "Whether it runs"),
    ("kube_pod_init_container_status_terminated", Gauge, "Whether it has ended"),
    ("kube_pod_init_container_status_terminated_reason", Gauge, "Why it has ended"),
    ("kube_pod_init_container_status_last_terminated_reason", Gauge, "Why it ended the last time"),
    (
        "kube_pod_init_container_status_last_terminated_exitcode",
        Gauge,
        "With which code it ended the last time",
    ),
    (
        "kube_pod_init_container_status_last_terminated_timestamp",
        Gauge,
        "When it ended the last time, since the Unix epoch",
    ),
    ("kube_pod_init_container_status_ready", Gauge, "Whether it is done, or ready"),
    ("kube_pod_init_container_status_restarts_total", Counter, "How often it was restarted"),
];

/// Where a name stands in the lists.
const INFO: usize = 0;
const REQUESTS: usize = 1;
const LIMITS: usize = 2;
const STARTED: usize = 3;
const WAITING: usize = 4;
const WAITING_REASON: usize = 5;
const RUNNING: usize = 6;
const TERMINATED: usize = 7;
const TERMINATED_REASON: usize = 8;
const LAST_REASON: usize = 9;
const LAST_CODE: usize = 10;
const LAST_TIME: usize = 11;
const READY: usize = 12;
const RESTARTS: usize = 13;

pub fn tell(rows: &mut Rows, spec: &PodSpec, status: &PodStatus, node: &str) {
    let of = status.container_statuses.as_deref().unwrap_or_default();
    kind(rows, NAMES, &spec.containers, of, node);
    let init = spec.init_containers.as_deref().unwrap_or_default();
    kind(rows, INIT_NAMES, init, status.init_container_statuses.as_deref().unwrap_or_default(), node);
}

fn kind(rows: &mut Rows, names: &[Name], specs: &[Container], states: &[ContainerStatus], node: &str) {
    for container in specs {
        let labels = [("container", container.name.as_str()), ("node", node)];
        if let Some(resources) = &container.resources {
            rows.amounts(names[REQUESTS].0, &labels, resources.requests.as_ref());
            rows.amounts(names[LIMITS].0, &labels, resources.limits.as_ref());
        }
    }
    for state in states {
        let spec = specs.iter().find(|container| container.name == state.name);
        one(rows, names, state, spec.and_then(|spec| spec.image.as_deref()).unwrap_or_default());
    }
}

fn one(rows: &mut Rows, names: &[Name], status: &ContainerStatus, image_spec: &str) {
    let container = ("container", status.name.as_str());
    let info = [
        container,
        ("image", status.image.as_str()),
        ("image_spec", image_spec),
        ("image_id", &status.image_id),
        ("container_id", status.container_id.as_deref().unwrap_or_default()),
    ];
    rows.with(names[INFO].0, &info, 1.0);
    let mut flag = |at: usize, holds: bool| rows.with(names[at].0, &[container], f64::from(u8::from(holds)));
    let state = status.state.clone().unwrap_or_default();
    flag(RUNNING, state.running.is_some());
    flag(READY, status.ready);
    if state.waiting.is_some() {
        flag(WAITING, true);
    }
    if state.terminated.is_some() {
        flag(TERMINATED, true);
    }
    rows.with(names[RESTARTS].0, &[container], f64::from(status.restart_count));
    let mut reason = |at: usize, reason: Option<&String>| {
        if let Some(reason) = reason {
            rows.with(names[at].0, &[container, ("reason", reason)], 1.0);
        }
    };
    reason(WAITING_REASON, state.waiting.as_ref().and_then(|waiting| waiting.reason.as_ref()));
    reason(TERMINATED_REASON, state.terminated.as_ref().and_then(|ended| ended.reason.as_ref()));
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    reason(LAST_REASON, last.and_then(|ended| ended.reason.as_ref()));
    if let Some(started) = state.running.as_ref().and_then(|running| running.started_at.as_ref()) {
        rows.with(names[STARTED].0, &[container], super::rows::seconds(started.0));
    }
    if let Some(ended) = last {
        rows.with(names[LAST_CODE].0, &[container], f64::from(ended.exit_code));
        if let Some(time) = &ended.finished_at {
            rows.with(names[LAST_TIME].0, &[container], super::rows::seconds(time.0));
        }
    }
}

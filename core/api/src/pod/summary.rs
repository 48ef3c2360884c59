//! A Pod in one line: READY, STATUS and RESTARTS as `kubectl get pods` shows them.

use serde_json::Value;

use crate::{
    access::{condition, find, flag, has, int, list, text},
    human,
};

/// The three cells that need all containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub ready: i64,
    pub total: usize,
    pub status: String,
    pub restarts: i64,
    /// Seconds since the Unix epoch, of the last end of a container that was restarted.
    pub last_restart: Option<i64>,
}

impl Summary {
    /// `3 (5m ago)`, or `0`.
    pub fn restarts_text(&self, now: i64) -> String {
        match self.last_restart.filter(|_| self.restarts > 0) {
            Some(then) => format!("{} ({} ago)", self.restarts, human::duration(now - then)),
            None => self.restarts.to_string(),
        }
    }
}

pub fn of(pod: &Value) -> Summary {
    let init_specs = list(pod, "/spec/initContainers");
    let sidecars = init_specs.iter().filter(|c| is_sidecar(c)).count();
    let mut summary = Summary {
        ready: 0,
        total: list(pod, "/spec/containers").len() + sidecars,
        status: phase(pod),
        restarts: 0,
        last_restart: None,
    };
    let sidecar_restarts = init_containers(pod, init_specs, &mut summary);
    if let Some((restarts, last)) = sidecar_restarts {
        (summary.restarts, summary.last_restart) = (restarts, last);
        containers(pod, &mut summary);
    }
    if has(pod, "/metadata/deletionTimestamp") {
        if text(pod, "/status/reason") == "NodeLost" {
            summary.status = "Unknown".into();
        } else if !["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
            summary.status = "Terminating".into();
        }
    }
    summary
}

fn phase(pod: &Value) -> String {
    let scheduled = find(list(pod, "/status/conditions"), "type", "PodScheduled");
    if scheduled.is_some_and(|c| text(c, "/reason") == "SchedulingGated") {
        return "SchedulingGated".into();
    }
    match text(pod, "/status/reason") {
        "" => text(pod, "/status/phase").to_owned(),
        reason => reason.to_owned(),
    }
}

fn is_sidecar(container: &Value) -> bool {
    text(container, "/restartPolicy") == "Always"
}

/// Counts what init containers did; gives the sidecars' restarts when initialization is over,
/// else leaves the step it is at as the status.
fn init_containers(pod: &Value, specs: &[Value], summary: &mut Summary) -> Option<(i64, Option<i64>)> {
    let (mut sidecar_restarts, mut sidecar_last) = (0, None);
    let mut over = true;
    for (index, status) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        let restarts = int(status, "/restartCount").unwrap_or_default();
        let ended = last_end(status);
        summary.restarts += restarts;
        summary.last_restart = summary.last_restart.max(ended);
        let sidecar = find(specs, "name", text(status, "/name")).is_some_and(is_sidecar);
        if sidecar {
            sidecar_restarts += restarts;
            sidecar_last = sidecar_last.max(ended);
        }
        if int(status, "/state/terminated/exitCode") == Some(0) {
            continue;
        }
        if sidecar && flag(status, "/started") {
            summary.ready += i64::from(flag(status, "/ready"));
            continue;
        }
        summary.status = format!("Init:{}", init_step(status, index, specs.len()));
        over = false;
        break;
    }
    (over || condition(pod, "Initialized")).then_some((sidecar_restarts, sidecar_last))
}

fn init_step(status: &Value, index: usize, total: usize) -> String {
    if has(status, "/state/terminated") {
        return end_reason(status);
    }
    match text(status, "/state/waiting/reason") {
        "" | "PodInitializing" => format!("{index}/{total}"),
        reason => reason.to_owned(),
    }
}

fn containers(pod: &Value, summary: &mut Summary) {
    let mut running = false;
    for status in list(pod, "/status/containerStatuses").iter().rev() {
        summary.restarts += int(status, "/restartCount").unwrap_or_default();
        summary.last_restart = summary.last_restart.max(last_end(status));
        let waiting = text(status, "/state/waiting/reason");
        if !waiting.is_empty() {
            summary.status = waiting.to_owned();
        } else if has(status, "/state/terminated") {
            summary.status = end_reason(status);
        } else if flag(status, "/ready") && has(status, "/state/running") {
            running = true;
            summary.ready += 1;
        }
    }
    if summary.status == "Completed" && running {
        summary.status = if condition(pod, "Ready") { "Running" } else { "NotReady" }.into();
    }
}

fn end_reason(status: &Value) -> String {
    let terminated = status.pointer("/state/terminated").unwrap_or(&Value::Null);
    match (text(terminated, "/reason"), int(terminated, "/signal")) {
        ("", Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        ("", _) => format!("ExitCode:{}", int(terminated, "/exitCode").unwrap_or_default()),
        (reason, _) => reason.to_owned(),
    }
}

fn last_end(status: &Value) -> Option<i64> {
    human::seconds_of(status.pointer("/lastState/terminated/finishedAt"))
}

//! The status of one container, as the API shows it. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container as Spec, ContainerState, ContainerStateRunning, ContainerStateTerminated,
        ContainerStateWaiting, ContainerStatus, Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{
    plan::{Probed, Problem},
    runtime::{Container, Exit, RuntimeState, State},
    spec,
};

/// What a container's status is made of, beside its spec.
pub struct Knowledge<'a> {
    pub pod: &'a Pod,
    pub runtime: &'a RuntimeState,
    pub probes: &'a BTreeMap<String, Probed>,
    pub problems: &'a BTreeMap<String, Problem>,
    pub crash_loops: &'a BTreeMap<String, String>,
    /// The Pod has ended: nothing waits any more.
    pub over: bool,
}

/// In which list of the status a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Init,
    Main,
    Ephemeral,
}

/// Of one container.
pub fn container_status(known: &Knowledge<'_>, container: &Spec, list: List) -> ContainerStatus {
    let mut status = seen_or_not(known, container, list);
    if list == List::Ephemeral {
        // Nobody waits for it to be ready.
        (status.ready, status.started) = (false, None);
    }
    status
}

fn seen_or_not(known: &Knowledge<'_>, container: &Spec, list: List) -> ContainerStatus {
    let image = container.image.clone().unwrap_or_default();
    let reported = reported(known.pod, &container.name, list);
    let mut status = ContainerStatus {
        name: container.name.clone(),
        image,
        image_id: String::new(),
        ..Default::default()
    };
    let Some(latest) = known.runtime.latest(&container.name) else {
        return never_seen(known, container, list, reported, status);
    };
    let probed = known.probes.get(&latest.id).cloned().unwrap_or_default();
    let previous = known.runtime.previous(&container.name);
    status.container_id = Some(format!("containerd://{}", latest.id));
    status.image_id = latest.image_ref.clone();
    status.restart_count = i32::try_from(latest.attempt).unwrap_or(i32::MAX);
    let before = || {
        let exit = previous.and_then(|previous| Some(terminated(previous, previous.exit()?)));
        exit.or_else(|| reported.and_then(|reported| reported.last_state.clone()))
    };
    match &latest.state {
        State::Running { started_at } => {
            let running = ContainerStateRunning { started_at: Some(Time(*started_at)) };
            status.state = Some(ContainerState { running: Some(running), ..Default::default() });
            status.last_state = before();
            status.started = Some(probed.started);
            status.ready =
                probed.started && (probed.ready || list == List::Init && !spec::is_sidecar(container));
        }
        State::Created => {
            status.state = Some(waiting("ContainerCreating", ""));
            status.last_state = before();
            status.started = Some(false);
        }
        State::Exited(exit) => {
            status.started = Some(false);
            status.ready = list == List::Init && !spec::is_sidecar(container) && exit.code == 0;
            match held_back(known, &container.name) {
                Some(waits) if !known.over => {
                    status.state = Some(waits);
                    status.last_state = Some(terminated(latest, exit));
                }
                _ => {
                    status.state = Some(terminated(latest, exit));
                    status.last_state = before();
                }
            }
        }
    }
    status
}

/// Why an ended container is not running again yet.
fn held_back(known: &Knowledge<'_>, name: &str) -> Option<ContainerState> {
    let crash = known.crash_loops.get(name).map(|message| waiting("CrashLoopBackOff", message));
    crash.or_else(|| known.problems.get(name).map(|problem| waiting(&problem.reason, &problem.message)))
}

fn never_seen(
    known: &Knowledge<'_>,
    container: &Spec,
    list: List,
    reported: Option<&ContainerStatus>,
    mut status: ContainerStatus,
) -> ContainerStatus {
    if let Some(reported) = reported {
        // What ran before and was cleaned away is still true once it will not run again.
        if (known.over || list == List::Ephemeral) && reported.container_id.is_some() {
            let mut kept = reported.clone();
            kept.ready = list == List::Init && kept.ready;
            kept.started = Some(false);
            if kept.state.as_ref().is_none_or(|state| state.terminated.is_none()) {
                kept.state = Some(vanished(reported));
            }
            return kept;
        }
        // Before its next start the count stands still, and its end, known or not,
        // says that there was an instance.
        status.restart_count = reported.restart_count;
        let state = reported.state.as_ref();
        status.last_state = match state {
            Some(state) if state.terminated.is_some() => Some(state.clone()),
            Some(state) if state.running.is_some() => Some(vanished(reported)),
            _ => reported.last_state.clone(),
        };
    }
    let problem = known.problems.get(&container.name);
    status.state = Some(match problem {
        Some(problem) => waiting(&problem.reason, &problem.message),
        None if list != List::Main || spec::init_containers(known.pod).is_empty() || initialized(known) => {
            waiting("ContainerCreating", "")
        }
        None => waiting("PodInitializing", ""),
    });
    // An init container that has not had its turn.
    if list == List::Init && problem.is_none() {
        status.state = Some(waiting("PodInitializing", ""));
    }
    status.started = Some(false);
    status
}

/// Whether every init container has done its part.
pub fn initialized(known: &Knowledge<'_>) -> bool {
    incomplete_init(known).is_empty()
}

/// Init containers that have not done their part yet, by name.
pub fn incomplete_init<'a>(known: &'a Knowledge<'_>) -> Vec<&'a str> {
    let containers = &spec::of(known.pod).containers;
    // Main containers start only when all init containers were done.
    if containers.iter().any(|container| known.runtime.latest(&container.name).is_some()) {
        return Vec::new();
    }
    let done = |container: &Spec| match known.runtime.latest(&container.name) {
        Some(latest) if spec::is_sidecar(container) => {
            known.probes.get(&latest.id).is_some_and(|probed| probed.started)
        }
        Some(latest) => latest.succeeded(),
        None => {
            reported(known.pod, &container.name, List::Init).is_some_and(|status| status.ready) && known.over
        }
    };
    let missing = spec::init_containers(known.pod).iter().filter(|container| !done(container));
    missing.map(|container| container.name.as_str()).collect()
}

fn reported<'a>(pod: &'a Pod, name: &str, list: List) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let statuses = match list {
        List::Init => &status.init_container_statuses,
        List::Main => &status.container_statuses,
        List::Ephemeral => &status.ephemeral_container_statuses,
    };
    statuses.iter().flatten().find(|status| status.name == name)
}

pub fn waiting(reason: &str, message: &str) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: Some(reason.to_owned()),
        message: (!message.is_empty()).then(|| message.to_owned()),
    };
    ContainerState { waiting: Some(waiting), ..Default::default() }
}

fn terminated(container: &Container, exit: &Exit) -> ContainerState {
    let time = |at: Timestamp| Some(Time(at));
    let terminated = ContainerStateTerminated {
        container_id: Some(format!("containerd://{}", container.id)),
        exit_code: exit.code,
        // One that never started has the epoch there, as the API's clients expect.
        started_at: time(exit.started_at.unwrap_or_default()),
        finished_at: time(exit.finished_at),
        reason: Some(exit.reason.clone()),
        message: (!exit.message.is_empty()).then(|| exit.message.clone()),
        signal: None,
    };
    ContainerState { terminated: Some(terminated), ..Default::default() }
}

/// It ran, and nobody can say any more how it ended.
fn vanished(reported: &ContainerStatus) -> ContainerState {
    let terminated = ContainerStateTerminated {
        container_id: reported.container_id.clone(),
        exit_code: 137,
        reason: Some("ContainerStatusUnknown".into()),
        message: Some("The runtime has no record of the container any more".into()),
        ..Default::default()
    };
    ContainerState { terminated: Some(terminated), ..Default::default() }
}

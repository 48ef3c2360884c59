//! The Pod's status: phase, conditions, containers, addresses. Pure.
//!
//! Computed from scratch each time; what stays from the status before are times
//! of transition, what others wrote, and containers that are no longer there.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Container, ContainerStatus, HostIP, PodIP, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{
    conditions,
    container_status::{Knowledge, List, container_status, incomplete_init},
    ephemeral, resources,
    spec::{self, RestartPolicy},
};

/// What the status is made of, beside the containers.
pub struct Surroundings<'a> {
    pub host_ips: &'a [String],
    /// Reason and message, when the kubelet itself ended the Pod.
    pub failure: Option<&'a (String, String)>,
    pub now: Timestamp,
}

pub fn status(known: &Knowledge<'_>, around: &Surroundings<'_>) -> PodStatus {
    let pod = known.pod;
    let old = pod.status.clone().unwrap_or_default();
    let of = |containers: &[Container], list: List| -> Vec<ContainerStatus> {
        containers.iter().map(|container| container_status(known, container, list)).collect()
    };
    let init = of(spec::init_containers(pod), List::Init);
    let main = of(&spec::of(pod).containers, List::Main);
    let later: Vec<Container> = ephemeral::all(pod).iter().map(ephemeral::as_container).collect();
    let later = of(&later, List::Ephemeral);
    let phase = match around.failure {
        Some(_) => "Failed",
        // A Pod that ended stays as it ended.
        None if spec::is_terminal(pod) => old.phase.as_deref().unwrap_or("Failed"),
        None => phase(known, &init, &main),
    };
    let sidecars = spec::init_containers(pod).iter().zip(&init);
    let sidecars = sidecars.filter(|(container, _)| spec::is_sidecar(container)).map(|(_, status)| status);
    let must_be_ready: Vec<&ContainerStatus> = main.iter().chain(sidecars).collect();
    let sandbox = known.runtime.ready_sandbox();
    let facts = conditions::Facts {
        phase,
        sandbox_ready: sandbox.is_some(),
        incomplete_init: incomplete_init(known),
        statuses: &must_be_ready,
        now: around.now,
    };
    let conditions = conditions::conditions(pod, &facts);
    let pod_ips = addresses(known, around, &old);
    let (reason, message) = match around.failure {
        Some((reason, message)) => (Some(reason.clone()), Some(message.clone())),
        None => (old.reason.clone(), old.message.clone()),
    };
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: Some(main),
        ephemeral_container_statuses: (!later.is_empty()).then_some(later),
        host_ip: around.host_ips.first().cloned(),
        host_ips: Some(around.host_ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: pod_ips.first().cloned(),
        pod_ips: (!pod_ips.is_empty()).then(|| pod_ips.into_iter().map(|ip| PodIP { ip }).collect()),
        start_time: old.start_time.clone().or(Some(Time(around.now))),
        qos_class: Some(resources::qos_class(pod).to_owned()),
        observed_generation: pod.metadata.generation,
        reason,
        message,
        ..old
    }
}

/// Addresses of the sandbox, of the node for a Pod in its network; an ended Pod keeps its own.
fn addresses(known: &Knowledge<'_>, around: &Surroundings<'_>, old: &PodStatus) -> Vec<String> {
    if spec::uses_host_network(known.pod) {
        return around.host_ips.to_vec();
    }
    match known.runtime.sandboxes.first() {
        Some(sandbox) if !sandbox.ips.is_empty() => sandbox.ips.clone(),
        _ => old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect(),
    }
}

fn phase(known: &Knowledge<'_>, init: &[ContainerStatus], main: &[ContainerStatus]) -> &'static str {
    let policy = spec::restart_policy(known.pod);
    let exit_code = |status: &ContainerStatus| {
        status
            .state
            .as_ref()
            .and_then(|state| state.terminated.as_ref())
            .map(|terminated| terminated.exit_code)
    };
    let failed_init = spec::init_containers(known.pod).iter().zip(init).any(|(container, status)| {
        !spec::is_sidecar(container) && exit_code(status).is_some_and(|code| code != 0)
    });
    if failed_init && (policy == RestartPolicy::Never || known.over) {
        return "Failed";
    }
    if !incomplete_init(known).is_empty() {
        return if known.over { "Failed" } else { "Pending" };
    }
    let exits: Vec<i32> = main.iter().filter_map(exit_code).collect();
    let all_ended = exits.len() == main.len();
    let all_well = exits.iter().all(|code| *code == 0);
    if all_ended {
        let for_good =
            known.over || policy == RestartPolicy::Never || policy == RestartPolicy::OnFailure && all_well;
        return match (for_good, all_well) {
            (true, true) => "Succeeded",
            (true, false) => "Failed",
            (false, _) => "Running",
        };
    }
    if known.over {
        return "Failed";
    }
    let ran = |status: &&ContainerStatus| {
        let has = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
            state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
        };
        has(&status.state) || has(&status.last_state)
    };
    if main.iter().all(|status| ran(&status)) { "Running" } else { "Pending" }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

//! What to do next for a Pod: from its spec and what the runtime has, to a list
//! of actions. Pure, and asked again after each change.
//!
//! ```text
//! sandbox ─> init containers one by one (sidecars stay) ─> containers, all at once
//!        └─> ephemeral containers, once
//! ```
//!
//! A container runs again as the restart policy says, after its back-off. Only
//! the end of a Pod is not decided here: deletion has its own order of steps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, Pod};

use super::{
    backoff, ephemeral,
    runtime::{Container, RuntimeState, State},
    spec::{self, RestartPolicy},
};

/// All that counts for the decision.
pub struct View<'a> {
    pub pod: &'a Pod,
    pub runtime: &'a RuntimeState,
    /// What probes found, by container id.
    pub probes: &'a BTreeMap<String, Probed>,
    /// Containers that could not be started, by name.
    pub problems: &'a BTreeMap<String, Problem>,
    /// Running instances, by id, whose postStart hook has not come to its end. It is
    /// run as part of a start: one that is still due was cut off.
    pub hooks_due: &'a BTreeSet<String>,
    pub now: Timestamp,
}

/// What probes know of one container instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probed {
    /// The startup probe passed, or there is none.
    pub started: bool,
    /// The readiness probe passes, or there is none.
    pub ready: bool,
    /// Liveness or startup probe failed for good: what the container is to be killed for.
    pub failed: Option<String>,
}

/// Why a container does not start, and when to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `ErrImagePull`, `CreateContainerConfigError`, ...
    pub reason: String,
    pub message: String,
    pub retry_at: Timestamp,
    pub pause: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// End whatever is left of sandboxes that are no longer good.
    StopSandbox {
        id: String,
    },
    RunSandbox {
        attempt: u32,
    },
    Start {
        container: String,
        attempt: u32,
        delay: Duration,
    },
    /// Run the postStart hook of an instance that runs already.
    RunHook {
        id: String,
        container: String,
    },
    Kill {
        id: String,
        container: String,
        why: String,
    },
    /// An older instance that nobody asks for any more.
    Remove {
        id: String,
    },
    /// A dead sandbox of which no container is left.
    RemoveSandbox {
        id: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// When to ask again, if nothing happens before.
    pub again_in: Option<Duration>,
    /// Containers that wait for their back-off: the message, by name.
    pub crash_loops: BTreeMap<String, String>,
    /// The Pod is to end: reason and message of the failure.
    pub fail: Option<(String, String)>,
    /// Nothing of the Pod runs or will run again.
    pub finished: bool,
}

impl Plan {
    fn ask_again(&mut self, pause: Duration) {
        self.again_in = Some(self.again_in.map_or(pause, |before| before.min(pause)));
    }
}

/// The next steps.
pub fn plan(view: &View<'_>) -> Plan {
    let mut plan = Plan { finished: is_finished(view), ..Plan::default() };
    // A Pod that came to its end in time stays what it is.
    if !plan.finished
        && let Some(failure) = overdue(view, &mut plan)
    {
        plan.fail = Some(failure);
        return plan;
    }
    let policy = spec::restart_policy(view.pod);
    let Some(sandbox) = view.runtime.ready_sandbox() else {
        return without_sandbox(view, plan);
    };
    plan.actions.extend(superfluous(view.runtime));
    if plan.finished {
        plan.actions.extend(view.runtime.running().map(|container| Action::Kill {
            id: container.id.clone(),
            container: container.name.clone(),
            why: "the Pod has finished".into(),
        }));
        plan.actions.push(Action::StopSandbox { id: sandbox.id.clone() });
        return plan;
    }
    if init_done(view, &mut plan, policy) {
        for container in &spec::of(view.pod).containers {
            decide(view, &mut plan, container, policy);
        }
    }
    begin_ephemeral(view, &mut plan);
    plan
}

/// Each is started once, whatever the others do, and never again.
fn begin_ephemeral(view: &View<'_>, plan: &mut Plan) {
    for container in ephemeral::all(view.pod) {
        let name = &container.name;
        match view.runtime.latest(name) {
            // Made, but this process or the one before ended before it was started.
            Some(made) if made.state == State::Created => {
                start(view, plan, name, made.attempt, Duration::ZERO)
            }
            None if !ephemeral::was_made(view.pod, name) => start(view, plan, name, 0, Duration::ZERO),
            _ => {}
        }
    }
}

/// A Pod that may only run for so long, and did.
fn overdue(view: &View<'_>, plan: &mut Plan) -> Option<(String, String)> {
    let limit = spec::of(view.pod).active_deadline_seconds?;
    let started = view.pod.status.as_ref()?.start_time.as_ref()?.0;
    let left = Duration::from_secs(limit.unsigned_abs()).saturating_sub(backoff::between(started, view.now));
    if left.is_zero() {
        let message = "Pod was active on the node longer than the specified deadline".to_owned();
        return Some(("DeadlineExceeded".into(), message));
    }
    plan.ask_again(left);
    None
}

fn without_sandbox(view: &View<'_>, mut plan: Plan) -> Plan {
    for sandbox in view.runtime.sandboxes.iter().filter(|sandbox| sandbox.ready) {
        plan.actions.push(Action::StopSandbox { id: sandbox.id.clone() });
    }
    if plan.finished {
        return plan;
    }
    let newest = view.runtime.sandboxes.first();
    if let Some(dead) = newest {
        plan.actions.push(Action::StopSandbox { id: dead.id.clone() });
    }
    plan.actions.push(Action::RunSandbox { attempt: newest.map_or(0, |dead| dead.attempt + 1) });
    plan
}

/// Of each container the latest instance and the one before are kept: the one
/// before is what `lastState` and `logs --previous` show. A sandbox is kept as long
/// as one of these was in it.
fn superfluous(runtime: &RuntimeState) -> Vec<Action> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut actions = Vec::new();
    for container in &runtime.containers {
        let count = seen.entry(&container.name).or_default();
        *count += 1;
        if *count > 2 && !container.is_running() {
            actions.push(Action::Remove { id: container.id.clone() });
        }
    }
    let is_empty = |id: &str| runtime.containers.iter().all(|container| container.sandbox != id);
    let old = runtime.sandboxes.iter().skip(1).filter(|sandbox| !sandbox.ready && is_empty(&sandbox.id));
    actions.extend(old.map(|sandbox| Action::RemoveSandbox { id: sandbox.id.clone() }));
    actions
}

/// Takes the init containers one step further; true when the others may run.
fn init_done(view: &View<'_>, plan: &mut Plan, policy: RestartPolicy) -> bool {
    // An init container is not run again once a container behind it was started,
    // unless the sandbox is new: then everything starts over.
    let containers = spec::init_containers(view.pod);
    let sandbox = view.runtime.ready_sandbox().map(|sandbox| sandbox.id.as_str());
    let in_sandbox = |name: &str| {
        view.runtime.latest(name).filter(|container| Some(container.sandbox.as_str()) == sandbox)
    };
    let any_main = spec::of(view.pod).containers.iter().any(|main| in_sandbox(&main.name).is_some());
    for container in containers {
        if spec::is_sidecar(container) {
            decide(view, plan, container, RestartPolicy::Always);
            let started = in_sandbox(&container.name)
                .is_some_and(|found| found.is_running() && probed(view, found).started);
            if !started && !any_main {
                return false;
            }
            continue;
        }
        if any_main || in_sandbox(&container.name).is_some_and(Container::succeeded) {
            continue;
        }
        match view.runtime.latest(&container.name) {
            // What it did for the sandbox that died it does for the new one, too.
            Some(old) if in_sandbox(&container.name).is_none() => {
                start(view, plan, &container.name, old.attempt + 1, Duration::ZERO);
            }
            _ => {
                let policy = if policy == RestartPolicy::Never { policy } else { RestartPolicy::OnFailure };
                decide(view, plan, container, policy);
            }
        }
        return false;
    }
    true
}

fn probed(view: &View<'_>, container: &Container) -> Probed {
    view.probes.get(&container.id).cloned().unwrap_or_default()
}

/// One container: start it, kill it, wait, or leave it.
fn decide(view: &View<'_>, plan: &mut Plan, container: &Spec, policy: RestartPolicy) {
    let sandbox = view.runtime.ready_sandbox().map(|sandbox| sandbox.id.as_str());
    let Some(latest) = view.runtime.latest(&container.name) else {
        return start(
            view,
            plan,
            &container.name,
            reported_restarts(view.pod, &container.name),
            Duration::ZERO,
        );
    };
    if Some(latest.sandbox.as_str()) != sandbox {
        // The sandbox died under it: it starts over in the new one, if its policy lets it.
        let again =
            policy == RestartPolicy::Always || !latest.succeeded() && policy == RestartPolicy::OnFailure;
        if again || latest.exit().is_none() {
            start(view, plan, &container.name, latest.attempt + 1, Duration::ZERO);
        }
        return;
    }
    match &latest.state {
        // Made, but this process or the one before ended before it was started.
        State::Created => start(view, plan, &container.name, latest.attempt, latest.delay),
        State::Running { .. } => {
            let (id, name) = (latest.id.clone(), latest.name.clone());
            if let Some(why) = must_die(view, container, latest) {
                plan.actions.push(Action::Kill { id, container: name, why });
            } else if view.hooks_due.contains(&id) {
                plan.actions.push(Action::RunHook { id, container: name });
            }
        }
        State::Exited(exit) => {
            let changed = latest.hash != spec::container_hash(container);
            let again = match policy {
                RestartPolicy::Always => true,
                RestartPolicy::OnFailure => exit.code != 0 || changed,
                RestartPolicy::Never => false,
            };
            if again {
                restart(view, plan, container, latest);
            }
        }
    }
}

fn restart(view: &View<'_>, plan: &mut Plan, container: &Spec, latest: &Container) {
    let left = backoff::remaining(latest, view.now);
    let pause = backoff::pause_after(latest);
    if left.is_zero() {
        return start(view, plan, &container.name, latest.attempt + 1, pause);
    }
    plan.ask_again(left);
    let message = format!(
        "back-off {} restarting failed container={} pod={}_{}({})",
        human(pause),
        container.name,
        spec::name(view.pod),
        spec::namespace(view.pod),
        spec::uid(view.pod)
    );
    plan.crash_loops.insert(container.name.clone(), message);
}

fn start(view: &View<'_>, plan: &mut Plan, name: &str, attempt: u32, delay: Duration) {
    if let Some(problem) = view.problems.get(name) {
        let left = backoff::between(view.now, problem.retry_at);
        if !left.is_zero() {
            return plan.ask_again(left);
        }
    }
    plan.actions.push(Action::Start { container: name.to_owned(), attempt, delay });
}

fn must_die(view: &View<'_>, container: &Spec, latest: &Container) -> Option<String> {
    if latest.hash != spec::container_hash(container) {
        return Some(format!("Container {} definition changed, will be restarted", container.name));
    }
    probed(view, latest).failed
}

/// Instances that the runtime no longer has: the next one goes on counting. One
/// that only waits in the status ran before if the status tells how it ended.
fn reported_restarts(pod: &Pod, name: &str) -> u32 {
    let status = pod.status.as_ref();
    let lists = [
        status.and_then(|status| status.container_statuses.as_ref()),
        status.and_then(|status| status.init_container_statuses.as_ref()),
    ];
    let Some(found) = lists.into_iter().flatten().flatten().find(|status| status.name == name) else {
        return 0;
    };
    let last = found.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ran = found.container_id.is_some() || last.is_some();
    u32::try_from(found.restart_count).unwrap_or(0) + u32::from(ran)
}

/// Whether nothing runs and nothing will: what phases Succeeded and Failed say.
pub fn is_finished(view: &View<'_>) -> bool {
    if spec::is_terminal(view.pod) {
        return true;
    }
    let policy = spec::restart_policy(view.pod);
    if policy == RestartPolicy::Always {
        return false;
    }
    let ended_for_good = |container: &Spec| {
        view.runtime
            .latest(&container.name)
            .and_then(Container::exit)
            .is_some_and(|exit| policy == RestartPolicy::Never || exit.code == 0)
    };
    if policy == RestartPolicy::Never {
        let init_failed = spec::init_containers(view.pod).iter().any(|container| {
            let exit = view.runtime.latest(&container.name).and_then(Container::exit);
            !spec::is_sidecar(container) && exit.is_some_and(|exit| exit.code != 0)
        });
        if init_failed {
            return true;
        }
    }
    spec::of(view.pod).containers.iter().all(ended_for_good)
}

/// `10s`, `2m40s`, `5m0s`
fn human(pause: Duration) -> String {
    match (pause.as_secs() / 60, pause.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

//! Tables of phases, conditions and container states.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::pod::{
    plan::{Probed, Problem},
    runtime::{Container, Exit, RuntimeState, Sandbox, State},
};

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn instance(name: &str, attempt: u32, state: State) -> Container {
    Container {
        id: format!("{name}-{attempt}"),
        sandbox: "s".into(),
        name: name.into(),
        attempt,
        state,
        image: String::new(),
        image_ref: "sha256:ab".into(),
        hash: String::new(),
        delay: Duration::ZERO,
        log_path: String::new(),
        created_at: 0,
    }
}

fn running() -> State {
    State::Running { started_at: time(10) }
}

fn exited(code: i32) -> State {
    let reason = if code == 137 { "OOMKilled" } else { "Error" };
    let (started_at, finished_at) = (Some(time(10)), time(20));
    State::Exited(Exit { code, started_at, finished_at, reason: reason.into(), message: String::new() })
}

#[derive(Default)]
struct Case {
    policy: &'static str,
    init: Value,
    ephemeral: Value,
    old: Value,
    containers: Vec<Container>,
    unready: Vec<&'static str>,
    problems: BTreeMap<String, Problem>,
    crash_loops: BTreeMap<String, String>,
    over: bool,
}

impl Case {
    fn of(policy: &'static str, containers: Vec<Container>) -> Self {
        Self { policy, containers, ..Self::default() }
    }

    fn status(&self) -> PodStatus {
        let spec = json!({"restartPolicy": self.policy, "containers": [{"name": "a"}, {"name": "b"}],
            "initContainers": self.init, "ephemeralContainers": self.ephemeral});
        let pod = json!({"metadata": {"name": "web", "uid": "u"}, "spec": spec, "status": self.old});
        let pod: Pod = serde_json::from_value(pod).expect("a Pod");
        let sandbox = Sandbox {
            id: "s".into(),
            attempt: 0,
            ready: true,
            created_at: 0,
            ips: vec!["10.0.0.9".into()],
            group: String::new(),
        };
        let runtime = RuntimeState { sandboxes: vec![sandbox], containers: self.containers.clone() };
        let probed = |container: &Container| {
            let ready = !self.unready.contains(&container.name.as_str());
            (container.id.clone(), Probed { started: true, ready, failed: None })
        };
        let probes = runtime.running().map(probed).collect();
        let known = Knowledge {
            pod: &pod,
            runtime: &runtime,
            probes: &probes,
            problems: &self.problems,
            crash_loops: &self.crash_loops,
            over: self.over,
        };
        let around = Surroundings { host_ips: &["172.30.0.10".into()], failure: None, now: time(100) };
        status(&known, &around)
    }
}

fn condition(status: &PodStatus, kind: &str) -> (String, Option<String>) {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let found = conditions.iter().find(|condition| condition.type_ == kind).expect("a condition");
    (found.status.clone(), found.message.clone())
}

fn main_status<'a>(status: &'a PodStatus, name: &str) -> &'a ContainerStatus {
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    statuses.iter().find(|status| status.name == name).expect("a status")
}

#[test]
fn phases_follow_containers_and_policy() {
    let check = |policy: &'static str, a: Option<State>, b: Option<State>, expected: &str| {
        let containers = [("a", a), ("b", b)].into_iter();
        let containers = containers.filter_map(|(name, state)| Some(instance(name, 0, state?))).collect();
        let case = Case::of(policy, containers);
        assert_eq!(case.status().phase.as_deref(), Some(expected), "{policy}: {:?}", case.containers);
    };
    check("Always", None, None, "Pending");
    check("Always", Some(running()), None, "Pending");
    check("Always", Some(running()), Some(running()), "Running");
    check("Always", Some(exited(1)), Some(running()), "Running");
    check("Always", Some(exited(0)), Some(exited(0)), "Running");
    check("OnFailure", Some(exited(0)), Some(exited(0)), "Succeeded");
    check("OnFailure", Some(exited(1)), Some(exited(0)), "Running");
    check("Never", Some(exited(0)), Some(exited(0)), "Succeeded");
    check("Never", Some(exited(1)), Some(exited(0)), "Failed");
    check("Never", Some(exited(1)), Some(running()), "Running");
}

#[test]
fn the_end_of_a_pod_gives_it_a_last_phase() {
    let ended = |code| vec![instance("a", 0, exited(code)), instance("b", 0, exited(0))];
    for (code, expected) in [(0, "Succeeded"), (143, "Failed")] {
        let case = Case { over: true, ..Case::of("Always", ended(code)) };
        assert_eq!(case.status().phase.as_deref(), Some(expected), "{code}");
    }
}

#[test]
fn init_containers_hold_the_others_back() {
    let init = || json!([{"name": "i"}]);
    let case = Case { init: init(), ..Case::of("Always", vec![instance("i", 0, running())]) };
    let status = case.status();
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    let message = "containers with incomplete status: [i]".to_owned();
    assert_eq!(condition(&status, "Initialized"), ("False".into(), Some(message)));
    let waiting = main_status(&status, "a").state.as_ref().and_then(|state| state.waiting.as_ref());
    assert_eq!(waiting.and_then(|waiting| waiting.reason.as_deref()), Some("PodInitializing"));
    let done = Case { init: init(), ..Case::of("Always", vec![instance("i", 0, exited(0))]) }.status();
    assert_eq!(condition(&done, "Initialized").0, "True");
    let failed = Case { init: init(), ..Case::of("Never", vec![instance("i", 0, exited(3))]) }.status();
    assert_eq!(failed.phase.as_deref(), Some("Failed"));
}

#[test]
fn readiness_is_of_all_containers() {
    let both = || vec![instance("a", 0, running()), instance("b", 0, running())];
    let status = Case::of("Always", both()).status();
    assert_eq!(condition(&status, "Ready").0, "True");
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.9"));
    let unready = Case { unready: vec!["b"], ..Case::of("Always", both()) }.status();
    let message = Some("containers with unready status: [b]".to_owned());
    assert_eq!(condition(&unready, "Ready"), ("False".into(), message));
}

#[test]
fn times_of_transition_stay_while_nothing_changes() {
    let both = || vec![instance("a", 0, running()), instance("b", 0, running())];
    let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:05Z"});
    let foreign = json!({"type": "example.com/gate", "status": "True"});
    let old = json!({"conditions": [condition, foreign]});
    let status = Case { old, ..Case::of("Always", both()) }.status();
    let conditions = status.conditions.expect("conditions");
    let find = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind).expect("a condition");
    assert_eq!(find("Ready").last_transition_time, Some(Time(time(5))));
    assert_eq!(find("ContainersReady").last_transition_time, Some(Time(time(100))));
    assert_eq!(find("example.com/gate").status, "True");
}

#[test]
fn crash_loops_and_problems_are_shown_as_waiting() {
    let containers =
        vec![instance("a", 2, exited(137)), instance("a", 1, exited(1)), instance("b", 0, running())];
    let mut case = Case::of("Always", containers);
    case.crash_loops.insert("a".into(), "back-off".into());
    let status = case.status();
    let a = main_status(&status, "a");
    let waiting = a.state.as_ref().and_then(|state| state.waiting.as_ref());
    assert_eq!(waiting.and_then(|waiting| waiting.reason.as_deref()), Some("CrashLoopBackOff"));
    let last = a.last_state.as_ref().and_then(|state| state.terminated.as_ref()).expect("a last state");
    assert_eq!((last.exit_code, last.reason.as_deref()), (137, Some("OOMKilled")));
    assert_eq!(a.restart_count, 2);
    assert_eq!(status.phase.as_deref(), Some("Running"));
    let mut case = Case::of("Always", vec![instance("b", 0, running())]);
    let problem = Problem {
        reason: "ImagePullBackOff".into(),
        message: "no such image".into(),
        retry_at: time(200),
        pause: Duration::from_secs(10),
    };
    case.problems.insert("a".into(), problem);
    let status = case.status();
    let waiting = main_status(&status, "a").state.as_ref().and_then(|state| state.waiting.clone());
    assert_eq!(waiting.and_then(|waiting| waiting.reason).as_deref(), Some("ImagePullBackOff"));
    assert_eq!(status.phase.as_deref(), Some("Pending"));
}

#[test]
fn an_ended_pod_keeps_what_it_was() {
    let old = json!({"phase": "Succeeded", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}], "containerStatuses": [
        {"name": "a", "containerID": "containerd://x", "image": "", "imageID": "", "ready": false, "restartCount": 1,
         "state": {"terminated": {"exitCode": 0}}},
    ]});
    let case = Case { old, over: true, ..Case::of("Never", Vec::new()) };
    let status = case.status();
    assert_eq!(status.phase.as_deref(), Some("Succeeded"));
    let a = main_status(&status, "a");
    assert!(a.state.as_ref().is_some_and(|state| state.terminated.is_some()) && a.restart_count == 1);
}

#[test]
fn what_the_runtime_forgot_is_not_forgotten() {
    let old = json!({"containerStatuses": [
        {"name": "a", "containerID": "containerd://x", "image": "", "imageID": "", "ready": true, "restartCount": 3,
         "state": {"running": {}}},
        {"name": "b", "containerID": "containerd://y", "image": "", "imageID": "", "ready": false, "restartCount": 2,
         "state": {"terminated": {"exitCode": 5}}},
    ]});
    let check = |status: &PodStatus| {
        let of = |name| {
            let found = main_status(status, name);
            let last = found.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            assert!(found.state.as_ref().is_some_and(|state| state.waiting.is_some()), "{found:?}");
            (found.restart_count, last.map(|last| last.exit_code))
        };
        assert_eq!((of("a"), of("b")), ((3, Some(137)), (2, Some(5))));
    };
    let first = Case { old, ..Case::of("Always", Vec::new()) }.status();
    check(&first);
    // The next status is made from this one, and must not lose it either.
    let again = serde_json::to_value(&first).expect("JSON");
    check(&Case { old: again, ..Case::of("Always", Vec::new()) }.status());
}

#[test]
fn ephemeral_containers_are_shown_and_do_not_count() {
    let with = |found: Option<Container>, old: Value| {
        let both = [instance("a", 0, running()), instance("b", 0, running())];
        let containers = found.into_iter().chain(both).collect();
        Case { ephemeral: json!([{"name": "debug"}]), old, ..Case::of("Always", containers) }.status()
    };
    let shown = |status: &PodStatus| status.ephemeral_container_statuses.clone().expect("a list")[0].clone();
    for (state, is_running) in [(running(), true), (exited(1), false)] {
        let status = with(Some(instance("debug", 0, state)), Value::Null);
        assert_eq!(status.phase.as_deref(), Some("Running"));
        assert_eq!(condition(&status, "Ready").0, "True");
        assert_eq!(status.container_statuses.as_ref().map(Vec::len), Some(2));
        let found = shown(&status);
        let state = found.state.expect("a state");
        assert_eq!((state.running.is_some(), state.terminated.is_some()), (is_running, !is_running));
        assert_eq!((found.ready, found.started, found.restart_count), (false, None, 0));
    }
    let waiting = |status: &PodStatus| shown(status).state.and_then(|state| state.waiting?.reason);
    assert_eq!(waiting(&with(None, Value::Null)).as_deref(), Some("ContainerCreating"));
    // One that the runtime has forgotten does not come again.
    let old = json!({"ephemeralContainerStatuses": [{"name": "debug", "containerID": "containerd://x", "image": "",
        "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}}]});
    let gone = shown(&with(None, old)).state.and_then(|state| state.terminated).expect("an end");
    assert_eq!(gone.reason.as_deref(), Some("ContainerStatusUnknown"));
    assert!(Case::of("Always", Vec::new()).status().ephemeral_container_statuses.is_none());
}

//! Tables of what comes next, by spec and state of the runtime.

use serde_json::{Value, json};

use super::*;
use crate::pod::runtime::{Exit, Sandbox};

const NOW: i64 = 100_000;

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn pod(spec: Value) -> Pod {
    let metadata = json!({"name": "web", "namespace": "ns", "uid": "u"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a Pod")
}

fn sandbox(id: &str, ready: bool) -> Sandbox {
    Sandbox { id: id.into(), attempt: 0, ready, created_at: 0, ips: Vec::new(), group: String::new() }
}

/// `name`, or `name@sandbox`; the image of each container is its name.
fn instance(name: &str, attempt: u32, state: State) -> Container {
    let (name, sandbox) = name.split_once('@').unwrap_or((name, "s"));
    let spec = Spec { name: name.into(), image: Some(name.into()), ..Spec::default() };
    Container {
        id: format!("{name}-{attempt}"),
        sandbox: sandbox.into(),
        name: name.into(),
        attempt,
        state,
        image: name.into(),
        image_ref: String::new(),
        hash: spec::container_hash(&spec),
        delay: Duration::ZERO,
        log_path: String::new(),
        created_at: i64::from(attempt),
    }
}

fn running() -> State {
    State::Running { started_at: time(NOW - 100) }
}

fn exited(code: i32, seconds_ago: i64) -> State {
    let finished_at = time(NOW - seconds_ago);
    let started_at = Some(time(NOW - seconds_ago - 1));
    State::Exited(Exit { code, started_at, finished_at, reason: "Error".into(), message: String::new() })
}

struct Case {
    pod: Pod,
    runtime: RuntimeState,
    probes: BTreeMap<String, Probed>,
    problems: BTreeMap<String, Problem>,
    hooks_due: BTreeSet<String>,
}

impl Case {
    /// In a ready sandbox `s`, containers newest first.
    fn new(spec: Value, containers: Vec<Container>) -> Self {
        let runtime = RuntimeState { sandboxes: vec![sandbox("s", true)], containers };
        let started = |container: &Container| {
            (container.id.clone(), Probed { started: true, ready: true, failed: None })
        };
        let probes = runtime.running().map(started).collect();
        Self { pod: pod(spec), runtime, probes, problems: BTreeMap::new(), hooks_due: BTreeSet::new() }
    }

    fn plan(&self) -> Plan {
        plan(&View {
            pod: &self.pod,
            runtime: &self.runtime,
            probes: &self.probes,
            problems: &self.problems,
            hooks_due: &self.hooks_due,
            now: time(NOW),
        })
    }

    /// The actions in short: `start web 1`, `kill web-0`, `sandbox 0`, `stop s`, `remove web-0`, `hook web-0`.
    fn check(&self, expected: &[&str]) {
        let plan = self.plan();
        let short = plan.actions.iter().map(|action| match action {
            Action::StopSandbox { id } => format!("stop {id}"),
            Action::RunSandbox { attempt } => format!("sandbox {attempt}"),
            Action::Start { container, attempt, .. } => format!("start {container} {attempt}"),
            Action::RunHook { id, .. } => format!("hook {id}"),
            Action::Kill { id, .. } => format!("kill {id}"),
            Action::Remove { id } => format!("remove {id}"),
            Action::RemoveSandbox { id } => format!("remove sandbox {id}"),
        });
        assert_eq!(short.collect::<Vec<_>>(), expected, "{:?}", self.runtime);
    }
}

fn two() -> Value {
    json!({"containers": [{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]})
}

fn with(mut spec: Value, key: &str, value: Value) -> Value {
    spec[key] = value;
    spec
}

#[test]
fn a_pod_begins_with_its_sandbox_and_then_starts_all_containers() {
    let mut case = Case::new(two(), Vec::new());
    case.check(&["start a 0", "start b 0"]);
    case.runtime.sandboxes.clear();
    case.check(&["sandbox 0"]);
    Case::new(two(), vec![instance("a", 0, running())]).check(&["start b 0"]);
    Case::new(two(), vec![instance("a", 0, running()), instance("b", 0, running())]).check(&[]);
}

#[test]
fn a_dead_sandbox_is_replaced_with_all_in_it() {
    let mut case =
        Case::new(two(), vec![instance("a@old", 0, exited(137, 1)), instance("b@old", 0, exited(0, 1))]);
    case.runtime.sandboxes = vec![sandbox("old", false)];
    case.check(&["stop old", "sandbox 1"]);
    case.runtime.sandboxes = vec![sandbox("s", true), sandbox("old", false)];
    case.check(&["start a 1", "start b 1"]);
    case.pod = pod(with(two(), "restartPolicy", json!("OnFailure")));
    case.check(&["start a 1"]);
}

#[test]
fn init_containers_go_one_by_one() {
    let init = json!([{"name": "i", "image": "i"}, {"name": "j", "image": "j"}]);
    let spec = || with(two(), "initContainers", init.clone());
    Case::new(spec(), vec![]).check(&["start i 0"]);
    Case::new(spec(), vec![instance("i", 0, running())]).check(&[]);
    Case::new(spec(), vec![instance("i", 0, exited(0, 1))]).check(&["start j 0"]);
    Case::new(spec(), vec![instance("i", 0, exited(1, 1))]).check(&["start i 1"]);
    let done = || vec![instance("j", 0, exited(0, 1)), instance("i", 0, exited(0, 1))];
    Case::new(spec(), done()).check(&["start a 0", "start b 0"]);
    // A failed one ends a Pod that never restarts.
    let never = with(spec(), "restartPolicy", json!("Never"));
    let case = Case::new(never, vec![instance("i", 0, exited(1, 1))]);
    assert!(case.plan().finished);
    case.check(&["stop s"]);
}

#[test]
fn init_containers_run_again_in_a_new_sandbox() {
    let init = json!([{"name": "i", "image": "i"}, {"name": "j", "image": "j"}]);
    for policy in ["Always", "OnFailure", "Never"] {
        let spec = with(with(two(), "initContainers", init.clone()), "restartPolicy", json!(policy));
        let ran = || vec![instance("j@old", 0, exited(0, 1)), instance("i@old", 0, exited(0, 9))];
        let mut case = Case::new(spec, ran());
        case.runtime.sandboxes = vec![sandbox("old", false)];
        case.check(&["stop old", "sandbox 1"]);
        case.runtime.sandboxes = vec![sandbox("s", true), sandbox("old", false)];
        case.check(&["start i 1"]);
        let step = |case: &mut Case, newer: Vec<Container>| {
            case.runtime.containers = newer.into_iter().chain(ran()).collect();
        };
        step(&mut case, vec![instance("i", 1, running())]);
        case.check(&[]);
        step(&mut case, vec![instance("i", 1, exited(0, 1))]);
        case.check(&["start j 1"]);
        step(&mut case, vec![instance("j", 1, exited(0, 1)), instance("i", 1, exited(0, 2))]);
        case.check(&["start a 0", "start b 0"]);
    }
}

#[test]
fn a_hook_that_was_cut_off_is_run() {
    let both = vec![instance("a", 0, running()), instance("b", 0, running())];
    let mut case = Case::new(two(), both);
    case.hooks_due.insert("b-0".into());
    case.check(&["hook b-0"]);
    case.probes.insert("b-0".into(), Probed { failed: Some("dead".into()), ..Probed::default() });
    case.check(&["kill b-0"]);
}

#[test]
fn a_sidecar_starts_first_and_stays() {
    let init = json!([{"name": "i", "image": "i", "restartPolicy": "Always"}]);
    let spec = || with(with(two(), "initContainers", init.clone()), "restartPolicy", json!("Never"));
    Case::new(spec(), vec![]).check(&["start i 0"]);
    let mut case = Case::new(spec(), vec![instance("i", 0, running())]);
    case.check(&["start a 0", "start b 0"]);
    case.probes.insert("i-0".into(), Probed::default());
    case.check(&[]);
    let all = |i| vec![instance("i", 0, i), instance("a", 0, running()), instance("b", 0, running())];
    Case::new(spec(), all(exited(1, 1))).check(&["start i 1"]);
    let ended =
        vec![instance("i", 0, running()), instance("a", 0, exited(0, 1)), instance("b", 0, exited(0, 1))];
    Case::new(spec(), ended).check(&["kill i-0", "stop s"]);
}

#[test]
fn the_restart_policy_decides_after_an_end() {
    let check = |policy: &str, code: i32, expected: &[&str]| {
        let spec = with(two(), "restartPolicy", json!(policy));
        Case::new(spec, vec![instance("a", 0, exited(code, 1)), instance("b", 0, running())]).check(expected);
    };
    check("Always", 0, &["start a 1"]);
    check("Always", 1, &["start a 1"]);
    check("OnFailure", 0, &[]);
    check("OnFailure", 1, &["start a 1"]);
    check("Never", 1, &[]);
}

#[test]
fn a_crashing_container_waits_longer_each_time() {
    let spec = || json!({"containers": [{"name": "a", "image": "a"}]});
    let mut ended = instance("a", 2, exited(1, 5));
    ended.delay = Duration::from_secs(10);
    let case = Case::new(spec(), vec![ended.clone()]);
    let plan = case.plan();
    assert_eq!(plan.again_in, Some(Duration::from_secs(15)));
    assert!(plan.crash_loops["a"].starts_with("back-off 20s restarting failed container=a pod=web_ns(u)"));
    case.check(&[]);
    ended.state = exited(1, 20);
    let case = Case::new(spec(), vec![ended]);
    assert_eq!(
        case.plan().actions,
        [Action::Start { container: "a".into(), attempt: 3, delay: Duration::from_secs(20) }]
    );
}

#[test]
fn failed_probes_and_new_images_kill() {
    let both = || vec![instance("a", 0, running()), instance("b", 0, running())];
    let mut case = Case::new(two(), both());
    case.probes.insert("b-0".into(), Probed { failed: Some("dead".into()), ..Probed::default() });
    case.check(&["kill b-0"]);
    let changed = json!({"containers": [{"name": "a", "image": "new"}, {"name": "b", "image": "b"}]});
    Case::new(changed, both()).check(&["kill a-0"]);
}

#[test]
fn a_problem_holds_back_until_its_time() {
    let mut case = Case::new(two(), Vec::new());
    let problem = |second| Problem {
        reason: "ErrImagePull".into(),
        message: String::new(),
        retry_at: time(second),
        pause: Duration::from_secs(10),
    };
    case.problems.insert("a".into(), problem(NOW + 7));
    case.check(&["start b 0"]);
    assert_eq!(case.plan().again_in, Some(Duration::from_secs(7)));
    case.problems.insert("a".into(), problem(NOW));
    case.check(&["start a 0", "start b 0"]);
}

#[test]
fn only_the_last_two_instances_are_kept() {
    let containers = vec![
        instance("a", 3, running()),
        instance("a", 2, exited(1, 9)),
        instance("a", 1, exited(1, 20)),
        instance("a", 0, exited(1, 30)),
        instance("b", 0, running()),
    ];
    let mut case = Case::new(two(), containers);
    case.check(&["remove a-1", "remove a-0"]);
    // A dead sandbox goes after the last container that was in it.
    case.runtime.sandboxes.push(sandbox("old", false));
    case.runtime.containers = vec![instance("a", 3, running()), instance("b", 1, running())];
    case.check(&["remove sandbox old"]);
    case.runtime.containers.push(instance("b@old", 0, exited(1, 9)));
    case.check(&[]);
}

#[test]
fn an_instance_that_was_made_but_not_started_is_made_again() {
    let containers = vec![instance("a", 1, State::Created), instance("b", 0, running())];
    Case::new(two(), containers).check(&["start a 1"]);
}

#[test]
fn what_the_runtime_forgot_goes_on_counting() {
    let mut case = Case::new(two(), Vec::new());
    case.pod.status = serde_json::from_value(json!({"containerStatuses": [
        {"name": "a", "containerID": "containerd://x", "restartCount": 4, "image": "", "imageID": "", "ready": false},
    ]}))
    .expect("a status");
    case.check(&["start a 5", "start b 0"]);
    // As the status is between the loss and the next start.
    let waiting = |last: Value| {
        let status = json!({"name": "a", "restartCount": 4, "image": "", "imageID": "", "ready": false,
            "state": {"waiting": {}}, "lastState": last});
        serde_json::from_value(json!({"containerStatuses": [status]})).expect("a status")
    };
    case.pod.status = waiting(json!({"terminated": {"exitCode": 137}}));
    case.check(&["start a 5", "start b 0"]);
    case.pod.status = waiting(json!({}));
    case.check(&["start a 4", "start b 0"]);
}

#[test]
fn a_pod_ends_at_its_deadline_and_an_ended_one_stays_so() {
    let spec = with(two(), "activeDeadlineSeconds", json!(60));
    let mut case = Case::new(spec, vec![instance("a", 0, running()), instance("b", 0, running())]);
    let started = |second| json!({"startTime": time(second).to_string()});
    case.pod.status = serde_json::from_value(started(NOW - 20)).expect("a status");
    assert_eq!((case.plan().fail, case.plan().again_in), (None, Some(Duration::from_secs(40))));
    case.pod.status = serde_json::from_value(started(NOW - 60)).expect("a status");
    assert_eq!(case.plan().fail.map(|(reason, _)| reason).as_deref(), Some("DeadlineExceeded"));
    // One whose containers ended well before was not too slow.
    let mut done = Case::new(
        with(with(two(), "activeDeadlineSeconds", json!(60)), "restartPolicy", json!("Never")),
        Vec::new(),
    );
    done.runtime.containers = vec![instance("a", 0, exited(0, 90)), instance("b", 0, exited(0, 90))];
    done.pod.status = case.pod.status.clone();
    assert_eq!((done.plan().fail, done.plan().finished), (None, true));
    done.pod.status.as_mut().expect("a status").phase = Some("Succeeded".into());
    assert_eq!(done.plan().fail, None);
    case.pod.status = serde_json::from_value(json!({"phase": "Failed"})).expect("a status");
    case.pod.spec.as_mut().expect("a spec").active_deadline_seconds = None;
    case.check(&["kill a-0", "kill b-0", "stop s"]);
    case.runtime = RuntimeState::default();
    case.check(&[]);
}

#[test]
fn an_ephemeral_container_is_started_once_and_waits_for_nobody() {
    let spec = || with(two(), "ephemeralContainers", json!([{"name": "debug", "image": "debug"}]));
    let both = || vec![instance("a", 0, running()), instance("b", 0, running())];
    let and = |container: Container| [vec![container], both()].concat();
    Case::new(spec(), both()).check(&["start debug 0"]);
    Case::new(spec(), and(instance("debug", 0, State::Created))).check(&["start debug 0"]);
    Case::new(spec(), and(instance("debug", 0, running()))).check(&[]);
    Case::new(spec(), and(instance("debug", 0, exited(1, 900)))).check(&[]);
    // Not with a new sandbox either, nor when the runtime has forgotten it.
    Case::new(spec(), and(instance("debug@old", 0, exited(137, 1)))).check(&[]);
    let mut case = Case::new(spec(), both());
    let status = json!([{"name": "debug", "containerID": "containerd://x", "image": "", "imageID": "",
        "ready": false, "restartCount": 0}]);
    case.pod.status = serde_json::from_value(json!({"ephemeralContainerStatuses": status})).ok();
    case.check(&[]);
    // An init container that goes on holds up the others only.
    let init = with(spec(), "initContainers", json!([{"name": "i", "image": "i"}]));
    Case::new(init, vec![instance("i", 0, running())]).check(&["start debug 0"]);
    // It keeps no Pod from its end.
    let done =
        [instance("a", 0, exited(0, 9)), instance("b", 0, exited(0, 9)), instance("debug", 0, running())];
    Case::new(with(spec(), "restartPolicy", json!("Never")), done.into()).check(&["kill debug-0", "stop s"]);
}

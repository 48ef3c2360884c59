//! What a worker does when things come in between.

use serde_json::json;

use super::*;
use crate::{
    pod::{
        plan::Action,
        runtime::{Container, State},
    },
    workers::fixture,
};

/// Long enough for a slow machine; a test that waits for it fails.
const LIMIT: Duration = Duration::from_secs(120);

fn pod() -> Pod {
    let stop = json!({"preStop": {"sleep": {"seconds": 3600}}});
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "u"},
        "spec": {"containers": [{"name": "a", "image": "a", "lifecycle": stop}], "terminationGracePeriodSeconds": 3600},
    }))
    .expect("a Pod")
}

fn running(name: &str) -> Container {
    Container {
        id: format!("{name}-0"),
        sandbox: "s".into(),
        name: name.into(),
        attempt: 0,
        state: State::Running { started_at: Timestamp::now() },
        image: String::new(),
        image_ref: String::new(),
        hash: String::new(),
        delay: Duration::ZERO,
        log_path: String::new(),
        created_at: 0,
    }
}

#[tokio::test]
async fn a_change_of_a_source_survives_a_runtime_that_does_not_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let context = fixture::context(folder.path(), fixture::no_identity());
    let mut worker = fixture::worker(&context, pod());
    context.registry.sources_changed("u");
    Box::pin(worker.once()).await.expect_err("there is no runtime");
    assert!(worker.wake.take_news().sources);
    context.tasks.shutdown(LIMIT).await;
}

#[tokio::test]
async fn a_class_weighs_what_its_pods_ask_for_until_they_are_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let context = fixture::context(folder.path(), fixture::no_identity());
    let group = folder.path().join("cgroup/tiphys-fixture/kubepods/burstable");
    std::fs::create_dir_all(&group).expect("made");
    let weight = || std::fs::read_to_string(group.join("cpu.weight")).unwrap_or_default();
    let asking = |uid: &str| {
        let mut pod = pod();
        pod.metadata.uid = Some(uid.to_owned());
        let resources = json!({"requests": {"cpu": "2"}});
        pod.spec.as_mut().expect("a spec").containers[0].resources = serde_json::from_value(resources).ok();
        pod
    };
    crate::workers::dispatch::tell(&context, Desired::As(Arc::new(asking("told"))));
    assert_eq!(weight(), "79", "before its worker has looked at anything");
    let mut worker = fixture::worker(&context, asking("u"));
    Box::pin(worker.report(&Plan::default())).await;
    assert_eq!(weight(), "157");
    worker.failure = Some(("Evicted".into(), "it was in the way".into()));
    Box::pin(worker.report(&Plan::default())).await;
    assert_eq!(weight(), "79", "it is over");
    (worker.failure, worker.status) = (None, None);
    worker.take_desired();
    Box::pin(worker.report(&Plan::default())).await;
    assert_eq!(weight(), "157", "it began again");
    worker.leave();
    assert_eq!(weight(), "79");
    context.tasks.shutdown(LIMIT).await;
}

#[tokio::test]
async fn a_deletion_does_not_wait_for_a_kill_under_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let context = fixture::context(folder.path(), fixture::no_identity());
    let mut worker = fixture::worker(&context, pod());
    worker.runtime.containers = vec![running("a")];
    let kill = Action::Kill { id: "a-0".into(), container: "a".into(), why: "unhealthy".into() };
    let mut plan = Plan { actions: vec![kill], ..Plan::default() };
    let mut deleted = pod();
    deleted.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-02T03:04:05Z")).ok();
    let delete = async { context.registry.tell(Desired::As(Arc::new(deleted))) };
    let (acted, _) = tokio::join!(tokio::time::timeout(LIMIT, Box::pin(worker.act(&mut plan))), delete);
    acted.expect("the hook of the kill is left").expect("no error");
    context.tasks.shutdown(LIMIT).await;
}

#[tokio::test]
async fn a_hook_that_no_process_lived_to_run_is_due() {
    let folder = tempfile::tempdir().expect("a folder");
    let context = fixture::context(folder.path(), fixture::no_identity());
    let mut pod = pod();
    let hook = json!({"postStart": {"sleep": {"seconds": 0}}});
    pod.spec.as_mut().expect("a spec").containers[0].lifecycle = serde_json::from_value(hook).ok();
    // What a process wrote before it was killed: the container runs, and has not started.
    pod.status = serde_json::from_value(json!({"containerStatuses": [{"name": "a", "started": false,
        "containerID": "containerd://a-0", "image": "", "imageID": "", "ready": false, "restartCount": 0}]}))
    .ok();
    let mut worker = fixture::worker(&context, pod);
    worker.runtime.containers = vec![running("a")];
    worker.follow_probes();
    assert!(worker.hooks_due().contains("a-0") && !worker.probing.board.has("a-0"));
    assert!(Box::pin(worker.run_hook("a", "a-0")).await);
    worker.follow_probes();
    assert!(worker.hooks_due().is_empty() && worker.probing.board.has("a-0"));
    context.tasks.shutdown(LIMIT).await;
}

#[tokio::test]
async fn only_the_probe_that_failed_gives_its_grace() {
    let folder = tempfile::tempdir().expect("a folder");
    let context = fixture::context(folder.path(), fixture::no_identity());
    // Nobody listens there; the startup probe passed before this process.
    let closed = |grace: Option<i64>| {
        let probe =
            json!({"tcpSocket": {"port": 1}, "failureThreshold": 1, "terminationGracePeriodSeconds": grace});
        serde_json::from_value(probe).ok()
    };
    for (startup, liveness, expected) in [(Some(7), None, 3600), (Some(7), Some(8), 8), (None, None, 3600)] {
        let mut pod = pod();
        let container = &mut pod.spec.as_mut().expect("a spec").containers[0];
        (container.startup_probe, container.liveness_probe) = (closed(startup), closed(liveness));
        pod.metadata.uid = Some(format!("{startup:?}-{liveness:?}"));
        pod.status = serde_json::from_value(json!({"containerStatuses": [{"name": "a", "started": true,
            "containerID": "containerd://a-0", "image": "", "imageID": "", "ready": true, "restartCount": 0}]}))
        .ok();
        let mut worker = fixture::worker(&context, pod);
        worker.runtime.containers = vec![running("a")];
        worker.follow_probes();
        tokio::time::timeout(LIMIT, worker.wake.called()).await.expect("the probe fails");
        assert!(worker.probing.board.all()["a-0"].failed.is_some());
        let grace = worker.grace_of(&worker.runtime.containers[0]);
        assert_eq!(grace, Duration::from_secs(expected), "{startup:?} {liveness:?}");
    }
    context.tasks.shutdown(LIMIT).await;
}

#[test]
fn others_may_say_that_a_pod_is_over() {
    let status = |phase: &str, reason: Option<&str>| -> PodStatus {
        serde_json::from_value(json!({"phase": phase, "reason": reason, "podIP": "10.0.0.2"}))
            .expect("a status")
    };
    let own = status("Running", None);
    for (phase, expected) in
        [("Pending", status("Running", None)), ("Failed", status("Failed", Some("Lost")))]
    {
        let newest = Pod { status: Some(status(phase, Some("Lost"))), ..pod() };
        let mut joined = joined(&own, &newest);
        joined.conditions = None;
        assert_eq!(joined, expected);
    }
}

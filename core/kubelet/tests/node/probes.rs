//! Probes of each kind, and what their verdicts lead to.

use std::fs;

use serde_json::json;

use crate::{
    harness::{IDLE, Node, has_condition, is_ready, shell, status_of},
    peers,
};

/// The first restart is immediate, the next one waits; mounts do not pile up.
pub async fn back_off(node: Node) -> Node {
    // It is ill as soon as it can be told to stop.
    let script = IDLE.replace("while", "touch /ill; while");
    let spec = json!({
        "terminationGracePeriodSeconds": 120,
        "volumes": [{"name": "data", "emptyDir": {}}],
        "containers": [{
            "name": "ill", "command": shell(&script),
            "livenessProbe": {
                "exec": {"command": shell("! test -e /ill")},
                "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 120,
            },
            "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "part"}],
        }],
    });
    let pod = node.create("ill", spec).await;
    let waits = node
        .until("ill", "in back-off", |pod| {
            let waiting = status_of(pod, "ill").state.and_then(|state| state.waiting);
            waiting.and_then(|waiting| waiting.reason).as_deref() == Some("CrashLoopBackOff")
        })
        .await;
    let status = status_of(&waits, "ill");
    let message = status.state.and_then(|state| state.waiting).and_then(|waiting| waiting.message);
    assert!(
        message.is_some_and(|message| message.starts_with("back-off 10s restarting failed container=ill"))
    );
    assert_eq!(status.restart_count, 1);
    let last = status.last_state.and_then(|state| state.terminated).expect("how it ended");
    assert_eq!(last.exit_code, 0, "it obeyed: {last:?}");
    node.until("ill", "started again", |pod| status_of(pod, "ill").restart_count == 2).await;
    let parts: Vec<_> = node.mounts().into_iter().filter(|mount| mount.contains("volume-subpaths")).collect();
    assert_eq!(parts.len(), 1, "{parts:?}");
    let uid = pod.metadata.uid.unwrap_or_default();
    assert!(parts[0].contains(&uid) && parts[0].ends_with("/2-0"), "{parts:?}");
    node
}

/// exec, HTTP, TCP and gRPC; startup holds the others back.
pub async fn kinds(node: Node) -> Node {
    let (shared, health) = (node.shared("shared"), peers::Health::start().await);
    let script = format!(
        "busybox mkdir -p /www; echo fine > /www/index.html; httpd -f -p 8080 -h /www & echo $! > /pid; {IDLE}"
    );
    // A server that is gone refuses at once; one that is late is not unwell.
    let often = |mut probe: serde_json::Value| {
        probe["periodSeconds"] = json!(1);
        probe["failureThreshold"] = json!(1);
        probe["timeoutSeconds"] = json!(120);
        probe
    };
    // The others begin when there is something to ask.
    let started = "test -e /shared/started && busybox wget -q -O /dev/null http://127.0.0.1:8080/";
    let mut startup = often(json!({"exec": {"command": shell(started)}}));
    startup["failureThreshold"] = json!(1000);
    let ports = json!([{"name": "http", "containerPort": 8080}]);
    let web = json!({
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "shared", "hostPath": {"path": shared}}],
        "containers": [{
            "name": "web", "command": shell(&script), "ports": ports,
            "startupProbe": startup,
            "readinessProbe": often(json!({"httpGet": {"path": "/index.html", "port": "http"}})),
            "livenessProbe": often(json!({"tcpSocket": {"port": 8080}})),
            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        }],
    });
    let grpc = json!({
        "hostNetwork": true, "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "peer", "command": shell(IDLE),
            "readinessProbe": often(json!({"grpc": {"port": health.port, "service": "web"}})),
        }],
    });
    node.create("web", web).await;
    node.create("grpc", grpc).await;
    let unstarted = |pod: &_| {
        let status = status_of(pod, "web");
        status.state.is_some_and(|state| state.running.is_some()) && status.started == Some(false)
    };
    let waits = node.until("web", "running and not started", unstarted).await;
    assert!(!is_ready(&waits), "nothing is ready before it has started");
    fs::write(shared.join("started"), "").expect("written");
    let ready = node.until_ready("web").await;
    assert_eq!(status_of(&ready, "web").restart_count, 0);

    let unready = |pod: &_| has_condition(pod, "ContainersReady", "False");
    node.until("grpc", "running, not ready", unready).await;
    health.set(true);
    node.until_ready("grpc").await;
    health.set(false);
    let down = node.until("grpc", "no longer ready", unready).await;
    assert_eq!(status_of(&down, "peer").restart_count, 0, "readiness restarts nothing");
    assert_eq!(health.services(), ["web"]);

    // Without its server neither HTTP nor TCP answers: unready first or dead at once,
    // in the end it runs anew.
    let id = status_of(&ready, "web").container_id.unwrap_or_default();
    let id = id.trim_start_matches("containerd://");
    let kill = vec!["sh".into(), "-c".into(), "kill $(cat /pid)".into()];
    let killed = node.cri.exec_sync(id, kill, crate::harness::PATIENCE).await.expect("it answers");
    assert_eq!(killed.exit_code, 0, "{killed:?}");
    let again = |pod: &_| is_ready(pod) && status_of(pod, "web").restart_count == 1;
    node.until("web", "ready again", again).await;
    node
}

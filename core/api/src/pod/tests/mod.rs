//! Tables over Pods: defaults, mistakes, updates, and the line of a table.

mod resize;
mod rules;

use serde_json::{Value, json};

use super::*;
use crate::validate::Errors;

fn defaulted(mut spec: Value) -> Value {
    defaults::pod_only(&mut spec);
    defaults::spec(&mut spec);
    spec
}

#[test]
fn a_pod_gets_what_users_expect() {
    let spec = defaulted(json!({
        "serviceAccountName": "me",
        "containers": [{
            "name": "a", "image": "web",
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
            "readinessProbe": {"httpGet": {"port": 80}},
            "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        }],
        "volumes": [{"name": "tmp"}, {"name": "h", "hostPath": {"path": "/x"}},
            {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
    }));
    let container = &spec["containers"][0];
    assert_eq!(container["resources"]["requests"], json!({"cpu": "100m", "memory": "1Gi"}));
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["terminationMessagePath"], "/dev/termination-log");
    assert_eq!(
        container["readinessProbe"],
        json!({"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
            "successThreshold": 1, "failureThreshold": 3})
    );
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"], "v1");
    assert_eq!(spec["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(spec["volumes"][1]["hostPath"]["type"], "");
    assert_eq!(spec["volumes"][2]["projected"]["defaultMode"], 420);
    assert_eq!(
        spec["volumes"][2]["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"],
        3600
    );
    for (key, value) in [
        ("dnsPolicy", json!("ClusterFirst")),
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("enableServiceLinks", json!(true)),
        ("serviceAccount", json!("me")),
    ] {
        assert_eq!(spec[key], value, "{key}");
    }
}

#[test]
fn when_images_are_pulled() {
    let table = [
        ("web", true),
        ("web:latest", true),
        ("web:1", false),
        ("localhost:5000/web", true),
        ("localhost:5000/web:1", false),
        ("web@sha256:00", false),
        ("web:latest@sha256:00", false),
    ];
    for (image, always) in table {
        assert_eq!(defaults::pulls_always(image), always, "{image}");
    }
}

fn mistakes(spec: Value) -> Vec<String> {
    let mut errors = Errors::new();
    validate::spec(&defaulted(spec), "spec", &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn the_common_mistakes_are_named() {
    let with = |extra: Value| {
        let mut container = json!({"name": "a", "image": "a"});
        for (key, value) in extra.as_object().unwrap() {
            container[key] = value.clone();
        }
        json!({ "containers": [container] })
    };
    assert!(mistakes(with(json!({}))).is_empty());
    let table = [
        (json!({}), "spec.containers: Required value"),
        (json!({"containers": [{"name": "a"}]}), "spec.containers[0].image: Required value"),
        (
            with(json!({"name": "A"})),
            "spec.containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label",
        ),
        (
            json!({"containers": [{"name": "a", "image": "a"}], "initContainers": [{"name": "a", "image": "a"}]}),
            "spec.initContainers[0].name: Duplicate value: \"a\"",
        ),
        (
            with(json!({"ports": [{"containerPort": 70000}]})),
            "spec.containers[0].ports[0].containerPort: Invalid value: 70000",
        ),
        (with(json!({"env": [{"name": "a=b"}]})), "spec.containers[0].env[0].name: Invalid value: \"a=b\""),
        (
            with(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]})),
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            with(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}})),
            "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
        ),
        (
            with(json!({"livenessProbe": {}})),
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ),
        (
            with(json!({"livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}})),
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
        ),
        (
            json!({"containers": [{"name": "a", "image": "a"}], "restartPolicy": "always"}),
            "spec.restartPolicy: Unsupported value: \"always\": supported values: \"Always\", \"OnFailure\", \"Never\"",
        ),
        (
            json!({"containers": [{"name": "a", "image": "a"}], "volumes": [{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]}),
            "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type",
        ),
        (
            json!({"containers": [{"name": "a", "image": "a"}], "tolerations": [{"key": "a", "effect": "Never"}]}),
            "spec.tolerations[0].effect: Unsupported value: \"Never\"",
        ),
    ];
    for (spec, message) in table {
        let found = mistakes(spec);
        assert!(found.iter().any(|e| e.starts_with(message)), "wanted {message}, found {found:?}");
    }
}

#[test]
fn an_image_may_change_and_a_command_not() {
    let pod = |image: &str, command: Value| json!({"spec": {"containers": [{"name": "a", "image": image, "command": command}]}});
    let old = pod("a:1", json!(["x"]));
    assert!(update::validate(&pod("a:2", json!(["x"])), &old).is_empty());
    assert_eq!(update::validate(&pod("a:1", json!(["y"])), &old)[0].field, "spec");
    let mut with_null = old.clone();
    with_null["spec"]["initContainers"] = Value::Null;
    assert!(update::validate(&old, &with_null).is_empty());
    let more = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
    assert_eq!(update::validate(&more, &old)[0].field, "spec.containers");
}

#[test]
fn classes_of_service() {
    let table = [
        (json!([{}]), "BestEffort"),
        (json!([{"resources": {"requests": {"cpu": "1"}}}]), "Burstable"),
        (
            json!([{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}}]),
            "Guaranteed",
        ),
        (
            json!([{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}}]),
            "Burstable",
        ),
        (json!([{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, {}]), "Burstable"),
        (json!([{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]), "BestEffort"),
    ];
    for (containers, class) in table {
        assert_eq!(qos::class(&json!({ "containers": containers })), class, "{containers}");
    }
}

#[test]
fn the_class_of_a_pod_that_is_bounded_as_a_whole() {
    let all = json!({"cpu": "1", "memory": "1Gi"});
    let containers = json!([{"resources": {"requests": {"cpu": "1"}}}, {}]);
    for (whole, class) in [
        (json!({"limits": all, "requests": all}), "Guaranteed"),
        (json!({"limits": all, "requests": {"cpu": "500m", "memory": "1Gi"}}), "Burstable"),
        (json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}), "Burstable"),
        (json!({"requests": {"cpu": "1"}}), "Burstable"),
        (json!({"requests": {"cpu": "0"}}), "BestEffort"),
        (json!({}), "Burstable"),
    ] {
        let spec = json!({"containers": containers, "resources": whole});
        assert_eq!(qos::class(&spec), class, "{spec}");
    }
}

fn line(pod: &Value) -> (String, String, String) {
    let summary = summary::of(pod);
    (format!("{}/{}", summary.ready, summary.total), summary.status.clone(), summary.restarts_text(1_000))
}

fn expect(pod: Value, ready: &str, status: &str, restarts: &str) {
    assert_eq!(line(&pod), (ready.into(), status.into(), restarts.into()), "{pod}");
}

#[test]
fn pods_at_work_read_as_kubectl_shows_them() {
    let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    let running = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
    expect(json!({"spec": spec, "status": {"phase": "Pending"}}), "0/2", "Pending", "0");
    let back_off = json!({"name": "b", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "1970-01-01T00:11:40Z"}}});
    expect(
        json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [running, back_off]}}),
        "1/2",
        "CrashLoopBackOff",
        "3 (5m ago)",
    );
    let completed = json!({"name": "b", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    expect(
        json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [running, completed],
            "conditions": [{"type": "Ready", "status": "True"}]}}),
        "1/2",
        "Running",
        "0",
    );
    expect(
        json!({"metadata": {"deletionTimestamp": "x"}, "spec": spec, "status": {"phase": "Running"}}),
        "0/2",
        "Terminating",
        "0",
    );
    expect(json!({"spec": spec, "status": {"phase": "Failed", "reason": "Evicted"}}), "0/2", "Evicted", "0");
    let killed =
        json!({"name": "a", "restartCount": 0, "state": {"terminated": {"exitCode": 137, "signal": 9}}});
    expect(
        json!({"spec": spec, "status": {"phase": "Failed", "containerStatuses": [killed]}}),
        "0/2",
        "Signal:9",
        "0",
    );
}

#[test]
fn pods_that_initialize_read_as_kubectl_shows_them() {
    let spec = json!({
        "containers": [{"name": "a"}],
        "initContainers": [{"name": "i"}, {"name": "side", "restartPolicy": "Always"}, {"name": "j"}],
    });
    let done = json!({"name": "i", "restartCount": 2, "state": {"terminated": {"exitCode": 0}}});
    let side =
        json!({"name": "side", "restartCount": 1, "ready": true, "started": true, "state": {"running": {}}});
    let pending = |last: Value| json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [done, side, last]}});
    let step = |state: Value| json!({"name": "j", "restartCount": 0, "state": state});
    expect(pending(step(json!({"running": {}}))), "1/2", "Init:2/3", "3");
    expect(
        pending(step(json!({"waiting": {"reason": "ImagePullBackOff"}}))),
        "1/2",
        "Init:ImagePullBackOff",
        "3",
    );
    expect(pending(step(json!({"terminated": {"exitCode": 2}}))), "1/2", "Init:ExitCode:2", "3");
    let started = json!({"spec": spec, "status": {"phase": "Running",
        "initContainerStatuses": [done, side, step(json!({"terminated": {"exitCode": 0}}))],
        "containerStatuses": [{"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}}]}});
    expect(started, "2/2", "Running", "1");
}

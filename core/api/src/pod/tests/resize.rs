//! What a resize does, and what it may not do.

use serde_json::{Value, json};

use crate::{
    pod::{defaults, resize, update},
    test_rows::{json_of, rows, said},
};

fn pod(container: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "x"}]},
        "status": {"qosClass": "Burstable"},
    });
    for (key, value) in container.as_object().expect("an object") {
        pod["spec"]["containers"][0][key] = value.clone();
    }
    defaults::spec(&mut pod["spec"]);
    pod
}

const RESIZES: &str = r#"
{"resources":{"requests":{"cpu":"2"},"limits":{"memory":"1Gi"}}} => nothing
{"resources":{"requests":{"cpu":"2"},"limits":{"memory":"1Gi"}},"image":"y"} => nothing
{"resources":{"requests":{"cpu":"-2"},"limits":{"memory":"1Gi"}}} => spec.containers[0].resources.requests[cpu]: Invalid value: "-2": must be greater than or equal to 0
{"resources":{"limits":{"memory":"1Gi"}}} => spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed
{"resources":{"requests":{"cpu":"1"}}} => spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed
{"resources":{"requests":{"cpu":"1"},"limits":{"memory":"1Gi","cpu":"1"}}} => spec: Invalid value: "Guaranteed": Pod QOS Class may not change as a result of resizing
{"resources":{"requests":{"cpu":"1"},"limits":{"memory":"1Gi","example.com/gpu":"1"}}} => spec: Forbidden: only cpu and memory resources are mutable"#;

#[test]
fn only_cpu_and_memory_are_resized() {
    let sizes = json!({"resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}});
    let old = pod(&sizes);
    for (what, expected) in rows(RESIZES) {
        let new = resize::apply(&old, &pod(&json_of(what)));
        assert_eq!(said(&resize::check(&new, &old)), expected, "{what}");
        assert_eq!(new["spec"]["containers"][0]["image"], "x", "{what}");
    }
    let mut mirror = old.clone();
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    assert_eq!(said(&resize::check(&mirror, &mirror)), "[]: Forbidden: static pods cannot be resized");
}

#[test]
fn ephemeral_containers_come_and_stay() {
    let old = pod(&json!({}));
    let with = |containers: Value| {
        let mut pod = old.clone();
        pod["spec"]["ephemeralContainers"] = containers;
        defaults::spec(&mut pod["spec"]);
        pod
    };
    let one = with(json!([{"name": "d", "image": "x"}]));
    assert_eq!(said(&update::ephemeral_containers(&one, &old)), "nothing");
    let field = "spec.ephemeralContainers";
    let gone = format!("{field}: Forbidden: existing ephemeral containers \"d\" may not be removed");
    assert_eq!(said(&update::ephemeral_containers(&old, &one)), gone);
    let other = with(json!([{"name": "d", "image": "y"}]));
    let changed = format!("{field}: Forbidden: existing ephemeral containers \"d\" may not be changed");
    assert_eq!(said(&update::ephemeral_containers(&other, &one)), changed);
    let twin = with(json!([{"name": "a", "image": "x"}]));
    let taken = format!("{field}[0].name: Duplicate value: \"a\"");
    assert_eq!(said(&update::ephemeral_containers(&twin, &old)), taken);
}

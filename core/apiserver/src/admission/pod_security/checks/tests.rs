//! Every control with what violates it, in the words users search for.

use serde_json::{Value, json};

use super::*;

fn told(level: Level, version: Version, metadata: Value, spec: Value) -> String {
    let pod = Pod { metadata: &metadata, spec: &spec };
    details(&violations(Standard { level, version }, pod))
}

fn with(context: Value) -> Value {
    json!({ "containers": [{ "name": "a", "securityContext": context }] })
}

/// Meets the restricted standard.
fn tame() -> Value {
    json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "a", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }],
        "volumes": [{ "name": "v", "emptyDir": {} }],
    })
}

#[track_caller]
fn baseline(spec: Value, expected: &str) {
    assert_eq!(told(Level::Baseline, Version::Latest, json!({}), spec.clone()), expected, "{spec}");
}

/// The tame Pod with a change, under the restricted standard.
#[track_caller]
fn restricted(version: Version, change: impl Fn(&mut Value), expected: &str) {
    let mut spec = tame();
    change(&mut spec);
    assert_eq!(told(Level::Restricted, version, json!({}), spec.clone()), expected, "{spec}");
}

#[test]
fn the_baseline() {
    baseline(tame(), "");
    baseline(json!({ "containers": [{ "name": "a" }] }), "");
    baseline(
        with(json!({ "privileged": true })),
        "privileged (container \"a\" must not set securityContext.privileged=true)",
    );
    baseline(
        json!({ "hostNetwork": true, "hostPID": true, "hostIPC": false }),
        "host namespaces (hostNetwork=true, hostPID=true)",
    );
    baseline(
        json!({ "volumes": [{ "name": "a", "hostPath": { "path": "/" } }, { "name": "b", "hostPath": {} }] }),
        "hostPath volumes (volumes \"a\", \"b\")",
    );
    let port = |name: &str, port: u16| json!({ "name": name, "ports": [{ "hostPort": port }, { "containerPort": 1 }] });
    baseline(
        json!({ "initContainers": [port("i", 9090)], "containers": [port("a", 80)] }),
        "hostPort (containers \"i\", \"a\" use hostPorts 80, 9090)",
    );
    baseline(
        json!({ "containers": [{ "name": "a", "livenessProbe": { "httpGet": { "host": "x" } } }] }),
        "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"x\")",
    );
    baseline(
        with(json!({ "capabilities": { "add": ["NET_RAW", "CHOWN", "BPF"] } })),
        "non-default capabilities (container \"a\" must not include \"BPF\", \"NET_RAW\" in securityContext.capabilities.add)",
    );
    baseline(
        with(json!({ "procMount": "Unmasked" })),
        "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")",
    );
    baseline(
        json!({ "securityContext": { "sysctls": [{ "name": "kernel.msgmax" }, { "name": "net.ipv4.tcp_wmem" }] } }),
        "forbidden sysctls (kernel.msgmax)",
    );
    baseline(
        json!({ "securityContext": { "windowsOptions": { "hostProcess": true } } }),
        "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
    );
}

#[test]
fn the_baseline_of_profiles() {
    baseline(
        with(json!({ "seLinuxOptions": { "type": "spc_t", "user": "root" } })),
        "seLinuxOptions (container \"a\" set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set)",
    );
    let mut both = with(json!({ "seccompProfile": { "type": "Unconfined" } }));
    both["securityContext"] = json!({ "seccompProfile": { "type": "Unconfined" } });
    baseline(
        both,
        "seccompProfile (pod and container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
    );
    baseline(
        with(json!({ "appArmorProfile": { "type": "Unconfined" } })),
        "forbidden AppArmor profile (container \"a\" must not set AppArmor profile type to \"Unconfined\")",
    );
    let annotated =
        json!({ "annotations": { "container.apparmor.security.beta.kubernetes.io/a": "unconfined" } });
    assert_eq!(
        told(Level::Baseline, Version::Latest, annotated, json!({})),
        "forbidden AppArmor profile (annotation must not set AppArmor profile type to \
         \"container.apparmor.security.beta.kubernetes.io/a=\"unconfined\"\")"
    );
    let old = json!({ "annotations": { "seccomp.security.alpha.kubernetes.io/pod": "unconfined" } });
    assert_eq!(
        told(Level::Baseline, Version::Minor(18), old.clone(), json!({})),
        "seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod=\"unconfined\")"
    );
    assert_eq!(told(Level::Baseline, Version::Minor(19), old, json!({})), "");
}

#[test]
fn the_restricted_standard() {
    let latest = Version::Latest;
    restricted(latest, |_| (), "");
    assert_eq!(
        told(Level::Restricted, latest, json!({}), json!({ "containers": [{ "name": "a" }] })),
        "allowPrivilegeEscalation != false (container \"a\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (container \"a\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or container \"a\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or container \"a\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    restricted(
        latest,
        |spec| {
            spec["containers"][0]["securityContext"]["capabilities"]["add"] =
                json!(["CHOWN", "NET_BIND_SERVICE"])
        },
        "unrestricted capabilities (container \"a\" must not include \"CHOWN\" in securityContext.capabilities.add)",
    );
    restricted(
        latest,
        |spec| spec["volumes"][0] = json!({ "name": "v", "hostPath": { "path": "/" } }),
        "restricted volume types (volume \"v\" uses restricted volume type \"hostPath\")",
    );
    restricted(
        latest,
        |spec| spec["securityContext"]["runAsUser"] = 0.into(),
        "runAsUser=0 (pod must not set runAsUser=0)",
    );
    restricted(
        latest,
        |spec| spec["containers"][0]["securityContext"]["runAsNonRoot"] = false.into(),
        "runAsNonRoot != true (container \"a\" must not set securityContext.runAsNonRoot=false)",
    );
}

#[test]
fn controls_differ_between_versions() {
    let of_user_namespace = |spec: &mut Value| {
        spec["hostUsers"] = false.into();
        spec["securityContext"]["runAsUser"] = 0.into();
        spec["securityContext"]["runAsNonRoot"] = false.into();
        spec["containers"][0]["securityContext"]["procMount"] = "Unmasked".into();
    };
    let unmasked = "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")";
    restricted(Version::Minor(35), of_user_namespace, unmasked);
    restricted(
        Version::Minor(34),
        of_user_namespace,
        &format!(
            "{unmasked}, runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false), \
             runAsUser=0 (pod must not set runAsUser=0)"
        ),
    );
    restricted(Version::Minor(22), |spec| spec["securityContext"]["runAsUser"] = 0.into(), "");
    let windows = json!({ "os": { "name": "windows" }, "securityContext": { "runAsNonRoot": true }, "containers": [{ "name": "a" }] });
    assert_eq!(told(Level::Restricted, Version::Minor(25), json!({}), windows.clone()), "");
    assert_ne!(told(Level::Restricted, Version::Minor(24), json!({}), windows), "");
    let sysctl = json!({ "securityContext": { "sysctls": [{ "name": "net.ipv4.tcp_rmem" }] } });
    assert_eq!(
        told(Level::Baseline, Version::Minor(31), json!({}), sysctl.clone()),
        "forbidden sysctls (net.ipv4.tcp_rmem)"
    );
    assert_eq!(told(Level::Baseline, Version::Minor(32), json!({}), sysctl), "");
}

#[test]
fn controls_are_listed_in_order() {
    for level in [Level::Baseline, Level::Restricted] {
        let ids: Vec<&str> = CONTROLS.iter().filter(|it| it.level == level).map(|it| it.id).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }
    for control in CONTROLS {
        assert!(control.versions.is_sorted_by_key(|(since, _)| *since), "{}", control.id);
        let known = |id: &str| CONTROLS.iter().any(|other| other.id == id && other.level == Level::Baseline);
        assert!(control.overrides.is_empty() || known(control.overrides), "{}", control.id);
    }
}

//! AppArmor, SELinux, seccomp and the masks over `/proc`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Pod, Violation, containers, is_in_user_namespace, is_windows, name, named, plural, quoted, setters,
    those, violation,
};

const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";
const SE_LINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t"];

/// A profile that leaves the runtime's own in force, or names one of the node.
fn is_safe(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// The types of a profile field that are not safe, and who has set them.
fn unsafe_types<'a>(pod: Pod<'a>, field: &str) -> (bool, Vec<&'a str>, BTreeSet<String>) {
    let kind = |context: &Value| {
        let profile = &context[field];
        let kind = profile["type"].as_str().unwrap_or_default();
        (profile.is_object() && !is_safe(kind)).then(|| kind.to_owned())
    };
    let of_pod = kind(&pod.spec["securityContext"]);
    let bad = those(pod, |container| kind(&container["securityContext"]).is_some());
    let values = containers(pod).filter_map(|container| kind(&container["securityContext"]));
    (of_pod.is_some(), bad, of_pod.iter().cloned().chain(values).collect())
}

pub fn app_armor(pod: Pod<'_>) -> Option<Violation> {
    let (of_pod, bad, values) = unsafe_types(pod, "appArmorProfile");
    let annotations = pod.metadata["annotations"].as_object().into_iter().flatten();
    let annotations: Vec<String> = annotations
        .filter(|(key, value)| {
            let value = value.as_str().unwrap_or_default();
            let fine = value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
            key.starts_with(APP_ARMOR_ANNOTATION) && !fine
        })
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let in_annotations =
        (!annotations.is_empty()).then(|| plural("annotation", "annotations", annotations.len()).to_owned());
    let setters: Vec<String> = setters(of_pod, &bad).into_iter().chain(in_annotations).collect();
    if setters.is_empty() {
        return None;
    }
    let values: Vec<String> = values.into_iter().chain(annotations).collect();
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.len());
    violation(
        reason,
        format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(values)),
    )
}

pub fn seccomp_annotations(pod: Pod<'_>) -> Option<Violation> {
    let of_containers =
        containers(pod).map(|container| format!("{SECCOMP_CONTAINER_ANNOTATION}{}", name(container)));
    let keys = std::iter::once(SECCOMP_POD_ANNOTATION.to_owned()).chain(of_containers);
    let forbidden: BTreeSet<String> = keys
        .filter_map(|key| {
            let value = pod.metadata["annotations"][&key].as_str()?;
            let fine =
                matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
            (!fine).then(|| format!("{key}={value:?}"))
        })
        .collect();
    if forbidden.is_empty() {
        return None;
    }
    let word = plural("annotation", "annotations", forbidden.len());
    let list = forbidden.into_iter().collect::<Vec<_>>().join(", ");
    violation("seccompProfile", format!("forbidden {word} {list}"))
}

pub fn seccomp_baseline(pod: Pod<'_>) -> Option<Violation> {
    let (of_pod, bad, values) = unsafe_types(pod, "seccompProfile");
    let setters = setters(of_pod, &bad)?;
    violation(
        "seccompProfile",
        format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted(values)),
    )
}

pub fn seccomp_restricted(pod: Pod<'_>) -> Option<Violation> {
    if let Some(violation) = seccomp_baseline(pod) {
        return Some(violation);
    }
    let has = |context: &Value| context["seccompProfile"].is_object();
    let silent = those(pod, |container| !has(&container["securityContext"]));
    if has(&pod.spec["securityContext"]) || silent.is_empty() {
        return None;
    }
    violation(
        "seccompProfile",
        format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            named(&silent)
        ),
    )
}

pub fn seccomp_restricted_on_linux(pod: Pod<'_>) -> Option<Violation> {
    if is_windows(pod) { None } else { seccomp_restricted(pod) }
}

pub fn se_linux(pod: Pod<'_>) -> Option<Violation> {
    options(pod, |kind| SE_LINUX_TYPES.contains(&kind))
}

pub fn se_linux_with_engine(pod: Pod<'_>) -> Option<Violation> {
    options(pod, |kind| kind == "container_engine_t" || SE_LINUX_TYPES.contains(&kind))
}

fn options(pod: Pod<'_>, is_allowed: fn(&str) -> bool) -> Option<Violation> {
    let text =
        |context: &Value, key: &str| context["seLinuxOptions"][key].as_str().unwrap_or_default().to_owned();
    let is_bad = |context: &Value| {
        let typed = context["seLinuxOptions"].is_object() && !is_allowed(&text(context, "type"));
        typed || !text(context, "user").is_empty() || !text(context, "role").is_empty()
    };
    let bad = those(pod, |container| is_bad(&container["securityContext"]));
    let of_pod = is_bad(&pod.spec["securityContext"]);
    let setters = setters(of_pod, &bad)?;
    let contexts = || {
        let of_containers = containers(pod).map(|container| &container["securityContext"]);
        std::iter::once(&pod.spec["securityContext"]).chain(of_containers)
    };
    let types: BTreeSet<String> =
        contexts().map(|context| text(context, "type")).filter(|kind| !is_allowed(kind)).collect();
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("{} {}", plural("type", "types", types.len()), quoted(types)));
    }
    for key in ["user", "role"] {
        if contexts().any(|context| !text(context, key).is_empty()) {
            data.push(format!("{key} may not be set"));
        }
    }
    violation(
        "seLinuxOptions",
        format!("{setters} set forbidden securityContext.seLinuxOptions: {}", data.join("; ")),
    )
}

pub fn proc_mount(pod: Pod<'_>) -> Option<Violation> {
    let of = |container: &Value| {
        let kind = container["securityContext"]["procMount"].as_str()?;
        (kind != "Default").then(|| kind.to_owned())
    };
    let bad = those(pod, |container| of(container).is_some());
    if bad.is_empty() {
        return None;
    }
    let types: BTreeSet<String> = containers(pod).filter_map(of).collect();
    violation(
        "procMount",
        format!("{} must not set securityContext.procMount to {}", named(&bad), quoted(types)),
    )
}

pub fn proc_mount_of_host_users(pod: Pod<'_>) -> Option<Violation> {
    if is_in_user_namespace(pod) { None } else { proc_mount(pod) }
}

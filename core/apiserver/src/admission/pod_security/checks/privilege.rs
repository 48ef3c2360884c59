//! What rights a Pod's processes may have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Pod, Violation, containers, is_in_user_namespace, is_windows, named, plural, quoted, setters, those,
    violation,
};
use crate::admission::items;

const DEFAULT_CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

pub fn privileged(pod: Pod<'_>) -> Option<Violation> {
    let bad = those(pod, |container| container["securityContext"]["privileged"] == true);
    if bad.is_empty() {
        return None;
    }
    violation("privileged", format!("{} must not set securityContext.privileged=true", named(&bad)))
}

pub fn escalation(pod: Pod<'_>) -> Option<Violation> {
    let bad = those(pod, |container| container["securityContext"]["allowPrivilegeEscalation"] != false);
    if bad.is_empty() {
        return None;
    }
    violation(
        "allowPrivilegeEscalation != false",
        format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&bad)),
    )
}

pub fn escalation_on_linux(pod: Pod<'_>) -> Option<Violation> {
    if is_windows(pod) { None } else { escalation(pod) }
}

fn added(container: &Value) -> impl Iterator<Item = &str> {
    items(&container["securityContext"]["capabilities"]["add"]).filter_map(Value::as_str)
}

/// `containers "a", "b" must not include "X" in securityContext.capabilities.add`
fn adding(pod: Pod<'_>, forbidden: fn(&str) -> bool) -> Option<String> {
    let bad = those(pod, |container| added(container).any(forbidden));
    let capabilities: BTreeSet<&str> = containers(pod).flat_map(added).filter(|one| forbidden(one)).collect();
    (!bad.is_empty()).then(|| {
        format!(
            "{} must not include {} in securityContext.capabilities.add",
            named(&bad),
            quoted(capabilities)
        )
    })
}

pub fn capabilities_baseline(pod: Pod<'_>) -> Option<Violation> {
    violation("non-default capabilities", adding(pod, |one| !DEFAULT_CAPABILITIES.contains(&one))?)
}

pub fn capabilities_restricted(pod: Pod<'_>) -> Option<Violation> {
    let drops_all = |container: &Value| {
        items(&container["securityContext"]["capabilities"]["drop"]).any(|dropped| dropped == "ALL")
    };
    let keeping = those(pod, |container| !drops_all(container));
    let keeping = (!keeping.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&keeping)));
    let adding = adding(pod, |one| one != "NET_BIND_SERVICE");
    let details: Vec<String> = keeping.into_iter().chain(adding).collect();
    if details.is_empty() { None } else { violation("unrestricted capabilities", details.join("; ")) }
}

pub fn capabilities_restricted_on_linux(pod: Pod<'_>) -> Option<Violation> {
    if is_windows(pod) { None } else { capabilities_restricted(pod) }
}

pub fn run_as_non_root(pod: Pod<'_>) -> Option<Violation> {
    let reason = "runAsNonRoot != true";
    let of_pod = &pod.spec["securityContext"]["runAsNonRoot"];
    let of = |container: &Value| container["securityContext"]["runAsNonRoot"].as_bool();
    let saying_no = those(pod, |container| of(container) == Some(false));
    if let Some(setters) = setters(*of_pod == false, &saying_no) {
        return violation(reason, format!("{setters} must not set securityContext.runAsNonRoot=false"));
    }
    let silent = those(pod, |container| of(container).is_none());
    if *of_pod == true || silent.is_empty() {
        return None;
    }
    violation(
        reason,
        format!(
            "pod or {} {} must set securityContext.runAsNonRoot=true",
            plural("container", "containers", silent.len()),
            quoted(silent)
        ),
    )
}

pub fn run_as_non_root_of_host_users(pod: Pod<'_>) -> Option<Violation> {
    if is_in_user_namespace(pod) { None } else { run_as_non_root(pod) }
}

pub fn run_as_user(pod: Pod<'_>) -> Option<Violation> {
    let is_root = |context: &Value| context["runAsUser"] == 0;
    let bad = those(pod, |container| is_root(&container["securityContext"]));
    let setters = setters(is_root(&pod.spec["securityContext"]), &bad)?;
    violation("runAsUser=0", format!("{setters} must not set runAsUser=0"))
}

pub fn run_as_user_of_host_users(pod: Pod<'_>) -> Option<Violation> {
    if is_in_user_namespace(pod) { None } else { run_as_user(pod) }
}

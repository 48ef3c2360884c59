//! The controls of the Pod security standards. Pure.
//!
//! A control is a function from a Pod (or a template) to what violates it. It belongs
//! to a level, holds from a version on, and may differ between versions; a control
//! of the restricted level may take the place of one of the baseline.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

mod host;
mod privilege;
mod profiles;
mod system;

use serde_json::Value;

use super::policy::{Level, Standard, Version};

/// A Pod, or what a workload makes its Pods from.
#[derive(Clone, Copy)]
pub struct Pod<'a> {
    pub metadata: &'a Value,
    pub spec: &'a Value,
}

/// A control that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub reason: String,
    /// Which containers, which values; may be empty.
    pub detail: String,
}

type Rule = fn(Pod<'_>) -> Option<Violation>;

struct Control {
    id: &'static str,
    level: Level,
    /// From which minor version on, in order.
    versions: &'static [(u32, Rule)],
    /// The baseline control whose place it takes.
    overrides: &'static str,
}

const fn baseline(id: &'static str, versions: &'static [(u32, Rule)]) -> Control {
    Control { id, level: Level::Baseline, versions, overrides: "" }
}

const fn restricted(id: &'static str, overrides: &'static str, versions: &'static [(u32, Rule)]) -> Control {
    Control { id, level: Level::Restricted, versions, overrides }
}

/// In the order in which violations are told: the baseline first, each by id.
static CONTROLS: &[Control] = &[
    baseline("appArmorProfile", &[(0, profiles::app_armor)]),
    baseline("capabilities_baseline", &[(0, privilege::capabilities_baseline)]),
    baseline("hostNamespaces", &[(0, host::namespaces)]),
    baseline("hostPathVolumes", &[(0, host::path_volumes)]),
    baseline("hostPorts", &[(0, host::ports)]),
    baseline("hostProbesAndHostLifecycle", &[(34, host::probes)]),
    baseline("privileged", &[(0, privilege::privileged)]),
    baseline("procMount", &[(0, profiles::proc_mount), (35, profiles::proc_mount_of_host_users)]),
    baseline("seLinuxOptions", &[(0, profiles::se_linux), (31, profiles::se_linux_with_engine)]),
    baseline(
        "seccompProfile_baseline",
        &[(0, profiles::seccomp_annotations), (19, profiles::seccomp_baseline)],
    ),
    baseline(
        "sysctls",
        &[
            (0, system::sysctls::<5>),
            (27, system::sysctls::<6>),
            (29, system::sysctls::<10>),
            (32, system::sysctls::<12>),
            (37, system::sysctls::<14>),
        ],
    ),
    baseline("windowsHostProcess", &[(0, host::windows_process)]),
    restricted(
        "allowPrivilegeEscalation",
        "",
        &[(8, privilege::escalation), (25, privilege::escalation_on_linux)],
    ),
    restricted(
        "capabilities_restricted",
        "capabilities_baseline",
        &[(22, privilege::capabilities_restricted), (25, privilege::capabilities_restricted_on_linux)],
    ),
    restricted("procMount_restricted", "procMount", &[(35, profiles::proc_mount)]),
    restricted("restrictedVolumes", "hostPathVolumes", &[(0, system::volumes)]),
    restricted(
        "runAsNonRoot",
        "",
        &[(0, privilege::run_as_non_root), (35, privilege::run_as_non_root_of_host_users)],
    ),
    restricted("runAsUser", "", &[(23, privilege::run_as_user), (35, privilege::run_as_user_of_host_users)]),
    restricted(
        "seccompProfile_restricted",
        "seccompProfile_baseline",
        &[(19, profiles::seccomp_restricted), (25, profiles::seccomp_restricted_on_linux)],
    ),
];

impl Control {
    /// The rule as it was at a version.
    fn at(&self, version: Version) -> Option<Rule> {
        let old_enough = |since: u32| Version::Minor(since) <= version;
        self.versions.iter().rev().find(|(since, _)| old_enough(*since)).map(|(_, rule)| *rule)
    }
}

/// Everything in which a Pod does not meet a standard.
pub fn violations(standard: Standard, pod: Pod<'_>) -> Vec<Violation> {
    let applies =
        |control: &&Control| control.level <= standard.level && control.at(standard.version).is_some();
    let overridden = |id: &str| {
        let mut applied = CONTROLS.iter().filter(applies);
        applied.any(|other| other.level == Level::Restricted && other.overrides == id)
    };
    CONTROLS
        .iter()
        .filter(applies)
        .filter(|control| !overridden(control.id))
        .filter_map(|control| control.at(standard.version)?(pod))
        .collect()
}

/// `privileged (container "a" must not ...), hostPort (...)`
pub fn details(violations: &[Violation]) -> String {
    let one = |violation: &Violation| match violation.detail.as_str() {
        "" => violation.reason.clone(),
        detail => format!("{} ({detail})", violation.reason),
    };
    violations.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `privileged, hostPort`
pub fn reasons(violations: &[Violation]) -> String {
    violations.iter().map(|violation| violation.reason.as_str()).collect::<Vec<_>>().join(", ")
}

fn violation(reason: &str, detail: String) -> Option<Violation> {
    Some(Violation { reason: reason.to_owned(), detail })
}

/// Init containers, containers, ephemeral containers.
fn containers<'a>(pod: Pod<'a>) -> impl Iterator<Item = &'a Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |list| super::super::items(&pod.spec[list]))
}

fn name(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

/// Names of the containers for which `bad` holds.
fn those<'a>(pod: Pod<'a>, bad: impl Fn(&Value) -> bool) -> Vec<&'a str> {
    containers(pod).filter(|container| bad(container)).map(name).collect()
}

/// `"a", "b"`
fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect::<Vec<_>>().join(", ")
}

fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"`, `containers "a", "b"`
fn named(containers: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", containers.len()), quoted(containers))
}

/// `pod and containers "a", "b"`: who has set something.
fn setters(pod: bool, containers: &[&str]) -> Option<String> {
    match (pod, containers.is_empty()) {
        (false, true) => None,
        (true, true) => Some("pod".into()),
        (false, false) => Some(named(containers)),
        (true, false) => Some(format!("pod and {}", named(containers))),
    }
}

/// Root in a user namespace of its own is no root of the node.
fn is_in_user_namespace(pod: Pod<'_>) -> bool {
    pod.spec["hostUsers"] == false
}

fn is_windows(pod: Pod<'_>) -> bool {
    pod.spec["os"]["name"] == "windows"
}

#[cfg(test)]
mod tests;

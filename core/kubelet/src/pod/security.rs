//! Security contexts: the container's word counts before the Pod's. Pure.

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext};
use tiphys_runtime::cri::v1::{self, NamespaceMode, security_profile::ProfileType};

use super::{ephemeral, spec};

/// What an unprivileged container may not see or write below /proc and /sys, as
/// other runtimes hide it.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub fn pod_context(pod: &Pod) -> PodSecurityContext {
    spec::of(pod).security_context.clone().unwrap_or_default()
}

/// Which namespaces the Pod shares with the node, and its containers with each other.
pub fn namespaces(pod: &Pod) -> v1::NamespaceOption {
    let spec = spec::of(pod);
    let mode =
        |host: Option<bool>, own: NamespaceMode| if host == Some(true) { NamespaceMode::Node } else { own };
    let own_processes = if spec.share_process_namespace == Some(true) {
        NamespaceMode::Pod
    } else {
        NamespaceMode::Container
    };
    v1::NamespaceOption {
        network: mode(spec.host_network, NamespaceMode::Pod).into(),
        pid: mode(spec.host_pid, own_processes).into(),
        ipc: mode(spec.host_ipc, NamespaceMode::Pod).into(),
        ..Default::default()
    }
}

fn with_target(mut options: v1::NamespaceOption, target: Option<String>) -> v1::NamespaceOption {
    if let Some(target) = target.filter(|_| options.pid() == NamespaceMode::Container) {
        options.set_pid(NamespaceMode::Target);
        options.target_id = target;
    }
    options
}

/// Of the process that holds the Pod's namespaces.
pub fn sandbox(pod: &Pod) -> v1::LinuxSandboxSecurityContext {
    let context = pod_context(pod);
    // Of any list: the runtime lets none into a sandbox of less privilege.
    let later = ephemeral::all(pod).iter().map(|container| &container.security_context);
    let mut contexts = spec::all_containers(pod).map(|container| &container.security_context).chain(later);
    let privileged =
        contexts.any(|context| context.as_ref().is_some_and(|context| context.privileged == Some(true)));
    v1::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        run_as_user: context.run_as_user.map(|value| v1::Int64Value { value }),
        run_as_group: context.run_as_user.and(context.run_as_group).map(|value| v1::Int64Value { value }),
        supplemental_groups: groups(&context),
        privileged,
        seccomp: Some(profile(None)),
        ..Default::default()
    }
}

/// Of a container. `image_user` is what the image asks to run as: a uid or a name;
/// `target` the instance whose processes it is to see, if the Pod does not share them anyway.
pub fn container(
    pod: &Pod,
    container: &Container,
    image_user: &ImageUser,
    target: Option<String>,
) -> Result<v1::LinuxContainerSecurityContext, String> {
    let outer = pod_context(pod);
    let own = container.security_context.clone().unwrap_or_default();
    let privileged = own.privileged == Some(true);
    let user = own.run_as_user.or(outer.run_as_user);
    must_not_be_root(&outer, &own, user, image_user, &container.name)?;
    let (run_as_user, run_as_username) = match (user, image_user) {
        (Some(user), _) => (Some(user), String::new()),
        (None, ImageUser::Id(user)) => (Some(*user), String::new()),
        (None, ImageUser::Name(name)) => (None, name.clone()),
        (None, ImageUser::Root) => (None, String::new()),
    };
    let group = own.run_as_group.or(outer.run_as_group);
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let hidden = !privileged && own.proc_mount.as_deref() != Some("Unmasked");
    let paths =
        |paths: &[&str]| if hidden { paths.iter().map(ToString::to_string).collect() } else { Vec::new() };
    let seccomp = own.seccomp_profile.as_ref().or(outer.seccomp_profile.as_ref());
    Ok(v1::LinuxContainerSecurityContext {
        capabilities: Some(v1::Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            ..Default::default()
        }),
        privileged,
        namespace_options: Some(with_target(namespaces(pod), target)),
        // CRI refuses a group without a user.
        run_as_group: (run_as_user.is_some() || !run_as_username.is_empty())
            .then_some(group)
            .flatten()
            .map(|value| v1::Int64Value { value }),
        run_as_user: run_as_user.map(|value| v1::Int64Value { value }),
        run_as_username,
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(&outer),
        no_new_privs: own.allow_privilege_escalation == Some(false) && !privileged,
        masked_paths: paths(MASKED),
        readonly_paths: paths(READ_ONLY),
        seccomp: Some(profile(seccomp)),
        ..Default::default()
    })
}

/// The user that an image names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageUser {
    Root,
    Id(i64),
    Name(String),
}

pub fn is_privileged(container: &Container) -> bool {
    container.security_context.as_ref().and_then(|context| context.privileged) == Some(true)
}

fn must_not_be_root(
    outer: &PodSecurityContext,
    own: &SecurityContext,
    user: Option<i64>,
    image_user: &ImageUser,
    name: &str,
) -> Result<(), String> {
    if own.run_as_non_root.or(outer.run_as_non_root) != Some(true) {
        return Ok(());
    }
    match (user, image_user) {
        (Some(0), _) => Err(format!(
            "container's runAsUser breaks non-root policy (container: {name}): set runAsUser to another value than 0"
        )),
        (Some(_), _) => Ok(()),
        (None, ImageUser::Root | ImageUser::Id(0)) => Err(format!(
            "container has runAsNonRoot and image will run as root (container: {name}): set runAsUser"
        )),
        (None, ImageUser::Id(_)) => Ok(()),
        (None, ImageUser::Name(user)) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root \
             (container: {name}): set runAsUser"
        )),
    }
}

/// The Pod's volumes belong to fsGroup; every container is in it.
fn groups(context: &PodSecurityContext) -> Vec<i64> {
    let mut groups = context.supplemental_groups.clone().unwrap_or_default();
    groups.extend(context.fs_group);
    groups
}

/// Nothing said means unconfined, as the API has it.
fn profile(given: Option<&SeccompProfile>) -> v1::SecurityProfile {
    let kind = given.map_or("Unconfined", |profile| profile.type_.as_str());
    let profile_type = match kind {
        "RuntimeDefault" => ProfileType::RuntimeDefault,
        "Localhost" => ProfileType::Localhost,
        _ => ProfileType::Unconfined,
    };
    let localhost_ref = given.and_then(|profile| profile.localhost_profile.clone()).unwrap_or_default();
    v1::SecurityProfile { profile_type: profile_type.into(), localhost_ref }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn context(
        outer: serde_json::Value,
        own: serde_json::Value,
        image: ImageUser,
    ) -> Result<v1::LinuxContainerSecurityContext, String> {
        let pod = json!({"spec": {"securityContext": outer, "containers": [{"name": "a", "securityContext": own}]}});
        let pod: Pod = serde_json::from_value(pod).expect("a Pod");
        container(&pod, &spec::of(&pod).containers[0], &image, None)
    }

    #[test]
    fn the_containers_word_counts_first() {
        let outer = json!({"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]});
        let made = context(outer, json!({"runAsUser": 9}), ImageUser::Root).expect("allowed");
        assert_eq!(made.run_as_user.map(|user| user.value), Some(9));
        assert_eq!(made.run_as_group.map(|group| group.value), Some(2));
        assert_eq!(made.supplemental_groups, [4, 3]);
        assert!(!made.masked_paths.is_empty());
        let free = context(json!({}), json!({"privileged": true}), ImageUser::Root).expect("allowed");
        assert!(free.masked_paths.is_empty() && free.privileged);
    }

    #[test]
    fn non_root_is_enforced() {
        let non_root = || json!({"runAsNonRoot": true});
        for (own, image, ok) in [
            (json!({}), ImageUser::Root, false),
            (json!({}), ImageUser::Id(0), false),
            (json!({}), ImageUser::Id(7), true),
            (json!({}), ImageUser::Name("web".into()), false),
            (json!({"runAsUser": 0}), ImageUser::Id(7), false),
            (json!({"runAsUser": 7}), ImageUser::Root, true),
            (json!({"runAsNonRoot": false}), ImageUser::Root, true),
        ] {
            assert_eq!(context(non_root(), own.clone(), image.clone()).is_ok(), ok, "{own} {image:?}");
        }
    }

    #[test]
    fn a_target_gives_its_processes_unless_they_are_shared_anyway() {
        for (spec, expected) in [
            (json!({}), NamespaceMode::Target),
            (json!({"shareProcessNamespace": true}), NamespaceMode::Pod),
            (json!({"hostPID": true}), NamespaceMode::Node),
        ] {
            let mut pod = json!({"spec": spec});
            pod["spec"]["containers"] = json!([{"name": "a"}]);
            let pod: Pod = serde_json::from_value(pod).expect("a Pod");
            let a = &spec::of(&pod).containers[0];
            let made = container(&pod, a, &ImageUser::Root, Some("id".into())).expect("allowed");
            let options = made.namespace_options.expect("options");
            assert_eq!(options.pid(), expected, "{spec}");
            assert_eq!(options.target_id.is_empty(), expected != NamespaceMode::Target);
        }
    }

    #[test]
    fn a_privileged_container_of_any_list_makes_the_sandbox_so() {
        for (list, expected) in [("containers", true), ("ephemeralContainers", true), ("none", false)] {
            let mut spec = json!({"containers": []});
            spec[list] = json!([{"name": "a", "securityContext": {"privileged": true}}]);
            let pod: Pod = serde_json::from_value(json!({"spec": spec})).expect("a Pod");
            assert_eq!(sandbox(&pod).privileged, expected, "{list}");
        }
    }
}

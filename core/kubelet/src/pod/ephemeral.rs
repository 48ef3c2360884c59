//! Ephemeral containers: what `kubectl debug` adds to a Pod that runs. Pure.
//!
//! They are started once and never again, wait for no init container, have no
//! probes, and count neither for the Pod's phase nor for its readiness.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod};

use super::spec;

pub fn all(pod: &Pod) -> &[EphemeralContainer] {
    spec::of(pod).ephemeral_containers.as_deref().unwrap_or_default()
}

pub fn find<'a>(pod: &'a Pod, name: &str) -> Option<&'a EphemeralContainer> {
    all(pod).iter().find(|container| container.name == name)
}

/// The container whose processes this one is to see.
pub fn target<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    find(pod, name)?.target_container_name.as_deref().filter(|target| !target.is_empty())
}

/// The same as an ordinary container, without what the API does not let it have.
pub fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let one = ephemeral.clone();
    Container {
        name: one.name,
        image: one.image,
        image_pull_policy: one.image_pull_policy,
        command: one.command,
        args: one.args,
        working_dir: one.working_dir,
        env: one.env,
        env_from: one.env_from,
        volume_mounts: one.volume_mounts,
        volume_devices: one.volume_devices,
        security_context: one.security_context,
        stdin: one.stdin,
        stdin_once: one.stdin_once,
        tty: one.tty,
        termination_message_path: one.termination_message_path,
        termination_message_policy: one.termination_message_policy,
        ..Container::default()
    }
}

/// Whether the API was told already that it was made, should the runtime have forgotten it.
pub fn was_made(pod: &Pod, name: &str) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
    statuses.into_iter().any(|status| status.name == name && status.container_id.is_some())
}

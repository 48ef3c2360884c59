//! Reading a Pod's spec: the questions that several decisions ask.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use sha2::{Digest, Sha256};

use super::ephemeral;

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

static NO_SPEC: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);

/// A Pod without a spec, which the API never gives, has an empty one.
pub fn of(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap_or(&NO_SPEC)
}

pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    match of(pod).restart_policy.as_deref() {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    }
}

/// An init container that goes on beside the others.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

pub fn init_containers(pod: &Pod) -> &[Container] {
    of(pod).init_containers.as_deref().unwrap_or_default()
}

/// Init containers first, as they start.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    init_containers(pod).iter().chain(&of(pod).containers)
}

/// One that the Pod began with.
pub fn original<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    all_containers(pod).find(|container| container.name == name)
}

/// Of any list, the ephemeral ones too.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<Cow<'a, Container>> {
    let found = original(pod, name).map(Cow::Borrowed);
    found.or_else(|| ephemeral::find(pod, name).map(|found| Cow::Owned(ephemeral::as_container(found))))
}

/// Which kind of container it is, as kubelets' figures name it.
pub fn container_type(pod: &Pod, name: &str) -> &'static str {
    if ephemeral::find(pod, name).is_some() {
        "ephemeral_container"
    } else if init_containers(pod).iter().any(|container| container.name == name) {
        "init_container"
    } else {
        "container"
    }
}

/// Where in the Pod the container stands, as events name it.
pub fn field_path(pod: &Pod, name: &str) -> String {
    let list = match container_type(pod, name) {
        "ephemeral_container" => "ephemeralContainers",
        "init_container" => "initContainers",
        _ => "containers",
    };
    format!("spec.{list}{{{name}}}")
}

pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

pub fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

pub fn uses_host_network(pod: &Pod) -> bool {
    of(pod).host_network == Some(true)
}

/// Succeeded or Failed: nothing of it will run again.
pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// How long the Pod's containers have to stop. The deletion's word counts before the spec's.
pub fn grace_seconds(pod: &Pod) -> i64 {
    let asked = pod.metadata.deletion_grace_period_seconds;
    asked.or(of(pod).termination_grace_period_seconds).unwrap_or(30).max(0)
}

/// Of what may change in a running Pod, only the image restarts a container.
pub fn container_hash(container: &Container) -> String {
    let identity = format!("{}\0{}", container.name, container.image.as_deref().unwrap_or_default());
    let digest = Sha256::digest(identity.as_bytes());
    digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

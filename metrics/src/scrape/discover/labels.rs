//! The `__meta_kubernetes_*` labels of what was discovered, as Prometheus' service
//! discovery names them. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerPort, Service};
use tiphys_api::labels::LabelMap as _;
use tiphys_client::{LeanPod, Metadata as _, Phase};

pub type Discovered = BTreeMap<String, String>;

/// A label's name from any text.
pub fn sanitized(text: &str) -> String {
    let allowed = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    text.chars().map(allowed).collect()
}

pub fn set(labels: &mut Discovered, name: &str, value: &str) {
    labels.insert(name.to_owned(), value.to_owned());
}

fn set_all<'a>(labels: &mut Discovered, prefix: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in pairs {
        let name = sanitized(name);
        set(labels, &format!("__meta_kubernetes_{prefix}_{name}"), value);
        set(labels, &format!("__meta_kubernetes_{prefix}present_{name}"), "true");
    }
}

/// What is known of a Pod.
pub fn pod(pod: &LeanPod, labels: &mut Discovered) {
    set(labels, "__meta_kubernetes_namespace", &pod.namespace);
    set(labels, "__meta_kubernetes_pod_name", &pod.name);
    set(labels, "__meta_kubernetes_pod_uid", &pod.uid);
    set(labels, "__meta_kubernetes_pod_node_name", &pod.node);
    set(labels, "__meta_kubernetes_pod_ip", pod.status.ips.first().map_or("", |ip| ip));
    let phase = match pod.status.phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Unknown => "Unknown",
    };
    set(labels, "__meta_kubernetes_pod_phase", phase);
    let ready = pod.condition("Ready").is_some_and(|condition| condition.holds);
    set(labels, "__meta_kubernetes_pod_ready", if ready { "true" } else { "false" });
    if let Some(owner) = pod.owners.iter().find(|owner| owner.controller == Some(true)) {
        set(labels, "__meta_kubernetes_pod_controller_kind", &owner.kind);
        set(labels, "__meta_kubernetes_pod_controller_name", &owner.name);
    }
    set_all(labels, "pod_label", pod.labels().iter());
    let annotations = tiphys_client::SCRAPED.into_iter().filter_map(|key| Some((key, pod.annotation(key)?)));
    set_all(labels, "pod_annotation", annotations);
}

/// What is known of a container, and of a port of it.
pub fn container(container: &Container, port: Option<&ContainerPort>, labels: &mut Discovered) {
    set(labels, "__meta_kubernetes_pod_container_name", &container.name);
    set(labels, "__meta_kubernetes_pod_container_image", container.image.as_deref().unwrap_or_default());
    if let Some(port) = port {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        set(labels, "__meta_kubernetes_pod_container_port_name", port.name.as_deref().unwrap_or_default());
        set(labels, "__meta_kubernetes_pod_container_port_number", &port.container_port.to_string());
        set(labels, "__meta_kubernetes_pod_container_port_protocol", protocol);
    }
}

/// What is known of a Service.
pub fn service(service: &Service, labels: &mut Discovered) {
    let meta = &service.metadata;
    set(labels, "__meta_kubernetes_namespace", meta.namespace.as_deref().unwrap_or_default());
    set(labels, "__meta_kubernetes_service_name", meta.name.as_deref().unwrap_or_default());
    let pairs = |map: &'static str, values: &Option<BTreeMap<String, String>>, labels: &mut Discovered| {
        let values = values.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
        set_all(labels, map, values);
    };
    pairs("service_label", &meta.labels, labels);
    pairs("service_annotation", &meta.annotations, labels);
}

/// The labels that a monitor copies from an object.
pub fn copied(names: &[String], value: impl Fn(&str) -> Option<String>, labels: &mut Discovered) {
    for name in names {
        if let Some(value) = value(name).filter(|value| !value.is_empty()) {
            set(labels, &sanitized(name), &value);
        }
    }
}

/// A label of a Pod.
pub fn of_pod(pod: &LeanPod, name: &str) -> Option<String> {
    pod.labels().value(name).map(str::to_owned)
}

/// The port with this name or number, of any container, and its container.
pub fn port(pod: &LeanPod, chosen: impl Fn(&ContainerPort) -> bool) -> Option<(&Container, &ContainerPort)> {
    // A container that goes on beside the others is among those that initialize.
    let beside = pod.spec.init_containers.iter().flatten();
    let beside = beside.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let all = pod.spec.containers.iter().chain(beside);
    all.flat_map(|container| container.ports.iter().flatten().map(move |port| (container, port)))
        .find(|(_, port)| chosen(port))
}

/// Host and port as they stand in a URL.
pub fn address(ip: &str, port: i32) -> String {
    match ip.contains(':') {
        true => format!("[{ip}]:{port}"),
        false => format!("{ip}:{port}"),
    }
}

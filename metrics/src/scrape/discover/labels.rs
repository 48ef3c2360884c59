//! The `__meta_kubernetes_*` labels of what was discovered, as Prometheus' service
//! discovery names them. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{Container, ContainerPort, Node, Service},
    discovery::v1::{Endpoint, EndpointPort},
};
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

fn set_pairs(labels: &mut Discovered, prefix: &str, pairs: Option<&BTreeMap<String, String>>) {
    let pairs = pairs.into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
    set_all(labels, prefix, pairs);
}

/// What is known of a Pod, whose node has this address; none: the node isn't known.
pub fn pod(pod: &LeanPod, host: Option<&str>, labels: &mut Discovered) {
    set(labels, "__meta_kubernetes_namespace", &pod.namespace);
    set(labels, "__meta_kubernetes_pod_name", &pod.name);
    set(labels, "__meta_kubernetes_pod_uid", &pod.uid);
    set(labels, "__meta_kubernetes_pod_node_name", &pod.node);
    set(labels, "__meta_kubernetes_pod_host_ip", host.unwrap_or_default());
    set(labels, "__meta_kubernetes_pod_ip", pod.status.ips.first().map_or("", |ip| ip));
    let phase = match pod.status.phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Succeeded => "Succeeded",
        Phase::Failed => "Failed",
        Phase::Unknown => "Unknown",
    };
    set(labels, "__meta_kubernetes_pod_phase", phase);
    let ready = pod.condition("Ready").map_or("unknown", |condition| truth(condition.holds));
    set(labels, "__meta_kubernetes_pod_ready", ready);
    if let Some(owner) = pod.owners.iter().find(|owner| owner.controller == Some(true)) {
        set(labels, "__meta_kubernetes_pod_controller_kind", &owner.kind);
        set(labels, "__meta_kubernetes_pod_controller_name", &owner.name);
    }
    set_all(labels, "pod_label", pod.labels().iter());
    set_all(labels, "pod_annotation", pod.annotations());
}

/// What is known of a container of a Pod, and of a port of it.
pub fn container(
    pod: &LeanPod,
    container: &Container,
    port: Option<&ContainerPort>,
    labels: &mut Discovered,
) {
    let initializes = pod.spec.init_containers.iter().flatten().any(|one| one.name == container.name);
    set(labels, "__meta_kubernetes_pod_container_init", truth(initializes));
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
    set_pairs(labels, "service_label", meta.labels.as_ref());
    set_pairs(labels, "service_annotation", meta.annotations.as_ref());
}

/// What is known of a node; its annotations only where `whole`.
pub fn node(node: &Node, whole: bool, labels: &mut Discovered) {
    set(labels, "__meta_kubernetes_node_name", node.metadata.name.as_deref().unwrap_or_default());
    set_pairs(labels, "node_label", node.metadata.labels.as_ref());
    set_pairs(labels, "node_annotation", node.metadata.annotations.as_ref().filter(|_| whole));
}

/// What is known of an endpoint and of its port, under the names of the roles `endpointslice` and
/// `endpoints`.
pub fn endpoint(one: &Endpoint, port: Option<&EndpointPort>, labels: &mut Discovered) {
    let conditions = one.conditions.as_ref();
    let condition = |holds: Option<bool>| holds.map(truth);
    let ready = condition(conditions.and_then(|all| all.ready).or(Some(true)));
    let target = one.target_ref.as_ref();
    let (kind, name) = (target.and_then(|it| it.kind.as_deref()), target.and_then(|it| it.name.as_deref()));
    let protocol = port.map(|port| port.protocol.as_deref().unwrap_or("TCP"));
    let told = [
        ("endpoint_ready", ready),
        ("endpoint_hostname", one.hostname.as_deref()),
        ("endpoint_node_name", one.node_name.as_deref()),
        ("endpoint_port_protocol", protocol),
        ("endpoint_address_target_kind", kind),
        ("endpoint_address_target_name", name),
        ("endpointslice_address_target_kind", kind),
        ("endpointslice_address_target_name", name),
        ("endpointslice_endpoint_conditions_ready", ready),
        ("endpointslice_endpoint_conditions_serving", condition(conditions.and_then(|all| all.serving))),
        (
            "endpointslice_endpoint_conditions_terminating",
            condition(conditions.and_then(|all| all.terminating)),
        ),
        ("endpointslice_endpoint_hostname", one.hostname.as_deref()),
        ("endpointslice_endpoint_node_name", one.node_name.as_deref()),
        ("endpointslice_endpoint_zone", one.zone.as_deref()),
        ("endpointslice_port_name", port.and_then(|port| port.name.as_deref())),
        ("endpointslice_port_protocol", protocol),
        ("endpointslice_port_app_protocol", port.and_then(|port| port.app_protocol.as_deref())),
    ];
    for (name, value) in told {
        if let Some(value) = value {
            set(labels, &format!("__meta_kubernetes_{name}"), value);
        }
    }
    if let Some(number) = port.and_then(|port| port.port) {
        set(labels, "__meta_kubernetes_endpointslice_port", &number.to_string());
    }
}

fn truth(holds: bool) -> &'static str {
    if holds { "true" } else { "false" }
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

/// The containers that go on, those that stand beside the others among the ones that initialize too.
pub fn containers(pod: &LeanPod) -> impl Iterator<Item = &Container> {
    let beside = pod.spec.init_containers.iter().flatten();
    let beside = beside.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    pod.spec.containers.iter().chain(beside)
}

/// The ports that are chosen, of any container, and their containers.
pub fn ports(
    pod: &LeanPod,
    chosen: impl Fn(&ContainerPort) -> bool,
) -> impl Iterator<Item = (&Container, &ContainerPort)> {
    containers(pod)
        .flat_map(|container| container.ports.iter().flatten().map(move |port| (container, port)))
        .filter(move |(_, port)| chosen(port))
}

/// The first of them.
pub fn port(pod: &LeanPod, chosen: impl Fn(&ContainerPort) -> bool) -> Option<(&Container, &ContainerPort)> {
    ports(pod, chosen).next()
}

/// Host and port as they stand in a URL.
pub fn address(ip: &str, port: i32) -> String {
    format!("{}:{port}", host(ip))
}

/// A host as it stands in a URL.
pub fn host(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }
}

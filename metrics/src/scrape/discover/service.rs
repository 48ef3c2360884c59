//! ServiceMonitors: the endpoints of the Services that they select. Pure.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{ContainerPort, Service},
        discovery::v1::{Endpoint as SliceEndpoint, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use tiphys_api::selector::LabelSelector;
use tiphys_client::LeanPod;

use super::{
    Found, Lookup,
    labels::{self, Discovered, set},
    monitor,
    spec::{Endpoint, Monitor},
};

pub fn monitors(lookup: &Lookup<'_>, found: &mut Found) {
    for one in &lookup.world.service_monitors {
        let namespace = one.metadata.namespace.as_deref().unwrap_or_default();
        let name = one.metadata.name.as_deref().unwrap_or_default();
        let pool = format!("serviceMonitor/{namespace}/{name}");
        let read = monitor::read(&one.spec.written).and_then(|monitor| {
            let selector = LabelSelector::try_from(&monitor.selector).map_err(|error| error.to_string())?;
            Ok((monitor, selector))
        });
        let (monitor, selector) = match read {
            Ok(read) => read,
            Err(why) => {
                found.problem(&pool, namespace, why);
                continue;
            }
        };
        let within = monitor::namespaces(&monitor, namespace);
        let empty = Default::default();
        let chosen: Vec<_> = (lookup.world.services.iter())
            .filter(|service| {
                let of = service.metadata.namespace.as_deref().unwrap_or_default();
                within.as_ref().is_none_or(|names| names.contains(&of))
                    && selector.matches(service.metadata.labels.as_ref().unwrap_or(&empty))
            })
            .collect();
        for (number, endpoint) in monitor.endpoints.iter().enumerate() {
            let pool = format!("{pool}/{number}");
            let bound = lookup.bound(namespace);
            super::tell_not_done(found, &pool, namespace, &monitor, endpoint);
            // A job a namespace: what is bound is bound to where the target is.
            let mut of: std::collections::BTreeMap<&str, Vec<Discovered>> = Default::default();
            for service in &chosen {
                let at = service.metadata.namespace.as_deref().unwrap_or_default();
                of.entry(at).or_default().extend(targets(lookup, service, &monitor, endpoint, bound));
            }
            for (at, targets) in of {
                let made =
                    monitor::job(pool.clone(), namespace, bound, &one.spec.written, &monitor, endpoint);
                match made.map(|job| super::bound_to(job, at)) {
                    Ok(job) => found.add(&Arc::new(job), namespace, at, targets),
                    Err(why) => found.problem(&pool, namespace, why),
                }
            }
        }
    }
}

/// The targets of one Service.
fn targets(
    lookup: &Lookup<'_>,
    service: &Service,
    monitor: &Monitor,
    endpoint: &Endpoint,
    bound: bool,
) -> Vec<Discovered> {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let mut targets = Vec::new();
    for slice in lookup.slices.get(&(namespace, name)).into_iter().flatten() {
        for one in slice.endpoints.iter().flatten() {
            let reference = one.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
            let pod = reference.and_then(|target| {
                lookup.pods.get(&(namespace, target.name.as_deref().unwrap_or_default())).copied()
            });
            if endpoint.filter_running != Some(false) && pod.is_some_and(LeanPod::finished) {
                continue;
            }
            for (port, port_name) in &ports(slice, pod, endpoint) {
                let port = *port;
                for ip in &one.addresses {
                    let mut discovered = Discovered::new();
                    let port_name = port_name.as_str();
                    known(lookup, &Place { service, slice, one, ip, port, port_name, pod }, &mut discovered);
                    if monitor.attach_metadata.node {
                        // An endpoint that is a node itself is meant, else the one that it is on.
                        let is_node = one.target_ref.as_ref().filter(|it| it.kind.as_deref() == Some("Node"));
                        let of_node = is_node.map_or(one.node_name.as_deref(), |it| it.name.as_deref());
                        lookup.attach_node(of_node.unwrap_or_default(), bound, &mut discovered);
                    }
                    say(service, monitor, endpoint, pod, port_name, &mut discovered);
                    targets.push(discovered);
                }
            }
        }
    }
    targets
}

/// The ports of a slice that an endpoint means, with the names that they are known by.
fn ports(slice: &EndpointSlice, pod: Option<&LeanPod>, endpoint: &Endpoint) -> Vec<(i32, String)> {
    let listed = slice.ports.iter().flatten();
    let pair = |port: &EndpointPort| Some((port.port?, port.name.clone().unwrap_or_default()));
    if let Some(wanted) = endpoint.port.as_deref().filter(|name| !name.is_empty()) {
        return listed.filter(|port| port.name.as_deref() == Some(wanted)).filter_map(pair).collect();
    }
    match &endpoint.target_port {
        None => listed.filter_map(pair).collect(),
        Some(target) => {
            let chosen = |port: &ContainerPort| match target {
                IntOrString::Int(number) => port.container_port == *number,
                IntOrString::String(name) => port.name.as_ref() == Some(name),
            };
            let numbers = |pod| labels::ports(pod, chosen).map(|(_, port)| port.container_port).collect();
            let numbers: BTreeSet<i32> = pod.map(numbers).unwrap_or_default();
            let name = match target {
                IntOrString::Int(number) => number.to_string(),
                IntOrString::String(name) => name.clone(),
            };
            numbers.into_iter().map(|number| (number, name.clone())).collect()
        }
    }
}

/// One address and port of a Service.
struct Place<'a> {
    service: &'a Service,
    slice: &'a EndpointSlice,
    one: &'a SliceEndpoint,
    ip: &'a str,
    port: i32,
    port_name: &'a str,
    pod: Option<&'a LeanPod>,
}

fn known(lookup: &Lookup<'_>, place: &Place<'_>, discovered: &mut Discovered) {
    let Place { service, slice, one, ip, port, port_name, pod } = *place;
    if let Some(pod) = pod {
        labels::pod(pod, lookup.host_ip(pod), discovered);
        if let Some((container, port)) = labels::port(pod, |declared| declared.container_port == port) {
            labels::container(pod, container, Some(port), discovered);
        }
    }
    labels::service(service, discovered);
    labels::endpoint(one, slice.ports.iter().flatten().find(|it| it.port == Some(port)), discovered);
    let of_slice = slice.address_type.as_str();
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let slice = slice.metadata.name.as_deref().unwrap_or_default();
    for (label, value) in [
        ("__meta_kubernetes_endpoints_name", name),
        ("__meta_kubernetes_endpointslice_name", slice),
        ("__meta_kubernetes_endpointslice_address_type", of_slice),
        ("__meta_kubernetes_endpoint_port_name", port_name),
        ("__address__", &labels::address(ip, port)),
    ] {
        set(discovered, label, value);
    }
}

/// What the operator makes of a monitor before its relabelings.
fn say(
    service: &Service,
    monitor: &Monitor,
    endpoint: &Endpoint,
    pod: Option<&LeanPod>,
    port_name: &str,
    discovered: &mut Discovered,
) {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let of_service = |label: &str| service.metadata.labels.as_ref()?.get(label).cloned();
    let job = of_service(&monitor.job_label).filter(|value| !value.is_empty());
    set(discovered, "namespace", service.metadata.namespace.as_deref().unwrap_or_default());
    set(discovered, "service", name);
    set(discovered, "job", job.as_deref().unwrap_or(name));
    set(discovered, "endpoint", port_name);
    if let Some(pod) = pod {
        set(discovered, "pod", &pod.name);
        if let Some(container) = discovered.get("__meta_kubernetes_pod_container_name").cloned() {
            set(discovered, "container", &container);
        }
        labels::copied(&monitor.pod_target_labels, |label| labels::of_pod(pod, label), discovered);
    }
    labels::copied(&monitor.target_labels, of_service, discovered);
    super::asked(endpoint, discovered);
}

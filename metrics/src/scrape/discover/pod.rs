//! PodMonitors: the ports of the Pods that they select. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    api::core::v1::{Container, ContainerPort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tiphys_api::selector::LabelSelector;
use tiphys_client::{LeanPod, Metadata as _};

use super::{
    Found, Lookup,
    labels::{self, Discovered, set},
    monitor,
    spec::{Endpoint, Monitor},
};

pub fn monitors(lookup: &Lookup<'_>, found: &mut Found) {
    for one in &lookup.world.pod_monitors {
        let namespace = one.metadata.namespace.as_deref().unwrap_or_default();
        let name = one.metadata.name.as_deref().unwrap_or_default();
        let pool = format!("podMonitor/{namespace}/{name}");
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
        let chosen: Vec<_> = (lookup.world.pods.iter())
            .filter(|pod| within.as_ref().is_none_or(|names| names.contains(&&*pod.namespace)))
            .filter(|pod| selector.matches(pod.labels()) && !pod.status.ips.is_empty())
            .collect();
        for (number, endpoint) in monitor.pod_metrics_endpoints.iter().enumerate() {
            let pool = format!("{pool}/{number}");
            let bound = lookup.bound(namespace);
            super::tell_not_done(found, &pool, namespace, &monitor, endpoint);
            let mut of: BTreeMap<&str, Vec<Discovered>> = BTreeMap::new();
            for pod in &chosen {
                if endpoint.filter_running != Some(false) && pod.finished() {
                    continue;
                }
                let named = format!("{namespace}/{name}");
                let mut targets = targets(lookup, pod, &named, &monitor, endpoint);
                if monitor.attach_metadata.node {
                    targets.iter_mut().for_each(|target| lookup.attach_node(&pod.node, bound, target));
                }
                of.entry(&pod.namespace).or_default().extend(targets);
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

/// Which ports an endpoint means.
#[derive(Debug, Clone, Copy)]
enum Meant<'a> {
    Named(&'a str),
    Numbered(i32),
    All,
}

impl<'a> Meant<'a> {
    fn of(endpoint: &'a Endpoint) -> Self {
        match (endpoint.port.as_deref(), endpoint.port_number, &endpoint.target_port) {
            (Some(name), _, _) if !name.is_empty() => Self::Named(name),
            (_, Some(number), _) => Self::Numbered(number),
            (_, _, Some(IntOrString::Int(number))) => Self::Numbered(*number),
            (_, _, Some(IntOrString::String(name))) => Self::Named(name),
            _ => Self::All,
        }
    }

    fn takes(self, port: &ContainerPort) -> bool {
        match self {
            Self::Named(name) => port.name.as_deref() == Some(name),
            Self::Numbered(number) => port.container_port == number,
            Self::All => true,
        }
    }
}

/// The targets of one Pod: each port that is meant, of whatever container. An endpoint that names none means
/// those containers too that declare none, by the Pod's address alone: a relabeling may say the port.
fn targets(
    lookup: &Lookup<'_>,
    pod: &LeanPod,
    name: &str,
    monitor: &Monitor,
    endpoint: &Endpoint,
) -> Vec<Discovered> {
    let meant = Meant::of(endpoint);
    let declared = labels::ports(pod, |port| meant.takes(port)).map(|(of, port)| (of, Some(port)));
    let is_bare = |container: &&Container| container.ports.as_ref().is_none_or(Vec::is_empty);
    let bare = labels::containers(pod).filter(|_| matches!(meant, Meant::All)).filter(is_bare);
    let mut seen = BTreeSet::new();
    let mut targets = Vec::new();
    for (container, port) in declared.chain(bare.map(|container| (container, None))) {
        // What is declared for TCP and for UDP is one.
        if seen.insert((container.name.as_str(), port.map(|port| port.container_port))) {
            targets.extend(target(lookup, pod, name, monitor, endpoint, (container, port)));
        }
    }
    targets
}

fn target(
    lookup: &Lookup<'_>,
    pod: &LeanPod,
    name: &str,
    monitor: &Monitor,
    endpoint: &Endpoint,
    (container, port): (&Container, Option<&ContainerPort>),
) -> Option<Discovered> {
    let ip = pod.status.ips.first()?;
    let mut discovered = Discovered::new();
    labels::pod(pod, lookup.host_ip(pod), &mut discovered);
    labels::container(pod, container, port, &mut discovered);
    let address = port.map_or_else(|| labels::host(ip), |port| labels::address(ip, port.container_port));
    set(&mut discovered, "__address__", &address);
    set(&mut discovered, "namespace", &pod.namespace);
    set(&mut discovered, "pod", &pod.name);
    set(&mut discovered, "container", &container.name);
    let job = labels::of_pod(pod, &monitor.job_label).filter(|value| !value.is_empty());
    set(&mut discovered, "job", job.as_deref().unwrap_or(name));
    let named = endpoint.port.clone().filter(|name| !name.is_empty()).or_else(|| port?.name.clone());
    if let Some(spelt) = named.or_else(|| Some(port?.container_port.to_string())) {
        set(&mut discovered, "endpoint", &spelt);
    }
    labels::copied(&monitor.pod_target_labels, |label| labels::of_pod(pod, label), &mut discovered);
    super::asked(endpoint, &mut discovered);
    Some(discovered)
}

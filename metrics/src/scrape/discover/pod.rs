//! PodMonitors: the ports of the Pods that they select. Pure.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{api::core::v1::ContainerPort, apimachinery::pkg::util::intstr::IntOrString};
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
                let running = endpoint.filter_running == Some(false) || !pod.finished();
                let named = format!("{namespace}/{name}");
                let target = running.then(|| target(lookup, pod, &named, &monitor, endpoint)).flatten();
                let target = target.map(|mut discovered| {
                    if monitor.attach_metadata.node {
                        lookup.attach_node(&pod.node, bound, &mut discovered);
                    }
                    discovered
                });
                of.entry(&pod.namespace).or_default().extend(target);
            }
            for (at, targets) in of {
                let made =
                    monitor::job(pool.clone(), namespace, bound, &one.spec.written, &monitor, endpoint);
                match made.map(|job| super::bound_to(job, at)) {
                    Ok(job) => found.add(&Arc::new(job), at, targets),
                    Err(why) => found.problem(&pool, namespace, why),
                }
            }
        }
    }
}

fn target(
    lookup: &Lookup<'_>,
    pod: &LeanPod,
    name: &str,
    monitor: &Monitor,
    endpoint: &Endpoint,
) -> Option<Discovered> {
    let chosen = |port: &ContainerPort| match (&endpoint.port, endpoint.port_number, &endpoint.target_port) {
        (Some(name), _, _) if !name.is_empty() => port.name.as_ref() == Some(name),
        (_, Some(number), _) => port.container_port == number,
        (_, _, Some(IntOrString::Int(number))) => port.container_port == *number,
        (_, _, Some(IntOrString::String(name))) => port.name.as_ref() == Some(name),
        _ => true,
    };
    let (container, port) = labels::port(pod, chosen)?;
    let mut discovered = Discovered::new();
    labels::pod(pod, lookup.host_ip(pod), &mut discovered);
    labels::container(pod, container, Some(port), &mut discovered);
    let ip = pod.status.ips.first()?;
    set(&mut discovered, "__address__", &labels::address(ip, port.container_port));
    set(&mut discovered, "namespace", &pod.namespace);
    set(&mut discovered, "pod", &pod.name);
    set(&mut discovered, "container", &container.name);
    let job = labels::of_pod(pod, &monitor.job_label).filter(|value| !value.is_empty());
    set(&mut discovered, "job", job.as_deref().unwrap_or(name));
    let spelt = endpoint.port.clone().or_else(|| port.name.clone());
    set(&mut discovered, "endpoint", &spelt.unwrap_or_else(|| port.container_port.to_string()));
    labels::copied(&monitor.pod_target_labels, |label| labels::of_pod(pod, label), &mut discovered);
    super::asked(endpoint, &mut discovered);
    Some(discovered)
}

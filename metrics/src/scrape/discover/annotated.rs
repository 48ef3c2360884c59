//! `prometheus.io/scrape: "true"` on Pods and Services, with `/port`, `/path` and `/scheme`. Pure.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use tiphys_client::{LeanPod, Metadata as _, SCRAPED};

use super::{
    Found, Lookup,
    labels::{self, Discovered, set},
    monitor::{BODY_LIMIT, INTERVAL},
};
use crate::scrape::{
    access::Access,
    expose::Format,
    target::{Job, Reach, Taking},
};

const SCRAPE: &str = SCRAPED[0];
const PORT: &str = SCRAPED[1];
const PATH: &str = SCRAPED[2];
const SCHEME: &str = SCRAPED[3];

fn job(name: &str, namespace: &str) -> Arc<Job> {
    Arc::new(Job {
        name: name.to_owned(),
        written: format!("{name} {namespace}"),
        interval: INTERVAL,
        timeout: std::time::Duration::from_secs(10),
        relabelings: Vec::new(),
        taking: Arc::new(Taking { namespace: Some(namespace.to_owned()), ..Taking::default() }),
        reach: Reach::Network(Box::new(Access { any_server: true, ..Access::default() })),
        protobuf: false,
        fallback: Format::Plain,
        body_limit: BODY_LIMIT,
        target_limit: 0,
        pinned: false,
        more_parameters: Vec::new(),
    })
}

pub fn pods(lookup: &Lookup<'_>, found: &mut Found) {
    for pod in &lookup.world.pods {
        if pod.annotation(SCRAPE) != Some("true") || pod.finished() {
            continue;
        }
        let Some(ip) = pod.status.ips.first() else { continue };
        let job = job("kubernetes-pods", &pod.namespace);
        let host = lookup.host_ip(pod);
        let targets = pod_ports(pod, found).into_iter().map(|number| {
            let mut discovered = Discovered::new();
            labels::pod(pod, host, &mut discovered);
            if let Some((container, port)) = labels::port(pod, |port| port.container_port == number) {
                labels::container(pod, container, Some(port), &mut discovered);
                set(&mut discovered, "container", &container.name);
            }
            set(&mut discovered, "__address__", &labels::address(ip, number));
            set(&mut discovered, "namespace", &pod.namespace);
            set(&mut discovered, "pod", &pod.name);
            set(&mut discovered, "node", &pod.node);
            asked(|key| pod.annotation(key), &mut discovered);
            discovered
        });
        found.add(&job, &pod.namespace, &pod.namespace, targets.collect());
    }
}

/// The port that is named, or all that are declared for TCP.
fn pod_ports(pod: &LeanPod, found: &mut Found) -> Vec<i32> {
    if let Some(text) = pod.annotation(PORT) {
        let port = text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        if port.is_none() {
            let why = format!("annotation {PORT} of Pod {}: {text:?} is no port", pod.name);
            found.problem("kubernetes-pods", &pod.namespace, why);
        }
        return port.map(i32::from).into_iter().collect();
    }
    let ports = pod.spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    ports
        .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
        .map(|port| port.container_port)
        .collect()
}

fn asked<'a>(annotation: impl Fn(&str) -> Option<&'a str>, discovered: &mut Discovered) {
    for (key, label) in [(PATH, "__metrics_path__"), (SCHEME, "__scheme__")] {
        if let Some(value) = annotation(key).filter(|value| !value.is_empty()) {
            set(discovered, label, value);
        }
    }
}

pub fn services(lookup: &Lookup<'_>, found: &mut Found) {
    for service in &lookup.world.services {
        let annotation = |key: &str| Some(service.metadata.annotations.as_ref()?.get(key)?.as_str());
        if annotation(SCRAPE) != Some("true") {
            continue;
        }
        let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
        let job = job("kubernetes-service-endpoints", namespace);
        let port = match annotation(PORT).map(|text| (text, text.trim().parse::<u16>())) {
            Some((text, Err(_))) => {
                let name = service.metadata.name.as_deref().unwrap_or_default();
                let why = format!("annotation {PORT} of Service {name}: {text:?} is no port");
                found.problem(&job.name, namespace, why);
                continue;
            }
            Some((_, Ok(port))) => Some(i32::from(port)),
            None => None,
        };
        let targets = service_targets(lookup, service, namespace, port, &annotation);
        found.add(&job, namespace, namespace, targets);
    }
}

fn service_targets<'a>(
    lookup: &Lookup<'_>,
    service: &Service,
    namespace: &str,
    named: Option<i32>,
    annotation: &impl Fn(&str) -> Option<&'a str>,
) -> Vec<Discovered> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let mut targets = Vec::new();
    for slice in lookup.slices.get(&(namespace, name)).into_iter().flatten() {
        let listed = slice.ports.iter().flatten().filter_map(|port| port.port);
        let ports: Vec<i32> = named.map_or_else(|| listed.collect(), |port| vec![port]);
        for (one, ip) in
            slice.endpoints.iter().flatten().flat_map(|one| one.addresses.iter().map(move |ip| (one, ip)))
        {
            for port in &ports {
                let mut discovered = Discovered::new();
                let pod = one.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
                let pod = pod.and_then(|target| target.name.as_deref());
                let pod = pod.and_then(|pod| lookup.pods.get(&(namespace, pod)));
                if let Some(pod) = pod {
                    labels::pod(pod, lookup.host_ip(pod), &mut discovered);
                    set(&mut discovered, "pod", &pod.name);
                }
                labels::service(service, &mut discovered);
                set(&mut discovered, "__address__", &labels::address(ip, *port));
                set(&mut discovered, "namespace", namespace);
                set(&mut discovered, "service", name);
                set(&mut discovered, "node", one.node_name.as_deref().unwrap_or_default());
                asked(annotation, &mut discovered);
                targets.push(discovered);
            }
        }
    }
    targets
}

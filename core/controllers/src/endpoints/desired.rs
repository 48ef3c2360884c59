//! The endpoints that a Service should have, out of its Pods. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Container, Node, ObjectReference, Service, ServicePort},
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use tiphys_client::LeanPod;

use crate::{object, pod};

const ZONE: &str = "topology.kubernetes.io/zone";

/// What endpoints of one slice have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// `IPv4` or `IPv6`.
    pub family: &'static str,
    pub ports: Vec<Port>,
}

/// A port of the Service, as numbered in these Pods. Ordered by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    pub name: String,
    pub protocol: String,
    pub port: i32,
    pub app_protocol: Option<String>,
}

impl Port {
    pub fn of_slice(port: &EndpointPort) -> Self {
        Self {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            port: port.port.unwrap_or_default(),
            app_protocol: port.app_protocol.clone(),
        }
    }

    pub fn to_slice(&self) -> EndpointPort {
        EndpointPort {
            name: Some(self.name.clone()),
            protocol: Some(self.protocol.clone()),
            port: Some(self.port),
            app_protocol: self.app_protocol.clone(),
        }
    }
}

/// The endpoints by group, each group ordered by address.
pub fn endpoints<'a>(
    service: &Service,
    pods: impl IntoIterator<Item = &'a LeanPod>,
    node: impl Fn(&str) -> Option<std::sync::Arc<Node>>,
) -> BTreeMap<Group, Vec<Endpoint>> {
    let mut groups: BTreeMap<Group, Vec<Endpoint>> = BTreeMap::new();
    for pod in pods.into_iter().filter(|pod| !pod.finished()) {
        for family in families(service) {
            let Some(address) = address(pod, family) else { continue };
            let zone = node(&pod.node).and_then(|node| object::labels(&*node).get(ZONE).cloned());
            let group = Group { family, ports: ports(service, pod) };
            groups.entry(group).or_default().push(endpoint(service, pod, address, zone));
        }
    }
    groups.values_mut().for_each(|endpoints| endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses)));
    groups
}

/// The address families of a Service; IPv4 when it doesn't say.
pub fn families(service: &Service) -> Vec<&'static str> {
    let named = service.spec.as_ref().and_then(|spec| spec.ip_families.as_deref()).unwrap_or_default();
    if named.is_empty() {
        return vec!["IPv4"];
    }
    named.iter().map(|family| if family == "IPv6" { "IPv6" } else { "IPv4" }).collect()
}

fn address<'a>(pod: &'a LeanPod, family: &str) -> Option<&'a str> {
    let mut ips = pod.status.ips.iter().map(|ip| &**ip);
    ips.find(|ip| ip.contains(':') == (family == "IPv6"))
}

fn endpoint(service: &Service, pod: &LeanPod, address: &str, zone: Option<String>) -> Endpoint {
    let (ready, terminating) = (pod::ready(pod), object::deleting(pod));
    let named = pod.spec.subdomain.as_deref() == Some(object::name(service));
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some((ready && !terminating) || publishes_not_ready(service)),
            serving: Some(ready),
            terminating: Some(terminating),
        }),
        hostname: pod.spec.hostname.clone().filter(|hostname| named && !hostname.is_empty()),
        node_name: Some(pod.node.to_string()).filter(|node| !node.is_empty()),
        target_ref: Some(target(pod)),
        zone,
        ..Endpoint::default()
    }
}

pub fn target(pod: &LeanPod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.namespace.to_string()),
        name: Some(pod.name.to_string()),
        uid: Some(pod.uid.to_string()),
        ..ObjectReference::default()
    }
}

pub fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.publish_not_ready_addresses == Some(true))
}

fn ports(service: &Service, pod: &LeanPod) -> Vec<Port> {
    let wanted = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let mut ports: Vec<Port> = wanted
        .iter()
        .filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol(port.protocol.as_ref()),
                port: target_port(port, pod)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    ports.sort();
    ports
}

fn protocol(named: Option<&String>) -> String {
    named.cloned().unwrap_or_else(|| "TCP".to_owned())
}

/// A number, or the container's port of that name and protocol in this Pod.
fn target_port(port: &ServicePort, pod: &LeanPod) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(text)) if text.is_empty() => return Some(port.port),
        Some(IntOrString::String(text)) => text,
    };
    let spec = &pod.spec;
    let sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let inits = spec.init_containers.iter().flatten().filter(sidecar);
    let open = spec.containers.iter().chain(inits).flat_map(|container| container.ports.iter().flatten());
    let mut same = open.filter(|open| {
        open.name.as_deref() == Some(name)
            && protocol(open.protocol.as_ref()) == protocol(port.protocol.as_ref())
    });
    same.next().map(|open| open.container_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn service(spec: Value) -> Service {
        serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec}))
            .unwrap()
    }

    fn pod(ip: &str, ready: bool) -> LeanPod {
        with_ports(ip, ready, json!([{"name": "http", "containerPort": 8080}]))
    }

    fn with_ports(ip: &str, ready: bool, ports: Value) -> LeanPod {
        serde_json::from_value(json!({
            "metadata": {"name": format!("p-{ip}"), "namespace": "default", "uid": ip},
            "spec": {"nodeName": "n1", "hostname": "h", "subdomain": "web", "containers": [
                {"name": "c", "ports": ports}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
        .unwrap()
    }

    fn of(service: &Service, pods: &[LeanPod]) -> Vec<(Vec<i32>, Vec<Endpoint>)> {
        let zone = |_: &str| serde_json::from_value(json!({"metadata": {"labels": {ZONE: "z1"}}})).ok();
        let groups = endpoints(service, pods, zone);
        groups.into_iter().map(|(g, e)| (g.ports.iter().map(|port| port.port).collect(), e)).collect()
    }

    #[test]
    fn conditions_follow_readiness_deletion_and_publishing() {
        let mut going = pod("10.0.0.3", true);
        going.deletion = Some(object::now().0);
        let pods = [pod("10.0.0.2", false), pod("10.0.0.1", true), going];
        for (publish, expected) in [
            (false, [(true, true, false), (false, false, false), (false, true, true)]),
            (true, [(true, true, false), (true, false, false), (true, true, true)]),
        ] {
            let service = service(json!({"publishNotReadyAddresses": publish, "ports": [{"port": 80}]}));
            let groups = of(&service, &pods);
            assert_eq!(groups.len(), 1);
            let conditions = groups[0].1.iter().map(|endpoint| {
                let c = endpoint.conditions.clone().unwrap();
                (c.ready.unwrap(), c.serving.unwrap(), c.terminating.unwrap())
            });
            assert_eq!(conditions.collect::<Vec<_>>(), expected);
            let first = &groups[0].1[0];
            assert_eq!((first.hostname.as_deref(), first.zone.as_deref()), (Some("h"), Some("z1")));
            assert_eq!(first.node_name.as_deref(), Some("n1"));
        }
    }

    #[test]
    fn named_ports_are_looked_up_in_each_pod() {
        let other = with_ports("10.0.0.2", true, json!([{"name": "http", "containerPort": 9090}]));
        let without = with_ports("10.0.0.3", true, Value::Null);
        let service = service(json!({"ports": [{"port": 80, "targetPort": "http"}]}));
        let groups = of(&service, &[pod("10.0.0.1", true), other, without]);
        let ports: Vec<_> = groups.iter().map(|(ports, _)| ports.clone()).collect();
        assert_eq!(ports, [vec![], vec![8080], vec![9090]]);
    }

    #[test]
    fn pods_without_an_address_and_finished_ones_are_left_out() {
        let mut finished = pod("10.0.0.1", true);
        finished.status.phase = tiphys_client::Phase::Failed;
        let service = service(json!({"ports": [{"port": 80}]}));
        assert!(of(&service, &[finished, pod("", true)]).is_empty());
    }
}

//! The older Endpoints object of a Service, out of the same endpoints. Pure.
//!
//! Older clients and `kubectl describe service` read it. It knows ready and
//! not ready only: Pods that are going away are left out, unless the Service
//! publishes them.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Service},
        discovery::v1::Endpoint,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::desired::{Group, publishes_not_ready};
use crate::object;

/// More addresses than that are cut off, and an annotation says so.
const MOST: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
pub const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
pub const MANAGER: &str = "endpoint-controller";

pub fn endpoints(service: &Service, groups: &BTreeMap<Group, Vec<Endpoint>>) -> Endpoints {
    let first = super::desired::families(service)[0];
    let mut left = MOST;
    let mut over = false;
    let mut subsets = Vec::new();
    for (group, endpoints) in groups.iter().filter(|(group, _)| group.family == first) {
        let (mut ready, mut not_ready) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            if conditions.terminating == Some(true) && !publishes_not_ready(service) {
                continue;
            }
            if left == 0 {
                over = true;
                break;
            }
            left -= 1;
            let side = if conditions.ready == Some(true) { &mut ready } else { &mut not_ready };
            side.push(address(endpoint));
        }
        if ready.is_empty() && not_ready.is_empty() {
            continue;
        }
        let filled =
            |addresses: Vec<EndpointAddress>| Some(addresses).filter(|addresses| !addresses.is_empty());
        let ports: Vec<EndpointPort> = group.ports.iter().map(port).collect();
        subsets.push(EndpointSubset {
            addresses: filled(ready),
            not_ready_addresses: filled(not_ready),
            ports: Some(ports).filter(|ports| !ports.is_empty()),
        });
    }
    let mut labels = object::labels(service).clone();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    let headless = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None");
    if headless {
        labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    }
    Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: over.then(|| BTreeMap::from([(OVER_CAPACITY.to_owned(), "truncated".to_owned())])),
            ..ObjectMeta::default()
        },
        subsets: Some(subsets).filter(|subsets| !subsets.is_empty()),
    }
}

fn address(endpoint: &Endpoint) -> EndpointAddress {
    EndpointAddress {
        ip: endpoint.addresses.first().cloned().unwrap_or_default(),
        hostname: endpoint.hostname.clone(),
        node_name: endpoint.node_name.clone(),
        target_ref: endpoint.target_ref.clone(),
    }
}

fn port(port: &super::desired::Port) -> EndpointPort {
    EndpointPort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        protocol: Some(port.protocol.clone()),
        port: port.port,
        app_protocol: port.app_protocol.clone(),
    }
}

/// Whether writing `new` would change anything.
pub fn differs(old: &Endpoints, new: &Endpoints) -> bool {
    let annotated = |endpoints: &Endpoints| object::annotation(endpoints, OVER_CAPACITY).map(String::from);
    old.subsets.as_deref().unwrap_or_default() != new.subsets.as_deref().unwrap_or_default()
        || old.metadata.labels != new.metadata.labels
        || annotated(old) != annotated(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::desired::Port;
    use serde_json::json;

    #[test]
    fn addresses_are_ready_or_not_and_terminating_ones_left_out() {
        let service: Service = serde_json::from_value(json!({"metadata": {"name": "web"}})).unwrap();
        let endpoint = |ip: &str, ready: bool, terminating: bool| -> Endpoint {
            let conditions = json!({"ready": ready, "terminating": terminating});
            serde_json::from_value(json!({"addresses": [ip], "conditions": conditions})).unwrap()
        };
        let port = Port { name: String::new(), protocol: "TCP".into(), port: 80, app_protocol: None };
        let all = vec![
            endpoint("10.0.0.1", true, false),
            endpoint("10.0.0.2", false, false),
            endpoint("10.0.0.3", false, true),
        ];
        let groups = BTreeMap::from([(Group { family: "IPv4", ports: vec![port] }, all)]);
        let made = endpoints(&service, &groups);
        let subset = &made.subsets.as_ref().unwrap()[0];
        assert_eq!(subset.addresses.as_ref().unwrap()[0].ip, "10.0.0.1");
        assert_eq!(subset.not_ready_addresses.as_ref().unwrap().len(), 1);
        assert_eq!(subset.ports.as_ref().unwrap()[0].name, None);
        assert!(!differs(&made, &made));
        let mut waiting = made.clone();
        super::super::trigger::annotate(&mut waiting.metadata, Some(jiff::Timestamp::UNIX_EPOCH));
        assert!(!differs(&made, &waiting), "since when it waits is no change");
        assert!(differs(&made, &endpoints(&service, &BTreeMap::new())));
    }
}

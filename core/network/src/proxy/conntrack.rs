//! Flows that the kernel still sends to endpoints which are gone.
//!
//! A rule decides about a connection's first packet only. TCP finds out by itself;
//! a UDP client that goes on sending from one port would send into the void for
//! ever. So the entries of such flows are deleted, and the next packet is a first
//! one again. What to delete is decided purely; `conntrack -D` acts.

use std::{collections::BTreeSet, net::Ipv4Addr};

use tokio::process::Command;

use super::model::{Protocol, ServicePort};

/// Flows to delete: those to `address` (any, for a NodePort) on `port` that were
/// rewritten to `endpoint`, or whatever they were rewritten to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stale {
    protocol: Protocol,
    address: Option<Ipv4Addr>,
    port: u16,
    endpoint: Option<Ipv4Addr>,
}

/// The flows that a Service's change from `before` to `after` leaves behind.
pub(crate) fn stale(before: &[ServicePort], after: &[ServicePort]) -> BTreeSet<Stale> {
    let mut found = BTreeSet::new();
    for old in before.iter().filter(|port| port.protocol != Protocol::Tcp) {
        let new = after.iter().find(|port| port.id == old.id);
        let kept = new.map(ServicePort::used_endpoints).unwrap_or_default();
        for gone in old.used_endpoints().iter().filter(|endpoint| !kept.contains(endpoint)) {
            found.extend(frontends(old).map(|(address, port)| Stale {
                protocol: old.protocol,
                address,
                port,
                endpoint: Some(gone.address),
            }));
        }
    }
    for new in after.iter().filter(|port| port.protocol != Protocol::Tcp) {
        let old = before.iter().find(|port| port.id == new.id);
        let was_reachable = old.is_some_and(|port| !port.used_endpoints().is_empty());
        if !was_reachable && !new.used_endpoints().is_empty() {
            // Packets sent before there was an endpoint went through unrewritten.
            found.extend(frontends(new).map(|(address, port)| Stale {
                protocol: new.protocol,
                address,
                port,
                endpoint: None,
            }));
        }
    }
    found
}

fn frontends(port: &ServicePort) -> impl Iterator<Item = (Option<Ipv4Addr>, u16)> {
    let addresses =
        [port.cluster_ip].into_iter().chain(port.external_ips.clone()).chain(port.load_balancer_ips.clone());
    let number = port.port;
    addresses.map(move |address| (Some(address), number)).chain(port.node_port.map(|number| (None, number)))
}

/// Deletes them. What cannot be deleted ends with its timeout.
pub(crate) async fn delete(flows: BTreeSet<Stale>) {
    for flow in flows {
        let deleted = Command::new("conntrack").args(arguments(&flow)).output().await;
        match deleted {
            // It ends with 1 when there was no such flow.
            Ok(output) if output.status.success() || output.status.code() == Some(1) => {}
            Ok(output) => {
                let message = String::from_utf8_lossy(&output.stderr).into_owned();
                tracing::warn!(?flow, message, "flows to a removed endpoint could not be deleted");
            }
            Err(error) => {
                tracing::warn!(%error, "conntrack could not be run (Debian: apt-get install conntrack)");
                return;
            }
        }
    }
}

fn arguments(flow: &Stale) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), "-p".to_owned(), flow.protocol.name().to_owned()];
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    add("--orig-port-dst", flow.port.to_string());
    if let Some(address) = flow.address {
        add("--orig-dst", address.to_string());
    }
    if let Some(endpoint) = flow.endpoint {
        add("--dst-nat", endpoint.to_string());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::endpoints::{Endpoint, Endpoints};

    fn port(protocol: Protocol, endpoints: &[u8]) -> ServicePort {
        let all = endpoints.iter().map(|last| Endpoint { address: Ipv4Addr::new(10, 1, 0, *last), port: 53 });
        ServicePort {
            id: "shop/dns/udp/53".to_owned(),
            protocol,
            port: 53,
            cluster_ip: Ipv4Addr::new(10, 96, 0, 9),
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: Vec::new(),
            node_port: Some(30053),
            affinity_seconds: None,
            endpoints: Endpoints { all: all.collect(), local: Vec::new() },
            internal_is_local: false,
            external_is_local: false,
        }
    }

    fn lines(before: &[ServicePort], after: &[ServicePort]) -> Vec<String> {
        stale(before, after).iter().map(|flow| arguments(flow).join(" ")).collect()
    }

    #[test]
    fn flows_of_removed_endpoints_are_stale() {
        use Protocol::{Tcp, Udp};
        let removed = [
            "-D -p udp --orig-port-dst 30053 --dst-nat 10.1.0.2",
            "-D -p udp --orig-port-dst 53 --orig-dst 10.96.0.9 --dst-nat 10.1.0.2",
        ];
        assert_eq!(lines(&[port(Udp, &[1, 2])], &[port(Udp, &[1])]), removed);
        assert_eq!(lines(&[port(Udp, &[2])], &[]), removed);
        let first = ["-D -p udp --orig-port-dst 30053", "-D -p udp --orig-port-dst 53 --orig-dst 10.96.0.9"];
        assert_eq!(lines(&[port(Udp, &[])], &[port(Udp, &[1])]), first);
        assert!(lines(&[port(Udp, &[1])], &[port(Udp, &[1, 2])]).is_empty());
        assert!(lines(&[port(Tcp, &[1])], &[]).is_empty());
    }
}

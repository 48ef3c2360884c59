//! Routes to the other nodes' Pods, kept as the cluster's Nodes say (host-gw).
//!
//! ```text
//! Nodes ──> wanted routes (pure) ──> difference to the kernel's ──> netlink
//! ```
//!
//! Each Node's Pod CIDR is routed through its InternalIP when that is in a subnet
//! of this machine. Only routes that Tiphys made, into the cluster's Pod range,
//! are ever taken away. On a node, what Pods send out of the cluster is
//! masqueraded. Routes and rules stay when the agent stops: running Pods keep
//! their network.

use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use tiphys_client::Cache;
use tiphys_lifecycle::Tasks;

use crate::{
    Error,
    coalesce::next_burst,
    netlink::{Netlink, Route},
    nft,
};

const WINDOW: Duration = Duration::from_millis(20);
const TABLE: &str = "tiphys-node";

/// How routes are kept.
#[derive(Debug, Clone)]
pub struct RoutesConfig {
    /// The Node that this is, to which no route is needed and whose Pods are
    /// masqueraded; none for the machine below `tiphys up`.
    pub own_node: Option<String>,
    /// All Pods of the cluster.
    pub pod_range: Ipv4Net,
}

/// Keeps the routes of the network namespace of this process.
pub struct NodeRoutes;

/// A Pod CIDR and the node address that leads to it.
type Hop = (Ipv4Net, Ipv4Addr);

impl NodeRoutes {
    /// Starts the task that follows `nodes`.
    pub fn start(config: RoutesConfig, nodes: Cache<Node>, tasks: &Tasks) {
        tasks.spawn_restarting("node routes", move || follow(config.clone(), nodes.clone()));
    }
}

async fn follow(config: RoutesConfig, nodes: Cache<Node>) -> Result<(), Error> {
    let mut changes = Box::pin(nodes.changes());
    nodes.ready().await;
    let netlink = Netlink::open()?;
    let mut applied: Option<(BTreeSet<Hop>, BTreeSet<Ipv4Net>)> = None;
    loop {
        let subnets: Vec<Ipv4Net> =
            netlink.addresses().await?.into_iter().map(|(_, address)| address).collect();
        let nodes = nodes.list();
        let wanted = wanted(nodes.iter().map(|node| node.as_ref()), config.own_node.as_deref(), &subnets);
        let inside = inside(nodes.iter().map(|node| node.as_ref()), &config, &subnets);
        if applied.as_ref().is_none_or(|(hops, _)| *hops != wanted) {
            apply(&netlink, &wanted, &config.pod_range).await?;
        }
        if config.own_node.is_some() && applied.as_ref().is_none_or(|(_, before)| *before != inside) {
            nft::apply(&masquerade(&config.pod_range, &inside)).await?;
        }
        applied = Some((wanted, inside));
        if !next_burst(&mut changes, WINDOW, drop).await {
            return Ok(());
        }
    }
}

async fn apply(netlink: &Netlink, wanted: &BTreeSet<Hop>, pod_range: &Ipv4Net) -> Result<(), Error> {
    let there = netlink.routes().await?;
    for (destination, gateway) in stale(&there, wanted, pod_range) {
        netlink.delete_route(destination, gateway).await?;
    }
    for (destination, gateway) in wanted {
        netlink.replace_route(*destination, *gateway).await?;
    }
    tracing::debug!(routes = wanted.len(), "node routes are up to date");
    Ok(())
}

/// The routes to the Pods of all nodes but `own` that can be reached directly.
fn wanted<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    own: Option<&str>,
    subnets: &[Ipv4Net],
) -> BTreeSet<Hop> {
    let others = nodes.filter(|node| node.metadata.name.as_deref() != own || own.is_none());
    let hop = |node: &Node| {
        let address = internal_address(node)?;
        let near = subnets.iter().any(|subnet| subnet.contains(&address) && subnet.addr() != address);
        Some((pod_cidr(node)?, near.then_some(address)?))
    };
    others.filter_map(hop).collect()
}

/// Our routes into the Pod range that are not wanted (any more).
fn stale(there: &[Route], wanted: &BTreeSet<Hop>, pod_range: &Ipv4Net) -> Vec<Hop> {
    let ours = there.iter().filter(|route| route.ours && pod_range.contains(&route.destination));
    let hops = ours.filter_map(|route| Some((route.destination, route.gateway?)));
    hops.filter(|hop| !wanted.contains(hop)).collect()
}

/// Destinations that Pods reach under their own address: Pods, nodes, and the
/// subnet that this node shares with others.
fn inside<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    config: &RoutesConfig,
    subnets: &[Ipv4Net],
) -> BTreeSet<Ipv4Net> {
    let addresses: BTreeSet<Ipv4Addr> = nodes.filter_map(internal_address).collect();
    let shared = subnets.iter().filter(|subnet| addresses.contains(&subnet.addr())).map(Ipv4Net::trunc);
    let single = addresses.iter().map(|address| Ipv4Net::from(*address));
    std::iter::once(config.pod_range).chain(shared).chain(single).collect()
}

fn masquerade(pod_range: &Ipv4Net, inside: &BTreeSet<Ipv4Net>) -> String {
    let elements: Vec<String> = inside.iter().map(ToString::to_string).collect();
    format!(
        "table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
  set inside {{ type ipv4_addr; flags interval; auto-merge; elements = {{ {} }} }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {pod_range} ip daddr != @inside masquerade fully-random
  }}
}}
",
        elements.join(", ")
    )
}

fn internal_address(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let internal = addresses.iter().filter(|address| address.type_ == "InternalIP");
    internal.filter_map(|address| address.address.parse().ok()).next()
}

fn pod_cidr(node: &Node) -> Option<Ipv4Net> {
    let spec = node.spec.as_ref()?;
    let all = spec.pod_cidr.iter().chain(spec.pod_cidrs.iter().flatten());
    all.filter_map(|cidr| cidr.parse().ok()).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, address: &str, cidr: &str) -> Node {
        let node = json!({
            "metadata": { "name": name },
            "spec": { "podCIDR": cidr },
            "status": { "addresses": [
                { "type": "Hostname", "address": name },
                { "type": "InternalIP", "address": address },
            ] },
        });
        serde_json::from_value(node).unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn other_nodes_in_reach_get_a_route() {
        let nodes = [
            node("a", "172.30.0.10", "10.128.0.0/24"),
            node("b", "172.30.0.11", "10.128.1.0/24"),
            node("far", "192.168.7.7", "10.128.2.0/24"),
            node("young", "172.30.0.12", ""),
        ];
        let subnets = nets(&["127.0.0.1/8", "172.30.0.10/24"]);
        let hops = wanted(nodes.iter(), Some("a"), &subnets);
        let expected = ("10.128.1.0/24".parse().unwrap(), "172.30.0.11".parse().unwrap());
        assert_eq!(hops.into_iter().collect::<Vec<_>>(), [expected]);
        assert_eq!(wanted(nodes.iter(), None, &nets(&["172.30.0.1/24"])).len(), 2, "the host is no node");
    }

    #[test]
    fn only_our_routes_into_the_pod_range_are_stale() {
        let route = |destination: &str, gateway: &str, ours| Route {
            destination: destination.parse().unwrap(),
            gateway: Some(gateway.parse().unwrap()),
            link: Some(2),
            ours,
        };
        let there = [
            route("0.0.0.0/0", "172.30.0.1", true),
            route("10.128.1.0/24", "172.30.0.11", true),
            route("10.128.2.0/24", "172.30.0.12", true),
            route("10.128.3.0/24", "172.30.0.13", false),
            route("10.129.2.0/24", "172.31.0.12", true),
        ];
        let wanted = [("10.128.1.0/24".parse().unwrap(), "172.30.0.11".parse().unwrap())].into();
        let gone = stale(&there, &wanted, &"10.128.0.0/16".parse().unwrap());
        assert_eq!(gone, [("10.128.2.0/24".parse().unwrap(), "172.30.0.12".parse().unwrap())]);
    }

    #[test]
    fn pods_keep_their_address_towards_pods_and_nodes() {
        let nodes = [node("a", "172.30.0.10", "10.128.0.0/24"), node("far", "192.168.7.7", "10.128.2.0/24")];
        let config =
            RoutesConfig { own_node: Some("a".to_owned()), pod_range: "10.128.0.0/16".parse().unwrap() };
        let inside = inside(nodes.iter(), &config, &nets(&["127.0.0.1/8", "172.30.0.10/24"]));
        let expected = nets(&["10.128.0.0/16", "172.30.0.0/24", "172.30.0.10/32", "192.168.7.7/32"]);
        assert_eq!(inside.into_iter().collect::<Vec<_>>(), expected);
    }
}

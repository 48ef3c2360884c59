//! A Service port as pieces of the nft table: its chains, and its elements in the
//! shared maps. Pure; [`super::table`] puts pieces together.
//!
//! ```text
//! service-ips ──> svc/<id>      one rule: dnat to a random endpoint
//!             ──> ext/<id>      from outside: marked for masquerade, then svc/ (or local/, unmarked)
//! node-ports  ──> ext/<id>
//!             ──> lb/<id>       source ranges, then ext/
//! refused-*   ──> reject, drop  no endpoint (in the filter hooks)
//! ```
//!
//! With session affinity svc/ jumps to a chain an endpoint, which remembers the
//! client in a set with a timeout.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

use super::{
    endpoints::Endpoint,
    model::{Protocol, ServicePort, Target},
};

/// The maps and sets that all Services share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Map {
    ServiceIps,
    NodePorts,
    RefusedIps,
    RefusedNodePorts,
    /// A set: all ClusterIPs.
    ClusterIps,
    /// A set of pairs: a Pod that reaches itself through its Service.
    Hairpins,
}

impl Map {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServiceIps => "service-ips",
            Self::NodePorts => "node-ports",
            Self::RefusedIps => "refused-ips",
            Self::RefusedNodePorts => "refused-node-ports",
            Self::ClusterIps => "cluster-ips",
            Self::Hairpins => "hairpins",
        }
    }
}

/// The pieces of one Service port or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Rules by chain.
    pub chains: BTreeMap<String, Vec<String>>,
    /// Declarations by set. A name stands for one declaration only.
    pub sets: BTreeMap<String, String>,
    /// Verdicts by map and key; empty for members of a set.
    pub elements: BTreeMap<(Map, String), String>,
}

impl Fragment {
    /// The pieces of `ports`; `pods` are all Pods of the cluster.
    pub(crate) fn of(ports: &[ServicePort], pods: &Ipv4Net) -> Self {
        let mut fragment = Self::default();
        for port in ports {
            fragment.add_chains(port, pods);
            fragment.add_elements(port);
        }
        fragment
    }

    fn add_chains(&mut self, port: &ServicePort, pods: &Ipv4Net) {
        let (internal, external) = (port.internal_target(), port.external_target());
        let id = &port.id;
        if !port.endpoints.all.is_empty() {
            self.add_spread(format!("svc/{id}"), port, &port.endpoints.all);
        }
        let is_used = |target| internal == target || (port.is_external() && external == target);
        if is_used(Target::Local) {
            self.add_spread(format!("local/{id}"), port, &port.endpoints.local);
        }
        if !port.is_external() || external == Target::Refused {
            return;
        }
        self.chains.insert(format!("ext/{id}"), external_rules(port, external, pods));
        if !port.source_ranges.is_empty() && !port.load_balancer_ips.is_empty() {
            let ranges: Vec<String> = port.source_ranges.iter().map(ToString::to_string).collect();
            let rules = vec![
                format!("ip saddr != {pods} ip saddr != {{ {} }} drop", ranges.join(", ")),
                format!("goto ext/{id}"),
            ];
            self.chains.insert(format!("lb/{id}"), rules);
        }
    }

    /// A chain that sends a connection to one of `endpoints`, each as likely.
    fn add_spread(&mut self, chain: String, port: &ServicePort, endpoints: &[Endpoint]) {
        let rules = match port.affinity_seconds {
            None => vec![spread(port.protocol, endpoints)],
            Some(seconds) => self.spread_with_affinity(port, endpoints, seconds),
        };
        self.chains.insert(chain, rules);
    }

    fn spread_with_affinity(
        &mut self,
        port: &ServicePort,
        endpoints: &[Endpoint],
        seconds: u32,
    ) -> Vec<String> {
        let mut rules = Vec::new();
        let mut verdicts = Vec::new();
        for (number, endpoint) in endpoints.iter().enumerate() {
            let tail = format!("{}/{}/{}", port.id, endpoint.address, endpoint.port);
            let (chain, clients) = (format!("ep/{tail}"), format!("aff/{seconds}/{tail}"));
            rules.push(format!("ip saddr @{clients} goto {chain}"));
            verdicts.push(format!("{number} : goto {chain}"));
            let remember = format!("update @{clients} {{ ip saddr }}");
            self.chains.insert(chain, vec![remember, dnat(port.protocol, endpoint)]);
            let declaration = format!("type ipv4_addr; flags dynamic,timeout; timeout {seconds}s;");
            self.sets.insert(clients, declaration);
        }
        rules.push(format!("numgen random mod {} vmap {{ {} }}", endpoints.len(), verdicts.join(", ")));
        rules
    }

    fn add_elements(&mut self, port: &ServicePort) {
        let (id, external) = (&port.id, port.external_target());
        let protocol = port.protocol.name();
        let on_port = |address: &std::net::Ipv4Addr| format!("{address} . {protocol} . {}", port.port);
        self.set(Map::ClusterIps, port.cluster_ip.to_string(), String::new());
        for endpoint in &port.endpoints.local {
            self.set(Map::Hairpins, format!("{0} . {0}", endpoint.address), String::new());
        }
        match port.internal_target() {
            Target::Cluster => self.set(Map::ServiceIps, on_port(&port.cluster_ip), format!("goto svc/{id}")),
            Target::Local => self.set(Map::ServiceIps, on_port(&port.cluster_ip), format!("goto local/{id}")),
            none => self.set(Map::RefusedIps, on_port(&port.cluster_ip), refusal(none)),
        }
        let balanced = if port.source_ranges.is_empty() { "ext" } else { "lb" };
        let external_ips = port.external_ips.iter().map(|address| (address, "ext"));
        for (address, chain) in
            external_ips.chain(port.load_balancer_ips.iter().map(|address| (address, balanced)))
        {
            if external != Target::Refused {
                self.set(Map::ServiceIps, on_port(address), format!("goto {chain}/{id}"));
            }
            if matches!(external, Target::Refused | Target::Dropped) {
                self.set(Map::RefusedIps, on_port(address), refusal(external));
            }
        }
        if let Some(number) = port.node_port {
            let key = format!("{protocol} . {number}");
            if external != Target::Refused {
                self.set(Map::NodePorts, key.clone(), format!("goto ext/{id}"));
            }
            if matches!(external, Target::Refused | Target::Dropped) {
                self.set(Map::RefusedNodePorts, key, refusal(external));
            }
        }
    }

    fn set(&mut self, map: Map, key: String, value: String) {
        self.elements.insert((map, key), value);
    }
}

fn refusal(target: Target) -> String {
    if target == Target::Dropped { "drop".to_owned() } else { "goto refuse".to_owned() }
}

/// For what comes to a NodePort or an external address. The answer must come back
/// through this node, so the source is masqueraded, except under the policy
/// Local, whose point is to keep it. Pods and the node itself reach any endpoint.
fn external_rules(port: &ServicePort, target: Target, pods: &Ipv4Net) -> Vec<String> {
    let id = &port.id;
    if target == Target::Cluster {
        return vec!["jump mark-masquerade".to_owned(), format!("goto svc/{id}")];
    }
    let mut rules = Vec::new();
    for from_inside in [format!("ip saddr {pods}"), "fib saddr type local".to_owned()] {
        rules.push(format!("{from_inside} jump mark-masquerade"));
        rules.push(format!("{from_inside} goto svc/{id}"));
    }
    if target == Target::Local {
        rules.push(format!("goto local/{id}"));
    }
    rules
}

fn spread(protocol: Protocol, endpoints: &[Endpoint]) -> String {
    if let [only] = endpoints {
        return dnat(protocol, only);
    }
    let choices = endpoints.iter().enumerate();
    let choices: Vec<String> = choices
        .map(|(number, endpoint)| format!("{number} : {} . {}", endpoint.address, endpoint.port))
        .collect();
    format!(
        "meta l4proto {} dnat ip addr . port to numgen random mod {} map {{ {} }}",
        protocol.name(),
        endpoints.len(),
        choices.join(", ")
    )
}

fn dnat(protocol: Protocol, endpoint: &Endpoint) -> String {
    format!("meta l4proto {} dnat to {}:{}", protocol.name(), endpoint.address, endpoint.port)
}

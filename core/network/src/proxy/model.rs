//! What a Service asks of the network, out of its object and its EndpointSlices: pure.
//!
//! IPv4 only. Headless and ExternalName Services need nothing from the proxy, nor
//! do those that name another proxy.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::{
    core::v1::{Service, ServicePort as ApiPort, ServiceSpec},
    discovery::v1::EndpointSlice,
};

use super::endpoints::{Endpoint, Endpoints, choose};

const OTHER_PROXY: &str = "service.kubernetes.io/service-proxy-name";
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

/// A transport protocol, as nft writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Where a frontend's traffic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// To endpoints on any node.
    Cluster,
    /// To endpoints on this node.
    Local,
    /// Nowhere: the Service has no endpoint, and the client is told so.
    Refused,
    /// Nowhere from here: other nodes have endpoints, this one has none, and the policy is Local.
    Dropped,
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePort {
    /// `namespace/name/protocol/port name or number`: unique, and fit for an nft name.
    pub id: String,
    pub protocol: Protocol,
    pub port: u16,
    pub cluster_ip: Ipv4Addr,
    /// `externalIPs`, reached on `port` from outside.
    pub external_ips: Vec<Ipv4Addr>,
    /// Addresses of a load balancer that sends packets on unchanged.
    pub load_balancer_ips: Vec<Ipv4Addr>,
    /// Who may use the load balancer's addresses; empty for everybody.
    pub source_ranges: Vec<Ipv4Net>,
    pub node_port: Option<u16>,
    /// How long a client keeps its endpoint, in seconds.
    pub affinity_seconds: Option<u32>,
    pub endpoints: Endpoints,
    pub internal_is_local: bool,
    pub external_is_local: bool,
}

impl ServicePort {
    /// For what comes to the ClusterIP.
    pub(crate) fn internal_target(&self) -> Target {
        self.target(self.internal_is_local)
    }

    /// For what comes from outside of the cluster to a NodePort or an external address.
    pub(crate) fn external_target(&self) -> Target {
        self.target(self.external_is_local)
    }

    /// Whether anything but the ClusterIP leads here.
    pub(crate) fn is_external(&self) -> bool {
        self.node_port.is_some() || !self.external_ips.is_empty() || !self.load_balancer_ips.is_empty()
    }

    /// Every endpoint that some traffic goes to.
    pub(crate) fn used_endpoints(&self) -> Vec<Endpoint> {
        let mut used = self.endpoints.all.clone();
        if self.internal_is_local || self.external_is_local {
            used.extend(&self.endpoints.local);
        }
        used.sort_unstable();
        used.dedup();
        used
    }

    fn target(&self, is_local: bool) -> Target {
        match (is_local, self.endpoints.local.is_empty(), self.endpoints.all.is_empty()) {
            (true, false, _) => Target::Local,
            (false, _, false) => Target::Cluster,
            (true, true, false) => Target::Dropped,
            (_, _, true) => Target::Refused,
        }
    }
}

/// The ports of `service`, whose slices are `slices`, as node `node` must serve them.
/// `answered_here` are ClusterIPs that the node answers itself.
pub(crate) fn ports(
    service: &Service,
    slices: &[&EndpointSlice],
    node: &str,
    answered_here: &[Ipv4Addr],
) -> Vec<ServicePort> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let for_another = service.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(OTHER_PROXY));
    let external_name = spec.type_.as_deref() == Some("ExternalName");
    let Some(cluster_ip) = cluster_ip(spec) else { return Vec::new() };
    if for_another || external_name || answered_here.contains(&cluster_ip) {
        return Vec::new();
    }
    let port = |port: &ApiPort| port_of(service, spec, port, cluster_ip, choose(port, slices, node));
    spec.ports.iter().flatten().filter_map(port).collect()
}

fn port_of(
    service: &Service,
    spec: &ServiceSpec,
    port: &ApiPort,
    cluster_ip: Ipv4Addr,
    endpoints: Endpoints,
) -> Option<ServicePort> {
    let protocol = match port.protocol.as_deref().unwrap_or("TCP") {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => return None,
    };
    let label = port.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| port.port.to_string());
    let (namespace, name) = (service.metadata.namespace.as_deref()?, service.metadata.name.as_deref()?);
    let exposed = matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"));
    let is_local = |policy: &Option<String>| policy.as_deref() == Some("Local");
    Some(ServicePort {
        id: format!("{namespace}/{name}/{}/{label}", protocol.name()),
        protocol,
        port: u16::try_from(port.port).ok()?,
        cluster_ip,
        external_ips: addresses(spec.external_ips.iter().flatten()),
        load_balancer_ips: load_balancer_ips(service),
        source_ranges: spec
            .load_balancer_source_ranges
            .iter()
            .flatten()
            .filter_map(|range| range.trim().parse().ok())
            .collect(),
        node_port: port
            .node_port
            .filter(|number| exposed && *number > 0)
            .and_then(|number| number.try_into().ok()),
        affinity_seconds: affinity(spec),
        endpoints,
        internal_is_local: is_local(&spec.internal_traffic_policy),
        external_is_local: is_local(&spec.external_traffic_policy),
    })
}

/// The first IPv4 address of the Service; none for a headless one.
fn cluster_ip(spec: &ServiceSpec) -> Option<Ipv4Addr> {
    spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip).find_map(|text| text.parse().ok())
}

fn load_balancer_ips(service: &Service) -> Vec<Ipv4Addr> {
    let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = ingress.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    // In the mode Proxy packets arrive with the node as destination, not this address.
    addresses(
        ingress
            .filter(|entry| entry.ip_mode.as_deref() != Some("Proxy"))
            .filter_map(|entry| entry.ip.as_ref()),
    )
}

fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<Ipv4Addr> {
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn affinity(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let seconds = config.and_then(|client_ip| client_ip.timeout_seconds);
    Some(seconds.and_then(|seconds| seconds.try_into().ok()).unwrap_or(DEFAULT_AFFINITY_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ports_of(spec: Value, status: Value, labels: Value) -> Vec<ServicePort> {
        let service = json!({
            "metadata": { "namespace": "shop", "name": "web", "labels": labels }, "spec": spec, "status": status,
        });
        ports(&serde_json::from_value(service).unwrap(), &[], "here", &[Ipv4Addr::new(10, 96, 0, 10)])
    }

    #[test]
    fn some_services_are_not_the_proxys() {
        let none = json!({});
        let port = json!([{ "port": 80 }]);
        for (spec, labels) in [
            (json!({ "clusterIP": "None", "clusterIPs": ["None"], "ports": port }), none.clone()),
            (json!({ "type": "ExternalName", "externalName": "a.example" }), none.clone()),
            (json!({ "clusterIP": "10.96.0.10", "ports": port }), none.clone()),
            (json!({ "clusterIP": "10.96.0.7", "ports": port }), json!({ OTHER_PROXY: "theirs" })),
            (json!({ "clusterIP": "fd00::1", "ports": port }), none.clone()),
        ] {
            assert_eq!(ports_of(spec.clone(), none.clone(), labels), [], "of {spec}");
        }
    }

    #[test]
    fn reads_every_way_in() {
        let spec = json!({
            "type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["fd00::1", "10.96.0.7"],
            "externalIPs": ["192.0.2.9", "bad"], "sessionAffinity": "ClientIP",
            "loadBalancerSourceRanges": [" 198.51.100.0/24"], "externalTrafficPolicy": "Local",
            "ports": [
                { "name": "http", "port": 80, "nodePort": 30080 },
                { "port": 53, "protocol": "UDP", "nodePort": 30053 },
            ],
        });
        let status = json!({ "loadBalancer": { "ingress": [
            { "ip": "203.0.113.1", "ipMode": "VIP" }, { "ip": "203.0.113.2", "ipMode": "Proxy" }, { "hostname": "x" },
        ] } });
        let ports = ports_of(spec, status, json!({}));
        let [http, dns] = ports.as_slice() else { panic!("two ports") };
        assert_eq!((http.id.as_str(), dns.id.as_str()), ("shop/web/tcp/http", "shop/web/udp/53"));
        assert_eq!((http.node_port, http.affinity_seconds), (Some(30080), Some(10_800)));
        assert_eq!(http.cluster_ip, Ipv4Addr::new(10, 96, 0, 7));
        assert_eq!(http.load_balancer_ips, [Ipv4Addr::new(203, 0, 113, 1)]);
        assert_eq!((http.external_ips.len(), http.source_ranges.len()), (1, 1));
        assert!(http.external_is_local && !http.internal_is_local && http.is_external());
    }

    #[test]
    fn where_traffic_goes() {
        use Target::{Cluster, Dropped, Local, Refused};
        let endpoint = |last| Endpoint { address: Ipv4Addr::new(10, 1, 0, last), port: 80 };
        let spec = json!({ "clusterIP": "10.96.0.7", "ports": [{ "port": 80 }] });
        let mut port = ports_of(spec, json!({}), json!({})).remove(0);
        for (all, local, policy_is_local, expected) in [
            (vec![], vec![], false, Refused),
            (vec![], vec![], true, Refused),
            (vec![endpoint(1)], vec![], false, Cluster),
            (vec![endpoint(1)], vec![], true, Dropped),
            (vec![endpoint(1)], vec![endpoint(2)], true, Local),
        ] {
            port.endpoints = Endpoints { all, local };
            port.internal_is_local = policy_is_local;
            assert_eq!(port.internal_target(), expected, "{:?} local {policy_is_local}", port.endpoints);
        }
    }
}

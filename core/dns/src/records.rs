//! What a Service's name stands for, out of its object and its EndpointSlices: pure.

use std::{collections::BTreeMap, net::IpAddr};

use hickory_server::proto::rr::Name;
use k8s_openapi::api::{
    core::v1::{Service, ServiceSpec},
    discovery::v1::EndpointSlice,
};

use crate::name::undashed;

/// A named port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// In lower case; empty for the only port of a Service that names none.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    pub number: u16,
}

/// One endpoint of a headless Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<Port>,
}

/// What the name of a Service stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServiceRecords {
    ClusterIps {
        addresses: Vec<IpAddr>,
        ports: Vec<Port>,
    },
    /// Its ready endpoints by the label of their name.
    Headless {
        endpoints: BTreeMap<String, Endpoint>,
    },
    External {
        target: Name,
    },
}

impl ServiceRecords {
    /// The records of `service`; `None` when it has no address yet.
    pub(crate) fn of(service: &Service, slices: &[&EndpointSlice]) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        if spec.type_.as_deref() == Some("ExternalName") {
            let mut target = Name::from_utf8(spec.external_name.as_deref()?).ok()?;
            target.set_fqdn(true);
            return Some(Self::External { target });
        }
        let texts: Vec<&String> = match spec.cluster_ips.as_deref() {
            Some(all) if !all.is_empty() => all.iter().collect(),
            _ => spec.cluster_ip.iter().collect(),
        };
        if texts.iter().any(|text| *text == "None") {
            return Some(Self::Headless { endpoints: endpoints(slices) });
        }
        let addresses: Vec<IpAddr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        (!addresses.is_empty()).then(|| Self::ClusterIps { addresses, ports: ports(spec) })
    }

    /// The addresses whose reverse name leads here, with the label before the
    /// Service's name when there is one.
    pub(crate) fn reverse(&self) -> Vec<(IpAddr, Option<&str>)> {
        match self {
            Self::ClusterIps { addresses, .. } => addresses.iter().map(|address| (*address, None)).collect(),
            Self::Headless { endpoints } => endpoints
                .iter()
                .flat_map(|(label, endpoint)| {
                    endpoint.addresses.iter().map(move |address| (*address, Some(label.as_str())))
                })
                .collect(),
            Self::External { .. } => Vec::new(),
        }
    }
}

fn ports(spec: &ServiceSpec) -> Vec<Port> {
    let port = |port: &k8s_openapi::api::core::v1::ServicePort| {
        make_port(port.name.as_deref(), port.protocol.as_deref(), port.port)
    };
    spec.ports.iter().flatten().filter_map(port).collect()
}

fn make_port(name: Option<&str>, protocol: Option<&str>, number: i32) -> Option<Port> {
    Some(Port {
        name: name.unwrap_or_default().to_ascii_lowercase(),
        protocol: protocol.unwrap_or("TCP").to_ascii_lowercase(),
        number: number.try_into().ok()?,
    })
}

/// The ready endpoints of all slices. One that is in slices of both address
/// families has both its addresses under its host name.
fn endpoints(slices: &[&EndpointSlice]) -> BTreeMap<String, Endpoint> {
    let mut found: BTreeMap<String, Endpoint> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.address_type != "FQDN") {
        let ports: Vec<Port> = slice
            .ports
            .iter()
            .flatten()
            .filter_map(|port| make_port(port.name.as_deref(), port.protocol.as_deref(), port.port?))
            .collect();
        let ready = slice.endpoints.iter().flatten().filter(|endpoint| {
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
        });
        for endpoint in ready {
            let addresses = endpoint.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
            for address in addresses {
                let host = endpoint.hostname.clone().filter(|host| !host.is_empty());
                let label = host.unwrap_or_else(|| undashed(address)).to_ascii_lowercase();
                let known = found
                    .entry(label)
                    .or_insert_with(|| Endpoint { addresses: Vec::new(), ports: Vec::new() });
                if !known.addresses.contains(&address) {
                    known.addresses.push(address);
                }
                let news: Vec<Port> =
                    ports.iter().filter(|port| !known.ports.contains(port)).cloned().collect();
                known.ports.extend(news);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn records(spec: Value, slices: &[Value]) -> Option<ServiceRecords> {
        let service = serde_json::from_value(json!({ "metadata": {}, "spec": spec })).unwrap();
        let slices: Vec<EndpointSlice> =
            slices.iter().map(|slice| serde_json::from_value(slice.clone()).unwrap()).collect();
        ServiceRecords::of(&service, &slices.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_headless_service_has_its_ready_endpoints() {
        let slice = |family: &str, addresses: [&str; 3]| {
            json!({
                "metadata": {}, "addressType": family, "ports": [{ "name": "Sql", "port": 3306 }],
                "endpoints": [
                    { "addresses": [addresses[0]], "hostname": "db-0", "conditions": { "ready": true } },
                    { "addresses": [addresses[1]] },
                    { "addresses": [addresses[2]], "conditions": { "ready": false } },
                ],
            })
        };
        let slices =
            [slice("IPv4", ["10.1.0.1", "10.1.0.2", "10.1.0.3"]), slice("IPv6", ["fd::1", "fd::2", "fd::3"])];
        let Some(ServiceRecords::Headless { endpoints }) = records(json!({ "clusterIP": "None" }), &slices)
        else {
            panic!("headless")
        };
        assert_eq!(endpoints.keys().collect::<Vec<_>>(), ["10-1-0-2", "db-0", "fd--2"]);
        assert_eq!(endpoints["db-0"].addresses.len(), 2);
        assert_eq!(
            endpoints["db-0"].ports,
            [Port { name: "sql".into(), protocol: "tcp".into(), number: 3306 }]
        );
    }

    #[test]
    fn other_services_have_addresses_or_a_target() {
        let both = json!({ "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00::7"], "ports": [{ "port": 80 }] });
        let Some(ServiceRecords::ClusterIps { addresses, ports }) = records(both, &[]) else {
            panic!("addresses")
        };
        assert_eq!((addresses.len(), ports.len()), (2, 1));
        assert_eq!(records(json!({ "clusterIP": "" }), &[]), None);
        let external = json!({ "type": "ExternalName", "externalName": "db.example.org" });
        let target = Name::from_ascii("db.example.org.").unwrap();
        assert_eq!(records(external, &[]), Some(ServiceRecords::External { target }));
    }
}

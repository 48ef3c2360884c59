//! The names of the cluster, in memory: kept a Service at a time, looked up purely.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use hickory_server::proto::rr::{
    Name, RData, Record, RecordType,
    rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT},
};
use tiphys_api::slices::ServiceKey;

use crate::{
    TTL,
    name::{Asked, parse},
    records::{Port, ServiceRecords},
};

/// The version of the specification that the names follow.
const SPECIFICATION: &str = "1.1.0";

/// All names of the cluster's zone, and the reverse names of its addresses.
pub(crate) struct Zone {
    origin: Name,
    server: Option<IpAddr>,
    namespaces: HashMap<String, HashMap<String, ServiceRecords>>,
    reverse: HashMap<IpAddr, BTreeSet<Name>>,
    /// Goes up with each change.
    serial: u32,
    is_complete: bool,
}

/// What the zone knows about a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// Not a name of ours.
    Elsewhere,
    /// The names are not all here yet.
    NotYet,
    Records {
        answers: Vec<Record>,
        additionals: Vec<Record>,
    },
    /// The name stands for another one, whose records are wanted too.
    Alias {
        record: Record,
        target: Name,
    },
    /// The name exists, without a record of the type. Carries the SOA.
    NoData(Record),
    /// The name doesn't exist. Carries the SOA.
    NoName(Record),
}

/// What a name holds, before the type asked for is looked at.
enum Held {
    Addresses(Vec<IpAddr>),
    Ports(Vec<(Port, Name, Vec<IpAddr>)>),
    Data(Vec<RData>),
    Alias(Name),
    Missing,
}

impl Zone {
    /// An empty zone under `domain`; `None` when that is no domain name. `server`
    /// is the address of this server.
    pub(crate) fn new(domain: &str, server: Option<IpAddr>) -> Option<Self> {
        let mut origin = Name::from_ascii(domain).ok()?;
        origin.set_fqdn(true);
        let (namespaces, reverse) = (HashMap::new(), HashMap::new());
        Some(Self { origin, server, namespaces, reverse, serial: 1, is_complete: false })
    }

    /// From now on, a name that is not here does not exist.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Sets, or takes away, what a Service's name stands for.
    pub(crate) fn set(&mut self, key: &ServiceKey, records: Option<ServiceRecords>) {
        let before = match self.namespaces.get_mut(&key.namespace) {
            Some(services) => services.remove(&key.name),
            None => None,
        };
        for (address, label) in before.iter().flat_map(ServiceRecords::reverse) {
            let Some(name) = self.service_name(key, label) else { continue };
            if let Some(names) = self.reverse.get_mut(&address) {
                names.remove(&name);
                if names.is_empty() {
                    self.reverse.remove(&address);
                }
            }
        }
        for (address, label) in records.iter().flat_map(ServiceRecords::reverse) {
            if let Some(name) = self.service_name(key, label) {
                self.reverse.entry(address).or_default().insert(name);
            }
        }
        let services = self.namespaces.entry(key.namespace.clone()).or_default();
        match records {
            Some(records) => drop(services.insert(key.name.clone(), records)),
            None if services.is_empty() => drop(self.namespaces.remove(&key.namespace)),
            None => {}
        }
        self.serial = self.serial.wrapping_add(1);
    }

    /// The Services there are names for.
    pub(crate) fn services(&self) -> Vec<ServiceKey> {
        let keys = |(namespace, services): (&String, &HashMap<String, ServiceRecords>)| {
            services.keys().map(|name| ServiceKey::new(namespace.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.namespaces.iter().flat_map(keys).collect()
    }

    /// Answers for `name` as it was asked: records bear it in the client's own case.
    pub(crate) fn look_up(&self, name: &Name, kind: RecordType) -> Answer {
        let Some(asked) = parse(name, &self.origin) else { return self.look_up_reverse(name, kind) };
        if !self.is_complete {
            return Answer::NotYet;
        }
        match self.held(&asked) {
            Held::Missing => Answer::NoName(self.soa()),
            Held::Alias(target) => {
                Answer::Alias { record: record(name, RData::CNAME(CNAME(target.clone()))), target }
            }
            Held::Addresses(addresses) => {
                // Every port of a Service, to a client that does not know their names.
                let ports = match (&asked, kind) {
                    (Asked::Service { .. }, RecordType::SRV) => self.ports(&asked, |_| true),
                    _ => Vec::new(),
                };
                if !ports.is_empty() {
                    return services(name, &ports);
                }
                self.of_kind(name, kind, addresses.into_iter().map(address_data))
            }
            Held::Ports(ports) if kind == RecordType::SRV => services(name, &ports),
            Held::Ports(_) => Answer::NoData(self.soa()),
            Held::Data(data) => self.of_kind(name, kind, data),
        }
    }

    fn look_up_reverse(&self, name: &Name, kind: RecordType) -> Answer {
        let address = name.parse_arpa_name().ok().filter(|net| net.prefix_len() == net.max_prefix_len());
        let Some(names) = address.and_then(|net| self.reverse.get(&net.addr())) else {
            return Answer::Elsewhere;
        };
        self.of_kind(name, kind, names.iter().map(|target| RData::PTR(PTR(target.clone()))))
    }

    fn held(&self, asked: &Asked) -> Held {
        match asked {
            Asked::Apex => Held::Data(self.apex()),
            Asked::Version => Held::Data(vec![RData::TXT(TXT::new(vec![SPECIFICATION.to_owned()]))]),
            Asked::NameServer => Held::Addresses(self.server.into_iter().collect()),
            Asked::Branch => Held::Data(Vec::new()),
            Asked::Namespace { namespace } if self.namespaces.contains_key(namespace) => {
                Held::Data(Vec::new())
            }
            Asked::Pod { address } => Held::Addresses(vec![*address]),
            Asked::Namespace { .. } | Asked::Nothing => Held::Missing,
            Asked::Service { service, namespace } => match self.service(namespace, service) {
                None => Held::Missing,
                Some(ServiceRecords::External { target }) => Held::Alias(target.clone()),
                Some(ServiceRecords::ClusterIps { addresses, .. }) => Held::Addresses(addresses.clone()),
                Some(ServiceRecords::Headless { endpoints }) if endpoints.is_empty() => Held::Missing,
                Some(ServiceRecords::Headless { endpoints }) => Held::Addresses(
                    endpoints.values().flat_map(|endpoint| endpoint.addresses.clone()).collect(),
                ),
            },
            Asked::Endpoint { host, service, namespace } => match self.service(namespace, service) {
                Some(ServiceRecords::Headless { endpoints }) => endpoints
                    .get(host)
                    .map_or(Held::Missing, |endpoint| Held::Addresses(endpoint.addresses.clone())),
                _ => Held::Missing,
            },
            Asked::Protocol { protocol, .. } => {
                let exists =
                    !self.ports(asked, |port| port.protocol == *protocol && !port.name.is_empty()).is_empty();
                if exists { Held::Data(Vec::new()) } else { Held::Missing }
            }
            Asked::Port { port, protocol, .. } => {
                let found =
                    self.ports(asked, |candidate| candidate.protocol == *protocol && candidate.name == *port);
                if found.is_empty() { Held::Missing } else { Held::Ports(found) }
            }
        }
    }

    fn service(&self, namespace: &str, service: &str) -> Option<&ServiceRecords> {
        self.namespaces.get(namespace)?.get(service)
    }

    /// The ports of the Service in `asked` that `wanted` takes, each with the name
    /// and the addresses it is reached by.
    fn ports(&self, asked: &Asked, wanted: impl Fn(&Port) -> bool) -> Vec<(Port, Name, Vec<IpAddr>)> {
        let (Asked::Service { service, namespace }
        | Asked::Protocol { service, namespace, .. }
        | Asked::Port { service, namespace, .. }) = asked
        else {
            return Vec::new();
        };
        let key = ServiceKey::new(namespace.clone(), service.clone());
        let reached = |label: Option<&str>, ports: &[Port], addresses: &[IpAddr]| -> Vec<_> {
            let Some(name) = self.service_name(&key, label) else { return Vec::new() };
            let wanted = ports.iter().filter(|port| wanted(port)).cloned();
            wanted.map(|port| (port, name.clone(), addresses.to_vec())).collect()
        };
        match self.service(namespace, service) {
            Some(ServiceRecords::ClusterIps { addresses, ports }) => reached(None, ports, addresses),
            Some(ServiceRecords::Headless { endpoints }) => endpoints
                .iter()
                .flat_map(|(label, endpoint)| reached(Some(label), &endpoint.ports, &endpoint.addresses))
                .collect(),
            Some(ServiceRecords::External { .. }) | None => Vec::new(),
        }
    }

    fn of_kind(&self, name: &Name, kind: RecordType, data: impl IntoIterator<Item = RData>) -> Answer {
        let wanted = data.into_iter().filter(|data| kind == RecordType::ANY || data.record_type() == kind);
        let answers: Vec<Record> = wanted.map(|data| record(name, data)).collect();
        if answers.is_empty() {
            return Answer::NoData(self.soa());
        }
        Answer::Records { answers, additionals: Vec::new() }
    }

    /// `[<label>.]<service>.<namespace>.svc.<zone>`.
    fn service_name(&self, key: &ServiceKey, label: Option<&str>) -> Option<Name> {
        let labels = label.into_iter().chain([key.name.as_str(), key.namespace.as_str(), "svc"]);
        Name::from_labels(labels).ok()?.append_domain(&self.origin).ok()
    }

    fn below(&self, labels: [&str; 2]) -> Name {
        let name = Name::from_labels(labels).and_then(|name| name.append_domain(&self.origin));
        name.unwrap_or_else(|_| self.origin.clone())
    }

    fn apex(&self) -> Vec<RData> {
        vec![self.soa().data, RData::NS(NS(self.below(["ns", "dns"])))]
    }

    fn soa(&self) -> Record {
        let (server, contact) = (self.below(["ns", "dns"]), self.below(["hostmaster", "dns"]));
        let ttl = TTL.cast_signed();
        let soa = SOA::new(server, contact, self.serial, 7200, 1800, 86_400.max(ttl), TTL);
        record(&self.origin, RData::SOA(soa))
    }
}

/// SRV records, with the addresses of their targets beside them.
fn services(name: &Name, ports: &[(Port, Name, Vec<IpAddr>)]) -> Answer {
    let weight = (100 / ports.len().max(1)).max(1) as u16;
    let answers = ports
        .iter()
        .map(|(port, target, _)| record(name, RData::SRV(SRV::new(0, weight, port.number, target.clone()))));
    let mut seen = BTreeSet::new();
    let additionals = ports.iter().filter(|(_, target, _)| seen.insert(target.clone())).flat_map(
        |(_, target, addresses)| addresses.iter().map(|address| record(target, address_data(*address))),
    );
    Answer::Records { answers: answers.collect(), additionals: additionals.collect() }
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Endpoint;
    use std::collections::BTreeMap;

    fn port(name: &str, number: u16) -> Port {
        Port { name: name.to_owned(), protocol: "tcp".to_owned(), number }
    }

    fn zone() -> Zone {
        let mut zone = Zone::new("cluster.local", Some("10.96.0.10".parse().unwrap())).unwrap();
        let addresses = vec!["10.96.0.7".parse().unwrap()];
        let ports = vec![port("http", 80), port("", 81)];
        zone.set(&ServiceKey::new("shop", "web"), Some(ServiceRecords::ClusterIps { addresses, ports }));
        let endpoint = |address: &str| Endpoint {
            addresses: vec![address.parse().unwrap()],
            ports: vec![port("sql", 3306)],
        };
        let endpoints = BTreeMap::from([
            ("db-0".to_owned(), endpoint("10.1.0.1")),
            ("db-1".to_owned(), endpoint("10.1.0.2")),
        ]);
        zone.set(&ServiceKey::new("shop", "db"), Some(ServiceRecords::Headless { endpoints }));
        let none = BTreeMap::new();
        zone.set(&ServiceKey::new("shop", "empty"), Some(ServiceRecords::Headless { endpoints: none }));
        let target = Name::from_ascii("db.example.org.").unwrap();
        zone.set(&ServiceKey::new("shop", "ext"), Some(ServiceRecords::External { target }));
        zone.complete();
        zone
    }

    fn look_up(zone: &Zone, name: &str, kind: RecordType) -> String {
        let short = |record: &Record| format!("{} {}", record.record_type(), record.data);
        match zone.look_up(&Name::from_ascii(name).unwrap(), kind) {
            Answer::Elsewhere => "elsewhere".to_owned(),
            Answer::NotYet => "not yet".to_owned(),
            Answer::NoData(soa) => format!("no data, {}", soa.record_type()),
            Answer::NoName(soa) => format!("no name, {}", soa.record_type()),
            Answer::Alias { record, .. } => short(&record),
            Answer::Records { answers, additionals } => {
                let all: Vec<String> = answers.iter().map(short).collect();
                let more: Vec<String> = additionals.iter().map(short).collect();
                if more.is_empty() {
                    all.join(", ")
                } else {
                    format!("{}; {}", all.join(", "), more.join(", "))
                }
            }
        }
    }

    #[test]
    fn answers_follow_the_specification() {
        use RecordType::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
        let zone = zone();
        let db = "SRV 0 50 3306 db-0.db.shop.svc.cluster.local., SRV 0 50 3306 db-1.db.shop.svc.cluster.local.; \
                  A 10.1.0.1, A 10.1.0.2";
        let cases = [
            ("web.shop.svc.cluster.local.", A, "A 10.96.0.7"),
            ("WEB.shop.SVC.cluster.local.", A, "A 10.96.0.7"),
            ("web.shop.svc.cluster.local.", AAAA, "no data, SOA"),
            ("web.shop.svc.cluster.local.", MX, "no data, SOA"),
            ("web.other.svc.cluster.local.", A, "no name, SOA"),
            ("nope.shop.svc.cluster.local.", A, "no name, SOA"),
            ("db.shop.svc.cluster.local.", A, "A 10.1.0.1, A 10.1.0.2"),
            ("db-1.db.shop.svc.cluster.local.", A, "A 10.1.0.2"),
            ("db-9.db.shop.svc.cluster.local.", A, "no name, SOA"),
            ("empty.shop.svc.cluster.local.", A, "no name, SOA"),
            ("ext.shop.svc.cluster.local.", A, "CNAME db.example.org."),
            ("ext.shop.svc.cluster.local.", CNAME, "CNAME db.example.org."),
            (
                "_http._tcp.web.shop.svc.cluster.local.",
                SRV,
                "SRV 0 100 80 web.shop.svc.cluster.local.; A 10.96.0.7",
            ),
            ("_http._tcp.web.shop.svc.cluster.local.", A, "no data, SOA"),
            ("_http._udp.web.shop.svc.cluster.local.", SRV, "no name, SOA"),
            ("_tcp.web.shop.svc.cluster.local.", A, "no data, SOA"),
            ("_sctp.web.shop.svc.cluster.local.", A, "no name, SOA"),
            ("_sql._tcp.db.shop.svc.cluster.local.", SRV, db),
            ("db.shop.svc.cluster.local.", SRV, db),
            ("shop.svc.cluster.local.", A, "no data, SOA"),
            ("none.svc.cluster.local.", A, "no name, SOA"),
            ("svc.cluster.local.", A, "no data, SOA"),
            ("10-1-0-7.shop.pod.cluster.local.", A, "A 10.1.0.7"),
            ("10-1-0-7.shop.pod.cluster.local.", AAAA, "no data, SOA"),
            ("dns-version.cluster.local.", TXT, "TXT 1.1.0"),
            ("cluster.local.", NS, "NS ns.dns.cluster.local."),
            ("ns.dns.cluster.local.", A, "A 10.96.0.10"),
            ("7.0.96.10.in-addr.arpa.", PTR, "PTR web.shop.svc.cluster.local."),
            ("1.0.1.10.in-addr.arpa.", PTR, "PTR db-0.db.shop.svc.cluster.local."),
            ("9.0.96.10.in-addr.arpa.", PTR, "elsewhere"),
            ("0.96.10.in-addr.arpa.", PTR, "elsewhere"),
            ("example.org.", A, "elsewhere"),
        ];
        for (name, kind, expected) in cases {
            assert_eq!(look_up(&zone, name, kind), expected, "{kind} {name}");
        }
        assert!(look_up(&zone, "cluster.local.", SOA).starts_with("SOA ns.dns.cluster.local."));
    }

    #[test]
    fn names_go_with_their_service() {
        let mut zone = zone();
        for service in ["web", "db", "ext", "empty"] {
            zone.set(&ServiceKey::new("shop", service), None);
        }
        assert_eq!(look_up(&zone, "web.shop.svc.cluster.local.", RecordType::A), "no name, SOA");
        assert_eq!(look_up(&zone, "shop.svc.cluster.local.", RecordType::A), "no name, SOA");
        assert_eq!(look_up(&zone, "1.0.1.10.in-addr.arpa.", RecordType::PTR), "elsewhere");
        assert!(zone.reverse.is_empty() && zone.services().is_empty());
        let young = Zone::new("cluster.local", None).unwrap();
        assert_eq!(look_up(&young, "web.shop.svc.cluster.local.", RecordType::A), "not yet");
    }
}

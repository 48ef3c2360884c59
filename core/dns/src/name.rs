//! What a name of the cluster's zone asks for: pure, by the schema of the
//! Kubernetes DNS specification.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_server::proto::rr::Name;

/// The labels of a name below the zone, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The zone itself.
    Apex,
    /// `dns-version`: the version of the specification.
    Version,
    /// `ns.dns`: this server.
    NameServer,
    /// `dns`, `svc`, `pod`, `<namespace>.pod`: names that exist and have no records.
    Branch,
    /// `<namespace>.svc`.
    Namespace { namespace: String },
    /// `<service>.<namespace>.svc`.
    Service { service: String, namespace: String },
    /// `<hostname>.<service>.<namespace>.svc`.
    Endpoint { host: String, service: String, namespace: String },
    /// `_<protocol>.<service>.<namespace>.svc`: exists when a port of the protocol does.
    Protocol { protocol: String, service: String, namespace: String },
    /// `_<port>._<protocol>.<service>.<namespace>.svc`.
    Port { port: String, protocol: String, service: String, namespace: String },
    /// `<a-b-c-d>.<namespace>.pod`.
    Pod { address: IpAddr },
    /// No form of the specification.
    Nothing,
}

/// Understands `name`; `None` when it is not in `zone`.
pub(crate) fn parse(name: &Name, zone: &Name) -> Option<Asked> {
    if !zone.zone_of(name) {
        return None;
    }
    let below = usize::from(name.num_labels() - zone.num_labels());
    let labels: Vec<String> =
        name.iter().take(below).map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    Some(of_labels(&labels))
}

fn of_labels(labels: &[&str]) -> Asked {
    let own = |text: &&str| (*text).to_owned();
    match labels {
        [] => Asked::Apex,
        ["dns-version"] => Asked::Version,
        ["ns", "dns"] => Asked::NameServer,
        ["dns" | "svc" | "pod"] | [_, "pod"] => Asked::Branch,
        [namespace, "svc"] => Asked::Namespace { namespace: own(namespace) },
        [service, namespace, "svc"] => Asked::Service { service: own(service), namespace: own(namespace) },
        [first, service, namespace, "svc"] => {
            let (service, namespace) = (own(service), own(namespace));
            match first.strip_prefix('_') {
                Some(protocol) => Asked::Protocol { protocol: protocol.to_owned(), service, namespace },
                None => Asked::Endpoint { host: own(first), service, namespace },
            }
        }
        [port, protocol, service, namespace, "svc"] => {
            match (port.strip_prefix('_'), protocol.strip_prefix('_')) {
                (Some(port), Some(protocol)) => Asked::Port {
                    port: port.to_owned(),
                    protocol: protocol.to_owned(),
                    service: own(service),
                    namespace: own(namespace),
                },
                _ => Asked::Nothing,
            }
        }
        [address, _, "pod"] => dashed(address).map_or(Asked::Nothing, |address| Asked::Pod { address }),
        _ => Asked::Nothing,
    }
}

/// `10-1-0-7` or `fd00--7` as an address.
fn dashed(text: &str) -> Option<IpAddr> {
    let v4 = text.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4);
    v4.or_else(|_| text.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::V6)).ok()
}

/// An address as a label: the name of an endpoint that has no host name.
pub(crate) fn undashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Option<Asked> {
        parse(&Name::from_ascii(name).unwrap(), &Name::from_ascii("cluster.local.").unwrap())
    }

    #[test]
    fn names_are_understood_by_their_form() {
        let (service, namespace) = (|| "web".to_owned(), || "shop".to_owned());
        let cases = [
            ("cluster.local.", Asked::Apex),
            ("dns-version.cluster.local.", Asked::Version),
            ("svc.cluster.local.", Asked::Branch),
            ("shop.svc.cluster.local.", Asked::Namespace { namespace: namespace() }),
            ("WEB.Shop.SVC.Cluster.Local.", Asked::Service { service: service(), namespace: namespace() }),
            (
                "db-0.web.shop.svc.cluster.local.",
                Asked::Endpoint { host: "db-0".into(), service: service(), namespace: namespace() },
            ),
            (
                "_tcp.web.shop.svc.cluster.local.",
                Asked::Protocol { protocol: "tcp".into(), service: service(), namespace: namespace() },
            ),
            (
                "_http._tcp.web.shop.svc.cluster.local.",
                Asked::Port {
                    port: "http".into(),
                    protocol: "tcp".into(),
                    service: service(),
                    namespace: namespace(),
                },
            ),
            ("10-1-0-7.shop.pod.cluster.local.", Asked::Pod { address: "10.1.0.7".parse().unwrap() }),
            ("fd00--7.shop.pod.cluster.local.", Asked::Pod { address: "fd00::7".parse().unwrap() }),
            ("x.shop.pod.cluster.local.", Asked::Nothing),
            ("web.shop.cluster.local.", Asked::Nothing),
            ("http._tcp.web.shop.svc.cluster.local.", Asked::Nothing),
        ];
        for (name, expected) in cases {
            assert_eq!(asked(name), Some(expected), "{name}");
        }
        assert_eq!(asked("example.org."), None);
        assert_eq!(asked("notcluster.local."), None);
        assert_eq!(undashed("10.1.0.7".parse().unwrap()), "10-1-0-7");
    }
}

//! What the DNS server says about its own work, under CoreDNS' names where it is the same thing.
//!
//! Labels are as CoreDNS has them with a block of its own for the cluster's zone: `zone` is that
//! or `.`, `plugin` is `kubernetes` or `forward`.

use std::time::Duration;

use hickory_server::proto::{op::ResponseCode, rr::RecordType};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
};
use tiphys_telemetry::Component;

/// The zone of what is not the cluster's.
const EVERYTHING: &str = ".";

/// Who knew the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum By {
    /// Nobody was asked: the query was none that is answered.
    #[default]
    Nobody,
    Cluster,
    Upstream,
}

/// A query, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// `None` of a query that can't be read.
    pub kind: Option<RecordType>,
    pub is_datagram: bool,
    pub is_ipv4: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    zone: String,
    /// `1` of IPv4, `2` of IPv6.
    family: &'static str,
    proto: &'static str,
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    zone: String,
    plugin: &'static str,
    rcode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByZone {
    zone: String,
}

/// The server's figures. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// The cluster's, with the dot at its end.
    zone: String,
    requests: Family<RequestLabels, Counter>,
    responses: Family<ResponseLabels, Counter>,
    seconds: Family<ByZone, Histogram>,
    forward_seconds: Histogram,
}

impl Metrics {
    /// Registers all of them with `component`; `domain` is that of the cluster.
    pub(crate) fn register(component: &Component, domain: &str) -> Self {
        let metrics = Self {
            zone: format!("{}.", domain.trim_end_matches('.')),
            requests: Family::default(),
            responses: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 16))),
            forward_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
        };
        component.registry(|registry| {
            registry.register(
                "coredns_dns_requests",
                "Queries by zone, address family, protocol and type",
                metrics.requests.clone(),
            );
            registry.register(
                "coredns_dns_responses",
                "Answers by zone, who knew them, and code",
                metrics.responses.clone(),
            );
            registry.register(
                "coredns_dns_request_duration_seconds",
                "Time until an answer was known",
                metrics.seconds.clone(),
            );
            registry.register(
                "dns_forward_seconds",
                "Time until an upstream resolver had answered, or none had",
                metrics.forward_seconds.clone(),
            );
        });
        metrics
    }

    pub(crate) fn answered(&self, asked: &Asked, by: By, code: ResponseCode, took: Duration) {
        let (zone, plugin) = match by {
            By::Cluster => (self.zone.as_str(), "kubernetes"),
            By::Upstream => (EVERYTHING, "forward"),
            By::Nobody => (EVERYTHING, ""),
        };
        let request = RequestLabels {
            zone: zone.to_owned(),
            family: if asked.is_ipv4 { "1" } else { "2" },
            proto: if asked.is_datagram { "udp" } else { "tcp" },
            r#type: name_of_type(asked.kind),
        };
        self.requests.get_or_create(&request).inc();
        let response = ResponseLabels { zone: zone.to_owned(), plugin, rcode: name_of_code(code) };
        self.responses.get_or_create(&response).inc();
        self.seconds.get_or_create(&ByZone { zone: zone.to_owned() }).observe(took.as_secs_f64());
    }

    pub(crate) fn forwarded(&self, took: Duration) {
        self.forward_seconds.observe(took.as_secs_f64());
    }
}

/// Whoever asks can't make up series: there are these, and `other`.
fn name_of_type(kind: Option<RecordType>) -> &'static str {
    match kind {
        Some(RecordType::A) => "A",
        Some(RecordType::AAAA) => "AAAA",
        Some(RecordType::ANY) => "ANY",
        Some(RecordType::CNAME) => "CNAME",
        Some(RecordType::HTTPS) => "HTTPS",
        Some(RecordType::MX) => "MX",
        Some(RecordType::NS) => "NS",
        Some(RecordType::PTR) => "PTR",
        Some(RecordType::SOA) => "SOA",
        Some(RecordType::SRV) => "SRV",
        Some(RecordType::TXT) => "TXT",
        _ => "other",
    }
}

/// As the registry of DNS parameters abbreviates them.
fn name_of_code(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_answers_are_told_under_coredns_names() {
        let component = Component::new("dns");
        let metrics = Metrics::register(&component, "cluster.local");
        let asked = |kind, is_datagram, is_ipv4| Asked { kind, is_datagram, is_ipv4 };
        let took = Duration::from_millis(1);
        let a = asked(Some(RecordType::A), true, true);
        metrics.answered(&a, By::Cluster, ResponseCode::NoError, took);
        metrics.answered(&a, By::Cluster, ResponseCode::NXDomain, took);
        metrics.answered(
            &asked(Some(RecordType::Unknown(999)), false, false),
            By::Upstream,
            ResponseCode::ServFail,
            took,
        );
        metrics.answered(&asked(None, true, true), By::Nobody, ResponseCode::FormErr, took);
        let text = component.render();
        for line in [
            r#"coredns_dns_requests_total{zone="cluster.local.",family="1",proto="udp",type="A"} 2"#,
            r#"coredns_dns_requests_total{zone=".",family="2",proto="tcp",type="other"} 1"#,
            r#"coredns_dns_requests_total{zone=".",family="1",proto="udp",type="other"} 1"#,
            r#"coredns_dns_responses_total{zone="cluster.local.",plugin="kubernetes",rcode="NOERROR"} 1"#,
            r#"coredns_dns_responses_total{zone="cluster.local.",plugin="kubernetes",rcode="NXDOMAIN"} 1"#,
            r#"coredns_dns_responses_total{zone=".",plugin="forward",rcode="SERVFAIL"} 1"#,
            r#"coredns_dns_responses_total{zone=".",plugin="",rcode="FORMERR"} 1"#,
            r#"coredns_dns_request_duration_seconds_count{zone="cluster.local."} 2"#,
            r#"coredns_dns_request_duration_seconds_count{zone="."} 2"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
    }
}

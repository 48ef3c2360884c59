//! A Pod's resolv.conf, from its policy, the cluster's settings and the node's file. Pure.
//!
//! <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>

use k8s_openapi::api::core::v1::Pod;
use tiphys_runtime::cri::v1::DnsConfig;

use super::spec;

/// glibc takes no more servers, and the API allows no more search domains.
const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

/// Addresses of the cluster's DNS, and the domain it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDns {
    pub servers: Vec<String>,
    pub domain: String,
}

/// `host` is the node's own resolv.conf.
pub fn config(pod: &Pod, cluster: &ClusterDns, host: &str) -> DnsConfig {
    let spec = spec::of(pod);
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let for_cluster = match policy {
        "ClusterFirstWithHostNet" => true,
        "ClusterFirst" => !spec::uses_host_network(pod),
        _ => false,
    };
    let mut config = match policy {
        "None" => DnsConfig::default(),
        _ if for_cluster && !cluster.servers.is_empty() => cluster_config(pod, cluster, host),
        _ => parse(host),
    };
    if let Some(given) = &spec.dns_config {
        config.servers.extend(given.nameservers.iter().flatten().cloned());
        config.searches.extend(given.searches.iter().flatten().cloned());
        for option in given.options.iter().flatten() {
            let name = option.name.as_deref().unwrap_or_default();
            config.options.retain(|other| other.split(':').next() != Some(name));
            config.options.push(match &option.value {
                Some(value) => format!("{name}:{value}"),
                None => name.to_owned(),
            });
        }
    }
    unique(&mut config.servers, MAX_SERVERS);
    unique(&mut config.searches, MAX_SEARCHES);
    config
}

fn cluster_config(pod: &Pod, cluster: &ClusterDns, host: &str) -> DnsConfig {
    let (namespace, domain) = (spec::namespace(pod), &cluster.domain);
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    searches.extend(parse(host).searches);
    DnsConfig { servers: cluster.servers.clone(), searches, options: vec!["ndots:5".into()] }
}

fn unique(values: &mut Vec<String>, most: usize) {
    let mut seen = std::collections::BTreeSet::new();
    values.retain(|value| seen.insert(value.clone()));
    values.truncate(most);
}

/// Reads a resolv.conf; later `search` and `options` lines replace earlier ones.
fn parse(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let keyword = words.next();
        let values = || words.map(String::from);
        match keyword {
            Some("nameserver") => config.servers.extend(values().take(1)),
            Some("search" | "domain") => config.searches = values().collect(),
            Some("options") => config.options = values().collect(),
            _ => {}
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOST: &str = "# from the provider\nnameserver 192.0.2.1\nsearch example.org\noptions timeout:1\n";

    fn check(spec: serde_json::Value, servers: &[&str], searches: &[&str], options: &[&str]) {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"namespace": "ns"}, "spec": spec})).expect("a Pod");
        let cluster = ClusterDns { servers: vec!["10.96.0.10".into()], domain: "cluster.local".into() };
        let config = config(&pod, &cluster, HOST);
        assert_eq!(config.servers, servers, "{spec}");
        assert_eq!(config.searches, searches, "{spec}");
        assert_eq!(config.options, options, "{spec}");
    }

    #[test]
    fn policies_choose_the_server() {
        let cluster = ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "example.org"];
        check(json!({}), &["10.96.0.10"], &cluster, &["ndots:5"]);
        check(json!({"dnsPolicy": "Default"}), &["192.0.2.1"], &["example.org"], &["timeout:1"]);
        check(json!({"hostNetwork": true}), &["192.0.2.1"], &["example.org"], &["timeout:1"]);
        let host_net = json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"});
        check(host_net, &["10.96.0.10"], &cluster, &["ndots:5"]);
        let own = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1", "1.1.1.1"], "searches": ["a"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}]}});
        check(own, &["1.1.1.1"], &["a"], &["ndots:2", "rotate"]);
        let changed = json!({"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}});
        check(changed, &["10.96.0.10"], &cluster, &["ndots:1"]);
    }
}

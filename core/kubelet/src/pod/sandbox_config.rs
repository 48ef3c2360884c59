//! What CRI is asked to make for a Pod as a whole. Pure.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;
use tiphys_runtime::cri::v1;

use super::{names, resources, security, spec};

/// Linux allows no longer host name.
const MAX_HOSTNAME: usize = 63;

/// What the node adds to the Pod's own spec.
pub struct SandboxFacts<'a> {
    pub dns: v1::DnsConfig,
    pub log_root: &'a std::path::Path,
    /// The group below which all Pods' groups lie.
    pub group_base: &'a str,
    pub domain: &'a str,
}

pub fn sandbox_config(pod: &Pod, attempt: u32, facts: &SandboxFacts<'_>) -> v1::PodSandboxConfig {
    let group = resources::pod_group(facts.group_base, pod);
    let mut annotations: HashMap<String, String> =
        pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect();
    annotations.insert(names::POD_GROUP.into(), group.clone());
    annotations.insert(names::GRACE.into(), spec::grace_seconds(pod).to_string());
    let sysctls = security::pod_context(pod).sysctls.unwrap_or_default();
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: spec::name(pod).into(),
            uid: spec::uid(pod).into(),
            namespace: spec::namespace(pod).into(),
            attempt,
        }),
        hostname: if spec::uses_host_network(pod) { String::new() } else { hostname(pod, facts.domain) },
        log_directory: facts.log_root.join(log_folder(pod)).to_string_lossy().into_owned(),
        dns_config: Some(facts.dns.clone()),
        port_mappings: port_mappings(pod),
        labels: labels(pod),
        annotations,
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: group,
            security_context: Some(security::sandbox(pod)),
            sysctls: sysctls.into_iter().map(|sysctl| (sysctl.name, sysctl.value)).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The Pod's folder below /var/log/pods: `<namespace>_<name>_<uid>`.
pub fn log_folder(pod: &Pod) -> String {
    format!("{}_{}_{}", spec::namespace(pod), spec::name(pod), spec::uid(pod))
}

/// By which the sandbox and its containers are found again.
pub fn labels(pod: &Pod) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> =
        pod.metadata.labels.clone().unwrap_or_default().into_iter().collect();
    labels.insert(names::POD_NAME.into(), spec::name(pod).into());
    labels.insert(names::POD_NAMESPACE.into(), spec::namespace(pod).into());
    labels.insert(names::POD_UID.into(), spec::uid(pod).into());
    labels
}

/// The Pod's name, or the one its spec gives; in full if that is asked for.
pub fn hostname(pod: &Pod, domain: &str) -> String {
    let spec = spec::of(pod);
    if let Some(name) = &spec.hostname_override {
        return name.clone();
    }
    let own = spec.hostname.as_deref().filter(|name| !name.is_empty()).unwrap_or(spec::name(pod));
    let mut name: String = own.chars().take(MAX_HOSTNAME).collect();
    name.truncate(name.trim_end_matches(['-', '.']).len());
    match full_domain(pod, domain) {
        Some(full) if spec.set_hostname_as_fqdn == Some(true) => format!("{name}.{full}"),
        _ => name,
    }
}

/// The domain of a Pod that has a subdomain: `sub.namespace.svc.cluster.local`.
pub fn full_domain(pod: &Pod, domain: &str) -> Option<String> {
    let subdomain = spec::of(pod).subdomain.as_deref().filter(|name| !name.is_empty())?;
    Some(format!("{subdomain}.{}.svc.{domain}", spec::namespace(pod)))
}

fn port_mappings(pod: &Pod) -> Vec<v1::PortMapping> {
    if spec::uses_host_network(pod) {
        return Vec::new();
    }
    let ports = spec::all_containers(pod).flat_map(|container| container.ports.iter().flatten());
    let ports = ports.filter(|port| port.host_port.is_some_and(|port| port > 0));
    ports
        .map(|port| v1::PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => v1::Protocol::Udp.into(),
                Some("SCTP") => v1::Protocol::Sctp.into(),
                _ => v1::Protocol::Tcp.into(),
            },
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or(0),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}

/// The content of the containers' /etc/hosts.
pub fn hosts_file(pod: &Pod, ips: &[String], domain: &str, node_hosts: &str) -> String {
    let mut text = String::from("# Written by the kubelet.\n");
    if spec::uses_host_network(pod) {
        text.push_str(node_hosts);
    } else {
        text.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        text.push_str("fe00::\tip6-localnet\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
        let short = hostname(pod, domain);
        let short = short.split('.').next().unwrap_or_default();
        for ip in ips {
            match full_domain(pod, domain) {
                Some(full) => text.push_str(&format!("{ip}\t{short}.{full}\t{short}\n")),
                None => text.push_str(&format!("{ip}\t{short}\n")),
            }
        }
    }
    for alias in spec::of(pod).host_aliases.iter().flatten() {
        text.push_str(&format!(
            "{}\t{}\n",
            alias.ip,
            alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t")
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        let mut spec = spec;
        spec["containers"] =
            json!([{"name": "a", "ports": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}]}]);
        let metadata = json!({"name": "web-1", "namespace": "ns", "uid": "u", "labels": {"app": "web"}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("a Pod")
    }

    #[test]
    fn names_ports_and_labels() {
        let facts = SandboxFacts {
            dns: v1::DnsConfig::default(),
            log_root: std::path::Path::new("/var/log/pods"),
            group_base: "/k",
            domain: "cluster.local",
        };
        let config = sandbox_config(&pod(json!({})), 2, &facts);
        assert_eq!(config.log_directory, "/var/log/pods/ns_web-1_u");
        assert_eq!(config.hostname, "web-1");
        assert_eq!(config.port_mappings.len(), 1);
        assert_eq!(config.labels[names::POD_UID], "u");
        assert_eq!(config.labels["app"], "web");
        assert_eq!(config.annotations[names::POD_GROUP], "/k/besteffort/podu");
        let host = sandbox_config(&pod(json!({"hostNetwork": true})), 0, &facts);
        assert!(host.hostname.is_empty() && host.port_mappings.is_empty());
    }

    #[test]
    fn host_names_and_hosts_files() {
        let full = pod(json!({"hostname": "db", "subdomain": "data", "setHostnameAsFQDN": true,
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]}));
        assert_eq!(hostname(&full, "cluster.local"), "db.data.ns.svc.cluster.local");
        let hosts = hosts_file(&full, &["10.0.0.5".into()], "cluster.local", "");
        assert!(hosts.contains("10.0.0.5\tdb.data.ns.svc.cluster.local\tdb\n"), "{hosts}");
        assert!(hosts.contains("1.2.3.4\ta\tb\n"), "{hosts}");
    }
}

//! Where a webhook is: at a URL, or behind a Service of the cluster.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use rand::seq::IndexedRandom;
use serde_json::Value;

use crate::{
    admission::{Cluster, items},
    streaming::may_be_dialled,
};

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Name or address to connect to.
    pub host: String,
    pub port: u16,
    /// The name that its certificate must be for, and the request's Host.
    pub server_name: String,
    /// With the query.
    pub path: String,
    /// Certificates in PEM that it is trusted by; empty: those of the machine.
    pub ca: Vec<u8>,
}

impl Target {
    /// As it is named in errors.
    pub fn url(&self) -> String {
        format!("https://{}:{}{}", self.server_name, self.port, self.path)
    }
}

pub fn target(cluster: &Cluster, config: &Value, timeout: Duration) -> Result<Target, String> {
    let ca = BASE64_STANDARD
        .decode(config["caBundle"].as_str().unwrap_or_default())
        .map_err(|error| format!("caBundle is no base64: {error}"))?;
    let query = format!("?timeout={}s", timeout.as_secs());
    if let Some(url) = config["url"].as_str() {
        let (host, port, path) = split(url).ok_or_else(|| format!("{url:?} is no https URL"))?;
        return Ok(Target { server_name: host.clone(), host, port, path: format!("{path}{query}"), ca });
    }
    let service = &config["service"];
    let text = |key: &str| service[key].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let port = service["port"].as_u64().unwrap_or(443);
    let (host, target_port) = endpoint(cluster, namespace, name, port)?;
    let path = text("path").trim_start_matches('/');
    Ok(Target {
        host,
        port: target_port,
        server_name: format!("{name}.{namespace}.svc"),
        path: format!("/{path}{query}"),
        ca,
    })
}

/// Host, port and path of `https://host[:port][/path]`.
fn split(url: &str) -> Option<(String, u16, String)> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    (uri.scheme_str() == Some("https"))
        .then(|| (host.to_owned(), uri.port_u16().unwrap_or(443), uri.path().to_owned()))
}

/// One of the Service's ready endpoints, by chance.
fn endpoint(cluster: &Cluster, namespace: &str, name: &str, port: u64) -> Result<(String, u16), String> {
    let service = cluster.objects.get("", "services", namespace, name);
    let service = service.ok_or_else(|| format!("service {name:?} not found"))?;
    if service["spec"]["type"] == "ExternalName" {
        let host = service["spec"]["externalName"].as_str().unwrap_or_default().to_owned();
        return Ok((host, u16::try_from(port).unwrap_or(443)));
    }
    let mut ports = items(&service["spec"]["ports"]);
    let wanted = ports.find(|it| it["port"].as_u64() == Some(port));
    let wanted = wanted.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let port_name = wanted["name"].as_str().unwrap_or_default();
    let slices = cluster.objects.list("discovery.k8s.io", "endpointslices", namespace, &[]);
    let of_service =
        |slice: &&std::sync::Arc<Value>| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name;
    let all: Vec<(String, u16)> =
        slices.iter().filter(of_service).flat_map(|slice| ready(slice, port_name)).collect();
    let chosen = all.choose(&mut rand::rng()).cloned();
    chosen.ok_or_else(|| format!("no endpoints available for service {name:?}"))
}

fn ready(slice: &Value, port_name: &str) -> Vec<(String, u16)> {
    let mut ports = items(&slice["ports"]);
    let port = ports.find(|port| port["name"].as_str().unwrap_or_default() == port_name);
    let port = port.and_then(|port| port["port"].as_u64()).and_then(|port| u16::try_from(port).ok());
    let Some(port) = port else { return Vec::new() };
    let endpoints = items(&slice["endpoints"]).filter(|endpoint| endpoint["conditions"]["ready"] != false);
    let addresses = endpoints.flat_map(|endpoint| items(&endpoint["addresses"]).filter_map(Value::as_str));
    // Who may write EndpointSlices must not lead the API server into its own surroundings.
    let dialled = addresses.filter(|address| address.parse().is_ok_and(may_be_dialled));
    dialled.map(|address| (address.to_owned(), port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let table = [
            ("https://a.example/b/c", Some(("a.example", 443, "/b/c"))),
            ("https://127.0.0.1:8443", Some(("127.0.0.1", 8443, "/"))),
            ("https://[::1]:8443/x", Some(("::1", 8443, "/x"))),
            ("http://a.example/", None),
            ("a", None),
        ];
        for (url, expected) in table {
            let expected = expected.map(|(host, port, path)| (host.to_owned(), port, path.to_owned()));
            assert_eq!(split(url), expected, "{url}");
        }
    }
}

//! The subresource `proxy`: one request passed on to a Node's kubelet, a Pod or a
//! Service, and its answer back.
//!
//! Names are `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`. A kubelet is spoken to by
//! TLS; Pods only in plain HTTP, since there is no authority to verify them by.
//! Connections are not upgraded here: exec and its kin have their own
//! subresources, with rights of their own.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, Request, Response, Uri, header, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tiphys_api::serve::{Body, boxed};

use super::{Streaming, upgrade::tokens};
use crate::authz::{Objects, Refusal, find};

/// What stays as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'=')
    .remove(b'+')
    .remove(b',');

/// Headers about one connection, not about the request.
const HOP_BY_HOP: &[HeaderName] = &[
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A name of the proxy subresource, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

impl Streaming {
    /// Passes a request on. `resource` is `nodes`, `pods` or `services`; `rest` the
    /// path below, decoded and without its first slash.
    pub async fn proxy(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        rest: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        if request.headers().contains_key(header::UPGRADE) {
            let why = "connections cannot be upgraded through a proxy; use exec, attach or port-forward";
            return Err(Refusal::forbidden("", resource, name, why));
        }
        let target = target(name)?;
        *request.uri_mut() = below(rest, request.uri())?;
        strip_hop_by_hop(request.headers_mut());
        let answer = if resource == "nodes" {
            let address = self.kubelet_of(target.name).await?;
            let own_port = target.port.is_empty() || target.port == address.port().to_string();
            if !own_port || target.scheme == "http" {
                let why =
                    format!("only the kubelet of a node can be reached, by https on port {}", address.port());
                return Err(Refusal::bad_request(why));
            }
            self.kubelets.send(address, request).await?
        } else {
            if target.scheme == "https" {
                let why = "only http is passed on: there is no authority to verify the certificate by";
                return Err(Refusal::bad_request(why));
            }
            let address = match resource {
                "pods" => self.pod_address(namespace, &target).await?,
                _ => service_endpoint(&*self.objects, namespace, target.name, target.port).await?,
            };
            if !(self.reachable)(address.ip()) {
                return Err(Refusal::bad_request(format!("address {} not allowed", address.ip())));
            }
            self.kubelets.send_plain(address, request).await?
        };
        let mut answer = answer.map(boxed);
        strip_hop_by_hop(answer.headers_mut());
        Ok(answer)
    }

    async fn pod_address(&self, namespace: &str, target: &Target<'_>) -> Result<SocketAddr, Refusal> {
        let pod = self.pod(namespace, target.name).await?;
        let ip = ip(&pod["status"]["podIP"]).ok_or_else(|| {
            Refusal::new(503, "ServiceUnavailable", format!("pod {} has no address", target.name))
        })?;
        let port = if target.port.is_empty() {
            let ports = items(&pod["spec"]["containers"]).flat_map(|container| items(&container["ports"]));
            ports.filter_map(|port| number(&port["containerPort"])).next().unwrap_or(80)
        } else {
            target.port.parse().map_err(|_| invalid(target.port))?
        };
        Ok(SocketAddr::new(ip, port))
    }
}

/// A ready endpoint of a Service, by its port's number or name; an empty one is its only port.
pub async fn service_endpoint(
    objects: &dyn Objects,
    namespace: &str,
    name: &str,
    port: &str,
) -> Result<SocketAddr, Refusal> {
    let service = find(objects, "", "services", namespace, name)
        .await
        .ok_or_else(|| Refusal::not_found("", "services", name))?;
    let port_name = port_name(&service, port).ok_or_else(|| invalid(port))?;
    let slices = objects.list("discovery.k8s.io", "endpointslices", namespace, &[]);
    let own = slices.iter().filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == name);
    let addresses: Vec<SocketAddr> = own.flat_map(|slice| ready_addresses(slice, &port_name)).collect();
    if addresses.is_empty() {
        let message = format!("no endpoints available for service {name:?}");
        return Err(Refusal::new(503, "ServiceUnavailable", message));
    }
    Ok(addresses[rand::random_range(0..addresses.len())])
}

fn target(name: &str) -> Result<Target<'_>, Refusal> {
    let parts: Vec<&str> = name.split(':').collect();
    let target = match parts[..] {
        [name] => Target { scheme: "", name, port: "" },
        [name, port] => Target { scheme: "", name, port },
        [scheme @ ("" | "http" | "https"), name, port] => Target { scheme, name, port },
        _ => return Err(Refusal::bad_request(format!("invalid proxy name {name:?}"))),
    };
    if target.name.is_empty() {
        return Err(Refusal::bad_request(format!("invalid proxy name {name:?}")));
    }
    Ok(target)
}

/// The path below the subresource, with the query.
fn below(rest: &str, uri: &Uri) -> Result<Uri, Refusal> {
    let mut path = format!("/{}", utf8_percent_encode(rest, PATH));
    if !rest.is_empty() && uri.path().ends_with('/') {
        path.push('/');
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let path: PathAndQuery =
        path.parse().map_err(|_| Refusal::bad_request("the path cannot be passed on"))?;
    Ok(path.into())
}

/// Takes out what is about one connection only, and what the header `Connection` names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> =
        tokens(headers, &header::CONNECTION).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The name of the Service's port that is meant by a number, a name or nothing.
fn port_name(service: &Value, wanted: &str) -> Option<String> {
    let ports: Vec<&Value> = items(&service["spec"]["ports"]).collect();
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    if wanted.is_empty() {
        return match ports[..] {
            [only] => Some(name(only)),
            _ => ports.iter().map(|port| name(port)).find(String::is_empty),
        };
    }
    let by_number = wanted.parse::<u64>().ok();
    let meant =
        |port: &&&Value| name(port) == wanted || (by_number.is_some() && port["port"].as_u64() == by_number);
    ports.iter().find(meant).map(|port| name(port))
}

fn ready_addresses(slice: &Value, port_name: &str) -> Vec<SocketAddr> {
    let port = items(&slice["ports"])
        .find(|port| port["name"].as_str().unwrap_or_default() == port_name)
        .and_then(|port| number(&port["port"]));
    let Some(port) = port else { return Vec::new() };
    let ready = items(&slice["endpoints"]).filter(|endpoint| endpoint["conditions"]["ready"] != false);
    ready
        .flat_map(|endpoint| items(&endpoint["addresses"]))
        .filter_map(|address| Some(SocketAddr::new(ip(address)?, port)))
        .collect()
}

fn ip(address: &Value) -> Option<IpAddr> {
    address.as_str()?.parse().ok()
}

fn number(port: &Value) -> Option<u16> {
    port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

fn invalid(port: &str) -> Refusal {
    Refusal::bad_request(format!("no port {port:?} to pass the request on to"))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_taken_apart() {
        let check = |text: &str, expected: Option<(&str, &str, &str)>| {
            let found = target(text).ok();
            assert_eq!(found, expected.map(|(scheme, name, port)| Target { scheme, name, port }), "{text}");
        };
        check("web", Some(("", "web", "")));
        check("web:80", Some(("", "web", "80")));
        check("https:web:443", Some(("https", "web", "443")));
        check("http:web:", Some(("http", "web", "")));
        check("ftp:web:21", None);
        check("a:b:c:d", None);
        check("", None);
        check(":80", None);
    }

    #[test]
    fn the_path_below_is_kept() {
        let check = |rest: &str, uri: &str, expected: &str| {
            assert_eq!(below(rest, &uri.parse().unwrap()).unwrap(), expected);
        };
        check("", "/api/v1/nodes/n/proxy", "/");
        check("metrics", "/api/v1/nodes/n/proxy/metrics", "/metrics");
        check("a b/c", "/api/v1/nodes/n/proxy/a%20b/c/?x=%201", "/a%20b/c/?x=%201");
    }

    #[test]
    fn a_service_leads_to_its_ready_endpoints() {
        let service =
            json!({ "spec": { "ports": [{ "name": "web", "port": 80 }, { "name": "admin", "port": 81 }] } });
        assert_eq!(port_name(&service, "81").as_deref(), Some("admin"));
        assert_eq!(port_name(&service, "web").as_deref(), Some("web"));
        assert_eq!(port_name(&service, ""), None);
        assert_eq!(port_name(&service, "99"), None);
        assert_eq!(port_name(&json!({ "spec": { "ports": [{ "port": 80 }] } }), "").as_deref(), Some(""));
        let slice = json!({ "ports": [{ "name": "web", "port": 8080 }], "endpoints": [
            { "addresses": ["10.0.0.1"], "conditions": { "ready": true } },
            { "addresses": ["10.0.0.2"], "conditions": { "ready": false } },
            { "addresses": ["10.0.0.3"] },
        ]});
        let found: Vec<String> = ready_addresses(&slice, "web").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:8080", "10.0.0.3:8080"]);
        assert!(ready_addresses(&slice, "admin").is_empty());
    }

    #[test]
    fn hop_by_hop_headers_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}

//! A request's path and method as the API's own words: group, version,
//! namespace, resource, name, subresource, verb. Pure.
//!
//! Segments are looked at before they are decoded: whatever could climb out of
//! its place (`..`, an encoded dot or slash) is refused, never normalized.

use http::Method;

use crate::status::{ApiError, Result};

/// What a path is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Resource(RequestInfo),
    /// Health, metrics, discovery, OpenAPI, mounts: the path decides.
    Path,
}

/// A request for a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    pub group: String,
    pub version: String,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    /// Plural.
    pub resource: String,
    pub name: String,
    pub subresource: String,
    /// What follows the subresource (`proxy/a/b`), without a leading slash.
    pub rest: String,
    /// get, list, watch, create, update, patch, delete, deletecollection
    pub verb: &'static str,
}

impl RequestInfo {
    /// Whether it goes on to a kubelet, a Pod or a Service, and may last as long as they do.
    pub fn is_stream(&self) -> bool {
        matches!(self.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
    }
}

/// Reads method and path; `watching` is the query's `watch`.
pub fn parse(method: &Method, path: &str, watching: bool) -> Result<Target> {
    let segments = segments(path)?;
    let (group, version, rest) = match segments.as_slice() {
        [api, version, rest @ ..] if api == "api" => ("", version, rest),
        [apis, group, version, rest @ ..] if apis == "apis" => (group.as_str(), version, rest),
        _ => return Ok(Target::Path),
    };
    if rest.is_empty() {
        return Ok(Target::Path);
    }
    let mut info = RequestInfo { group: group.into(), version: version.clone(), ..RequestInfo::default() };
    let rest = match rest {
        [word, namespace] if word == "namespaces" => {
            info.namespace = namespace.clone();
            rest
        }
        [word, namespace, sub, ..]
            if word == "namespaces" && group.is_empty() && matches!(sub.as_str(), "finalize" | "status") =>
        {
            info.namespace = namespace.clone();
            rest
        }
        [word, namespace, rest @ ..] if word == "namespaces" => {
            info.namespace = namespace.clone();
            rest
        }
        rest => rest,
    };
    let part = |n: usize| rest.get(n).cloned().unwrap_or_default();
    info.resource = part(0);
    info.name = part(1);
    info.subresource = part(2);
    info.rest = rest.get(3..).unwrap_or_default().join("/");
    info.verb = verb(method, &info.name, watching)?;
    Ok(Target::Resource(info))
}

fn verb(method: &Method, name: &str, watching: bool) -> Result<&'static str> {
    Ok(match (method.as_str(), name.is_empty()) {
        ("GET" | "HEAD", true) if watching => "watch",
        ("GET" | "HEAD", true) => "list",
        ("GET" | "HEAD", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        _ => return Err(ApiError::method_not_allowed()),
    })
}

/// The path's segments, decoded, after the refusal of all that could climb.
fn segments(path: &str) -> Result<Vec<String>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(segment).collect()
}

fn segment(raw: &str) -> Result<String> {
    let lower = raw.to_ascii_lowercase();
    let climbs = raw == "." || raw == "..";
    let hides = ["%2e", "%2f", "%5c", "%25", "%00", "\\"].iter().any(|bad| lower.contains(bad));
    if climbs || hides {
        return Err(ApiError::bad_request(format!("invalid path segment {raw:?}")));
    }
    percent_encoding::percent_decode_str(raw)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| ApiError::bad_request("the path is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(method: &str, path: &str, watching: bool) -> [String; 7] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        match parse(&method, path, watching).expect("a good path") {
            Target::Resource(i) => {
                [i.verb.to_string(), i.group, i.version, i.namespace, i.resource, i.name, i.subresource]
            }
            Target::Path => panic!("{path} is a resource"),
        }
    }

    #[test]
    fn paths_give_their_parts() {
        let table = [
            ("GET", "/api/v1/pods", false, ["list", "", "v1", "", "pods", "", ""]),
            ("GET", "/api/v1/pods", true, ["watch", "", "v1", "", "pods", "", ""]),
            ("POST", "/api/v1/namespaces/a/pods", false, ["create", "", "v1", "a", "pods", "", ""]),
            (
                "PUT",
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                false,
                ["update", "apps", "v1", "a", "deployments", "d", "scale"],
            ),
            ("DELETE", "/api/v1/namespaces/a", false, ["delete", "", "v1", "a", "namespaces", "a", ""]),
            (
                "PUT",
                "/api/v1/namespaces/a/finalize",
                false,
                ["update", "", "v1", "a", "namespaces", "a", "finalize"],
            ),
            (
                "DELETE",
                "/api/v1/namespaces/a/pods",
                false,
                ["deletecollection", "", "v1", "a", "pods", "", ""],
            ),
            (
                "GET",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node",
                false,
                ["get", "rbac.authorization.k8s.io", "v1", "", "clusterroles", "system:node", ""],
            ),
        ];
        for (method, path, watching, expected) in table {
            assert_eq!(resource(method, path, watching), expected, "{method} {path}");
        }
    }

    #[test]
    fn discovery_and_health_are_paths() {
        for path in ["/", "/api", "/api/", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/livez"] {
            assert_eq!(parse(&Method::GET, path, false), Ok(Target::Path), "{path}");
        }
    }

    #[test]
    fn abuse_09_climbing_and_encoded_separators_are_refused() {
        let bad = [
            "/api/v1/namespaces/../pods",
            "/api/v1/namespaces/%2e%2e/pods",
            "/api/v1/namespaces/%2E%2E/pods/x",
            "/api/v1/namespaces/a/pods/b%2fc",
            "/api/v1/namespaces/a/pods/x/%2e%2e",
            "/api/v1/namespaces/a%252f/pods",
        ];
        for path in bad {
            let error = parse(&Method::GET, path, false).expect_err(path);
            assert_eq!(error.code.as_u16(), 400, "{path}");
        }
    }
}

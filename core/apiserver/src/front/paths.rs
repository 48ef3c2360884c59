//! Paths that are no resource: health, version, metrics, discovery, OpenAPI,
//! and the keys of service account tokens.

use std::sync::Arc;

use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tiphys_api::serve::Body;
use tiphys_telemetry::Component;

use crate::{
    discovery::{self, GIT_VERSION},
    respond::{self, object::bytes},
    state::Core,
    status::{ApiError, Result},
};

pub fn answer(core: &Arc<Core>, request: &Request<Body>) -> Result<Response<Body>> {
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return Err(ApiError::method_not_allowed());
    }
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let trimmed = if path == "/" { path } else { path.trim_end_matches('/') };
    match trimmed {
        "/" => Ok(respond::json(StatusCode::OK, &index(core))),
        "/version" => Ok(respond::json(StatusCode::OK, &version())),
        "/metrics" => Ok(bytes(StatusCode::OK, Component::CONTENT_TYPE, core.metrics.component.render())),
        "/.well-known/openid-configuration" => {
            Ok(for_verifiers("application/json", &core.authenticator.openid_configuration()))
        }
        "/openid/v1/jwks" => Ok(for_verifiers("application/jwk-set+json", &core.authenticator.jwks())),
        other => {
            if let Some(endpoint) = health_endpoint(other) {
                return Ok(health(core, endpoint, query));
            }
            discovery::answer(core, other, request.headers())
                .or_else(|| core.openapi.answer(other, request.headers(), &core.aggregation))
                .unwrap_or_else(|| Err(ApiError::no_such_path()))
        }
    }
}

/// What those read who verify service account tokens: they may keep it for a while.
fn for_verifiers(content_type: &'static str, document: &Value) -> Response<Body> {
    let mut response = bytes(StatusCode::OK, content_type, document.to_string());
    let kept = header::HeaderValue::from_static("public, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}

/// `/livez` and single checks such as `/livez/ping`.
fn health_endpoint(path: &str) -> Option<&str> {
    let endpoint = path.trim_start_matches('/').split('/').next()?;
    matches!(endpoint, "healthz" | "livez" | "readyz").then_some(endpoint)
}

fn health(core: &Core, endpoint: &str, query: &str) -> Response<Body> {
    let not_ready = if endpoint == "livez" { Vec::new() } else { core.registry.not_ready() };
    let stopping = endpoint == "readyz" && core.stopping().is_cancelled();
    let checks = [("ping", true), ("caches", not_ready.is_empty()), ("shutdown", !stopping)];
    let good = checks.iter().all(|(_, good)| *good);
    let verbose = form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "verbose");
    let mut text = String::new();
    if verbose || !good {
        for (name, good) in checks {
            text.push_str(&if good { format!("[+]{name} ok\n") } else { format!("[-]{name} failed\n") });
        }
        text.push_str(&format!("{endpoint} check {}\n", if good { "passed" } else { "failed" }));
    } else {
        text.push_str("ok");
    }
    let code = if good { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    bytes(code, "text/plain; charset=utf-8", text)
}

fn version() -> Value {
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH.replace("x86_64", "amd64"));
    json!({
        "major": "1",
        "minor": "37",
        "gitVersion": GIT_VERSION,
        // A build that isn't told where it comes from doesn't know.
        "gitCommit": option_env!("TIPHYS_COMMIT").unwrap_or("unknown"),
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": platform,
    })
}

/// `/`: the paths there are.
fn index(core: &Core) -> Value {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openid/v1/jwks",
        "/readyz",
        "/version",
    ]
    .map(String::from)
    .to_vec();
    for group in discovery::groups(core).iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|version| format!("/apis/{}/{}", group.name, version.name)));
    }
    paths.sort();
    json!({ "paths": paths })
}

//! What a browser may be made to do: nothing from a foreign page.
//!
//! - A Host that isn't ours is refused (421): a foreign name that was pointed at
//!   loopback reads nothing.
//! - What changes something must come from our own pages (403 for a foreign
//!   Origin, and for bodies that a plain form can send).
//! - Every answer forbids framing, sniffing, and any script but ours.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::web::Web;

const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

pub async fn guard(State(web): State<Web>, request: Request, next: Next) -> Response {
    if let Err((code, why)) = allowed(&web.shared.base_url, request.method(), request.headers()) {
        return (code, why).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn allowed(base_url: &str, method: &Method, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let own = base_url.split_once("://").map_or(base_url, |(_, host)| host);
    let port = own.rsplit_once(':').map_or("", |(_, port)| port);
    let is_ours = |host: &str| host == own || host == format!("localhost:{port}");
    if !text(header::HOST).is_some_and(is_ours) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "this dashboard has another address\n"));
    }
    if let Some(origin) = text(header::ORIGIN)
        && !origin.split_once("://").is_some_and(|(scheme, host)| scheme == "http" && is_ours(host))
    {
        return Err((StatusCode::FORBIDDEN, "the request comes from a foreign page\n"));
    }
    let changes = ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let form = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
    let of_a_form = kind.is_empty() || form.iter().any(|form| kind.starts_with(form));
    if changes && *method != Method::DELETE && of_a_form {
        return Err((StatusCode::FORBIDDEN, "send JSON\n"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, headers: &[(&'static str, &str)]) -> Option<u16> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
            })
            .collect();
        allowed("http://127.0.0.1:6480", &method, &headers).err().map(|(code, _)| code.as_u16())
    }

    const OURS: (&str, &str) = ("host", "127.0.0.1:6480");

    #[test]
    fn own_pages_pass() {
        assert_eq!(check(Method::GET, &[OURS]), None);
        assert_eq!(check(Method::GET, &[("host", "localhost:6480")]), None);
        let json = ("content-type", "application/json");
        assert_eq!(check(Method::POST, &[OURS, json, ("origin", "http://127.0.0.1:6480")]), None);
    }

    #[test]
    fn abuse_23_a_foreign_host_is_misdirected() {
        assert_eq!(check(Method::GET, &[("host", "evil.example:6480")]), Some(421));
        assert_eq!(check(Method::GET, &[("host", "127.0.0.1:80")]), Some(421));
        assert_eq!(check(Method::GET, &[]), Some(421));
    }

    #[test]
    fn abuse_22_a_foreign_origin_is_forbidden() {
        assert_eq!(
            check(Method::GET, &[OURS, ("origin", "http://evil.example"), ("upgrade", "websocket")]),
            Some(403)
        );
        assert_eq!(check(Method::GET, &[OURS, ("origin", "null")]), Some(403));
    }

    #[test]
    fn abuse_24_a_form_changes_nothing() {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            assert_eq!(check(Method::POST, &[OURS, ("content-type", kind)]), Some(403), "{kind}");
        }
        assert_eq!(check(Method::POST, &[OURS]), Some(403));
    }
}

//! The HTTP side of an upgrade: what a client asks for, what a kubelet grants, and
//! the 101 that the client gets.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tiphys_api::serve::{Body, empty};

use super::kubelet::{self, Kubelets};
use crate::authz::Refusal;

pub const SPDY: &str = "SPDY/3.1";
const WEBSOCKET: &str = "websocket";
pub const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// What a request wants its connection to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Spdy,
    WebSocket,
}

/// What the headers ask for, or 400.
pub fn wanted(headers: &HeaderMap) -> Result<Wanted, Refusal> {
    let has =
        |name: HeaderName, token: &str| tokens(headers, &name).any(|value| value.eq_ignore_ascii_case(token));
    let upgrades = has(header::CONNECTION, "upgrade");
    if upgrades && has(header::UPGRADE, "websocket") {
        return Ok(Wanted::WebSocket);
    }
    if upgrades && has(header::UPGRADE, SPDY) {
        return Ok(Wanted::Spdy);
    }
    Err(Refusal::bad_request("unable to upgrade: missing upgrade headers in request"))
}

/// The words of a header that is a list.
pub fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// The client's half, to be awaited after the 101 was returned.
pub fn client_half(request: &mut Request<Body>) -> Result<OnUpgrade, Refusal> {
    request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| Refusal::bad_request("this connection cannot be upgraded; HTTP/1.1 is needed"))
}

/// A connection to a kubelet that has become SPDY, and the stream protocol it chose.
pub struct KubeletHalf {
    pub stream: TokioIo<Upgraded>,
    pub protocol: Option<HeaderValue>,
}

/// Asks the kubelet for `path` as SPDY, offering stream protocols.
pub async fn kubelet_half(
    kubelets: &Kubelets,
    address: std::net::SocketAddr,
    path: &str,
    protocols: Vec<HeaderValue>,
) -> Result<KubeletHalf, Refusal> {
    let mut request = Request::post(path)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, SPDY)
        .header(header::CONTENT_LENGTH, 0)
        .body(empty())
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    for protocol in protocols {
        request.headers_mut().append(STREAM_PROTOCOL, protocol);
    }
    let (stream, headers) = switched(kubelets, address, request, SPDY).await?;
    Ok(KubeletHalf { stream, protocol: headers.get(STREAM_PROTOCOL).cloned() })
}

/// Asks the kubelet for `path` as a WebSocket of this subprotocol, with the client's key.
pub async fn kubelet_socket(
    kubelets: &Kubelets,
    address: std::net::SocketAddr,
    path: &str,
    key: HeaderValue,
    protocol: &'static str,
) -> Result<TokioIo<Upgraded>, Refusal> {
    let request = Request::get(path)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, WEBSOCKET)
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key)
        .header(header::SEC_WEBSOCKET_PROTOCOL, protocol)
        .body(empty())
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    Ok(switched(kubelets, address, request, WEBSOCKET).await?.0)
}

/// What the connection has become, and the head of the kubelet's 101.
async fn switched(
    kubelets: &Kubelets,
    address: std::net::SocketAddr,
    request: Request<Body>,
    wanted: &str,
) -> Result<(TokioIo<Upgraded>, HeaderMap), Refusal> {
    let mut answer = kubelets.send(address, request).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(kubelet::refusal(answer).await);
    }
    let chosen =
        answer.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !chosen.eq_ignore_ascii_case(wanted) {
        let message = format!("the kubelet switched to {chosen:?} instead of {wanted}");
        return Err(Refusal::new(502, "BadGateway", message));
    }
    let headers = answer.headers().clone();
    let upgraded = hyper::upgrade::on(&mut answer).await;
    let upgraded = upgraded.map_err(|error| Refusal::new(502, "BadGateway", error.to_string()))?;
    Ok((TokioIo::new(upgraded), headers))
}

/// The 101 of an upgrade to `protocol`.
pub fn switching(
    protocol: &'static str,
    headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(protocol));
    response.headers_mut().extend(headers);
    response
}

//! The server's side of a WebSocket handshake (RFC 6455, section 4.2).

use std::time::Duration;

use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderValue, Method, Request, Response, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tiphys_api::serve::Body;
use tiphys_lifecycle::BoxError;
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::upgrade::{self, tokens};
use crate::authz::Refusal;

/// No client of ours sends more in one message; the limit is against those who would.
const MESSAGE_BYTES: usize = 4 << 20;

/// For the client's half of the closing handshake.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

pub type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// The 101 for a handshake, and what `choose` made of the first offered
/// subprotocol that it takes.
pub fn accept<T>(
    request: &Request<Body>,
    choose: impl Fn(&str) -> Option<T>,
) -> Result<(Response<Body>, T), Refusal> {
    let headers = request.headers();
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    if request.method() != Method::GET || text(header::SEC_WEBSOCKET_VERSION) != "13" {
        return Err(Refusal::bad_request("a WebSocket opens with a GET of version 13"));
    }
    let key = text(header::SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return Err(Refusal::bad_request("header Sec-WebSocket-Key is missing"));
    }
    check_origin(text(header::ORIGIN), text(header::HOST))?;
    let mut offered = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL);
    let (name, chosen) = offered
        .find_map(|name| choose(name).map(|chosen| (name, chosen)))
        .ok_or_else(|| Refusal::bad_request("none of the offered WebSocket subprotocols is supported"))?;
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|error| Refusal::bad_request(error.to_string()));
    let answer = [
        (header::SEC_WEBSOCKET_ACCEPT, value(&derive_accept_key(key.as_bytes()))?),
        (header::SEC_WEBSOCKET_PROTOCOL, value(name)?),
    ];
    Ok((upgrade::switching("websocket", answer), chosen))
}

/// A browser says which page opens the socket; a page of another host may not.
fn check_origin(origin: &str, host: &str) -> Result<(), Refusal> {
    let origin_host = origin.split_once("://").map_or(origin, |(_, host)| host);
    if origin.is_empty() || origin_host.eq_ignore_ascii_case(host) {
        return Ok(());
    }
    Err(Refusal::new(403, "Forbidden", format!("WebSocket from the foreign origin {origin:?} refused")))
}

/// The socket, once the client has seen the 101.
pub async fn open(client: OnUpgrade) -> Result<Socket, BoxError> {
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(MESSAGE_BYTES);
    config.max_frame_size = Some(MESSAGE_BYTES);
    // Output of a terminal is small and must be seen at once.
    config.write_buffer_size = 0;
    config.read_buffer_size = 16 << 10;
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(client.await?), Role::Server, Some(config)).await)
}

/// Says goodbye, and reads on until the client has said so too: closing a socket
/// with bytes unread could take back what was sent last.
pub async fn finish(
    mut sink: SplitSink<Socket, Message>,
    mut source: SplitStream<Socket>,
) -> Result<(), BoxError> {
    sink.send(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() })))
        .await?;
    let drained = async { while let Some(Ok(_)) = source.next().await {} };
    // A client that does not answer loses only what it did not read.
    let _ = timeout(GOODBYE_LIMIT, drained).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiphys_api::serve::empty;

    fn handshake(change: impl Fn(&mut http::HeaderMap)) -> Result<(Response<Body>, usize), u16> {
        let mut request = Request::get("/").body(empty()).unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-version", "13".parse().unwrap());
        headers.insert("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".parse().unwrap());
        headers.insert("sec-websocket-protocol", "x, two, one".parse().unwrap());
        headers.insert("host", "api.example:6443".parse().unwrap());
        change(headers);
        let supported = ["one", "two"];
        accept(&request, |name| supported.iter().position(|known| *known == name))
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_handshake_is_answered_as_the_rfc_shows() {
        let (response, chosen) = handshake(|_| {}).unwrap();
        assert_eq!(chosen, 1);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], "two");
        let none = |headers: &mut http::HeaderMap| {
            headers.insert("sec-websocket-protocol", "x".parse().unwrap());
        };
        assert_eq!(handshake(none).err(), Some(400));
        assert_eq!(handshake(|headers| drop(headers.remove("sec-websocket-key"))).err(), Some(400));
    }

    #[test]
    fn abuse_22_a_foreign_origin_is_refused() {
        let from = |origin: &'static str| {
            handshake(move |headers| drop(headers.insert("origin", origin.parse().unwrap()))).map(drop)
        };
        assert_eq!(from("https://evil.example"), Err(403));
        assert_eq!(from("https://api.example:6443.evil.example"), Err(403));
        assert_eq!(from("null"), Err(403));
        assert_eq!(from("https://api.example:6443"), Ok(()));
    }
}

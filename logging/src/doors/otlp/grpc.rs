//! `LogsService/Export` over gRPC, at the level of HTTP/2: one message in a frame,
//! the status in the trailers.
//!
//! The generated server would decode a message as a whole before its records can
//! be counted, and so could be made to take any memory. A unary call is little
//! enough to be read here, by the same steps as any other door.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use axum::{body::Body, response::Response};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, Full};
use prost::Message;

use super::{http::response, proto};
use crate::doors::{Door, Doors, Outcome, Refusal, body::Packing, refusal::RETRY_AFTER};

const HEAD: usize = 5;

/// Takes an export request and answers it.
pub async fn export(doors: Doors, headers: HeaderMap, body: Body) -> Response {
    let taken = take(&doors, &headers, body).await;
    if let Err(refusal) = &taken {
        doors.refused(Door::Otlp, refusal.kind);
    }
    let answer = taken.and_then(|outcome| match outcome.refusal() {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(outcome),
    });
    match answer {
        Ok(outcome) => respond(Some(frame(&response(&outcome).encode_to_vec())), trailers(None)),
        Err(refusal) => respond(None, trailers(Some(&refusal))),
    }
}

async fn take(doors: &Doors, headers: &HeaderMap, body: Body) -> Result<Outcome, Refusal> {
    let visitor = doors.enter(Door::Otlp, headers).await?;
    let encoding = headers.get("grpc-encoding").map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let packing = Packing::named(encoding.unwrap_or_default())?;
    let (mut bytes, hold) = doors.read(headers, body).await?;
    let is_packed = message(&bytes)?;
    bytes.drain(..HEAD);
    let packing = if is_packed { packing } else { Packing::Plain };
    let (draft, hold) = doors.decode(bytes, packing, hold, proto::decode).await?;
    doors.deliver(&visitor, draft, hold).await
}

/// Whether the one message of a call is packed.
fn message(bytes: &[u8]) -> Result<bool, Refusal> {
    let wrong = || Refusal::malformed("the call is no single message of gRPC");
    let head = bytes.first_chunk::<HEAD>().ok_or_else(wrong)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length != bytes.len() - HEAD || head[0] > 1 {
        return Err(wrong());
    }
    Ok(head[0] == 1)
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame.into()
}

fn trailers(refusal: Option<&Refusal>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let code = refusal.map_or(0, |refusal| refusal.kind.code() as i32);
    trailers.insert("grpc-status", HeaderValue::from(code));
    if let Some(refusal) = refusal {
        let message = percent(&refusal.message);
        let details = STANDARD_NO_PAD.encode(status(refusal));
        let values = [("grpc-message", message), ("grpc-status-details-bin", details)];
        for (name, value) in values {
            trailers.extend(
                HeaderValue::from_str(&value)
                    .ok()
                    .map(|value| (header::HeaderName::from_static(name), value)),
            );
        }
    }
    trailers
}

fn respond(message: Option<Bytes>, trailers: HeaderMap) -> Response {
    let kind = HeaderValue::from_static("application/grpc");
    let (mut response, accepts) = match message {
        Some(message) => {
            let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
            (Response::new(Body::new(body)), true)
        }
        // Without a message the status stands in the head.
        None => {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = trailers;
            (response, true)
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    if accepts {
        response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd"));
    }
    response
}

/// A message as a header may have it.
fn percent(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(byte as char),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// `google.rpc.Status`, which also is the body of OTLP/HTTP's errors. One that passes says when
/// to send again: without that, senders take a full collector for a lasting error.
pub fn status(refusal: &Refusal) -> Vec<u8> {
    let mut details = Vec::new();
    if refusal.kind.is_temporary() {
        let seconds = i64::try_from(RETRY_AFTER.as_secs()).unwrap_or(i64::MAX);
        let info = RetryInfo { retry_delay: Some(Duration { seconds }) };
        details.push(Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        });
    }
    Status { code: refusal.kind.code() as i32, message: refusal.message.clone(), details }.encode_to_vec()
}

#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

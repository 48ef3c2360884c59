//! A gRPC probe: `grpc.health.v1.Health/Check`, in the few bytes that it takes.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
/// A byte for compression and four for the length.
const PREFIX: usize = 5;

pub(super) async fn check(stream: TcpStream, service: &str) -> Result<(), String> {
    let text = |error: hyper::Error| error.to_string();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(text)?;
    let message = Question { service: service.to_owned() }.encode_to_vec();
    let mut body = vec![0; PREFIX];
    body[1..].copy_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    body.extend(message);
    let request = http::Request::post("http://localhost/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(text)?;
        let early = answer.headers().get("grpc-status").cloned();
        let collected = answer.into_body().collect().await.map_err(text)?;
        let late = collected.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
        verdict(late.or(early).as_ref().and_then(|code| code.to_str().ok()), &collected.to_bytes())
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => return result,
        ended = connection => ended.map_err(text)?,
    }
    // The other side closed; its answer may have come before.
    exchange.await
}

fn verdict(code: Option<&str>, body: &[u8]) -> Result<(), String> {
    if let Some(code) = code.filter(|code| *code != "0") {
        return Err(format!("the health service answered with gRPC status {code}"));
    }
    let answer = body.get(PREFIX..).and_then(|message| Answer::decode(message).ok());
    match answer {
        Some(Answer { status: SERVING }) => Ok(()),
        Some(Answer { status }) => Err(format!("service unhealthy (health status {status})")),
        None => Err("the health service gave no answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_serving_is_well() {
        assert!(verdict(Some("0"), &[0, 0, 0, 0, 2, 8, 1]).is_ok());
        assert!(verdict(Some("0"), &[0, 0, 0, 0, 2, 8, 2]).is_err());
        assert!(verdict(Some("12"), &[]).is_err());
        assert!(verdict(None, &[]).is_err());
    }
}

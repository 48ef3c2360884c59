//! The doors on a node: what is sent to a collector's ports is passed on to the server.
//!
//! ```text
//! OTLP by gRPC (one message in a frame), OTLP by HTTP, remote write
//!   -> the server's own doors, with the sender's token -> the answer, in the sender's words
//! ```
//!
//! Senders know ports 4317 and 4318 of the node that they are on, for logs as for metrics. Who
//! shows no token is not read, and a turn is for requests that are complete: slow senders hold
//! up nobody. A token that the server has taken has a share of the room of its own, and all others have
//! one together: so who makes tokens up has no more of it with many. What it must not do: decide
//! anything, or use a token of its own.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::Semaphore;

use super::{OTLP_PATH, Refusal, WRITE_PATH, body::Room, otlp::Status};
use crate::traces::DOOR_PATH;

/// Requests that are passed on at once; more wait.
const PASSING: usize = 4;
/// Bytes of requests that are read, wait or are passed on.
const ROOM: usize = 128 << 20;
/// A request that was read has its turn within so long.
const TURN_TIME: Duration = Duration::from_secs(30);
/// A request has its answer within so long after it got its turn. What is dropped sooner may have
/// been taken, and is sent again.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// Bytes of a frame's head in gRPC.
const HEAD: usize = 5;
/// Bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;
/// Tokens that are known.
const MOST_KNOWN: usize = 4096;
/// On whose account requests are read whose token is not known: no hash is written so.
const UNKNOWN: &str = "unknown";
/// What is passed on of a request's head.
const PASSED: [&str; 5] = [
    "content-type",
    "content-encoding",
    "x-tiphys-namespace",
    "x-scope-orgid",
    "x-prometheus-remote-write-version",
];
/// Padding as senders like it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone)]
struct Forward {
    client: kube::Client,
    passing: Arc<Semaphore>,
    room: Room,
    known: Arc<Mutex<Known>>,
}

/// Tokens that the server took when they were shown last, by their hash, with when that was: counted in
/// answers.
#[derive(Debug, Default)]
struct Known {
    answers: u64,
    tokens: HashMap<u64, u64>,
}

impl Known {
    /// On whose account a request with this token is read. Nobody here knows whose token it is.
    fn owner(&self, token: &HeaderValue) -> String {
        let hash = hash(token);
        match self.tokens.contains_key(&hash) {
            true => format!("{hash:016x}"),
            false => UNKNOWN.to_owned(),
        }
    }

    /// What the server answered to a token. Who may not do a thing is known all the same; other answers may
    /// be given to anybody.
    fn told(&mut self, token: &HeaderValue, status: StatusCode) {
        if status == StatusCode::UNAUTHORIZED {
            self.tokens.remove(&hash(token));
        } else if status.is_success() || status == StatusCode::FORBIDDEN {
            self.answers += 1;
            self.tokens.insert(hash(token), self.answers);
            if self.tokens.len() > MOST_KNOWN {
                let oldest = self.answers - MOST_KNOWN as u64;
                self.tokens.retain(|_, at| *at > oldest);
            }
        }
    }
}

/// The routes of a node. `client` speaks to the API server and has no credentials.
pub fn forward(client: kube::Client) -> Router {
    routes(client, Room::new(ROOM, Duration::ZERO))
}

fn routes(client: kube::Client, room: Room) -> Router {
    let passed = |to: &'static str| {
        post(move |State(forward): State<Forward>, headers: HeaderMap, body: Body| async move {
            forward.http(to, headers, body).await
        })
    };
    let called = |to: &'static str| {
        post(move |State(forward): State<Forward>, headers: HeaderMap, body: Body| async move {
            forward.grpc(to, headers, body).await
        })
    };
    Router::new()
        .route("/v1/metrics", passed(OTLP_PATH))
        .route("/v1/traces", passed(DOOR_PATH))
        .route("/api/v1/write", passed(WRITE_PATH))
        .route(WRITE_PATH, passed(WRITE_PATH))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", called(OTLP_PATH))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", called(DOOR_PATH))
        .with_state(Forward {
            client,
            passing: Arc::new(Semaphore::new(PASSING)),
            room,
            known: Arc::default(),
        })
}

impl Forward {
    async fn http(&self, to: &str, headers: HeaderMap, body: Body) -> Response {
        let answered = async {
            let token = bearer(&headers)?;
            let owner = self.known.lock().owner(&token);
            let (bytes, _taken) = self.room.read(&owner, body).await?;
            self.ask(to, &headers, token, bytes).await
        };
        match answered.await {
            Ok((head, bytes)) => {
                let mut response = (head.status, bytes).into_response();
                let told = |name: &HeaderName| {
                    *name == header::CONTENT_TYPE
                        || *name == header::RETRY_AFTER
                        || name.as_str().starts_with("x-prometheus-")
                };
                let headers = head.headers.iter().filter(|(name, _)| told(name));
                headers.for_each(|(name, value)| {
                    response.headers_mut().insert(name.clone(), value.clone());
                });
                response
            }
            Err(refusal) => refusal.tell_when((refusal.status, format!("{refusal}\n")).into_response()),
        }
    }

    async fn grpc(&self, to: &str, mut headers: HeaderMap, body: Body) -> Response {
        let asked = async {
            let token = bearer(&headers)?;
            let owner = self.known.lock().owner(&token);
            let (mut message, _taken) = self.room.read(&owner, body).await?;
            let packed = is_packed(&message)?;
            message.drain(..HEAD);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
            headers.remove(header::CONTENT_ENCODING);
            if packed && let Some(encoding) = headers.get("grpc-encoding").cloned() {
                headers.insert(header::CONTENT_ENCODING, encoding);
            }
            self.ask(to, &headers, token, message).await
        };
        let (code, message, bytes) = match asked.await {
            Ok((head, bytes)) if head.status.is_success() => (0, String::new(), Some(bytes)),
            Ok((head, bytes)) => {
                let told = Status::decode(bytes.clone()).ok().filter(|status| status.code != 0);
                let text = || String::from_utf8_lossy(&bytes).chars().take(500).collect::<String>();
                let code = Refusal::new(head.status, "").code();
                let (code, message) = told.map_or_else(|| (code, text()), |told| (told.code, told.message));
                (code, message, None)
            }
            Err(refusal) => (refusal.code(), refusal.message, None),
        };
        respond(code, &message, bytes)
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
        let stopping =
            |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the collector is stopping: send again");
        let late = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too much at once, send again");
        let turn = tokio::time::timeout(TURN_TIME, self.passing.acquire()).await.map_err(late)?;
        turn.map_err(stopping)
    }

    async fn ask(
        &self,
        to: &str,
        headers: &HeaderMap,
        token: HeaderValue,
        bytes: Vec<u8>,
    ) -> Result<(http::response::Parts, Bytes), Refusal> {
        let late = |_| {
            let message = format!("the server has not answered within {ANSWER_TIME:?}; it may have taken it");
            Refusal::new(StatusCode::GATEWAY_TIMEOUT, message)
        };
        let _turn = self.turn().await?;
        let passed = self.pass(to, headers, token.clone(), bytes);
        let answered = tokio::time::timeout(ANSWER_TIME, passed).await.map_err(late)?;
        if let Ok((head, _)) = &answered {
            self.known.lock().told(&token, head.status);
        }
        answered
    }

    async fn pass(
        &self,
        to: &str,
        headers: &HeaderMap,
        token: HeaderValue,
        bytes: Vec<u8>,
    ) -> Result<(http::response::Parts, Bytes), Refusal> {
        let away = |error: &dyn std::fmt::Display| {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("the server can't be asked: {error}"))
        };
        let mut request =
            Request::post(to).body(kube::client::Body::from(bytes)).map_err(|error| away(&error))?;
        for name in PASSED {
            if let Some(value) = headers.get(name) {
                request.headers_mut().insert(HeaderName::from_static(name), value.clone());
            }
        }
        request.headers_mut().insert(header::AUTHORIZATION, token);
        let response = self.client.send(request).await.map_err(|error| away(&error))?;
        let (head, body) = response.into_parts();
        let body = http_body_util::Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Refusal::new(StatusCode::BAD_GATEWAY, error.to_string()))?;
        Ok((head, body.to_bytes()))
    }
}

/// The sender's token as the API server wants it: a bearer's, or the password of `Basic`.
fn bearer(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let wrong = || {
        let message = "no token: send `Authorization: Bearer <token>` of a service account, \
            or the token as Basic's password";
        Refusal::new(StatusCode::UNAUTHORIZED, message)
    };
    let value = headers.get(header::AUTHORIZATION).ok_or_else(wrong)?;
    let (scheme, rest) =
        value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(wrong)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(value.clone());
    }
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| LENIENT.decode(rest.trim()).ok()).flatten();
    let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(wrong)?;
    let (_, token) = pair.split_once(':').ok_or_else(wrong)?;
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok(value)
}

/// What stands for a token, so that none is kept.
fn hash(token: &HeaderValue) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.as_bytes().hash(&mut hasher);
    hasher.finish()
}

/// Whether the one message of a call is packed.
fn is_packed(bytes: &[u8]) -> Result<bool, Refusal> {
    let wrong = || Refusal::malformed("the call is no single message of gRPC");
    let head = bytes.first_chunk::<HEAD>().ok_or_else(wrong)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    match length == bytes.len() - HEAD && head[0] <= 1 {
        true => Ok(head[0] == 1),
        false => Err(wrong()),
    }
}

/// An answer of gRPC: the message, if there is one, and the status behind it.
fn respond(code: i32, message: &str, bytes: Option<Bytes>) -> Response {
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from(code));
    if let Ok(value) = HeaderValue::from_str(&percent(message))
        && code != 0
    {
        status.insert("grpc-message", value);
    }
    let mut response = match bytes {
        Some(bytes) => {
            let mut frame = vec![0];
            frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            frame.extend_from_slice(&bytes);
            let trailers: Ready<Option<Result<HeaderMap, _>>> = ready(Some(Ok(status)));
            Response::new(Body::new(Full::<Bytes>::from(frame).with_trailers(trailers)))
        }
        // Without a message the status stands in the head.
        None => {
            let mut response = Response::new(Body::empty());
            *response.headers_mut() = status;
            response
        }
    };
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.insert("grpc-accept-encoding", HeaderValue::from_static("identity,gzip,zstd"));
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

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream};
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn abuse_33_only_a_token_that_the_server_takes_has_an_account_of_its_own() {
        let (a, b) = (HeaderValue::from_static("Bearer t0ken"), HeaderValue::from_static("Bearer b"));
        let mut known = Known::default();
        assert_eq!((known.owner(&a), known.owner(&b)), (UNKNOWN.to_owned(), UNKNOWN.to_owned()));
        for status in [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY] {
            known.told(&a, status);
            assert_eq!(known.owner(&a), UNKNOWN, "{status}");
        }
        known.told(&a, StatusCode::OK);
        known.told(&b, StatusCode::FORBIDDEN);
        let (of_a, of_b) = (known.owner(&a), known.owner(&b));
        assert!(of_a != of_b && of_a != UNKNOWN && of_b != UNKNOWN);
        assert!(!of_a.contains("t0ken"), "what is kept shows no token");
        // It was taken back.
        known.told(&a, StatusCode::UNAUTHORIZED);
        assert_eq!((known.owner(&a).as_str(), known.owner(&b)), (UNKNOWN, of_b));
    }

    #[test]
    fn the_token_that_was_taken_longest_ago_is_forgotten_first() {
        let token = |number: usize| HeaderValue::from_str(&format!("Bearer {number}")).expect("a header");
        let mut known = Known::default();
        (0..MOST_KNOWN).for_each(|number| known.told(&token(number), StatusCode::OK));
        known.told(&token(0), StatusCode::OK);
        known.told(&token(MOST_KNOWN), StatusCode::OK);
        let is_known = |number| known.owner(&token(number)) != UNKNOWN;
        assert_eq!([0, 1, 2, MOST_KNOWN].map(is_known), [true, false, true, true]);
        assert_eq!(known.tokens.len(), MOST_KNOWN);
    }

    #[tokio::test]
    async fn abuse_33_who_makes_tokens_up_has_one_share_of_the_room_with_all_of_them() {
        let service = tower::service_fn(|request: Request<kube::client::Body>| async move {
            let token = request.headers().get(header::AUTHORIZATION);
            let is_real = token.is_some_and(|token| token == "Bearer real");
            let status = if is_real { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            Ok::<_, std::convert::Infallible>(status.into_response())
        });
        let room = Room::new(1000, Duration::ZERO).with_least(100);
        let node = routes(kube::Client::new(service, "default"), room);
        let send = |token: &str, body: Body| {
            let token = format!("Bearer {token}");
            let request = Request::post("/v1/metrics").header(header::AUTHORIZATION, token);
            node.clone().oneshot(request.body(body).expect("a request"))
        };
        let whole = |bytes: usize| Body::from(vec![0_u8; bytes]);
        let answered = send("real", whole(10)).await.expect("an answer");
        assert_eq!(answered.status(), StatusCode::OK, "from now on it is known");
        let begun = stream::iter([Ok::<_, axum::Error>(vec![0_u8; 300])]).chain(stream::pending());
        let mut slow = Box::pin(send("made-up", Body::from_stream(begun)));
        assert!(slow.as_mut().now_or_never().is_none(), "it is not complete");
        let other = send("another", whole(300)).await.expect("an answer");
        assert_eq!(other.status(), StatusCode::SERVICE_UNAVAILABLE, "both have one share");
        let known = send("real", whole(300)).await.expect("an answer");
        assert_eq!(known.status(), StatusCode::OK, "what it needs is left");
    }
}

//! OTLP over HTTP: a signal's messages by POST, as binary protobuf.
//!
//! ```text
//! exporters.rs, figures ── a message ──> Post ──> target.rs: where to, with which headers
//!                                          └────> retry.rs: whether again, and when
//! ```
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. A message is waited for as long
//! as `OTEL_EXPORTER_OTLP_TIMEOUT` says, all repetitions together.
//!
//! The threads that send are the SDK's and have no runtime: what is sent is a task of the runtime
//! that the export was started on, bounded by that time.

mod answers;
mod exporters;
mod retry;
mod target;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout_at},
};

use super::{
    endpoint::root_cause,
    signal::Variables,
    tls::{self, Files},
};
use crate::TelemetryError;
use retry::Again;

pub use answers::Answers;
pub use exporters::{Records, Spans};
pub use target::Target;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// The most that is read of an answer.
const MOST: usize = 1 << 20;
/// The most of a text that an answer gives as its reason.
const WORDS: usize = 300;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    what: String,
    again: Again,
}

impl Failure {
    fn last(what: String) -> Self {
        Self { what, again: Again::Never }
    }
}

/// The client of one signal. Clones share it.
#[derive(Clone)]
pub struct Post(Arc<Inner>);

struct Inner {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    target: Target,
    answers: Answers,
}

impl fmt::Debug for Post {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Post").field(&self.0.target.shown).finish()
    }
}

impl Post {
    /// Must be called on a tokio runtime, which does the sending.
    ///
    /// # Errors
    /// What TLS needs can't be had.
    pub fn new(target: Target, variables: Variables<'_>, answers: Answers) -> Result<Self, TelemetryError> {
        let config = match target.is_tls() {
            true => Files::read(variables).and_then(|files| files.http()),
            false => Ok(tls::nobody()),
        };
        let unusable = |why| TelemetryError::Tls { endpoint: target.shown.clone(), why };
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        // The one around it has a look at the scheme.
        connector.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_tls_config(config.map_err(unusable)?).https_or_http();
        let connector = builder.enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self(Arc::new(Inner { client, runtime: Handle::current(), target, answers })))
    }

    /// Sends a message and gives what it is answered with; where that is no message, an empty one.
    ///
    /// # Errors
    /// It was not taken in time.
    pub async fn send<A: Message + Default>(&self, message: &impl Message) -> Result<A, Failure> {
        let body = self.0.packed(message.encode_to_vec())?;
        let inner = self.0.clone();
        let sent = self.0.runtime.spawn(async move { inner.deliver(body).await });
        let ended = |_| Failure::last(format!("{} is not told: the process ends", self.0.target.shown));
        let answer = sent.await.map_err(ended)??;
        let shown = &self.0.target.shown;
        A::decode(answer).map_err(|error| Failure::last(format!("{shown} has taken it and says: {error}")))
    }
}

impl Inner {
    fn packed(&self, plain: Vec<u8>) -> Result<Bytes, Failure> {
        if !self.target.is_packed {
            return Ok(plain.into());
        }
        let pack = || -> io::Result<Vec<u8>> {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&plain)?;
            encoder.finish()
        };
        let packed = pack().map_err(|error| Failure::last(format!("it can't be compressed: {error}")))?;
        Ok(packed.into())
    }

    /// Posts it until it is taken, refused for good, or the time is over.
    async fn deliver(&self, body: Bytes) -> Result<Bytes, Failure> {
        let end = Instant::now() + self.target.patience;
        let mut before = None;
        let mut times = 0;
        loop {
            let Ok(outcome) = timeout_at(end, self.post(body.clone())).await else {
                self.answers.count(self.target.signal, None);
                return Err(before.unwrap_or_else(|| self.late()));
            };
            let failure = match outcome {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let left = end.saturating_duration_since(Instant::now());
            match failure.again.pause(times, rand::random()).filter(|pause| *pause < left) {
                Some(pause) => sleep(pause).await,
                None => return Err(failure),
            }
            before = Some(failure);
            times += 1;
        }
    }

    fn late(&self) -> Failure {
        let Target { shown, patience, .. } = &self.target;
        Failure::last(format!("{shown} has not answered within {patience:?}"))
    }

    async fn post(&self, body: Bytes) -> Result<Bytes, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.url.clone();
        *request.headers_mut() = self.target.headers.clone();
        let answer = self.client.request(request).await;
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        self.answers.count(self.target.signal, status);
        self.read(answer.map_err(|error| self.unanswered(&error))?).await
    }

    /// What an answer says. Of one that breaks off its status counts all the same.
    async fn read(&self, answer: Response<Incoming>) -> Result<Bytes, Failure> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MOST).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let shown = &self.target.shown;
        if !head.status.is_success() {
            let why = why(&head.headers, &body);
            let (status, hint) = (head.status, self.hint(head.status));
            let what = format!("{shown} answers {status}{hint}{why}");
            return Err(Failure { what, again: Again::after(status, &head.headers) });
        }
        if is_kind(&head.headers, "text/html") {
            let what = format!("{shown} answers with a page for people: {}", self.wanted());
            return Err(Failure::last(what));
        }
        Ok(if is_kind(&head.headers, "application/x-protobuf") { body } else { Bytes::new() })
    }

    fn unanswered(&self, error: &legacy::Error) -> Failure {
        let (shown, cause) = (&self.target.shown, root_cause(error));
        let of_http = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
        match of_http.is_some_and(hyper::Error::is_parse) {
            true => Failure::last(format!("{shown} doesn't speak HTTP ({cause}): {}", self.wanted())),
            false => {
                let what = format!("{shown} can't be reached: {cause}");
                Failure { what, again: Again::Later(None) }
            }
        }
    }

    fn hint(&self, status: StatusCode) -> String {
        match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => format!(" ({})", self.wanted()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                " (OTEL_EXPORTER_OTLP_HEADERS says who sends)".to_owned()
            }
            _ => String::new(),
        }
    }

    /// What an endpoint is to be.
    fn wanted(&self) -> String {
        let signal = self.target.signal.name();
        let own = self.target.signal.variable("ENDPOINT");
        format!(
            "the endpoint is where OTLP over HTTP is received, mostly port 4318, without /v1/{signal}; \
             {own} alone has that"
        )
    }
}

/// A refusal's `google.rpc.Status`, of which only this is read.
#[derive(Clone, PartialEq, Message)]
struct Reason {
    #[prost(string, tag = "2")]
    message: String,
}

/// What a refusal gives as its reason, behind a colon; nothing where it gives none.
fn why(headers: &HeaderMap, body: &[u8]) -> String {
    let text = match is_kind(headers, "application/x-protobuf") {
        true => Reason::decode(body).map(|reason| reason.message).unwrap_or_default(),
        false if is_kind(headers, "text/html") => String::new(),
        false => String::from_utf8_lossy(body).into_owned(),
    };
    let words: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS).collect();
    if words.is_empty() { words } else { format!(": {words}") }
}

/// Whether a body is of this kind, whatever its parameters.
fn is_kind(headers: &HeaderMap, kind: &str) -> bool {
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    said.is_some_and(|said| said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind))
}

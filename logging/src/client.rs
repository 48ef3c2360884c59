//! Typed calls for the command line, over any `kube::Client`.
//!
//! ```text
//! search   POST /tiphys/v1/logs/search      one page, newest first
//!          and so on: histogram, facets, stats, context
//! tail     GET  /tiphys/v1/logs/tail        NDJSON from now on, until dropped
//! delete   DELETE /tiphys/v1/logs           a namespace's records of an earlier time
//! ```

use futures::{AsyncBufReadExt, Stream, StreamExt, TryStreamExt};
use http::{Method, Request, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    deletion::{DeleteAnswer, DeleteRequest},
    root::PREFIX,
    wire::{
        ContextAnswer, ContextRequest, FacetsAnswer, FacetsRequest, HistogramAnswer, HistogramRequest,
        SearchAnswer, SearchRequest, StatsAnswer, StatsRequest, TailLine,
    },
};

/// A call that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused; its message says what to do.
    #[error("{0}")]
    Refused(String),
    #[error("the server can't be asked")]
    Transport(#[source] kube::Error),
    #[error("the stream of records broke off")]
    Broken(#[source] std::io::Error),
    #[error("the server sent what is no record")]
    Unreadable(#[source] serde_json::Error),
    #[error("the request can't be written")]
    Request(#[source] http::Error),
}

/// One page of records, newest first.
pub async fn search(client: &kube::Client, request: &SearchRequest) -> Result<SearchAnswer, ClientError> {
    post(client, "search", request).await
}

/// Counts by time and level.
pub async fn histogram(
    client: &kube::Client,
    request: &HistogramRequest,
) -> Result<HistogramAnswer, ClientError> {
    post(client, "histogram", request).await
}

/// Counts by field.
pub async fn facets(client: &kube::Client, request: &FacetsRequest) -> Result<FacetsAnswer, ClientError> {
    post(client, "facets", request).await
}

/// Counts and measures, by group and step of time.
pub async fn stats(client: &kube::Client, request: &StatsRequest) -> Result<StatsAnswer, ClientError> {
    post(client, "stats", request).await
}

/// The records around one.
pub async fn context(client: &kube::Client, request: &ContextRequest) -> Result<ContextAnswer, ClientError> {
    post(client, "context", request).await
}

/// Deletes a namespace's records of an earlier time.
pub async fn delete(client: &kube::Client, request: &DeleteRequest) -> Result<DeleteAnswer, ClientError> {
    let mut uri = format!("{PREFIX}?namespace={}", escaped(&request.namespace));
    if let Some(before) = &request.before {
        uri.push_str("&before=");
        uri.push_str(&escaped(before));
    }
    let request = Request::builder().method(Method::DELETE).uri(uri).body(Vec::new());
    client.request(request.map_err(ClientError::Request)?).await.map_err(refused)
}

/// Records from now on. Only `query`, `namespace`, `since`, `since_of` and `watermarks` count.
///
/// Resolves when the server has connected, so that a search made afterwards and
/// this stream together miss nothing; what both give has the same `id`.
pub async fn tail(
    client: &kube::Client,
    request: &SearchRequest,
) -> Result<impl Stream<Item = Result<TailLine, ClientError>> + Send + use<>, ClientError> {
    let mut uri = format!("{PREFIX}/tail?query={}", escaped(&request.query));
    let values =
        [("namespace", &request.namespace), ("since", &request.since), ("since_of", &request.since_of)];
    for (name, value) in values {
        if let Some(value) = value {
            uri.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    if request.watermarks {
        uri.push_str("&watermarks=true");
    }
    let request =
        Request::builder().method(Method::GET).uri(uri).body(Vec::new()).map_err(ClientError::Request)?;
    let reader = client.request_stream(request).await.map_err(refused)?;
    let mut lines = Box::pin(reader.lines());
    // The empty line that opens the stream: from here on nothing is missed.
    let opening = lines.next().await.transpose().map_err(ClientError::Broken)?;
    let opening = opening.filter(|line| !line.is_empty()).map(Ok);
    let lines = futures::stream::iter(opening).chain(lines).map_err(ClientError::Broken);
    Ok(lines
        .try_filter(|line| std::future::ready(!line.is_empty()))
        .and_then(|line| async move { serde_json::from_str(&line).map_err(ClientError::Unreadable) }))
}

async fn post<T: DeserializeOwned>(
    client: &kube::Client,
    path: &str,
    request: &impl Serialize,
) -> Result<T, ClientError> {
    let body = serde_json::to_vec(request).map_err(ClientError::Unreadable)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{PREFIX}/{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(ClientError::Request)?;
    client.request(request).await.map_err(refused)
}

fn refused(error: kube::Error) -> ClientError {
    match error {
        kube::Error::Api(status) => ClientError::Refused(status.message.clone()),
        other => ClientError::Transport(other),
    }
}

/// Percent-encoded for a query string.
fn escaped(text: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn queries_are_escaped() {
        assert_eq!(super::escaped("pod:web-* AND \"é&\""), "pod%3Aweb-%2A%20AND%20%22%C3%A9%26%22");
    }
}

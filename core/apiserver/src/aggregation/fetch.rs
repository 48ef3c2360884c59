//! One document of an extension server, as this server itself asks for it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tiphys_api::{auth::UserInfo, serve::empty};
use tokio::time::timeout;

use super::{Aggregation, identity, table::Remote};

const LIMIT: Duration = Duration::from_secs(5);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is asked for.
pub struct Wanted<'a> {
    pub path: &'a str,
    pub user: &'a UserInfo,
    /// The text that is there already.
    pub known: Option<&'a str>,
    /// Bytes.
    pub most: usize,
}

pub struct Fetched {
    pub status: StatusCode,
    pub tag: Option<String>,
    pub body: Bytes,
}

impl Aggregation {
    /// # Errors
    /// A sentence: there is no answer in time, or none within the bounds.
    pub(super) async fn fetch(&self, remote: &Remote, wanted: &Wanted<'_>) -> Result<Fetched, String> {
        let late = || Err(format!("no answer within {} s", LIMIT.as_secs()));
        timeout(LIMIT, self.fetch_in_time(remote, wanted)).await.unwrap_or_else(|_| late())
    }

    async fn fetch_in_time(&self, remote: &Remote, wanted: &Wanted<'_>) -> Result<Fetched, String> {
        let mut request = Request::get(wanted.path).body(empty()).map_err(|error| error.to_string())?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, JSON);
        headers.insert(header::USER_AGENT, HeaderValue::from_static("kube-aggregator"));
        if let Some(known) = wanted.known.and_then(|known| HeaderValue::from_str(known).ok()) {
            headers.insert(header::IF_NONE_MATCH, known);
        }
        identity::identify(headers, wanted.user).map_err(|error| error.to_string())?;
        let answer = self.transport.send(remote, request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(String::from);
        let body = Limited::new(answer.into_body(), wanted.most).collect().await;
        let body = body.map_err(|error| format!("the answer can't be read: {error}"))?.to_bytes();
        Ok(Fetched { status, tag, body })
    }
}

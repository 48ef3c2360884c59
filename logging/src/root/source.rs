//! Whom a question goes to: the collector of each node, and the archive for what the
//! node has no more, or for all of it when the node is no more.
//!
//! ```text
//! node with a collector  -> its answer, which names the splits it has -> the archive for the others
//!   that doesn't answer  -> named as missing                          -> the archive for all
//! node without one       ->                                              the archive for all
//! ```
//!
//! What a question asks makes no difference here. Bounds: one connection pool,
//! [`super::LogRoot::with_deadline`] a node, and again for the archive; [`MAX_ANSWER`]
//! bytes an answer. A node over any of them is named in `partial`.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use serde::Serialize;

use super::{Collector, LogRoot, fanout::Answers};
use crate::{
    archive::{
        Archive, Moment, Wanted, page,
        wire::{self, HOLDS_HEADER, STORE_HEADER},
    },
    deletion::DeleteOrder,
    wire::NodeRequest,
};

/// How long the archive may take to say what it has; nodes are asked after that.
const MOMENT: Duration = Duration::from_secs(3);
/// The most that one collector's answer may weigh.
const MAX_ANSWER: usize = 64 << 20;

pub type Http = Client<HttpConnector, Full<Bytes>>;

pub fn http() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(3)));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(60)).build(connector)
}

/// The answers of all sources, as JSON. A node may have several.
pub(super) async fn ask_all(
    root: &LogRoot,
    collectors: &[Collector],
    path: &str,
    request: Option<&NodeRequest>,
) -> Answers<Bytes> {
    let (archive, fault) = match &root.archive {
        None => (None, None),
        Some(archive) => match tokio::time::timeout(MOMENT, archive.moment()).await {
            Ok(Ok(moment)) => (Some((archive, moment)), None),
            Ok(Err(error)) => (None, Some(("archive".to_owned(), Err(crate::archive::chain(&error))))),
            Err(_) => (None, Some(("archive".to_owned(), Err(format!("no answer within {MOMENT:?}"))))),
        },
    };
    let archive = archive.as_ref().map(|(archive, moment)| (*archive, moment));
    let live = collectors.iter().map(|collector| ask_node(root, archive, collector, path, request));
    let gone = async {
        let Some((archive, moment)) = archive else { return Vec::new() };
        ask_gone(root, archive, moment, collectors, path, request).await
    };
    let (live, gone) = tokio::join!(join_all(live), gone);
    live.into_iter().flatten().chain(gone).chain(fault).collect()
}

/// What is archived of nodes that have no collector.
async fn ask_gone(
    root: &LogRoot,
    archive: &Archive,
    moment: &Moment,
    collectors: &[Collector],
    path: &str,
    request: Option<&NodeRequest>,
) -> Answers<Bytes> {
    let listed: BTreeSet<&str> = collectors.iter().map(|collector| collector.node.as_str()).collect();
    let nodes = moment.nodes();
    let gone = nodes.iter().filter(|node| !listed.contains(node.as_str()));
    let asked = gone.map(|node| ask_archive(root, archive, moment, node, &Wanted::All, path, request));
    let mut answers: Answers<Bytes> = join_all(asked).await.into_iter().flatten().collect();
    if request.is_none() {
        answers.push(("archive".into(), namespaces(moment)));
    }
    answers
}

/// What is asked without a request is which namespaces there are.
fn namespaces(moment: &Moment) -> Result<Bytes, String> {
    serde_json::to_vec(&moment.namespaces()).map(Bytes::from).map_err(|error| error.to_string())
}

async fn ask_node(
    root: &LogRoot,
    archive: Option<(&Archive, &Moment)>,
    collector: &Collector,
    path: &str,
    request: Option<&NodeRequest>,
) -> Answers<Bytes> {
    let node = &collector.node;
    let asked = ask(&root.http, collector, path, request, MAX_ANSWER);
    let answer = match tokio::time::timeout(root.deadline, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {:?}", root.deadline)),
    };
    let (wanted, answer) = match answer {
        Ok((bytes, wanted)) => (wanted, Ok(bytes)),
        Err(error) => (Some(Wanted::All), Err(error)),
    };
    let mut answers = Vec::new();
    if let (Some((archive, moment)), Some(wanted)) = (archive, wanted) {
        // Most pages are filled by the node.
        let left = request.map(|request| match &answer {
            Ok(bytes) => page::narrowed(path, request, bytes),
            Err(_) => request.clone(),
        });
        answers = ask_archive(root, archive, moment, node, &wanted, path, left.as_ref()).await;
    }
    let stands_in = answers.iter().any(|(_, answer)| answer.is_ok());
    let answer = answer.map_err(|error| match stands_in {
        true => format!("{error}; of this node only what is archived is in the answer"),
        false => error,
    });
    answers.push((node.clone(), answer));
    answers
}

/// Boxed, since the compiler can't tell of so many borrows that they may be sent.
fn ask_archive<'a>(
    root: &'a LogRoot,
    archive: &'a Archive,
    moment: &'a Moment,
    node: &'a str,
    wanted: &'a Wanted,
    path: &'a str,
    request: Option<&'a NodeRequest>,
) -> BoxFuture<'a, Answers<Bytes>> {
    async move {
        let Some(request) = request else { return Vec::new() };
        let answers = archive.ask(moment, node, wanted, path, request, root.deadline).await;
        answers.into_iter().map(|answer| (node.to_owned(), answer)).collect()
    }
    .boxed()
}

/// What a collector answers, and what of its node to ask the archive for.
pub async fn ask(
    http: &Http,
    collector: &Collector,
    path: &str,
    request: Option<&NodeRequest>,
    most: usize,
) -> Result<(Bytes, Option<Wanted>), String> {
    let response = send(http, collector, path, request).await?;
    let status = response.status();
    let wanted = wanted(response.headers());
    let body = Limited::new(response.into_body(), most).collect().await;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    if !status.is_success() {
        return Err(format!("collector answered {status}: {}", String::from_utf8_lossy(&body).trim()));
    }
    Ok((body, wanted))
}

/// A collector that doesn't say what it has is not completed from the archive: better
/// less than twice.
fn wanted(headers: &HeaderMap) -> Option<Wanted> {
    let store = headers.get(STORE_HEADER)?.to_str().ok()?.to_owned();
    let holds = wire::from_text(headers.get(HOLDS_HEADER)?.to_str().ok()?)?;
    Some(Wanted::Beyond { store, holds })
}

/// Tells a collector to delete; it is durable there when this is well.
pub async fn order(http: &Http, collector: &Collector, order: &DeleteOrder) -> Result<(), String> {
    let response = send(http, collector, "/v1/delete", Some(order)).await?;
    match response.status().is_success() {
        true => Ok(()),
        false => Err(format!("collector answered {}", response.status())),
    }
}

/// One request to a collector: POST with a body, GET without. Errors are sentences.
pub async fn send(
    http: &Http,
    collector: &Collector,
    path: &str,
    request: Option<&impl Serialize>,
) -> Result<http::Response<hyper::body::Incoming>, String> {
    let Some(address) = collector.address else {
        return Err("no collector is ready on the node".into());
    };
    let request = http_request(address, &collector.token, path, request)?;
    http.request(request).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("collector at {address} can't be reached: {error}{cause}")
    })
}

fn http_request(
    address: SocketAddr,
    token: &str,
    path: &str,
    request: Option<&impl Serialize>,
) -> Result<Request<Full<Bytes>>, String> {
    let body = match request {
        Some(request) => serde_json::to_vec(request).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    let method = if request.is_some() { Method::POST } else { Method::GET };
    Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .map_err(|error| error.to_string())
}

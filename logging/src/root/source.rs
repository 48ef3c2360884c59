//! Whom a question goes to: the collector of each node, those of other servers, and the
//! archive for what the node has no more, or for all of it when the node is no more.
//!
//! ```text
//! node with a collector  -> its answer, which names the splits it has -> the archive for the others
//!   that doesn't answer  -> named as missing                          -> the archive for all
//! node without one       ->                                              the archive for all
//! ```
//!
//! Nodes are asked when the archive has said what it has, or is known not to say it for now: then
//! what was known last counts, and it is named as missing.
//!
//! What a question asks makes no difference here. Bounds: one connection pool,
//! [`super::LogRoot::with_deadline`] or what is asked for a node, and again for the archive; [`MAX_ANSWER`]
//! bytes an answer, and [`super::room`] for all that are not taken in yet. A node over any
//! of them is named in `partial`.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Access, Collector, LogRoot,
    room::{Held, Room},
};
use crate::{
    archive::{
        Archive, Asked, Moment, Wanted, page,
        wire::{self, HOLDS_HEADER, STORE_HEADER},
    },
    deletion::DeleteOrder,
    serve,
    wire::{NodeRequest, QUERY_TIME},
};

/// The most that one collector's answer may weigh.
const MAX_ANSWER: usize = 64 << 20;

pub type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Other servers are asked by `tls`; without it none is trusted.
pub fn http(tls: Option<Arc<ClientConfig>>) -> Http {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(Duration::from_secs(3)));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let tls = tls.map_or_else(trusting_nobody, |tls| (*tls).clone());
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = builder.enable_http1().wrap_connector(connector);
    Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(60)).build(connector)
}

fn trusting_nobody() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// Takes in an answer, as JSON, of a node; a node may have several.
pub(super) type Take<'a> = &'a (dyn Fn(&str, Result<Bytes, String>) + Send + Sync);

/// Gives the answers of all sources to `take`, as they come; with `node` only of that one.
pub(super) async fn ask_all(
    root: &LogRoot,
    collectors: &[Collector],
    node: Option<&str>,
    path: &str,
    request: Option<&NodeRequest>,
    take: Take<'_>,
) {
    let archive = match &root.archive {
        None => None,
        Some(archive) => {
            let moment = archive.moment().await;
            if let Some(fault) = moment.fault() {
                take("archive", Err(fault.lacks()));
            }
            Some((archive, moment))
        }
    };
    let archive = archive.as_ref().map(|(archive, moment)| (*archive, moment));
    let question = Question { root, archive, node, path, request, take };
    let asked = collectors.iter().filter(|collector| question.is_asked(&collector.node));
    let live = asked.map(|collector| question.ask_node(collector));
    tokio::join!(join_all(live), question.ask_gone(collectors));
}

/// What is asked, and who takes the answers in.
struct Question<'a> {
    root: &'a LogRoot,
    archive: Option<(&'a Archive, &'a Moment)>,
    node: Option<&'a str>,
    path: &'a str,
    request: Option<&'a NodeRequest>,
    take: Take<'a>,
}

impl Question<'_> {
    fn is_asked(&self, node: &str) -> bool {
        self.node.is_none_or(|only| only == node)
    }

    /// What is archived of nodes that have no collector.
    async fn ask_gone(&self, collectors: &[Collector]) {
        let Some((_, moment)) = self.archive else { return };
        let listed: BTreeSet<&str> = collectors.iter().map(|collector| collector.node.as_str()).collect();
        let nodes = moment.nodes();
        let gone = nodes.iter().filter(|node| !listed.contains(node.as_str()) && self.is_asked(node));
        join_all(gone.map(|node| self.ask_archive(node, &Wanted::All, self.request))).await;
        if self.request.is_none() {
            (self.take)("archive", namespaces(moment));
        }
    }

    /// How long a node may take, and again the archive: what is asked for, and the way of an answer.
    fn deadline(&self) -> Duration {
        let way = self.root.deadline.saturating_sub(QUERY_TIME);
        let asked = self.request.and_then(|request| request.within_ms);
        asked.map_or(self.root.deadline, |asked| Duration::from_millis(asked).saturating_add(way))
    }

    async fn ask_node(&self, collector: &Collector) {
        let (node, root) = (&collector.node, self.root);
        let asked = ask(&root.http, collector, self.path, self.request, MAX_ANSWER, Some(&root.room));
        let deadline = self.deadline();
        let answer = match tokio::time::timeout(deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {deadline:?}")),
        };
        let (wanted, left, error) = match answer {
            Ok(answer) => {
                // Most pages are filled by the node.
                let left = self.request.map(|request| page::narrowed(self.path, request, &answer.bytes));
                (self.take)(node, Ok(answer.bytes));
                (answer.wanted, left, None)
            }
            Err(error) => (Some(Wanted::All), self.request.cloned(), Some(error)),
        };
        let stands_in = match wanted {
            Some(wanted) => self.ask_archive(node, &wanted, left.as_ref()).await,
            None => false,
        };
        match error {
            Some(error) if stands_in => {
                let error = format!("{error}; of this node only what is archived is in the answer");
                (self.take)(node, Err(error));
            }
            Some(error) => (self.take)(node, Err(error)),
            None => {}
        }
    }

    /// Whether the archive had an answer. Boxed, since the compiler can't tell of so many
    /// borrows that they may be sent.
    fn ask_archive<'b>(
        &'b self,
        node: &'b str,
        wanted: &'b Wanted,
        request: Option<&'b NodeRequest>,
    ) -> BoxFuture<'b, bool> {
        async move {
            let (Some((archive, moment)), Some(request)) = (self.archive, request) else { return false };
            let mut answered = false;
            let mut take = |answer: Result<Bytes, String>| {
                answered |= answer.is_ok();
                (self.take)(node, answer);
            };
            let asked = Asked { node, wanted, path: self.path, request, within: self.deadline() };
            archive.ask(moment, &asked, &mut take).await;
            answered
        }
        .boxed()
    }
}

/// What is asked without a request is which namespaces there are.
fn namespaces(moment: &Moment) -> Result<Bytes, String> {
    serde_json::to_vec(&moment.namespaces()).map(Bytes::from).map_err(|error| error.to_string())
}

/// What a collector said.
pub struct Answer {
    pub bytes: Bytes,
    /// What of its node to ask the archive for.
    pub wanted: Option<Wanted>,
    _held: Option<Held>,
}

/// What a collector answers, once there is room for it.
pub async fn ask(
    http: &Http,
    collector: &Collector,
    path: &str,
    request: Option<&NodeRequest>,
    most: usize,
    room: Option<&Room>,
) -> Result<Answer, String> {
    let response = send(http, collector, path, request).await?;
    let status = response.status();
    let wanted = wanted(response.headers());
    let length = response.body().size_hint().upper().and_then(|length| usize::try_from(length).ok());
    let held = match room {
        Some(room) => Some(room.take(length.unwrap_or(most).min(most)).await),
        None => None,
    };
    let body = Limited::new(response.into_body(), most).collect().await;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    if !status.is_success() {
        return Err(format!("collector answered {status}: {}", String::from_utf8_lossy(&body).trim()));
    }
    Ok(Answer { bytes: body, wanted, _held: held })
}

/// The answer of one collector alone, without the archive, within the time that a node may take.
pub(super) async fn answer<T: DeserializeOwned>(
    root: &LogRoot,
    collector: &Collector,
    path: &str,
    request: &NodeRequest,
) -> Result<T, String> {
    let asked = ask(&root.http, collector, path, Some(request), MAX_ANSWER, Some(&root.room));
    let answer = tokio::time::timeout(root.deadline, asked).await;
    let answer = answer.map_err(|_| format!("no answer within {:?}", root.deadline))??;
    serde_json::from_slice(&answer.bytes).map_err(|error| format!("the answer can't be read: {error}"))
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
    let request = http_request(address, &collector.access, path, request)?;
    http.request(request).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("collector at {address} can't be reached: {error}{cause}")
    })
}

fn http_request(
    address: SocketAddr,
    access: &Access,
    path: &str,
    request: Option<&impl Serialize>,
) -> Result<Request<Full<Bytes>>, String> {
    let body = match request {
        Some(request) => serde_json::to_vec(request).map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    let method = if request.is_some() { Method::POST } else { Method::GET };
    let builder = Request::builder().method(method).header(header::CONTENT_TYPE, "application/json");
    let builder = match access {
        Access::Token(token) => builder
            .uri(format!("http://{address}{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}")),
        Access::Server => builder.uri(format!("https://{address}{}{path}", serve::SERVER_PREFIX)),
    };
    builder.body(Full::new(body.into())).map_err(|error| error.to_string())
}

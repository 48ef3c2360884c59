//! Search over all nodes: what the API server mounts at `/tiphys/v1/logs/`.
//!
//! ```text
//! request -> allow (namespaces the user may read) -> fan out to every collector, at once, with a
//!            deadline, and to the archive -> merge newest first -> answer, naming what is missing
//! ```
//!
//! A user sees the records of a namespace who may `get pods/log` in it; the
//! list of namespaces goes down to the collectors, so that counts and facets
//! are restricted as well. A node that doesn't answer makes the answer partial.

mod allow;
mod bars;
mod context;
mod delete;
mod fanout;
mod http;
mod merge;
mod node_tail;
mod room;
mod source;
pub(crate) mod stats;
mod tail;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tiphys_api::{
    auth::{SharedAuthorizer, UserInfo},
    serve::Handler,
};
use tiphys_lifecycle::Tasks;

use crate::archive::Archive;
use crate::deletion::{DeleteAnswer, DeleteRequest};
use crate::follow::MOST;
use crate::handover;
use crate::wire::{
    ContextAnswer, ContextRequest, FacetsAnswer, FacetsRequest, HistogramAnswer, HistogramRequest,
    LONGEST_QUERY_TIME, SearchAnswer, SearchRequest, StatsAnswer, StatsRequest, TailLine,
};
pub use allow::Scope;
pub(crate) use http::ndjson_alive;
pub(crate) use merge::top;
pub(crate) use source::{Http, ask, http, order, send};

/// The path that the routes are below.
pub const PREFIX: &str = "/tiphys/v1/logs";

/// How to reach the collector of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    pub node: String,
    /// Absent: the node has no ready collector; its records are missing, and answers say so.
    pub address: Option<SocketAddr>,
    pub access: Access,
}

/// What opens a collector's door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The bearer token that it was started with.
    Token(String),
    /// It stands behind the API server at its address, which lets in by [`Collectors::tls`].
    Server,
}

/// Knows the collectors; core/node implements it over the DaemonSet's Pods.
#[async_trait]
pub trait Collectors: Send + Sync + 'static {
    /// One entry a node, of every node that should have a collector.
    async fn list(&self) -> Vec<Collector>;

    /// How to reach those that stand behind other servers: whom to trust, and who asks.
    fn tls(&self) -> Option<Arc<rustls::ClientConfig>> {
        None
    }

    /// Turns when the list may be another, from now on. Without it the list is what it was.
    fn changes(&self) -> BoxStream<'static, ()> {
        futures::stream::pending().boxed()
    }
}

/// Why a request got no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The query, a time or the cursor is wrong; the message says where and what to do.
    #[error("{0}")]
    Invalid(String),
    /// The user may not read the logs of the namespace asked for.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such record, or none that the user may read.
    #[error("{0}")]
    NotFound(String),
}

/// Search over all nodes. Clones share it.
#[derive(Clone)]
pub struct LogRoot {
    collectors: Arc<dyn Collectors>,
    authorizer: SharedAuthorizer,
    http: Http,
    deadline: Duration,
    longest: Duration,
    archive: Option<Archive>,
    room: room::Room,
    rights: Duration,
    /// Lines of a gap that a tail shows.
    most: usize,
    tasks: Tasks,
}

impl LogRoot {
    /// Asks the collectors that `collectors` lists, on behalf of users whom `authorizer` knows.
    pub fn new(collectors: Arc<dyn Collectors>, authorizer: SharedAuthorizer) -> Self {
        let http = source::http(collectors.tls());
        Self {
            collectors,
            authorizer,
            http,
            deadline: Duration::from_secs(10),
            longest: LONGEST_QUERY_TIME,
            archive: None,
            room: room::Room::default(),
            rights: tail::RIGHTS,
            most: MOST,
            tasks: Tasks::new(),
        }
    }

    /// Asks this archive for what the nodes have no more.
    pub fn with_archive(mut self, archive: Archive) -> Self {
        self.archive = Some(archive);
        self
    }

    /// Live tails end with this group, or else with their readers.
    pub fn with_tasks(mut self, tasks: &Tasks) -> Self {
        self.tasks = tasks.clone();
        self
    }

    /// How long a node may take when the request doesn't say; 10 s unless set.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The most time that a request may ask for with `within`; a minute unless set.
    pub fn with_longest_query(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// Records that match, newest first unless asked for otherwise.
    pub async fn search(&self, user: &UserInfo, request: &SearchRequest) -> Result<SearchAnswer, RootError> {
        fanout::search(self, user, request).await
    }

    /// Counts by time and level.
    pub async fn histogram(
        &self,
        user: &UserInfo,
        request: &HistogramRequest,
    ) -> Result<HistogramAnswer, RootError> {
        fanout::histogram(self, user, request).await
    }

    /// Counts by namespace, Pod, container, level and node, and by what the request names.
    pub async fn facets(&self, user: &UserInfo, request: &FacetsRequest) -> Result<FacetsAnswer, RootError> {
        fanout::facets(self, user, request).await
    }

    /// Counts and measures, by group and step of time.
    pub async fn stats(&self, user: &UserInfo, request: &StatsRequest) -> Result<StatsAnswer, RootError> {
        stats::stats(self, user, request).await
    }

    /// The records around one.
    pub async fn context(
        &self,
        user: &UserInfo,
        request: &ContextRequest,
    ) -> Result<ContextAnswer, RootError> {
        context::context(self, user, request).await
    }

    /// Deletes a namespace's records of an earlier time, on all nodes and in the archive.
    pub async fn delete(&self, user: &UserInfo, request: &DeleteRequest) -> Result<DeleteAnswer, RootError> {
        delete::delete(self, user, request).await
    }

    /// Records as they come, of nodes that join and namespaces that are new too, until dropped or
    /// until the user may read none of them any more. From now on, or with `since` from there: each node
    /// gives first what it has. So does one that joins or is back, and the stream says that it was lost and
    /// is back. A reader that is slow for a while gets all; one that stays slow is told what was passed over.
    pub async fn tail(
        &self,
        user: &UserInfo,
        request: &SearchRequest,
    ) -> Result<impl futures::Stream<Item = TailLine> + Send + use<>, RootError> {
        tail::tail(self, user, request).await
    }

    /// [`LogRoot::tail`] for a client's connection: one that takes nothing is cut off, see [`handover`].
    pub(crate) async fn tail_to_client(
        &self,
        user: &UserInfo,
        request: &SearchRequest,
    ) -> Result<impl futures::Stream<Item = TailLine> + Send + use<>, RootError> {
        Ok(handover::to_client(self.tail(user, request).await?, &self.tasks))
    }

    /// POST `search`, `histogram`, `facets`, `stats`, `context` and GET `tail` below [`PREFIX`]. The
    /// user comes in the request's extensions; without one the answer is 401.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// [`LogRoot::router`] in the shape that the API server mounts.
    pub fn handler(&self) -> Handler {
        mounted(self.router())
    }
}

/// Routes in the shape that the API server mounts.
pub(crate) fn mounted(router: axum::Router) -> Handler {
    use tower::ServiceExt;
    let service = tower::service_fn(move |request: ::http::Request<tiphys_api::serve::Body>| {
        let router = router.clone();
        async move {
            let response = router.oneshot(request.map(axum::body::Body::new)).await?;
            Ok(response.map(tiphys_api::serve::boxed))
        }
    });
    Handler::new(service)
}

#[cfg(test)]
pub(crate) mod tests;

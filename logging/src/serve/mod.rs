//! The collector's HTTP door, for the server's root.
//!
//! ```text
//! POST /v1/search  /v1/histogram  /v1/facets  /v1/stats    NodeRequest -> answer
//! POST /v1/tail                                 NodeRequest -> NDJSON, until the reader leaves
//! POST /v1/delete                               DeleteOrder, durable when answered
//! GET  /v1/namespaces                           those that have records
//! GET  /v1/splits  /v1/splits/ID/FILE           for the archive
//! GET  /metrics                                 all of the above want the bearer token
//! GET  /healthz                                 open
//! ```
//!
//! Who may see what is decided by the root; a collector trusts whoever has the
//! token. That of a server has a second door, in the API server, below
//! [`SERVER_PREFIX`]: by it the other servers of the cluster ask, and nobody else.
//! Bounds: [`QUERIES`] at once on blocking threads, each as long as it asks for, within what the
//! collector allows ([`query_time`]).

mod splits;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{Request, StatusCode, header};
use sha2::{Digest, Sha256};
use tiphys_api::auth::{MASTERS, UserInfo};
use tiphys_lifecycle::Tasks;
use tokio::sync::Semaphore;

use crate::{
    collector::Config,
    deletion::DeleteOrder,
    handover,
    index::Store,
    metric_names::{ArchiveMetrics, Metrics},
    root,
    search::{self, TailHub},
    wire::{DEFAULT_LIMIT, MAX_LIMIT, NodeRequest, query_time},
};

/// Queries that run at once; more wait.
const QUERIES: usize = 4;
/// Followers at once; more are refused.
const FOLLOWERS: usize = 64;
const MAX_REQUEST: usize = 4 << 20;

/// What a server's own collector answers is below this path of the API server. No role names it:
/// a user needs all rights to come as far as [`admit`].
pub const SERVER_PREFIX: &str = "/tiphys.server/logs";
/// The figures of a server's own collector, below [`SERVER_PREFIX`].
pub const SERVER_METRICS: &str = "/tiphys.server/logs/metrics";

/// What the handlers share.
#[derive(Clone)]
pub struct Service {
    store: Arc<Store>,
    hub: Arc<TailHub>,
    metrics: Metrics,
    node: String,
    /// A digest, so that comparing takes the same time whatever was sent.
    token: [u8; 32],
    queries: Arc<Semaphore>,
    /// The most time that a query is given.
    longest: Duration,
    tasks: Tasks,
}

impl Service {
    pub fn new(
        store: Arc<Store>,
        hub: Arc<TailHub>,
        metrics: Metrics,
        config: &Config,
        tasks: &Tasks,
    ) -> Self {
        Self {
            store,
            hub,
            metrics,
            node: config.node_name.clone(),
            token: Sha256::digest(config.token.as_bytes()).into(),
            queries: Arc::new(Semaphore::new(QUERIES)),
            longest: config.query_timeout,
            tasks: tasks.clone(),
        }
    }

    pub fn router(self) -> Router {
        self.routes()
            .layer(middleware::from_fn_with_state(self.clone(), authenticate))
            .route("/healthz", get(|| async { "ok" }))
            .with_state(self)
    }

    /// For the API server, below [`SERVER_PREFIX`]: answers this user only, who comes in the
    /// request's extensions.
    pub fn behind_server(self, user: &'static str) -> Router {
        let routes = self.routes().with_state(self);
        Router::new().nest(SERVER_PREFIX, routes).layer(middleware::from_fn_with_state(user, admit))
    }

    fn routes(&self) -> Router<Self> {
        questions()
            .layer(middleware::from_fn_with_state(self.clone(), splits::name_holds))
            .merge(splits::routes())
            .route("/v1/tail", post(tail))
            .route("/v1/namespaces", get(namespaces))
            .route("/v1/delete", post(delete))
            .route("/metrics", get(metrics))
            .layer(DefaultBodyLimit::max(MAX_REQUEST))
    }

    /// Only the questions, for who needs no token: the archive, in the server's own process.
    pub fn of_archive(store: Arc<Store>, node: &str, archive: &Shared) -> Router {
        let service = Self {
            store,
            hub: Arc::default(),
            metrics: archive.metrics.clone(),
            node: node.to_owned(),
            token: [0; 32],
            queries: archive.queries.clone(),
            // Only the server asks, which has cut what its readers ask for.
            longest: Duration::MAX,
            tasks: archive.tasks.clone(),
        };
        questions().with_state(service)
    }

    /// Runs a query on a blocking thread, when it is its turn.
    async fn run<T: Send + 'static>(
        &self,
        request: &NodeRequest,
        query: impl FnOnce(&Store, &search::Request, &str) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.metrics.queries.inc();
        let permit = self.queries.clone().acquire_owned().await.map_err(|_| Refusal::stopping())?;
        let request = search::Request::new(request, query_time(request.within_ms, self.longest))?;
        let (store, node) = (self.store.clone(), self.node.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            query(&store, &request, &node)
        });
        work.await.map_err(|_| Refusal::stopping())
    }
}

/// What all searches of an archive share.
pub struct Shared {
    pub counts: ArchiveMetrics,
    /// What a service counts into. Nobody sees it, but for the queries, which are in `counts`.
    metrics: Metrics,
    pub queries: Arc<Semaphore>,
    pub tasks: Tasks,
}

impl Shared {
    pub fn new(tasks: &Tasks) -> Self {
        let counts = ArchiveMetrics::default();
        let metrics = Metrics { queries: counts.queries.clone(), ..Metrics::new() };
        Self { counts, metrics, queries: Arc::new(Semaphore::new(QUERIES)), tasks: tasks.clone() }
    }
}

/// What is asked of records, here and in the archive.
fn questions() -> Router<Service> {
    Router::new()
        .route("/v1/search", post(search))
        .route("/v1/histogram", post(histogram))
        .route("/v1/facets", post(facets))
        .route("/v1/stats", post(stats))
}

async fn authenticate(
    State(service): State<Service>,
    request: Request<axum::body::Body>,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|token| same(&service.token, &Sha256::digest(token).into())) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, "the collector's bearer token is needed\n").into_response()
}

/// The group is one that the cluster's authority names in no certificate that others ask for.
async fn admit(
    State(admitted): State<&'static str>,
    request: Request<axum::body::Body>,
    next: Next,
) -> Response {
    let Some(user) = request.extensions().get::<UserInfo>() else {
        return (StatusCode::UNAUTHORIZED, "sign in first\n").into_response();
    };
    if user.name == admitted && user.groups.iter().any(|group| group == MASTERS) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "only the cluster's servers ask here: use /tiphys/v1/logs\n").into_response()
}

/// Compares in constant time.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b));
    std::hint::black_box(difference) == 0
}

type NodeJson = Result<Json<NodeRequest>, JsonRejection>;

async fn search(State(service): State<Service>, request: NodeJson) -> Result<Response, Refusal> {
    let Json(request) = request?;
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let query = move |store: &Store, request: &search::Request, node: &str| {
        search::search(store, request, limit, node)
    };
    Ok(Json(service.run(&request, query).await?).into_response())
}

async fn histogram(State(service): State<Service>, request: NodeJson) -> Result<Response, Refusal> {
    let Json(request) = request?;
    let buckets = request.buckets.unwrap_or(60).clamp(1, 1000);
    let query = move |store: &Store, request: &search::Request, node: &str| {
        search::histogram(store, request, buckets, node)
    };
    Ok(Json(service.run(&request, query).await?).into_response())
}

async fn facets(State(service): State<Service>, request: NodeJson) -> Result<Response, Refusal> {
    let Json(request) = request?;
    Ok(Json(service.run(&request, search::facets).await?).into_response())
}

async fn stats(State(service): State<Service>, request: NodeJson) -> Result<Response, Refusal> {
    let Json(request) = request?;
    let want = request.stats.clone().unwrap_or_default();
    let query = move |store: &Store, request: &search::Request, node: &str| {
        search::stats(store, request, &want, node)
    };
    Ok(Json(service.run(&request, query).await?).into_response())
}

async fn tail(State(service): State<Service>, request: NodeJson) -> Result<Response, Refusal> {
    let Json(request) = request?;
    service.metrics.queries.inc();
    let request = search::Request::new(&request, service.longest)?;
    if service.hub.followers() >= FOLLOWERS {
        let message = format!("{FOLLOWERS} live tails are open on this node already: close one");
        return Err(Refusal { status: StatusCode::TOO_MANY_REQUESTS, message });
    }
    // Followed from here on, before the head of the answer goes out.
    let lines = search::tail(&service.hub, service.store.clone(), request, service.node.clone());
    Ok(root::ndjson_alive(handover::to_server(lines, &service.tasks)))
}

async fn delete(
    State(service): State<Service>,
    order: Result<Json<DeleteOrder>, JsonRejection>,
) -> Result<Response, Refusal> {
    let (Json(order), store) = (order?, service.store.clone());
    splits::blocking(move || store.delete_records(&order.namespace, order.before)).await?;
    Ok(Json(serde_json::json!({})).into_response())
}

async fn namespaces(State(service): State<Service>) -> Json<Vec<String>> {
    Json(service.store.namespaces())
}

async fn metrics(State(service): State<Service>) -> Response {
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let (records, bytes, splits) = service.store.sizes();
    service.metrics.split_records.set(gauge(records));
    service.metrics.split_bytes.set(gauge(bytes));
    service.metrics.splits.set(gauge(splits));
    service.metrics.broken_splits.set(gauge(service.store.broken().len() as u64));
    service.metrics.damaged_tables.set(gauge(service.store.damaged_tables()));
    service.metrics.dropped_unarchived.set(gauge(service.store.dropped_unarchived()));
    service.metrics.followers.set(gauge(service.hub.followers() as u64));
    let head = [(header::CONTENT_TYPE, tiphys_telemetry::Component::CONTENT_TYPE)];
    (head, service.metrics.component.render()).into_response()
}

/// An answer that is an error: a line of text.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn stopping() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: "the collector is stopping".into() }
    }
}

impl From<search::BadRequest> for Refusal {
    fn from(error: search::BadRequest) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: error.to_string() }
    }
}

impl From<JsonRejection> for Refusal {
    fn from(error: JsonRejection) -> Self {
        Self { status: error.status(), message: error.body_text() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, self.message).into_response()
    }
}

#[cfg(test)]
mod tests;

//! The metrics server: starts its parts and gives its handlers.

use std::{
    convert::Infallible,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use tiphys_api::{
    auth::SharedAuthorizer,
    names::FLIGHT_PATH,
    serve::{Mount, boxed},
};
use tiphys_client::{Cache, LeanPod, Shared};
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_telemetry::Component;
use tower::{ServiceBuilder, util::BoxCloneSyncService};

use crate::{
    advise::Advise,
    custom::{CustomMetrics, Queries, api},
    decisions::Decisions,
    disks::{DiskTable, Disks},
    doors::{self, Doors},
    follow::{self, FollowConfig, Takers},
    memory::{Memory, SILENT},
    metric_names::{SECONDS, SERIES},
    names::Names,
    promql,
    resource_metrics::{PREFIX, ResourceMetrics},
    retention::Retention,
    rules::Rules,
    scrape::{ScrapeConfig, Scraping, counts::Counts},
    series::{ArchiveConfig, Downsampling, Limits, Store, StoreConfig, StoreError},
    sql,
    state::{self, Words},
    traces::{self, Spans, SpansConfig, SpansError, SpansTable},
    volumes::{VolumeTable, Volumes},
};

/// Where statements are posted.
pub const SQL_PATH: &str = "/tiphys/v1/sql";

pub struct Config {
    /// Where decisions and series are kept.
    pub data_dir: PathBuf,
    pub follow: FollowConfig,
    /// How many series are taken.
    pub limits: Limits,
    /// How long series are kept.
    pub keep: Duration,
    /// Bytes of series; beyond them the oldest go.
    pub keep_bytes: u64,
    /// When days of series are made coarser; absent: never.
    pub downsampling: Option<Downsampling>,
    /// Where days of series are archived, and how long what is archived is here, too.
    pub archive: Option<ArchiveConfig>,
    pub decisions: Retention,
    pub spans: Retention,
    /// Which labels and annotations of the API's objects are told as series.
    pub words: Words,
    /// Reads the API's objects.
    pub client: kube::Client,
}

#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error("decisions in {path} can't be opened")]
    Decisions { path: PathBuf, source: io::Error },
    #[error("series can't be kept")]
    Series(#[from] StoreError),
    #[error("spans can't be kept")]
    Spans(#[from] SpansError),
}

/// The running metrics server. Clones share it.
#[derive(Clone)]
pub struct Metrics {
    pub memory: Arc<Memory>,
    pub decisions: Arc<Decisions>,
    /// Everything scraped, sent or derived, under labels.
    pub series: Arc<Store>,
    /// Traces of applications.
    spans: Arc<Spans>,
    counts: Counts,
    volumes: Arc<Volumes>,
    disks: Arc<Disks>,
    queries: Arc<Queries>,
    rules: Rules,
    /// What queries in PromQL may hold, users' and rules' together.
    budget: promql::Budget,
    nodes: Cache<Node>,
    pods: Cache<LeanPod>,
}

impl Metrics {
    /// Starts following the nodes; ends with `tasks`.
    ///
    /// # Errors
    /// The decisions' folder can't be opened.
    pub fn start(
        config: Config,
        shared: &Shared,
        tasks: &Tasks,
        component: &Component,
    ) -> Result<Self, MetricsError> {
        let path = config.data_dir.join("decisions");
        let decisions = Decisions::open_keeping(path.clone(), config.decisions, tasks)
            .map_err(|source| MetricsError::Decisions { path, source })?;
        let kept = StoreConfig {
            folder: config.data_dir.join("series"),
            limits: config.limits,
            keep: config.keep,
            keep_bytes: config.keep_bytes,
            downsampling: config.downsampling,
            archive: config.archive,
        };
        let series = Store::open(kept, tasks)?;
        component.registry(|registry| series.counts().register(registry));
        if let Some(counts) = series.archive_counts() {
            component.registry(|registry| counts.register(registry));
        }
        let first = series.clone();
        tasks.spawn("first queries", OnError::Log, async move {
            promql::warm(&first).await;
            Ok::<(), Infallible>(())
        });
        let kept = SpansConfig {
            folder: config.data_dir.join("spans"),
            keep: config.spans.age,
            keep_bytes: config.spans.bytes,
        };
        let spans = Spans::open(kept, tasks)?;
        let Shared { pods, nodes } = shared.clone();
        let memory = Arc::new(Memory::default());
        let (seconds, followed) = (Counter::default(), Gauge::default());
        component.registry(|registry| {
            registry.register(SECONDS.0, SECONDS.1, seconds.clone());
            registry.register(SERIES.0, SERIES.1, followed.clone());
        });
        let counts = Counts::default();
        counts.register(component);
        state::start(&config.client, series.clone(), &config.words, &counts, tasks);
        let names = Arc::new(Names::new(series.clone()).counting(counts.clone()));
        let (volumes, disks) = (Arc::new(Volumes::default()), Arc::new(Disks::default()));
        tasks.spawn("end series of silent nodes", OnError::Log, end_silent(names.clone()));
        let takers = Takers { memory: memory.clone(), names, volumes: volumes.clone(), disks: disks.clone() };
        follow::start(config.follow, nodes.clone(), takers, seconds, tasks);
        tasks.spawn("forget old series", OnError::Log, forget(memory.clone(), followed));
        let budget = promql::Budget::default();
        let rules = Rules::start(&config.client, series.clone(), budget.clone(), tasks);
        let queries = Queries::start(config.client, tasks);
        Ok(Self {
            memory,
            decisions,
            series,
            spans,
            counts,
            volumes,
            disks,
            queries,
            rules,
            budget,
            nodes,
            pods,
        })
    }

    /// Starts scraping into the store of series; ends with `tasks`.
    pub fn scrape(&self, config: ScrapeConfig, tasks: &Tasks) -> Scraping {
        let shared = Shared { pods: self.pods.clone(), nodes: self.nodes.clone() };
        Scraping::start(config, self.series.clone(), self.counts.clone(), &shared, tasks)
    }

    /// Where others send series and spans, and where traces are shown; the API server mounts it.
    pub fn doors(&self, authorizer: SharedAuthorizer) -> Vec<Mount> {
        let doors = Doors::new(self.series.clone(), self.counts.clone(), authorizer.clone());
        let traces = traces::routes(&self.spans, authorizer, doors.room());
        let mut mounts = vec![mount(traces::DOOR_PATH, traces.clone()), mount(traces::JAEGER_PATH, traces)];
        mounts.extend([doors::WRITE_PATH, doors::OTLP_PATH].map(|path| mount(path, doors.routes())));
        mounts
    }

    /// What autoscalers scale on beside CPU and memory.
    pub fn custom(&self) -> CustomMetrics {
        CustomMetrics::new(self.memory.clone(), self.series.clone(), self.queries.clone())
    }

    /// What answers SQL, with what `extensions` bring into it.
    pub fn engine(&self, mut extensions: Vec<Arc<dyn sql::Extension>>) -> sql::Engine {
        extensions.push(Arc::new(sql::SamplesTable::new(self.series.clone())));
        extensions.push(Arc::new(SpansTable::new(self.spans.clone())));
        let (memory, pods, series) = (self.memory.clone(), self.pods.clone(), self.series.clone());
        extensions.push(Arc::new(Advise { memory, pods, series }));
        extensions.push(Arc::new(VolumeTable { volumes: self.volumes.clone(), store: self.series.clone() }));
        extensions.push(Arc::new(DiskTable { disks: self.disks.clone(), store: self.series.clone() }));
        sql::Engine::new(self.memory.clone(), self.decisions.clone(), extensions)
            .with_series(self.series.clone())
    }

    /// Asks the TiphysMetrics, which of several servers one does, until `tasks` stops.
    pub fn keep_queries(&self, engine: sql::Engine, client: Client, tasks: &Tasks) {
        self.queries.keep(engine, client, tasks);
    }

    /// What the API server mounts: SQL, PromQL, and the metrics APIs.
    pub fn mounts(&self, authorizer: SharedAuthorizer, engine: sql::Engine) -> Vec<Mount> {
        let (series, budget) = (self.series.clone(), self.budget.clone());
        let promql = promql::routes_sharing(budget, series, authorizer.clone());
        let promql = promql.merge(self.rules.routes(authorizer.clone()));
        let metrics = ResourceMetrics {
            memory: self.memory.clone(),
            nodes: self.nodes.clone(),
            pods: self.pods.clone(),
        };
        let mut mounts = sql_mounts(engine, authorizer);
        mounts.push(mount(promql::PREFIX, promql));
        mounts.push(mount(PREFIX, metrics.routes()));
        mounts.push(mount(api::EXTERNAL, api::external(self.custom(), self.pods.clone())));
        mounts.extend(
            api::CUSTOM.map(|prefix| mount(prefix, api::custom(prefix, self.custom(), self.pods.clone()))),
        );
        mounts
    }
}

/// What is written to and asked of a store of series, without the rest of the server. Whoever
/// mounts it puts the user into the requests.
pub fn series_routes(series: Arc<Store>, authorizer: SharedAuthorizer) -> Router {
    let doors = Doors::new(series.clone(), Counts::default(), authorizer.clone());
    doors.routes().merge(promql::routes(series, authorizer))
}

/// The doors of SQL that stand in the API server: JSON and files, and Flight SQL.
pub fn sql_mounts(engine: sql::Engine, authorizer: SharedAuthorizer) -> Vec<Mount> {
    let flight = sql::flight::routes(engine.clone(), authorizer.clone());
    let http = sql::routes(SQL_PATH, engine, authorizer);
    vec![mount(SQL_PATH, http), mount(FLIGHT_PATH, flight)]
}

/// Routes as the API server mounts them.
pub fn mount(prefix: &str, routes: Router) -> Mount {
    let handler = ServiceBuilder::new()
        .map_request(|request: http::Request<tiphys_api::serve::Body>| request.map(axum::body::Body::new))
        .map_response(|response: http::Response<axum::body::Body>| response.map(boxed))
        .service(routes);
    Mount { prefix: prefix.to_owned(), handler: BoxCloneSyncService::new(handler) }
}

/// What a node told last is no figure of the present for long.
async fn end_silent(names: Arc<Names>) -> Result<(), Infallible> {
    let mut often = tokio::time::interval(SILENT / 5);
    loop {
        often.tick().await;
        names.end_silent(Instant::now());
    }
}

/// Once a minute: what is forgotten has been silent for as long as memory keeps anything.
async fn forget(memory: Arc<Memory>, series: Gauge) -> Result<(), std::convert::Infallible> {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        minute.tick().await;
        memory.forget(Instant::now());
        series.set(i64::try_from(memory.series_count()).unwrap_or(i64::MAX));
    }
}

//! The collector of a node: `tiphys collector`, one Pod of a DaemonSet.
//!
//! ```text
//! ingest  tail -> store -> commit, acknowledge, merge, expire      one task
//! intake  doors -> write-ahead log -> ingest                       one task
//! pods    Pods' and namespaces' metadata, when there is a client   two tasks
//! known   whose metadata is known, so that lines may be read       one task
//! serve   search and tail over HTTP                                one task
//! ```
//!
//! It needs nothing but the log directory and a folder of its own; without a
//! client records have no labels. It reads the CRI log files of any kubelet.

mod ingest;
mod intake;
mod known;
mod long_lines;
mod pods;
mod policies;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use crate::serve::SERVER_METRICS;
pub use known::Known;

use tiphys_api::serve::Mount;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::net::TcpListener;

use crate::{
    doors::{self, DoorConfig, Gate, Inlet, Open, Reviews},
    index::{IndexError, Retention, Store},
    journal::Journal,
    metric_names::Metrics,
    root,
    search::TailHub,
    serve,
    tail::{SystemLog, Tailer, Watcher},
    wal::{Wal, WalError},
    wire::LONGEST_QUERY_TIME,
};

/// What a collector is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// `/var/log/pods`.
    pub pods_dir: PathBuf,
    /// Where links among the log files may lead to: docker's folder of containers.
    pub container_logs: Option<PathBuf>,
    /// Logs of the node's own parts.
    pub system_logs: Vec<SystemLog>,
    /// Folders of the journal of systemd; those that are not there may come later.
    pub journal: Vec<PathBuf>,
    /// Where the index is; made when it isn't there.
    pub data_dir: PathBuf,
    /// The node's name, as records show it.
    pub node_name: String,
    /// Where searches are answered; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bearer token that is asked for.
    pub token: String,
    pub retention: Retention,
    /// Where others send records; nowhere unless set.
    pub doors: DoorConfig,
    /// Between looks at what is to be deleted, also when nothing is written.
    pub upkeep_each: Duration,
    /// How long a record may be in memory only. Until then the log file is what holds it.
    pub commit_after: Duration,
    /// The most time that a question may ask for with `within`.
    pub query_timeout: Duration,
}

impl Config {
    /// The usual places on a node; commits each 60 s.
    pub fn new(node_name: impl Into<String>, listen: SocketAddr, token: impl Into<String>) -> Self {
        Self {
            pods_dir: "/var/log/pods".into(),
            container_logs: Some("/var/lib/docker/containers".into()),
            system_logs: Vec::new(),
            journal: Vec::new(),
            data_dir: "/var/log/tiphys/logs".into(),
            node_name: node_name.into(),
            listen,
            token: token.into(),
            retention: Retention::default(),
            doors: DoorConfig::default(),
            upkeep_each: Duration::from_secs(600),
            commit_after: Duration::from_secs(60),
            query_timeout: LONGEST_QUERY_TIME,
        }
    }
}

/// Why a collector can't start.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("the collector's token is empty: give it one by its environment")]
    NoToken,
    #[error("log directory `{path}` can't be followed")]
    Pods {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("address {address} can't be listened on")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("syslog over TLS needs the doors' certificate: say where it and its key are")]
    NoCertificate,
    #[error("index can't be opened")]
    Index(#[from] IndexError),
    #[error("write-ahead log can't be opened")]
    Wal(#[from] WalError),
}

/// A collector that runs until its tasks stop.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    pub store: Arc<Store>,
    pub hub: Arc<TailHub>,
    pub metrics: Metrics,
    pub doors: Open,
    service: serve::Service,
}

impl Running {
    /// The door by which this user, and no other, asks it through the API server: see
    /// [`Access::Server`](root::Access::Server).
    pub fn behind_server(&self, user: &'static str) -> Mount {
        let handler = root::mounted(self.service.clone().behind_server(user));
        Mount { prefix: serve::SERVER_PREFIX.to_owned(), handler }
    }
}

/// Starts a collector. Everything that can be wrong at the start is found before
/// this returns. When `tasks` stops, what is in memory is committed first.
pub async fn run(
    config: Config,
    client: Option<kube::Client>,
    tasks: &Tasks,
) -> Result<Running, CollectorError> {
    let gate = client.clone().map(|client| Arc::new(Reviews::new(client)) as Arc<dyn Gate>);
    run_with(config, client, gate, tasks).await
}

/// [`run`] with another judge of who may send records; without one no door opens.
pub async fn run_with(
    config: Config,
    client: Option<kube::Client>,
    gate: Option<Arc<dyn Gate>>,
    tasks: &Tasks,
) -> Result<Running, CollectorError> {
    if config.token.is_empty() {
        return Err(CollectorError::NoToken);
    }
    let pods_error = |source| CollectorError::Pods { path: config.pods_dir.clone(), source };
    std::fs::create_dir_all(&config.pods_dir).map_err(pods_error)?;
    let (store, checkpoints) = Store::open(&config.data_dir, config.retention)?;
    let store = Arc::new(store);
    let wal = Wal::open(&config.data_dir.join("wal"), &config.data_dir.join("broken"), store.mark().number)?;
    let tailer = Tailer::new(&config.pods_dir, &config.node_name, checkpoints).map_err(pods_error)?;
    let tailer =
        tailer.with_system(config.system_logs.clone()).with_container_logs(config.container_logs.clone());
    let watcher = Watcher::new(config.pods_dir.clone()).map_err(pods_error)?;
    let listen_error = |source| CollectorError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
    let address = listener.local_addr().map_err(listen_error)?;

    let (hub, metrics) = (Arc::new(TailHub::default()), Metrics::new());
    let service = serve::Service::new(store.clone(), hub.clone(), metrics.clone(), &config, tasks);
    tasks.spawn("log search", OnError::Stop, {
        let router = service.clone().router();
        async move { axum::serve(listener, router).await }
    });
    let known = client.map(|client| follow(client, &config.node_name, &store, &metrics, tasks));

    let (inlet, parcels) = Inlet::new();
    let policies = policies::Policies::new(store.clone(), metrics.clone());
    let (intake, arrivals) = intake::Intake::new(wal, policies, store.clone(), parcels, metrics.clone());
    let ingest = ingest::Ingest::new(
        store.clone(),
        hub.clone(),
        metrics.clone(),
        tailer,
        known.clone(),
        arrivals,
        config.commit_after,
    );
    let journal = Journal::new(config.journal, &config.node_name, &config.system_logs, store.journal());
    let ingest = ingest.with_journal(journal).with_upkeep_each(config.upkeep_each);
    tasks.spawn_draining("log ingest", OnError::Stop, |token| ingest.run(watcher, token));
    tasks.spawn_draining("log intake", OnError::Stop, |token| intake.run(token));
    let doors = match gate {
        Some(gate) => {
            doors::open(&config.doors, gate, known, inlet, &config.node_name, metrics.clone(), tasks).await?
        }
        None => Open::default(),
    };
    tracing::info!(node = %config.node_name, %address, pods_dir = %config.pods_dir.display(), "collector started");
    Ok(Running { address, store, hub, metrics, doors, service })
}

/// Keeps up with what Pods and namespaces say.
fn follow(
    client: kube::Client,
    node: &str,
    store: &Arc<Store>,
    metrics: &Metrics,
    tasks: &Tasks,
) -> known::Known {
    let (ready, is_ready) = tokio::sync::watch::channel(false);
    pods::follow(client.clone(), node, store.clone(), ready, tasks);
    let known = known::Known::start(client.clone(), store.clone(), is_ready, metrics.clone(), tasks);
    pods::follow_namespaces(client, known.clone(), store.clone(), tasks);
    known
}

#[cfg(test)]
mod tests;

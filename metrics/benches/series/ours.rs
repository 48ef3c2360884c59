//! The metrics server's part for series as a process of its own: its doors, PromQL and SQL over
//! a store on disk, for whoever asks.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
    serve::ListenerExt,
};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::Tasks;
use tiphys_metrics::{
    Asker, Decisions, Engine, Extension, Memory, SamplesTable, Streamed,
    series::{Limits, Store, StoreConfig},
    series_routes,
};

use crate::Result;

/// Only this process' parent asks.
struct Everything;

impl Authorizer for Everything {
    fn authorize(&self, _user: &UserInfo, _attributes: &Attributes) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// Where statements are asked.
pub const SQL: &str = "/sql";

/// The engine, made by the first statement, so that what it takes is not in the memory of writing.
#[derive(Clone)]
struct Sql {
    store: Arc<Store>,
    decisions: Arc<Decisions>,
    engine: Arc<OnceLock<Engine>>,
}

impl Sql {
    fn engine(&self) -> &Engine {
        self.engine.get_or_init(|| {
            let samples: Arc<dyn Extension> = Arc::new(SamplesTable::new(self.store.clone()));
            Engine::new(Arc::new(Memory::default()), self.decisions.clone(), vec![samples])
                .with_series(self.store.clone())
                .with_default_range(None)
                // Four times the standard: a quantile of all buckets keeps a row of each and each minute.
                .with_memory_limit(1 << 30)
        })
    }
}

/// A statement's answer, as CSV.
async fn answer(State(sql): State<Sql>, statement: String) -> Response {
    let asker = Asker::new(user(), Arc::new(Everything));
    match sql.engine().stream(&statement, Streamed::Csv, asker).await {
        Ok(pieces) => Body::from_stream(pieces).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

fn user() -> UserInfo {
    UserInfo { name: "bench".into(), ..UserInfo::default() }
}

/// Serves until SIGTERM; then what waits is written.
pub fn serve(folder: &Path) -> Result<()> {
    let address = std::env::var("TIPHYS_BENCH_ADDRESS")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let tasks = Tasks::new();
        let many = Limits { series_of_namespace: 10_000_000, series: 10_000_000, ..Limits::default() };
        let config = StoreConfig {
            folder: folder.join("data"),
            limits: many,
            keep: Duration::from_secs(100 * 24 * 3600),
            keep_bytes: u64::MAX,
            downsampling: None,
            archive: None,
        };
        let store = Store::open(config, &tasks)?;
        // As the metrics server does.
        tiphys_metrics::promql::warm(&store).await;
        let decisions = Decisions::open(folder.join("decisions"), &tasks)?;
        let sql = Sql { store: store.clone(), decisions, engine: Arc::default() };
        let sql = axum::Router::new().route(SQL, post(answer)).with_state(sql);
        let routes = series_routes(store, Arc::new(Everything)).merge(sql).layer(axum::Extension(user()));
        // As the server does, which answers in pieces.
        let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            served = axum::serve(listener, routes) => served?,
            _ = end.recv() => {}
        }
        tasks.shutdown(Duration::from_secs(60)).await;
        Ok(())
    })
}

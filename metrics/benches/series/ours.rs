//! The metrics server's part for series as a process of its own: its doors, PromQL and SQL over
//! a store on disk, for whoever asks.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Extension, extract::State, http::StatusCode, routing::post};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::Tasks;
use tiphys_metrics::{
    Asker, Decisions, Engine, Format, Memory, SamplesTable,
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

/// A statement's answer, as columns and rows.
async fn answer(State(engine): State<Engine>, statement: String) -> (StatusCode, String) {
    let asker = Asker::new(user(), Arc::new(Everything));
    match engine.answer(&statement, Format::Columns, asker).await {
        Ok(answer) => (StatusCode::OK, answer.text),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()),
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
        let samples: Arc<dyn tiphys_metrics::Extension> = Arc::new(SamplesTable::new(store.clone()));
        let engine = Engine::new(Arc::new(Memory::default()), decisions, vec![samples])
            .with_series(store.clone())
            .with_default_range(None)
            .with_deadline(Duration::from_secs(600));
        let sql = axum::Router::new().route(SQL, post(answer)).with_state(engine);
        let routes = series_routes(store, Arc::new(Everything)).merge(sql).layer(Extension(user()));
        let listener = tokio::net::TcpListener::bind(address).await?;
        let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            served = axum::serve(listener, routes) => served?,
            _ = end.recv() => {}
        }
        tasks.shutdown(Duration::from_secs(60)).await;
        Ok(())
    })
}

//! The metrics server's part for series as a process of its own: its doors and PromQL over a
//! store on disk, for whoever asks.

use std::{path::Path, sync::Arc, time::Duration};

use axum::Extension;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::Tasks;
use tiphys_metrics::{
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
        let user = UserInfo { name: "bench".into(), ..UserInfo::default() };
        let routes = series_routes(store, Arc::new(Everything)).layer(Extension(user));
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

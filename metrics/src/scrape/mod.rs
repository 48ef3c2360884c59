//! Scraping: what Pods, Services and Tiphys' own components expose, read on their intervals.
//!
//! ```text
//! Pods, Services, ServiceMonitors, PodMonitors ─> discover (pure) ─> target (relabel) ─> pool (a task each)
//! pool ─> fetch ─> expose (formats) ─> merge (labels) ─> round (cache, stale markers) ─> series::Store
//! ```
//!
//! It behaves as Prometheus and its operator do where they have a word for it. What it
//! must not do: let a target, or who writes a monitor, speak for another namespace, read a
//! file of the server or reach its loopback.

mod access;
pub mod counts;
mod discover;
pub mod expose;
mod fetch;
#[cfg(test)]
mod loop_tests;
mod merge;
mod page;
#[cfg(test)]
mod page_tests;
mod pool;
#[cfg(test)]
mod reference_tests;
mod relabel;
pub mod round;
#[cfg(test)]
mod round_tests;
mod target;

use std::sync::Arc;

use kube::Client;
use parking_lot::Mutex;
use tiphys_api::{auth::SharedAuthorizer, serve::Mount};
use tiphys_client::Shared;
use tiphys_lifecycle::Tasks;

use crate::series::Store;
use counts::Counts;
use discover::Found;
pub use discover::own::{Own, OwnPods};
use fetch::Fetcher;
use pool::Pool;

/// How targets are reached, and which are Tiphys' own.
pub struct ScrapeConfig {
    /// Reads the API and its own components' figures, as an administrator.
    pub client: Client,
    /// With the client certificate that kubelets ask for.
    pub kubelets: Arc<rustls::ClientConfig>,
    pub own: Own,
}

/// What scrapes. Clones share it.
#[derive(Clone)]
pub struct Scraping {
    pool: Pool,
    found: Arc<Mutex<Found>>,
}

impl Scraping {
    /// Starts finding and scraping targets; ends with `tasks`.
    pub fn start(
        config: ScrapeConfig,
        store: Arc<Store>,
        counts: Counts,
        shared: &Shared,
        tasks: &Tasks,
    ) -> Self {
        let fetcher = Fetcher::new(config.client.clone(), config.kubelets, fetch::is_elsewhere);
        let pool = Pool::new(store, fetcher, counts, tasks);
        let found = discover::watch::start(&config.client, shared, config.own, pool.clone(), tasks);
        Self { pool, found }
    }

    /// What the API server mounts.
    pub fn mounts(&self, authorizer: SharedAuthorizer) -> Vec<Mount> {
        let routes = page::routes(self.pool.clone(), self.found.clone(), authorizer);
        page::PATHS.map(|path| crate::server::mount(path, routes.clone())).into()
    }
}

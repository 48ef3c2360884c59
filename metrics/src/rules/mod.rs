//! Recording rules: what PrometheusRules compute again and again, kept as series of their own.
//! The usual dashboards for Kubernetes draw from such.
//!
//! ```text
//! PrometheusRules, Namespaces ─> spec (pure: groups) ─> keep (a task a group) ─> run: PromQL ─> series::Store
//! ```
//!
//! Groups go as in Prometheus: on the times of their interval, one rule after the other, and
//! what a rule no longer tells ends with a stale marker. Alerting rules are read past.
//!
//! What they must not do: show a namespace to another one. The rules of a namespace see its
//! series and write under its name, unless the Namespace has the annotation [`REACH`], which
//! who may edit Namespaces sets.

mod keep;
mod page;
mod run;
mod spec;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::Router;
use kube::Client;
use parking_lot::Mutex;
use tiphys_api::auth::SharedAuthorizer;
use tiphys_lifecycle::Tasks;

use crate::series::Store;

/// On a Namespace; `cluster` lets its rules see and write all series.
pub const REACH: &str = "metrics.tiphys.io/rules";

/// How a rule's last evaluation went.
#[derive(Debug, Clone, Default)]
struct Health {
    /// Absent: not evaluated yet.
    at: Option<SystemTime>,
    took: Duration,
    /// Empty: it went well.
    error: String,
}

/// A group that is evaluated, with the health of each of its rules.
#[derive(Debug)]
struct Standing {
    group: spec::Group,
    health: Mutex<Vec<Health>>,
}

/// All groups by where they stand. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Rules(Arc<Mutex<BTreeMap<spec::Place, Arc<Standing>>>>);

impl Rules {
    /// Evaluates what PrometheusRules say, until `tasks` stops.
    pub fn start(client: &Client, store: Arc<Store>, tasks: &Tasks) -> Self {
        let rules = Self::default();
        keep::start(rules.clone(), client.clone(), store, tasks);
        rules
    }

    /// What tells of them, with whole paths.
    pub fn routes(&self, authorizer: SharedAuthorizer) -> Router {
        page::routes(self.clone(), authorizer)
    }
}

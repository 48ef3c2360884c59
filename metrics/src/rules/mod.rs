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
//! who may edit Namespaces sets. Nor may they take what others need: [`Bounds`].

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

use crate::{
    places::{Place, Places},
    promql::{Budget, Share},
    series::Store,
};
use spec::Reach;

/// On a Namespace; `cluster` lets its rules see and write all series.
pub const REACH: &str = "metrics.tiphys.io/rules";

/// Queries of rules that run at once: they don't take all cores.
const AT_ONCE: usize = 4;
/// ... of one namespace: its slow ones wait for each other, and nobody else for them.
const OF_A_NAMESPACE: usize = 1;
/// ... of those that reach all namespaces, wherever they stand. An administrator lets them, and the usual
/// ones are many and all in one namespace; a seat is left for others.
const REACHING: usize = AT_ONCE - 1;
/// Whose seats those are. No namespace has this name.
const EVERYWHERE: &str = "";
/// Samples and values of one query: so many that those which run at once all have room in what one user's
/// queries may hold, and none is refused for what others read.
const SAMPLES: usize = 18_000_000;
/// Whose queries rules are in the budget: all rules together get as much of it as one user.
const IN_BUDGET: &str = "system:rules";

/// What the queries of all rules may take. Clones share it.
#[derive(Debug, Clone)]
struct Bounds {
    /// By what rules reach.
    seats: Places,
    /// That of the queries which users ask.
    budget: Budget,
}

impl Bounds {
    fn new(budget: Budget) -> Self {
        Self { seats: Places::new(AT_ONCE, OF_A_NAMESPACE), budget }
    }

    /// Waits for a seat of a rule that reaches so far.
    async fn seat(&self, reach: &Reach) -> Place {
        match reach {
            Reach::Namespace(namespace) => self.seats.take(namespace).await,
            Reach::Cluster => self.seats.take_of(EVERYWHERE, REACHING).await,
        }
    }

    /// The share of a query that is about to run.
    fn share(&self) -> Share {
        self.budget.share(IN_BUDGET)
    }
}

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
    /// Evaluates what PrometheusRules say, until `tasks` stops. What their queries hold counts in the
    /// budget.
    pub fn start(client: &Client, store: Arc<Store>, budget: Budget, tasks: &Tasks) -> Self {
        let rules = Self::default();
        keep::start(rules.clone(), client.clone(), store, Bounds::new(budget), tasks);
        rules
    }

    /// What tells of them, with whole paths.
    pub fn routes(&self, authorizer: SharedAuthorizer) -> Router {
        page::routes(self.clone(), authorizer)
    }
}

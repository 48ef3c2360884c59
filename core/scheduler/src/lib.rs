//! The scheduler: finds a Node for every Pod that has none.
//!
//! - [`snapshot`]: the cluster as it is now, kept up to date in place; [`queue`]:
//!   the Pods that wait; [`cluster`]: what watches change in both.
//! - [`select`]: one decision, pure: [`filter`] says which Nodes do, [`score`] which is best.
//! - [`run`]: the loop; [`binding`]: what it writes.
//!
//! A new rule is a new file in `filter/` or `score/` and a line in its `all()`.

pub mod binding;
pub mod change;
pub mod cluster;
pub mod filter;
mod metric_names;
pub mod node_info;
pub mod pod_info;
pub mod queue;
pub mod resources;
pub mod run;
pub mod score;
pub mod select;
pub mod snapshot;

#[cfg(test)]
mod sample;

use kube::Client;
use tiphys_client::Shared;
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_telemetry::Component;

pub use select::{FitError, NodeChoice, schedule_one};

#[derive(Debug, Clone)]
pub struct Config {
    /// Pods with this `spec.schedulerName` are bound.
    pub scheduler_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { scheduler_name: "default-scheduler".to_owned() }
    }
}

/// Starts the scheduler; it stops with `tasks`.
pub fn start(config: Config, client: Client, shared: &Shared, tasks: &Tasks, component: &Component) {
    let metrics = metric_names::Metrics::register(component, &config.scheduler_name);
    let scheduler = run::Loop::new(config.scheduler_name, client, shared, tasks, metrics);
    tasks.spawn("scheduler", OnError::Stop, scheduler.run());
}

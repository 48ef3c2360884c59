//! The state of the API's objects as series: what kube-state-metrics tells, under its names.
//!
//! ```text
//! watch of a kind ─> an object ─> its file: rows (name, labels, value) ─> told: what changed at once,
//!                                                                        all each 15 s ─> series
//! ```
//!
//! No object is held: of each one only its series and their values are, so that this costs a
//! few words a row. ConfigMaps and Secrets are watched without their content. Which kinds
//! there are says [`kinds`], which names a kind has its file.

mod config_map;
mod cron_job;
mod daemon_set;
mod deployment;
mod horizontal_pod_autoscaler;
mod ingress;
mod job;
mod limit_range;
mod namespace;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_containers;
mod pod_disruption_budget;
mod replica_set;
mod resource_quota;
mod rows;
mod secret;
mod service;
mod stateful_set;
mod storage_class;
mod told;
mod watched;

use std::{sync::Arc, time::Duration};

use kube::Client;
use tiphys_lifecycle::{OnError, Tasks};

use self::{told::Told, watched::objects};
use crate::series::{Meta, MetricKind, Store};

/// Between the times of the grid.
const GRID: Duration = Duration::from_secs(15);

/// One name, and what it says.
pub type Name = (&'static str, MetricKind, &'static str);

/// A kind: its names, and what starts its watch.
struct Kind {
    names: &'static [&'static [Name]],
    start: fn(&Client, Arc<Told>, &Tasks),
}

/// All kinds.
fn kinds() -> Vec<Kind> {
    vec![
        Kind {
            names: &[config_map::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, config_map::tell),
        },
        Kind {
            names: &[cron_job::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, cron_job::tell),
        },
        Kind {
            names: &[daemon_set::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, daemon_set::tell),
        },
        Kind {
            names: &[deployment::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, deployment::tell),
        },
        Kind {
            names: &[horizontal_pod_autoscaler::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, horizontal_pod_autoscaler::tell),
        },
        Kind {
            names: &[ingress::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, ingress::tell),
        },
        Kind { names: &[job::NAMES], start: |client, told, tasks| objects(client, told, tasks, job::tell) },
        Kind {
            names: &[limit_range::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, limit_range::tell),
        },
        Kind {
            names: &[namespace::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, namespace::tell),
        },
        Kind { names: &[node::NAMES], start: |client, told, tasks| objects(client, told, tasks, node::tell) },
        Kind {
            names: &[persistent_volume::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, persistent_volume::tell),
        },
        Kind {
            names: &[persistent_volume_claim::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, persistent_volume_claim::tell),
        },
        Kind {
            names: &[pod::NAMES, pod_containers::NAMES, pod_containers::INIT_NAMES],
            start: |client, told, tasks| objects(client, told, tasks, pod::tell),
        },
        Kind {
            names: &[pod_disruption_budget::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, pod_disruption_budget::tell),
        },
        Kind {
            names: &[replica_set::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, replica_set::tell),
        },
        Kind {
            names: &[resource_quota::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, resource_quota::tell),
        },
        Kind {
            names: &[secret::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, secret::tell),
        },
        Kind {
            names: &[service::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, service::tell),
        },
        Kind {
            names: &[stateful_set::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, stateful_set::tell),
        },
        Kind {
            names: &[storage_class::NAMES],
            start: |client, told, tasks| objects(client, told, tasks, storage_class::tell),
        },
    ]
}

/// Tells the store of the API's objects until `tasks` stops.
pub fn start(client: &Client, store: Arc<Store>, tasks: &Tasks) {
    let mut all = Vec::new();
    for kind in kinds() {
        for (name, kind, help) in kind.names.iter().copied().flatten() {
            let (kind, help) = (*kind, (*help).to_owned());
            store.describe(name, Meta { kind, help, unit: String::new() });
        }
        let told = Arc::new(Told::new(store.clone()));
        (kind.start)(client, told.clone(), tasks);
        all.push(told);
    }
    tasks.spawn("state of objects", OnError::Log, repeat(all));
}

/// All of it again, at each time of the grid.
async fn repeat(all: Vec<Arc<Told>>) -> Result<(), std::convert::Infallible> {
    loop {
        let (grid, now) = (GRID.as_millis() as i64, jiff::Timestamp::now().as_millisecond());
        let next = (now.div_euclid(grid) + 1) * grid;
        tokio::time::sleep(Duration::from_millis(next.abs_diff(now))).await;
        all.iter().for_each(|told| told.repeat(next));
    }
}

#[cfg(test)]
mod tests;

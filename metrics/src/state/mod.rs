//! The state of the API's objects as series: what kube-state-metrics tells, under its names.
//!
//! ```text
//! watch of a kind ─> an object ─> its file: rows (name, labels, value) ─> told: what changed at once,
//!                                                                        all each 15 s ─> series
//! ```
//!
//! No object is held: of each one only its series and their values are, so that this costs a
//! few words a row. ConfigMaps and Secrets are watched without their content. Which kinds
//! there are says [`kinds`], which names a kind has its file; which of their labels and annotations
//! are told, [`words`]. Who may list a kind sees its series: [`subject`].

mod admission_policy;
mod admission_policy_binding;
mod certificate_signing_request;
mod config_map;
mod cron_job;
mod daemon_set;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod horizontal_pod_autoscaler;
mod ingress;
mod ingress_class;
mod job;
mod kinds;
mod lease;
mod limit_range;
mod limits;
mod namespace;
mod network_policy;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
mod pod;
mod pod_containers;
mod pod_disruption_budget;
mod replica_set;
mod replication_controller;
mod resource_quota;
mod rows;
mod schedule;
mod secret;
mod service;
mod service_account;
mod stateful_set;
mod storage_class;
mod told;
mod volume_attachment;
mod watched;
mod webhook_configuration;
mod words;

use std::{sync::Arc, time::Duration};

use kube::Client;
use tiphys_lifecycle::{OnError, Tasks};

use self::{kinds::KINDS, told::Told, watched::Watch};
pub use self::{
    kinds::{Subject, subject, subjects},
    words::{Allowed, Words},
};
use crate::{
    scrape::counts::Counts,
    series::{Meta, MetricKind, Store},
};

/// Between the times of the grid.
const GRID: Duration = Duration::from_secs(15);

/// One name, and what it says.
pub type Name = (&'static str, MetricKind, &'static str);

/// Tells the store of the API's objects, and of the limits that namespaces have, until `tasks` stops.
/// What the store refuses is counted.
pub fn start(client: &Client, store: Arc<Store>, words: &Words, counts: &Counts, tasks: &Tasks) {
    limits::start(client, store.clone(), tasks);
    let mut all = Vec::new();
    for kind in KINDS {
        for (name, kind, help) in kind.all_names() {
            let (kind, help) = (*kind, (*help).to_owned());
            store.describe_own(name, Meta { kind, help, unit: String::new() });
        }
        let words = Arc::new(words.of(kind));
        all.extend((kind.start)(&Watch { client, tasks, store: &store, counts, words }));
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

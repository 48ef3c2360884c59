//! Controllers, one file (or folder) each, on one reconcile runtime.
//!
//! - [`runtime`], [`queue`], [`watched`], [`expectations`]: how every controller
//!   runs; [`context`]: what it is handed.
//! - [`all`]: the controllers, one line each. A new controller is a new file and a line there.
//!
//! They are ordinary clients: they watch, decide in pure functions, and write
//! through the API. Nothing here polls, and nothing here knows another component.

pub mod context;
pub mod error;
pub mod expectations;
pub mod key;
mod metric_names;
pub mod queue;
pub mod runtime;
pub mod watched;

mod expiry;
mod finalizer;
mod history;
mod object;
mod owner;
mod pod;
mod pod_writer;
mod selector;
mod served;

mod bootstrap_token;
mod certificates;
mod claim_protection;
mod cluster_role;
mod daemonset;
mod deployment;
mod disruption;
mod endpoints;
mod garbage;
mod namespace;
mod node_ipam;
mod node_lifecycle;
mod pod_garbage;
mod replicaset;
mod resource_quota;
mod root_ca;
mod service_account;
mod service_account_token;
mod statefulset;
mod taint_eviction;
mod volume_protection;

use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ReplicationController};
use kube::Client;
use tiphys_client::Shared;
use tiphys_lifecycle::Tasks;
use tiphys_telemetry::Component;

pub use certificates::Authority;
pub use context::Context;
pub use error::Error;
pub use service_account_token::TokenKey;

/// What the controllers must be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The cluster's Pod addresses, such as `10.244.0.0/16`; every Node gets a /24 of it.
    pub cluster_cidr: String,
    /// The CA that Pods trust the API server by, for `kube-root-ca.crt`.
    pub root_ca_pem: String,
    /// What signs certificate requests.
    pub authority: Authority,
    /// What signs the tokens that are kept in Secrets.
    pub token_key: TokenKey,
}

/// A controller's name and what starts it.
pub struct Entry {
    pub name: &'static str,
    pub start: fn(&Context),
}

/// Every controller.
pub fn all() -> Vec<Entry> {
    let entry = |name, start| Entry { name, start };
    vec![
        entry("deployment", deployment::start),
        entry("replicaset", replicaset::start::<ReplicaSet>),
        entry("replicationcontroller", replicaset::start::<ReplicationController>),
        entry("daemonset", daemonset::start),
        entry("statefulset", statefulset::start),
        entry("disruption", disruption::start),
        entry("endpoints", endpoints::start),
        entry("garbage", garbage::start),
        entry("namespace", namespace::start),
        entry("node-ipam", node_ipam::start),
        entry("node-lifecycle", node_lifecycle::start),
        entry("taint-eviction", taint_eviction::start),
        entry("service-account", service_account::start),
        entry("service-account-token", service_account_token::start),
        entry("bootstrap-token", bootstrap_token::start),
        entry("cluster-role-aggregation", cluster_role::start),
        entry("root-ca", root_ca::start),
        entry("pod-garbage", pod_garbage::start),
        entry("resource-quota", resource_quota::start),
        entry("claim-protection", claim_protection::start),
        entry("volume-protection", volume_protection::start),
        entry("certificate-approving", certificates::start_approving),
        entry("certificate-signing", certificates::start_signing),
        entry("certificate-cleaning", certificates::start_cleaning),
    ]
}

/// Starts every controller; they stop with `tasks`.
///
/// # Errors
/// A `cluster_cidr` that is no IPv4 network of at least a /24.
pub fn start(
    config: Config,
    client: Client,
    shared: &Shared,
    tasks: &Tasks,
    component: &Component,
) -> Result<(), Error> {
    node_ipam::Network::parse(&config.cluster_cidr)?;
    let context = Context::new(config, client, shared, tasks, component);
    for entry in all() {
        (entry.start)(&context);
    }
    Ok(())
}

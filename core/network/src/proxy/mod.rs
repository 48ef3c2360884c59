//! The service proxy: what is sent to a Service reaches one of its endpoints.
//!
//! ```text
//! Services, EndpointSlices ──> endpoints, model ──> fragment ──> table ──> nft
//!                              (what is asked)      (pieces)     (difference)
//! ```
//!
//! Everything but [`follow`] and [`conntrack`] is pure. The proxy acts on the
//! network namespace of its process. Its rules stay when it stops, so that a
//! restart of the agent cuts no connection.

mod conntrack;
mod endpoints;
mod follow;
mod fragment;
mod metrics;
mod model;
mod pending;
mod table;

use std::{net::Ipv4Addr, str::FromStr, sync::Arc};

use ipnet::Ipv4Net;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use tiphys_client::Cache;
use tiphys_lifecycle::Tasks;
use tiphys_telemetry::Component;

/// How packets are sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One nft table, changed by atomic transactions.
    Nftables,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "nftables" => Ok(Self::Nftables),
            other => Err(format!("there is no proxy mode {other}: use nftables")),
        }
    }
}

/// How a node's proxy works.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    pub mode: Mode,
    /// The Node this is.
    pub node: String,
    /// All Pods of the cluster: what comes to a ClusterIP from elsewhere is masqueraded.
    pub pod_range: Ipv4Net,
    /// All ClusterIPs: what no Service claims is refused, and never leaves the node.
    pub service_range: Ipv4Net,
    /// ClusterIPs that get no rule, because the node answers them itself (its DNS).
    pub answered_here: Vec<Ipv4Addr>,
}

/// The service proxy of a node.
pub struct Proxy;

impl Proxy {
    /// Starts the task that keeps the rules; its figures go to `component`.
    pub fn start(
        config: ProxyConfig,
        services: Cache<Service>,
        slices: Cache<EndpointSlice>,
        tasks: &Tasks,
        component: &Component,
    ) {
        let Mode::Nftables = config.mode;
        let (config, metrics) = (Arc::new(config), metrics::Metrics::register(component));
        tasks.spawn_restarting("service proxy", move || {
            follow::follow(config.clone(), services.clone(), slices.clone(), metrics.clone())
        });
    }
}

//! The kubelet's HTTPS server: logs, streams, health, metrics, samples.
//!
//! ```text
//! TLS (client certificate of the cluster's CA) ─> who (masters or the API server only) ─> routes
//!   /containerLogs  the log files        /exec /attach /portForward  the runtime's own stream, tunnelled
//!   /pods /metrics[/proxy|/dns] /healthz /tiphys/v1/samples          a line a second
//! ```
//!
//! Nothing answers without a certificate, and a node's certificate is not enough:
//! one node may not look into another.

mod identity;
mod listen;
mod logs;
mod plain;
mod streams;

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get},
};
pub(crate) use listen::{bind, serve};

use crate::{samples::Seconds, workers::Context};

/// What every route shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub context: Arc<Context>,
    pub seconds: Seconds,
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/pods", get(plain::pods))
        .route("/metrics", get(plain::metrics))
        .route("/metrics/{component}", get(plain::component_metrics))
        .route("/tiphys/v1/samples", get(plain::samples))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs::container_logs))
        .route("/exec/{namespace}/{pod}/{container}", any(streams::exec))
        .route("/attach/{namespace}/{pod}/{container}", any(streams::attach))
        .route("/portForward/{namespace}/{pod}", any(streams::port_forward))
        .with_state(shared)
}

//! The kubelet's HTTPS server: logs, streams, health, metrics, samples.
//!
//! ```text
//! TLS (client certificate of the cluster's CA) ─> who (masters or the API server only) ─> routes
//!   /containerLogs  the log files        /exec /attach /portForward  the runtime's own stream, tunnelled
//!   /pods /metrics[/...] /healthz /tiphys/v1/samples                 a line a second
//! TLS without one ─> whose token (tokens) ─> /metrics[/...] alone
//! ```
//!
//! Without a certificate nothing but figures is answered, to who may read them; and a node's
//! certificate is not enough: one node may not look into another.

mod exposition;
mod identity;
mod listen;
mod logs;
mod measured;
mod places;
mod plain;
mod streams;
mod tokens;

use std::sync::Arc;

use axum::{
    Router,
    middleware::from_fn_with_state,
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
        .route("/tiphys/v1/samples", get(plain::samples))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs::container_logs))
        .route("/exec/{namespace}/{pod}/{container}", any(streams::exec))
        .route("/attach/{namespace}/{pod}/{container}", any(streams::attach))
        .route("/portForward/{namespace}/{pod}", any(streams::port_forward))
        .merge(figures())
        .with_state(shared)
}

/// Own figures and those of Pods, by the paths that a kubelet has for them; those of the node's
/// other parts beside them.
fn figures() -> Router<Shared> {
    Router::new()
        .route("/metrics", get(plain::metrics))
        .route("/metrics/cadvisor", get(measured::cadvisor))
        .route("/metrics/resource", get(measured::resource))
        .route("/metrics/probes", get(plain::probes))
        .route("/metrics/slis", get(async || plain::SLIS))
        .route("/metrics/{component}", get(plain::component_metrics))
}

/// What is answered to a token.
fn routes_of_tokens(shared: Shared) -> Router {
    let (client, node) = (shared.context.client.clone(), shared.context.config.node_name.clone());
    let access = Arc::new(tokens::Access::new(client, node));
    figures().layer(from_fn_with_state(access, tokens::admit)).with_state(shared)
}

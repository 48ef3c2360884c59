//! Where the doors are: the sockets, and which path is which door.
//!
//! All HTTP doors are on all HTTP ports, gRPC too: a port is a habit of a tool, not
//! another meaning. So is TLS: see [`super::connections`].

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, header};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::net::TcpListener;

use super::{
    Budget, Doors, Gate, Inlet, Kind, TOTAL,
    connections::{CONNECTIONS, Places, Speech},
    elastic, loki, otlp,
    refusal::RETRY_AFTER,
    syslog::{self, SyslogConfig},
    tls::{Tls, TlsFiles},
};
use crate::{
    collector::{CollectorError, Known},
    metric_names::Metrics,
};

/// Which doors are open, and where.
#[derive(Debug, Clone, Default)]
pub struct DoorConfig {
    /// Addresses of the HTTP and gRPC doors; port 0 takes a free one.
    pub http: Vec<SocketAddr>,
    /// The certificate of all doors; without it they speak plain text.
    pub tls: Option<TlsFiles>,
    /// The HTTP and gRPC doors take no plain text.
    pub tls_only: bool,
    pub syslog: SyslogConfig,
    /// Doors of other parts on the same HTTP and gRPC ports; their paths are none of ours.
    pub beside: Router,
}

/// Doors that are open.
#[derive(Debug, Clone, Default)]
pub struct Open {
    /// In the order of the configuration.
    pub http: Vec<SocketAddr>,
    pub syslog_tcp: Option<SocketAddr>,
    pub syslog_udp: Option<SocketAddr>,
    pub syslog_tls: Option<SocketAddr>,
}

/// Opens the doors. Whoever comes waits until `inlet`'s other end takes something.
pub async fn open(
    config: &DoorConfig,
    gate: Arc<dyn Gate>,
    known: Option<Known>,
    inlet: Inlet,
    node: &str,
    metrics: Metrics,
    tasks: &Tasks,
) -> Result<Open, CollectorError> {
    let doors = Doors::new(gate, known, inlet, Budget::new(TOTAL), node, metrics);
    let mut open = Open::default();
    let tls = |protocols: &[&str]| config.tls.clone().map(|files| Tls::new(files, protocols));
    let speech = Speech { tls: tls(&["h2", "http/1.1"]), tls_only: config.tls_only };
    for address in &config.http {
        let error = |source| CollectorError::Listen { address: *address, source };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        open.http.push(listener.local_addr().map_err(error)?);
        let (router, speech) = (router(doors.clone()).merge(config.beside.clone()), speech.clone());
        tasks.spawn("log doors", OnError::Stop, async move {
            axum::serve(Places::new(listener, CONNECTIONS, speech), router).await
        });
    }
    syslog::open(&config.syslog, tls(&[]), &doors, &mut open, tasks).await?;
    tracing::info!(http = ?open.http, syslog_tcp = ?open.syslog_tcp, syslog_udp = ?open.syslog_udp, syslog_tls = ?open.syslog_tls, "doors for logs are open");
    Ok(open)
}

/// The paths of all doors. The doors bound the bodies themselves.
pub(super) fn router(doors: Doors) -> Router {
    Router::new()
        .route(
            "/v1/logs",
            post(|State(doors), headers: HeaderMap, body: Body| otlp::http(doors, headers, body)),
        )
        .route(
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            post(|State(doors), headers: HeaderMap, body: Body| otlp::grpc(doors, headers, body)),
        )
        .route(
            "/loki/api/v1/push",
            post(|State(doors), headers: HeaderMap, body: Body| loki::push(doors, headers, body)),
        )
        .merge(elastic_routes())
        .route("/ready", get(|| async { "ready\n" }))
        .fallback(nothing_here)
        .layer(axum::middleware::map_response(crate::inert::inert))
        .with_state(doors)
}

fn elastic_routes() -> Router<Doors> {
    type Index = Path<String>;
    let bulk = |State(doors), headers: HeaderMap, body: Body| elastic::bulk(doors, None, headers, body);
    let bulk_of = |State(doors), Path(index): Index, headers: HeaderMap, body: Body| {
        elastic::bulk(doors, Some(index), headers, body)
    };
    Router::new()
        .route("/", get(|State(doors), headers: HeaderMap| elastic::about(doors, headers)))
        .route("/_license", get(|State(doors), headers: HeaderMap| elastic::license(doors, headers)))
        .route("/_cluster/health", get(|State(doors), headers: HeaderMap| elastic::health(doors, headers)))
        .route("/_bulk", post(bulk).put(bulk))
        .route("/{index}/_bulk", post(bulk_of).put(bulk_of))
}

async fn nothing_here(headers: HeaderMap) -> Response {
    let is_grpc = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        let unimplemented =
            tonic::Status::unimplemented("only opentelemetry.proto.collector.logs.v1.LogsService/Export");
        return unimplemented.into_http::<Body>();
    }
    let message =
        "no door here: POST /v1/logs (OTLP), POST /loki/api/v1/push (Loki), POST /_bulk (Elasticsearch)\n";
    (Kind::NotFound.status(), message).into_response()
}

/// Says when to come again, if coming again makes sense.
pub fn with_retry_after(mut response: Response, kind: Kind) -> Response {
    if kind.is_temporary() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    }
    if kind == Kind::Unauthenticated {
        let realm =
            HeaderValue::from_static("Basic realm=\"tiphys logs: any user, a service account's token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    }
    response
}

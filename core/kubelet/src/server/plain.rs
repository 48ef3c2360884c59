//! Pods, metrics, and the stream of samples.

use std::{collections::HashMap, convert::Infallible};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tiphys_telemetry::Component;

use super::Shared;

/// `GET /pods`: a PodList of what this node runs.
pub(super) async fn pods(State(shared): State<Shared>) -> Json<Value> {
    let items: Vec<_> = shared.context.registry.views().iter().map(|view| view.pod.clone()).collect();
    Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}

/// `GET /metrics`: the kubelet's own.
pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    let metrics = &shared.context.metrics;
    metrics.workers.set(i64::try_from(shared.context.registry.count()).unwrap_or(i64::MAX));
    ([(header::CONTENT_TYPE, Component::CONTENT_TYPE)], metrics.component.render()).into_response()
}

/// `GET /metrics/probes`: how probes of containers went.
pub(super) async fn probes(State(shared): State<Shared>) -> Response {
    let text = shared.context.metrics.probes.render();
    ([(header::CONTENT_TYPE, Component::CONTENT_TYPE)], text).into_response()
}

/// `GET /metrics/slis`: a kubelet that answers is well.
pub(super) const SLIS: &str = "\
# HELP kubernetes_healthcheck 1 when a check of health passes.
# TYPE kubernetes_healthcheck gauge
kubernetes_healthcheck{name=\"ping\",type=\"healthz\"} 1
";

/// `GET /metrics/<component>`: what another part of the node tells of itself.
pub(super) async fn component_metrics(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let neighbours = &shared.context.config.neighbours;
    match neighbours.iter().find(|component| component.name() == name) {
        Some(component) => {
            ([(header::CONTENT_TYPE, Component::CONTENT_TYPE)], component.render()).into_response()
        }
        None => {
            let known: Vec<_> = neighbours.iter().map(Component::name).collect();
            let message = format!("no component {name:?} on this node; there are: {}\n", known.join(", "));
            (StatusCode::NOT_FOUND, message).into_response()
        }
    }
}

/// `GET /tiphys/v1/samples?since=<µs>`: a line a second, first what is still there since then; all
/// of it where the clock was set back behind that time.
pub(super) async fn samples(
    State(shared): State<Shared>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let since = query.get("since").and_then(|since| since.parse().ok()).unwrap_or(0);
    let newest = shared.seconds.newest();
    let had = shared.seconds.number_at(since);
    let lines =
        futures::stream::unfold((shared.seconds, newest, had), async |(seconds, mut newest, mut had)| {
            loop {
                let lines = seconds.after(had);
                if let Some((last, _)) = lines.last() {
                    had = *last;
                    let bytes: Vec<u8> = lines.iter().flat_map(|(_, line)| line.iter().copied()).collect();
                    return Some((Ok::<_, Infallible>(bytes), (seconds, newest, had)));
                }
                newest.changed().await.ok()?;
            }
        });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

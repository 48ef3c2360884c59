//! A span, a count and a time for each request.

use std::{sync::Arc, time::Instant};

use http::{Request, Response};
use tiphys_api::serve::Body;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    metrics::{InFlight, Metrics, RequestLabels},
    request::info::Target,
    state::Core,
};

/// A request that is being answered.
pub struct Observed {
    span: Span,
    labels: RequestLabels,
    metrics: Metrics,
    started: Instant,
    in_flight: InFlight,
}

impl Observed {
    /// Begins; the span is put below the caller's, if it names one.
    pub fn begin(core: &Arc<Core>, request: &Request<Body>, target: Option<&Target>) -> Self {
        let labels = labels(core, request, target);
        let span = tracing::info_span!(
            "api request",
            method = %request.method(),
            verb = %labels.verb,
            resource = %labels.resource,
            subresource = %labels.subresource,
            path = %request.uri().path(),
            code = Empty,
        );
        let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        if let Some(parent) = parent {
            tiphys_telemetry::trace::set_parent(&span, parent);
        }
        let metrics = core.metrics.clone();
        let in_flight = metrics.begin();
        Self { span, labels, metrics, started: Instant::now(), in_flight }
    }

    /// Runs the request to its response's head.
    pub async fn run(self, work: impl Future<Output = Response<Body>>) -> Response<Body> {
        let Self { span, mut labels, metrics, started, in_flight } = self;
        let response = work.instrument(span.clone()).await;
        drop(in_flight);
        labels.code = response.status().as_u16();
        span.record("code", labels.code);
        tracing::debug!(
            parent: &span,
            verb = %labels.verb,
            resource = %labels.resource,
            code = labels.code,
            took = ?started.elapsed(),
            "request answered"
        );
        metrics.end(labels, started.elapsed());
        response
    }
}

/// Only what is served becomes a label: a caller can't make up series.
fn labels(core: &Core, request: &Request<Body>, target: Option<&Target>) -> RequestLabels {
    let mut labels = RequestLabels {
        verb: request.method().as_str().to_ascii_lowercase(),
        group: String::new(),
        version: String::new(),
        resource: String::new(),
        subresource: String::new(),
        code: 0,
    };
    if !matches!(labels.verb.as_str(), "get" | "head" | "post" | "put" | "patch" | "delete") {
        labels.verb = "other".into();
    }
    let Some(Target::Resource(info)) = target else { return labels };
    let Some(resource) = core.registry.find(&info.group, &info.version, &info.resource) else {
        return labels;
    };
    labels.verb = info.verb.into();
    labels.group = info.group.clone();
    labels.version = info.version.clone();
    labels.resource = info.resource.clone();
    if resource.kind.subresource(&info.subresource).is_some() {
        labels.subresource = info.subresource.clone();
    }
    labels
}

//! W3C trace context, carried through requests and objects.
//!
//! A create is stamped with the annotation `tiphys.io/traceparent`; whoever acts
//! on the object opens its span below that context. So an apply can be followed
//! from the client through API server, controllers and scheduler to the started
//! container. While nothing is exported, nothing is stamped.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use opentelemetry::{propagation::TextMapPropagator, trace::TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const HEADER: &str = "traceparent";

static EXPORTING: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_exporting() {
    EXPORTING.store(true, Ordering::Relaxed);
}

/// The `traceparent` of a span, while traces are exported.
pub fn inject(span: &Span) -> Option<String> {
    if !EXPORTING.load(Ordering::Relaxed) {
        return None;
    }
    let context = span.context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(HEADER)
}

/// Puts a span below the context that a `traceparent` names. A malformed one is ignored.
pub fn set_parent(span: &Span, traceparent: &str) {
    if !EXPORTING.load(Ordering::Relaxed) {
        return;
    }
    let carrier = HashMap::from([(HEADER.to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if !context.span().span_context().is_valid() {
        return;
    }
    if let Err(error) = span.set_parent(context) {
        tracing::debug!(%error, "span keeps its parent");
    }
}

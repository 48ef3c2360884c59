//! What the process tells of itself, sent by OTLP to one endpoint, with TLS or without.
//!
//! ```text
//! spans   ── tracing_opentelemetry ──────────> the SDK's queue, 2048 at most ─┐
//! records ── opentelemetry_appender_tracing ─> the SDK's queue, 2048 at most ─┼─> one channel
//! figures ── Component::render, each 15 s ───> openmetrics.rs ────────────────┘
//! ```
//!
//! That is gRPC's ([`endpoint`]). Signals that are asked for over HTTP are posted instead, each by a
//! client of its own and to an endpoint of its own if it has one ([`self::http`]); [`way`] decides.
//!
//! Each of the three has a thread of its own and none is waited for: while the endpoint is
//! away, spans and records beyond a queue are lost, and figures tell the next time what they
//! have come to. Only the end waits, for [`LAST`] at most.
//!
//! What it must not do: tell of its own sending, which would be sent again.

mod endpoint;
mod figures;
mod http;
mod openmetrics;
mod signal;
#[cfg(test)]
mod tests;
mod tls;
mod way;

use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithTonicConfig};
use opentelemetry_sdk::{Resource, error::OTelSdkResult, logs::SdkLoggerProvider, trace::SdkTracerProvider};

use self::http::{Records, Spans};
use crate::TelemetryError;
use endpoint::Headers;
use figures::Figures;
use signal::{Signal, Variables};
use way::{Way, Ways};

/// How long the last spans, figures and records may take together.
pub const LAST: Duration = Duration::from_secs(5);

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The three exports of a process.
pub struct Export {
    pub spans: SdkTracerProvider,
    pub records: SdkLoggerProvider,
    figures: Figures,
}

impl Export {
    /// Starts them. Must be called on a tokio runtime, which does the sending.
    ///
    /// # Errors
    /// A URL that is no endpoint; variables of OpenTelemetry's that can't be carried out; no thread.
    pub fn start(service: &str, instance: &str, url: &str) -> Result<Self, TelemetryError> {
        Self::start_with(service, instance, url, &|name| std::env::var(name).ok())
    }

    /// The same, where these variables say how it is sent.
    fn start_with(
        service: &str,
        instance: &str,
        url: &str,
        variables: Variables<'_>,
    ) -> Result<Self, TelemetryError> {
        let mut ways = Ways::new(url, variables);
        let (of_spans, of_records) = (ways.of(Signal::Traces)?, ways.of(Signal::Logs)?);
        let of_figures = ways.of(Signal::Metrics)?;
        let unusable = |source| TelemetryError::Exporter { endpoint: url.to_owned(), source };
        let (spans, records) = (SdkTracerProvider::builder(), SdkLoggerProvider::builder());
        let spans = match of_spans {
            Way::Grpc(channel) => {
                let exporter = SpanExporter::builder().with_tonic().with_channel(channel).build();
                spans.with_batch_exporter(exporter.map_err(unusable)?)
            }
            Way::Http(post) => spans.with_batch_exporter(Spans::new(post)),
        };
        let records = match of_records {
            Way::Grpc(channel) => {
                let exporter = LogExporter::builder().with_tonic().with_channel(channel).build();
                records.with_batch_exporter(exporter.map_err(unusable)?)
            }
            Way::Http(post) => records.with_batch_exporter(Records::new(post)),
        };
        let resource = resource(service, instance);
        Ok(Self {
            spans: spans.with_resource(resource.clone()).build(),
            records: records.with_resource(resource.clone()).build(),
            figures: Figures::start(of_figures, Headers::of_figures(variables), &resource)?,
        })
    }

    /// Sends what is left, the records last: they tell what became of the others. What isn't
    /// sent within `limit` is lost.
    pub fn shutdown(self, limit: Duration) {
        let end = Instant::now() + limit;
        let left = || end.saturating_duration_since(Instant::now());
        tell("figures", self.figures.shutdown(left()));
        tell("spans", self.spans.shutdown_with_timeout(left()));
        tell("records", self.records.shutdown_with_timeout(left()));
    }
}

fn tell(what: &str, outcome: OTelSdkResult) {
    if let Err(error) = outcome {
        tracing::warn!(what, %error, "what was left could not be exported");
    }
}

/// Who tells, beside what `OTEL_RESOURCE_ATTRIBUTES` says.
fn resource(service: &str, instance: &str) -> Resource {
    let own = [
        KeyValue::new("service.instance.id", instance.to_owned()),
        KeyValue::new("service.version", VERSION),
    ];
    Resource::builder().with_service_name(service.to_owned()).with_attributes(own).build()
}

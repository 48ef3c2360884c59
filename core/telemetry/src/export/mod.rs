//! What the process tells of itself, sent by OTLP over gRPC to one endpoint, with TLS or without.
//!
//! ```text
//! spans   ── tracing_opentelemetry ──────────> the SDK's queue, 2048 at most ─┐
//! records ── opentelemetry_appender_tracing ─> the SDK's queue, 2048 at most ─┼─> one channel
//! figures ── Component::render, each 15 s ───> openmetrics.rs ────────────────┘
//! ```
//!
//! Each of the three has a thread of its own and none is waited for: while the endpoint is
//! away, spans and records beyond a queue are lost, and figures tell the next time what they
//! have come to. Only the end waits, for [`LAST`] at most.
//!
//! What it must not do: tell of its own sending, which would be sent again.

mod endpoint;
mod figures;
mod openmetrics;
#[cfg(test)]
mod tests;
mod tls;

use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithTonicConfig};
use opentelemetry_sdk::{Resource, error::OTelSdkResult, logs::SdkLoggerProvider, trace::SdkTracerProvider};

use crate::TelemetryError;
use endpoint::Variables;
use figures::Figures;

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
    /// Starts them. Must be called on a tokio runtime, which carries the channel.
    ///
    /// # Errors
    /// A URL that is no endpoint; variables of OpenTelemetry's that can't be carried out; no thread.
    pub fn start(service: &str, instance: &str, url: &str) -> Result<Self, TelemetryError> {
        Self::start_with(service, instance, url, &|name| std::env::var(name).ok())
    }

    /// The same, where these variables say what the channel is to be like.
    fn start_with(
        service: &str,
        instance: &str,
        url: &str,
        variables: Variables<'_>,
    ) -> Result<Self, TelemetryError> {
        let channel = endpoint::parse(url, variables)?.connect_lazy();
        let unusable = |source| TelemetryError::Exporter { endpoint: url.to_owned(), source };
        let spans = SpanExporter::builder().with_tonic().with_channel(channel.clone()).build();
        let records = LogExporter::builder().with_tonic().with_channel(channel.clone()).build();
        let resource = resource(service, instance);
        let spans = SdkTracerProvider::builder().with_batch_exporter(spans.map_err(unusable)?);
        let records = SdkLoggerProvider::builder().with_batch_exporter(records.map_err(unusable)?);
        Ok(Self {
            spans: spans.with_resource(resource.clone()).build(),
            records: records.with_resource(resource.clone()).build(),
            figures: Figures::start(channel, &resource)?,
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

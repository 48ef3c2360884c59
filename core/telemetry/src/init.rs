//! The set-up of tracing and OpenTelemetry, once a process.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::trace;

/// How log lines look on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Default)]
pub struct TelemetryConfig {
    /// `tiphys-server`, `tiphys-agent`, ...: the OpenTelemetry `service.name`.
    pub service: String,
    pub format: LogFormat,
    /// A filter such as `info,tiphys_kubelet=debug`.
    pub filter: String,
    /// Where spans go by OTLP over gRPC, such as `http://127.0.0.1:4317`.
    pub otlp_endpoint: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter {filter:?} is not valid: {source}")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error("OTLP endpoint {endpoint:?} can't be used: {source}")]
    Exporter { endpoint: String, source: opentelemetry_otlp::ExporterBuildError },
    #[error("telemetry was set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Exports what is left when it is dropped; main holds it to its end.
#[must_use = "spans are lost when the guard is dropped"]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.provider.take().map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}

/// Sets up tracing for the whole process. Needs a tokio runtime when an endpoint is given.
///
/// # Errors
/// A filter or an endpoint that can't be parsed, or a second call.
pub fn init(config: &TelemetryConfig) -> Result<Guard, TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|source| TelemetryError::Filter { filter: config.filter.clone(), source })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let provider = config.otlp_endpoint.as_deref().map(|url| provider(&config.service, url)).transpose()?;
    let spans = provider.as_ref().map(|provider| {
        trace::set_exporting();
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("tiphys"))
            .with_filter(EnvFilter::new("info"))
    });
    tracing_subscriber::registry().with(spans).with(lines.with_filter(filter)).try_init()?;
    Ok(Guard { provider })
}

fn provider(service: &str, endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source })?;
    let resource = Resource::builder().with_service_name(service.to_owned()).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

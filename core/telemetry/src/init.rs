//! The set-up of tracing and OpenTelemetry, once a process.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    export::{Export, LAST},
    trace,
};

/// Left out of the records that are exported: what sends them must not tell of each sending.
const SENDING: &str = "opentelemetry=off,h2=off,hyper=off,tonic=off,tower=off";

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
    /// Which one of them, such as the node's name: the OpenTelemetry `service.instance.id`.
    pub instance: String,
    pub format: LogFormat,
    /// A filter such as `info,tiphys_kubelet=debug`.
    pub filter: String,
    /// Where spans, figures and log records go by OTLP, such as `http://127.0.0.1:4317` or
    /// `https://otel.example:4317`; over HTTP, if that is asked for, such as `https://otel.example`.
    pub otlp_endpoint: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("log filter {filter:?} is not valid: {source}")]
    Filter { filter: String, source: tracing_subscriber::filter::ParseError },
    #[error(
        "OTLP endpoint {endpoint:?} can't be used: a URL such as http://127.0.0.1:4317 or \
         https://otel.example:4317 is wanted"
    )]
    Endpoint { endpoint: String },
    #[error(
        "{variable} names {endpoint:?}, which can't be used: a URL such as \
         https://otel.example/v1/{signal} is wanted"
    )]
    SignalEndpoint { variable: String, endpoint: String, signal: &'static str },
    #[error("OTLP endpoint {endpoint:?} can't be used: {why}")]
    Tls { endpoint: String, why: String },
    #[error(
        "{variable} asks for {protocol:?}, which is not spoken: set it to grpc, which is mostly received at \
         port 4317, or to http/protobuf, mostly at port 4318"
    )]
    Protocol { variable: String, protocol: String },
    #[error("{variable} asks for {compression:?}, which is not spoken over HTTP: set it to gzip or none")]
    Compression { variable: String, compression: String },
    #[error("OTLP endpoint {endpoint:?} can't be used: {source}")]
    Exporter { endpoint: String, source: opentelemetry_otlp::ExporterBuildError },
    #[error("the thread that exports figures can't be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("telemetry was set up before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Exports what is left when it is dropped; main holds it to its end.
#[must_use = "the last spans, figures and records are lost when the guard is dropped"]
pub struct Guard {
    export: Option<Export>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(export) = self.export.take() {
            export.shutdown(LAST);
        }
    }
}

/// Sets up tracing for the whole process. Needs a tokio runtime when an endpoint is given.
///
/// # Errors
/// A filter or an endpoint that can't be parsed, or a second call.
pub fn init(config: &TelemetryConfig) -> Result<Guard, TelemetryError> {
    let start = |url| Export::start(&config.service, &config.instance, url);
    let export = config.otlp_endpoint.as_deref().map(start).transpose()?;
    subscriber(config, export.as_ref())?.try_init()?;
    if export.is_some() {
        trace::set_exporting();
    }
    Ok(Guard { export })
}

/// Who takes spans and events: stderr, and what is exported.
///
/// # Errors
/// A filter that can't be parsed.
pub(crate) fn subscriber(
    config: &TelemetryConfig,
    export: Option<&Export>,
) -> Result<impl Subscriber + Send + Sync + use<>, TelemetryError> {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let (printed, exported) = (filter(config, "")?, filter(config, SENDING)?);
    let spans = export.map(|export| {
        tracing_opentelemetry::layer()
            .with_tracer(export.spans.tracer("tiphys"))
            .with_filter(EnvFilter::new("info"))
    });
    let records = export.map(|export| OpenTelemetryTracingBridge::new(&export.records).with_filter(exported));
    Ok(tracing_subscriber::registry().with(spans).with(records).with(lines.with_filter(printed)))
}

/// What the configuration lets through, without what `less` says.
fn filter(config: &TelemetryConfig, less: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(format!("{},{less}", config.filter))
        .map_err(|source| TelemetryError::Filter { filter: config.filter.clone(), source })
}

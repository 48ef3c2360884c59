//! The channel that all signals share which are sent by gRPC, and what each request for figures
//! carries.
//!
//! The SDK's exporters read OpenTelemetry's variables themselves; the figures have no exporter
//! of the SDK's, so their headers are read here. Where a signal goes by HTTP: [`super::http`].

use std::{error::Error, time::Duration};

use opentelemetry_otlp::OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT;
use percent_encoding::percent_decode_str;
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue},
    service::Interceptor,
    transport::{self, Endpoint},
};

use super::{
    signal::{Signal, Variables},
    tls::{self, Files},
};
use crate::TelemetryError;

/// How long a request may take, as the SDK's exporters have it.
pub const PATIENCE: Duration = OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT;

/// The endpoint of a URL such as `http://127.0.0.1:4317`, or `https://otel.example:4317`.
///
/// # Errors
/// Another scheme; what TLS needs can't be had.
pub fn parse(url: &str, variables: Variables<'_>) -> Result<Endpoint, TelemetryError> {
    let wrong = || TelemetryError::Endpoint { endpoint: url.to_owned() };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
    let endpoint = endpoint.timeout(PATIENCE).connect_timeout(PATIENCE);
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => {
            let unusable = |why: String| TelemetryError::Tls { endpoint: url.to_owned(), why };
            let config = Files::read(variables).map_err(unusable)?.grpc();
            // Mostly there are no authorities on the machine.
            let why = |error: transport::Error| format!("{}; {}", root_cause(&error), tls::remedy());
            endpoint.tls_config(config).map_err(|error| unusable(why(error)))
        }
        _ => Err(wrong()),
    }
}

/// What an error comes from: those above it say only where it was met.
pub fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The pairs of `name=value,...`, whose values are percent-encoded. What is none is left out, as
/// the SDK does it.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.split(',').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((name.trim(), value.into_owned()))
    })
}

/// Headers that an operator asked for, such as a token.
#[derive(Clone)]
pub struct Headers(Vec<(AsciiMetadataKey, AsciiMetadataValue)>);

impl Headers {
    /// Those of the requests for figures.
    pub fn of_figures(variables: Variables<'_>) -> Self {
        let said = Signal::Metrics.said("HEADERS", variables);
        Self::parse(&said.map(|said| said.value).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let parsed = pairs(text).filter_map(|(name, value)| {
            let name: AsciiMetadataKey = name.parse().ok()?;
            let value: AsciiMetadataValue = value.parse().ok()?;
            Some((name, value))
        });
        Self(parsed.collect())
    }
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_tls_or_without() {
        // Its text has what a certificate's has; it is read when a connection is made.
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/export/tls.rs");
        let variables = |name: &str| (name == tls::CERTIFICATE).then(|| file.to_owned());
        for (url, is_one) in [
            ("http://127.0.0.1:4317", true),
            ("http://otel.example:4317/", true),
            ("ftp://otel.example:4317", false),
            ("127.0.0.1:4317", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(parse(url, &variables).is_ok(), is_one, "{url:?}");
        }
        let absent = |name: &str| (name == tls::CERTIFICATE).then(|| "/no/such/file".to_owned());
        assert!(parse("http://otel.example:4317", &absent).is_ok(), "nothing is read for it");
        let error = parse("https://otel.example:4317", &absent).expect_err("it is refused").to_string();
        let said = ["https://otel.example:4317", "OTEL_EXPORTER_OTLP_CERTIFICATE: /no/such/file"];
        assert!(said.iter().all(|words| error.contains(words)), "{error}");
    }

    #[test]
    fn headers_are_pairs_with_encoded_values() {
        let headers =
            Headers::parse("authorization=Bearer%20a%3Db, X-Tiphys-Namespace = shop ,nothing,=x,é=1");
        let found: Vec<_> =
            headers.0.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII"))).collect();
        assert_eq!(found, [("authorization", "Bearer a=b"), ("x-tiphys-namespace", "shop")]);
        assert!(Headers::parse("").0.is_empty());
    }
}

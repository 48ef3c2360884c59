//! Where telemetry goes, and what each request for figures carries.
//!
//! The SDK's exporters read OpenTelemetry's variables themselves; the figures have no exporter
//! of the SDK's, so the headers are read here too. All share one channel, so what is said of it
//! is read here: the protocol, and for TLS [`tls`].

use std::{error::Error, time::Duration};

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_METRICS_HEADERS, OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_PROTOCOL_GRPC, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
};
use percent_encoding::percent_decode_str;
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue},
    service::Interceptor,
    transport::Endpoint,
};

use super::tls;
use crate::TelemetryError;

/// What variables of the environment say, by name.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The protocol of one signal, which is said beside that of all.
const PROTOCOLS: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
];

/// How long a request may take, as the SDK's exporters have it.
const PATIENCE: Duration = OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT;

/// The endpoint of a URL such as `http://127.0.0.1:4317`, or `https://otel.example:4317`.
///
/// # Errors
/// Another scheme; a protocol other than gRPC is asked for; what TLS needs can't be had.
pub fn parse(url: &str, variables: Variables<'_>) -> Result<Endpoint, TelemetryError> {
    only_grpc(variables)?;
    let wrong = || TelemetryError::Endpoint { endpoint: url.to_owned() };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
    let endpoint = endpoint.timeout(PATIENCE).connect_timeout(PATIENCE);
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => {
            let unusable = |why: String| TelemetryError::Tls { endpoint: url.to_owned(), why };
            let config = tls::config(variables).map_err(unusable)?;
            endpoint.tls_config(config).map_err(|error| unusable(without_trust(&error)))
        }
        _ => Err(wrong()),
    }
}

/// Why TLS can't be set up: mostly there are no authorities on the machine.
fn without_trust(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    format!("{cause}; {} may name a file with the certificate of its authority", tls::CERTIFICATE)
}

/// # Errors
/// Some signal is to be sent otherwise.
fn only_grpc(variables: Variables<'_>) -> Result<(), TelemetryError> {
    let said = |variable: &'static str| {
        let protocol = variables(variable).filter(|protocol| !protocol.trim().is_empty());
        protocol.map(|protocol| (variable, protocol))
    };
    let of_all = || said(OTEL_EXPORTER_OTLP_PROTOCOL);
    let mut of_signals = PROTOCOLS.into_iter().filter_map(|signal| said(signal).or_else(of_all));
    let is_other = |(_, protocol): &(&str, String)| {
        !protocol.trim().eq_ignore_ascii_case(OTEL_EXPORTER_OTLP_PROTOCOL_GRPC)
    };
    match of_signals.find(is_other) {
        Some((variable, protocol)) => Err(TelemetryError::Protocol { variable, protocol }),
        None => Ok(()),
    }
}

/// Headers that an operator asked for, such as a token.
#[derive(Clone)]
pub struct Headers(Vec<(AsciiMetadataKey, AsciiMetadataValue)>);

impl Headers {
    /// `OTEL_EXPORTER_OTLP_METRICS_HEADERS`, else `OTEL_EXPORTER_OTLP_HEADERS`.
    pub fn of_environment() -> Self {
        let variables = [OTEL_EXPORTER_OTLP_METRICS_HEADERS, OTEL_EXPORTER_OTLP_HEADERS];
        Self::parse(&variables.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default())
    }

    /// `name=value,...`, the values percent-encoded. What is no header is left out, as the
    /// SDK does it.
    fn parse(text: &str) -> Self {
        let pairs = text.split(',').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let name: AsciiMetadataKey = name.trim().parse().ok()?;
            let value: AsciiMetadataValue = value.parse().ok()?;
            Some((name, value))
        });
        Self(pairs.collect())
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
    fn a_protocol_other_than_grpc_is_refused_with_what_is_spoken() {
        const ALL: &str = OTEL_EXPORTER_OTLP_PROTOCOL;
        let [traces, metrics, logs] = PROTOCOLS;
        for (set, refused) in [
            (&[][..], None),
            (&[(ALL, "grpc"), (traces, " GRPC ")][..], None),
            (&[(ALL, "")][..], None),
            (&[(ALL, "http/protobuf")][..], Some(ALL)),
            (&[(metrics, "http/json")][..], Some(metrics)),
            (&[(ALL, "http/protobuf"), (traces, "grpc"), (metrics, "grpc"), (logs, "grpc")][..], None),
            (&[(ALL, "http/protobuf"), (traces, "grpc"), (metrics, "grpc")][..], Some(ALL)),
        ] {
            let variables = |name: &str| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, protocol)| (*protocol).to_owned())
            };
            let said = parse("http://127.0.0.1:4317", &variables).err().map(|error| error.to_string());
            assert_eq!(said.is_some(), refused.is_some(), "{set:?}: {said:?}");
            let words = ["only grpc", refused.unwrap_or_default()];
            assert!(said.is_none_or(|said| words.iter().all(|words| said.contains(words))), "{set:?}");
        }
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

//! Where telemetry goes, and what each request for figures carries.
//!
//! The SDK's exporters read OpenTelemetry's variables themselves; the figures have no exporter
//! of the SDK's, so the headers are read here too.

use std::time::Duration;

use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_METRICS_HEADERS, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
};
use percent_encoding::percent_decode_str;
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataKey, AsciiMetadataValue},
    service::Interceptor,
    transport::Endpoint,
};

/// How long a request may take, as the SDK's exporters have it.
const PATIENCE: Duration = OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT;

/// The endpoint of a URL such as `http://127.0.0.1:4317`; none of another scheme.
pub fn parse(url: &str) -> Option<Endpoint> {
    let endpoint = Endpoint::from_shared(url.to_owned()).ok()?;
    let is_plain = endpoint.uri().scheme_str() == Some("http");
    is_plain.then(|| endpoint.timeout(PATIENCE).connect_timeout(PATIENCE))
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
    fn an_endpoint_is_a_url_of_plain_http() {
        for (url, is_one) in [
            ("http://127.0.0.1:4317", true),
            ("http://otel.example:4317/", true),
            ("https://otel.example:4317", false),
            ("127.0.0.1:4317", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(parse(url).is_some(), is_one, "{url:?}");
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

//! Where a signal's messages are posted and what goes with each, as the variables say. Pure.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::PROTOBUF;
use crate::{
    TelemetryError,
    export::{
        VERSION,
        endpoint::{PATIENCE, pairs},
        signal::{Said, Signal, Variables},
    },
};

/// The most that a message may be waited for, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(3600);

pub struct Target {
    pub signal: Signal,
    pub url: Uri,
    /// The URL for messages: without what may be a secret in it.
    pub shown: String,
    pub headers: HeaderMap,
    /// For one message with all its repetitions.
    pub patience: Duration,
    /// By gzip.
    pub is_packed: bool,
}

impl Target {
    /// That of a signal, below the endpoint `base` where it has none of its own.
    ///
    /// # Errors
    /// A URL that is no endpoint; a compression that isn't spoken.
    pub fn of(signal: Signal, base: &str, variables: Variables<'_>) -> Result<Self, TelemetryError> {
        let url = url(signal, base, variables)?;
        let is_packed = is_packed(signal, variables)?;
        let mut headers = headers(signal, variables);
        headers.insert(header::CONTENT_TYPE, PROTOBUF);
        if is_packed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let asked = signal.said("TIMEOUT", variables).and_then(|said| said.value.parse().ok());
        let asked = asked.filter(|millis| *millis > 0).map(Duration::from_millis);
        let patience = asked.unwrap_or(PATIENCE).min(LONGEST);
        Ok(Self { signal, shown: shown(&url), url, headers, patience, is_packed })
    }

    pub fn is_tls(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }
}

/// A signal's own URL as it is; else `v1/` and the signal below that of all.
fn url(signal: Signal, base: &str, variables: Variables<'_>) -> Result<Uri, TelemetryError> {
    if let Some(Said { variable, value }) = signal.said_alone("ENDPOINT", variables) {
        let wrong =
            || TelemetryError::SignalEndpoint { variable, endpoint: value.clone(), signal: signal.name() };
        return absolute(&value).ok_or_else(wrong);
    }
    let wrong = || TelemetryError::Endpoint { endpoint: base.to_owned() };
    absolute(base).and_then(|base| below(base, signal)).ok_or_else(wrong)
}

fn absolute(text: &str) -> Option<Uri> {
    let url: Uri = text.trim().parse().ok()?;
    let is_one = matches!(url.scheme_str(), Some("http" | "https"));
    (is_one && url.host().is_some_and(|host| !host.is_empty())).then_some(url)
}

fn below(base: Uri, signal: Signal) -> Option<Uri> {
    let path = base.path().trim_end_matches('/');
    let query = base.query().map(|query| format!("?{query}")).unwrap_or_default();
    let whole = format!("{path}/v1/{}{query}", signal.name());
    let mut parts = base.into_parts();
    parts.path_and_query = Some(whole.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Neither user nor query: both may have a key.
fn shown(url: &Uri) -> String {
    let (scheme, host) = (url.scheme_str().unwrap_or_default(), url.host().unwrap_or_default());
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", url.path())
}

fn headers(signal: Signal, variables: Variables<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(agent) = HeaderValue::try_from(format!("tiphys/{VERSION}")) {
        headers.insert(header::USER_AGENT, agent);
    }
    let said = signal.said("HEADERS", variables).map(|said| said.value).unwrap_or_default();
    for (name, value) in pairs(&said) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers
}

fn is_packed(signal: Signal, variables: Variables<'_>) -> Result<bool, TelemetryError> {
    let Some(Said { variable, value }) = signal.said("COMPRESSION", variables) else { return Ok(false) };
    match value.to_ascii_lowercase().as_str() {
        "gzip" => Ok(true),
        "none" => Ok(false),
        _ => Err(TelemetryError::Compression { variable, compression: value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";

    fn target(base: &str, set: &[(&str, &str)]) -> Result<Target, String> {
        let variables = |name: &str| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Target::of(Signal::Logs, base, &variables).map_err(|error| error.to_string())
    }

    #[test]
    fn a_signal_has_a_url_of_its_own_or_one_below_that_of_all() {
        let base = "http://otel.example:4318";
        for (base, own, expected) in [
            (base, "", "http://otel.example:4318/v1/logs"),
            ("http://otel.example:4318/", "", "http://otel.example:4318/v1/logs"),
            ("https://otel.example/otlp", "", "https://otel.example/otlp/v1/logs"),
            ("https://otel.example/otlp/?key=a", "", "https://otel.example/otlp/v1/logs?key=a"),
            (base, "https://logs.example/otlp", "https://logs.example/otlp"),
            (base, "https://logs.example", "https://logs.example/"),
        ] {
            let found = target(base, &[(OWN, own)]).map(|target| target.url.to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{base} {own}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_is_wanted() {
        for wrong in ["otel.example:4318", "ftp://otel.example", "/v1/logs", "http://", ""] {
            let said = target(wrong, &[]).err().unwrap_or_default();
            let quoted = format!("{wrong:?}");
            assert!(said.contains(&quoted) && said.contains("https://otel.example"), "{wrong}: {said}");
        }
        let said = target("http://otel.example", &[(OWN, "logs.example")]).err().unwrap_or_default();
        let words = [OWN, "\"logs.example\"", "/v1/logs"];
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
    }

    #[test]
    fn time_compression_and_headers_are_the_signals_or_those_of_all() {
        let set = [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b,content-type=text/plain,é=1"),
        ];
        let of_logs = target("http://otel.example", &set).expect("a target");
        assert_eq!((of_logs.patience, of_logs.is_packed), (Duration::from_millis(250), true));
        let header = |name: &str| of_logs.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("api-key"), Some("a b"));
        assert_eq!(header("content-type"), Some("application/x-protobuf"));
        assert_eq!(header("content-encoding"), Some("gzip"));

        let plain = target("http://otel.example", &[("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]).expect("one");
        assert_eq!((plain.patience, plain.is_packed), (PATIENCE, false));
        assert!(!plain.headers.contains_key("content-encoding"));
        let own = [("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none"), set[2]];
        assert!(!target("http://otel.example", &own).expect("one").is_packed);
        let unspoken = [("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")];
        let said = target("http://otel.example", &unspoken).err().unwrap_or_default();
        assert!(said.contains(unspoken[0].0) && said.contains("gzip"), "{said}");
    }

    #[test]
    fn messages_have_no_secrets_of_a_url() {
        let found = target("https://user:secret@otel.example:444/otlp?key=secret", &[]).expect("a target");
        assert_eq!(found.shown, "https://otel.example:444/otlp/v1/logs");
    }
}

//! Traces, metrics and logs: what OpenTelemetry's variables say of each. Pure.
//!
//! The variable of one signal (`OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`) goes before that of all
//! (`OTEL_EXPORTER_OTLP_TIMEOUT`), and an empty one says nothing.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.

use opentelemetry_otlp::{OTEL_EXPORTER_OTLP_PROTOCOL_GRPC, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF};

use crate::TelemetryError;

/// What variables of the environment say, by name.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

const BEGIN: &str = "OTEL_EXPORTER_OTLP_";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

/// How a signal is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    /// Binary protobuf by POST.
    Http,
}

/// A variable that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub variable: String,
    pub value: String,
}

impl Signal {
    /// As URLs and labels have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// What is said of this signal, else of all: `what` is the end of the name, such as `TIMEOUT`.
    pub fn said(self, what: &str, variables: Variables<'_>) -> Option<Said> {
        self.said_alone(what, variables).or_else(|| said(format!("{BEGIN}{what}"), variables))
    }

    /// What is said of this signal and no other.
    pub fn said_alone(self, what: &str, variables: Variables<'_>) -> Option<Said> {
        said(self.variable(what), variables)
    }

    /// The variable that says it of this signal.
    pub fn variable(self, what: &str) -> String {
        format!("{BEGIN}{}_{what}", self.name().to_ascii_uppercase())
    }

    /// gRPC where nothing is said.
    ///
    /// # Errors
    /// One is asked for that isn't spoken.
    pub fn protocol(self, variables: Variables<'_>) -> Result<Protocol, TelemetryError> {
        let Some(Said { variable, value }) = self.said("PROTOCOL", variables) else {
            return Ok(Protocol::Grpc);
        };
        let is = |protocol: &str| value.eq_ignore_ascii_case(protocol);
        if is(OTEL_EXPORTER_OTLP_PROTOCOL_GRPC) {
            Ok(Protocol::Grpc)
        } else if is(OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF) {
            Ok(Protocol::Http)
        } else {
            Err(TelemetryError::Protocol { variable, protocol: value })
        }
    }
}

fn said(variable: String, variables: Variables<'_>) -> Option<Said> {
    let value = variables(&variable)?.trim().to_owned();
    (!value.is_empty()).then_some(Said { variable, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";

    #[test]
    fn a_signals_own_protocol_goes_before_that_of_all() {
        use Protocol::{Grpc, Http};
        for (set, of_traces, of_logs) in [
            (&[][..], Grpc, Grpc),
            (&[(ALL, "grpc"), (OF_TRACES, " GRPC ")][..], Grpc, Grpc),
            (&[(ALL, "")][..], Grpc, Grpc),
            (&[(ALL, "http/protobuf")][..], Http, Http),
            (&[(ALL, "http/protobuf"), (OF_TRACES, "grpc")][..], Grpc, Http),
            (&[(ALL, "http/protobuf"), (OF_TRACES, " ")][..], Http, Http),
            (&[(OF_TRACES, "HTTP/protobuf")][..], Http, Grpc),
        ] {
            let found = [Signal::Traces, Signal::Logs].map(|signal| signal.protocol(&of(set)).ok());
            assert_eq!(found, [Some(of_traces), Some(of_logs)], "{set:?}");
        }
    }

    #[test]
    fn a_protocol_that_is_not_spoken_is_refused_with_those_that_are() {
        for (set, variable) in [
            (&[(ALL, "http/json")][..], ALL),
            (&[(ALL, "http/protobuf"), (OF_TRACES, "http/json")][..], OF_TRACES),
        ] {
            let error = Signal::Traces.protocol(&of(set)).expect_err("it is refused").to_string();
            let words = [variable, "\"http/json\"", "grpc", "http/protobuf"];
            assert!(words.iter().all(|words| error.contains(words)), "{error}");
        }
    }

    fn of<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name: &str| {
            let found = set.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }
}

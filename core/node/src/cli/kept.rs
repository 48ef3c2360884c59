//! How long a server keeps what it has of events, of the autoscaler's decisions and of spans, and how much.

use std::time::Duration;

use tiphys_metrics::Retention;

use super::log_archive::{bytes, span};

#[derive(Debug, Clone, clap::Args)]
pub struct KeptOptions {
    /// How long events are kept
    #[arg(
        long,
        env = "TIPHYS_EVENTS_RETENTION",
        value_name = "SPAN",
        default_value = "7d",
        value_parser = age
    )]
    pub events_retention: Duration,
    /// How much of them is kept on disk; the oldest go first
    #[arg(
        long,
        env = "TIPHYS_EVENTS_RETENTION_BYTES",
        value_name = "BYTES",
        default_value = "256Mi",
        value_parser = size
    )]
    pub events_retention_bytes: u64,
    /// How long the autoscaler's decisions are kept; forecasts look back for up to seven days
    #[arg(
        long,
        env = "TIPHYS_DECISIONS_RETENTION",
        value_name = "SPAN",
        default_value = "8d",
        value_parser = age
    )]
    pub decisions_retention: Duration,
    /// How much of them is kept on disk; the oldest go first
    #[arg(
        long,
        env = "TIPHYS_DECISIONS_RETENTION_BYTES",
        value_name = "BYTES",
        default_value = "512Mi",
        value_parser = size
    )]
    pub decisions_retention_bytes: u64,
    /// How long spans of traces are kept
    #[arg(
        long,
        env = "TIPHYS_SPANS_RETENTION",
        value_name = "SPAN",
        default_value = "3d",
        value_parser = age
    )]
    pub spans_retention: Duration,
    /// How much of them is kept on disk; the oldest go first
    #[arg(
        long,
        env = "TIPHYS_SPANS_RETENTION_BYTES",
        value_name = "BYTES",
        default_value = "4Gi",
        value_parser = size
    )]
    pub spans_retention_bytes: u64,
}

impl KeptOptions {
    pub fn events(&self) -> Retention {
        Retention { age: self.events_retention, bytes: self.events_retention_bytes }
    }

    pub fn decisions(&self) -> Retention {
        Retention { age: self.decisions_retention, bytes: self.decisions_retention_bytes }
    }

    pub fn spans(&self) -> Retention {
        Retention { age: self.spans_retention, bytes: self.spans_retention_bytes }
    }
}

/// More than nothing: that would delete all of it.
fn age(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("that keeps nothing at all; a span such as 7d is wanted".to_owned()),
        age => Ok(age),
    }
}

/// The same of bytes.
fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0 => Err("that keeps nothing at all; a size such as 4Gi is wanted".to_owned()),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: KeptOptions,
    }

    fn said(arguments: &[&str]) -> Result<[Retention; 3], String> {
        let line = Line::try_parse_from(["server"].iter().chain(arguments).copied());
        let kept = |Line { options }| [options.events(), options.decisions(), options.spans()];
        line.map(kept).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_server_keeps_can_be_said() {
        assert_eq!(said(&[]), Ok([Retention::EVENTS, Retention::DECISIONS, Retention::SPANS]));
        let found = said(&[
            "--events-retention=30d",
            "--events-retention-bytes=1Gi",
            "--decisions-retention=12h",
            "--decisions-retention-bytes=1Mi",
            "--spans-retention=2w",
            "--spans-retention-bytes=100Gi",
        ]);
        let kept = |hours: u64, bytes| Retention { age: Duration::from_secs(hours * 3600), bytes };
        assert_eq!(found, Ok([kept(30 * 24, 1 << 30), kept(12, 1 << 20), kept(14 * 24, 100 << 30)]));
        let command = Line::command();
        for argument in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
            let name = argument.get_long().unwrap_or_default().to_uppercase().replace('-', "_");
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            let is_ours = variable.is_none_or(|variable| variable == format!("TIPHYS_{name}"));
            assert!(is_ours && (argument.get_env().is_some() || name == "HELP"), "{name}");
        }
    }

    #[test]
    fn what_would_keep_nothing_is_refused_with_the_option_and_the_reason() {
        for (option, value, why) in [
            ("--events-retention", "0s", "keeps nothing at all; a span"),
            ("--decisions-retention", "8", "`8` is no span of time, such as 30d or 12h"),
            ("--spans-retention-bytes", "0", "keeps nothing at all; a size"),
            ("--spans-retention-bytes", "much", "`much` is no number of bytes, such as 10Gi"),
        ] {
            let error = said(&[&format!("{option}={value}")]).expect_err("it is refused");
            assert!(error.contains(&format!("'{value}' for '{option} <")) && error.contains(why), "{error}");
        }
    }
}

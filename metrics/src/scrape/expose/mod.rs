//! The formats in which metrics are exposed, read: Prometheus' text format 0.0.4,
//! OpenMetrics 1.0 and the protobuf form of `io.prometheus.client`.
//!
//! ```text
//! body, Content-Type -> Format -> text (lines, not yet labels) | proto (families) -> Item
//! ```
//!
//! Text is walked line by line; a line's series is given as it stands, so that who
//! has seen it before needs neither its labels nor any memory. What it must not do:
//! know targets or the store. A body with a fault is refused as a whole, as
//! Prometheus does, and the fault says where and what.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

mod labels;
pub mod proto;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

pub use labels::{Spelt, is_label as is_label_name, is_metric as is_metric_name, labels};
pub use text::Text;

use crate::series::MetricKind;

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text, 0.0.4.
    Plain,
    OpenMetrics,
    /// `MetricFamily` messages, each with its length before it.
    Protobuf,
}

impl Format {
    /// By the header Content-Type. Unknown or absent: the fallback, as a rule plain text, which most
    /// old exporters mean.
    pub fn of(content_type: &str, fallback: Self) -> Self {
        let mut parts = content_type.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is = |name: &str, value: &str, part: &str| {
            part.split_once('=').is_some_and(|(found, text)| {
                found.trim().eq_ignore_ascii_case(name) && text.trim().trim_matches('"') == value
            })
        };
        match kind.as_str() {
            "text/plain" => Self::Plain,
            "application/openmetrics-text" => Self::OpenMetrics,
            "application/vnd.google.protobuf" => {
                let parts: Vec<_> = parts.collect();
                let has = |name, value| parts.iter().any(|part| is(name, value, part));
                match has("encoding", "delimited") {
                    true => Self::Protobuf,
                    false => fallback,
                }
            }
            _ => fallback,
        }
    }
}

/// Where a body is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("line {line}: {what}: {text:?}")]
    Line {
        line: usize,
        what: String,
        /// The line's beginning.
        text: String,
    },
    #[error("message {number}: {what}")]
    Message { number: usize, what: String },
    #[error("the body ends without `# EOF`")]
    NoEnd,
    #[error("byte {0} is no UTF-8")]
    NoText(usize),
}

/// One thing that a text says.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    Kind { metric: Cow<'a, str>, kind: MetricKind },
    Help { metric: Cow<'a, str>, help: Cow<'a, str> },
    Unit { metric: Cow<'a, str>, unit: &'a str },
    Sample(Line<'a>),
}

/// A sample as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// Name and labels; [`labels`] reads them.
    pub series: &'a str,
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub time: Option<i64>,
    pub exemplar: Option<Example<'a>>,
}

/// An exemplar as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Example<'a> {
    /// In braces; [`labels`] reads them.
    pub labels: &'a str,
    pub value: f64,
    pub time: Option<i64>,
}

/// A kind by its word.
fn kind(word: &str) -> Option<MetricKind> {
    Some(match word {
        "counter" => MetricKind::Counter,
        "gauge" => MetricKind::Gauge,
        "histogram" => MetricKind::Histogram,
        "gaugehistogram" => MetricKind::GaugeHistogram,
        "summary" => MetricKind::Summary,
        "info" => MetricKind::Info,
        "stateset" => MetricKind::StateSet,
        "untyped" | "unknown" => MetricKind::Unknown,
        _ => return None,
    })
}

//! What a metric's source says of it.

/// What kind of metric it is, as OpenMetrics has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetricKind {
    #[default]
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}

impl MetricKind {
    /// As the exposition formats and the HTTP API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// Kind, help and unit of a metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub kind: MetricKind,
    pub help: String,
    pub unit: String,
}

/// Whether a metric is a counter by its name, as Prometheus and OpenMetrics name them.
pub fn is_named_counter(metric: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end))
}

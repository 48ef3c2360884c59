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

/// Bytes of a help or a unit that are kept.
const TEXT: usize = 4096;

impl Meta {
    /// The same, with the texts cut that are longer than they are kept.
    pub fn cut(mut self) -> Self {
        for text in [&mut self.help, &mut self.unit] {
            if text.len() > TEXT {
                let end = text.floor_char_boundary(TEXT);
                text.truncate(end);
                text.shrink_to_fit();
            }
        }
        self
    }
}

/// What stands behind a metric's name in those of its series.
const PARTS: [&str; 9] = ["", "_total", "_bucket", "_sum", "_count", "_gcount", "_gsum", "_created", "_info"];

/// The names that series of a metric may have.
pub fn parts_of(metric: &str) -> impl Iterator<Item = String> {
    PARTS.iter().map(move |part| format!("{metric}{part}"))
}

/// Whether series of a metric may have this name.
pub fn is_part_of(name: &str, metric: &str) -> bool {
    name.strip_prefix(metric).is_some_and(|rest| PARTS.contains(&rest))
}

/// Whether a metric is a counter by its name, as Prometheus and OpenMetrics name them.
pub fn is_named_counter(metric: &str) -> bool {
    ["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        let long = format!("{}{}", "x".repeat(TEXT - 1), "\u{e4}".repeat(9));
        let cut = Meta { help: long.clone(), unit: long, ..Meta::default() }.cut();
        assert_eq!((cut.help.len(), cut.unit.len()), (TEXT - 1, TEXT - 1));
        assert!(cut.help.chars().all(|c| c == 'x'));
        let short = Meta { help: "x".repeat(TEXT), ..Meta::default() };
        assert_eq!(short.clone().cut(), short);
    }

    #[test]
    fn a_metrics_series_are_known_by_their_names() {
        let table = [("a", "a", true), ("a_total", "a", true), ("a_b_total", "a", false), ("b", "a", false)];
        for (name, metric, is_part) in table {
            assert_eq!(is_part_of(name, metric), is_part, "{name} {metric}");
            assert_eq!(parts_of(metric).any(|part| part == name), is_part, "{name} {metric}");
        }
    }
}

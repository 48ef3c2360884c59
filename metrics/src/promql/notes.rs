//! What an answer's reader should know: warnings and infos, each once.

use std::collections::BTreeSet;

/// Sentences beside an answer, as Prometheus' API has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    pub warnings: BTreeSet<String>,
    pub infos: BTreeSet<String>,
}

/// Something noticed while a query was evaluated. Names are of metrics; empty where unknown.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    BadQuantile(f64),
    BadRatio(f64),
    BadBucketLabel { metric: String, le: String },
    Mixed(String),
    MixedInAggregation,
    MixedClassicNative(String),
    MixedSchemas(String),
    NotCounter(String),
    NotGauge(String),
    IncompatibleBuckets(&'static str),
    SortOfRange,
    MaybeNoCounter(String),
    ForcedMonotonic(String),
    IncompatibleTypes { left: &'static str, operator: &'static str, right: &'static str },
    IgnoredInAggregation(&'static str),
    IgnoredInRange(String),
    QuantileOfNan(String),
    QuantileSkewed(String),
    FractionOfNan(String),
    ReconciledBounds(&'static str),
}

impl Note {
    fn is_info(&self) -> bool {
        matches!(
            self,
            Self::MaybeNoCounter(_)
                | Self::ForcedMonotonic(_)
                | Self::IncompatibleTypes { .. }
                | Self::IgnoredInAggregation(_)
                | Self::IgnoredInRange(_)
                | Self::QuantileOfNan(_)
                | Self::QuantileSkewed(_)
                | Self::FractionOfNan(_)
                | Self::ReconciledBounds(_)
        )
    }

    fn text(&self) -> String {
        match self {
            Self::BadQuantile(q) => format!("quantile value should be between 0 and 1, got {q}"),
            Self::BadRatio(ratio) => {
                let capped = ratio.clamp(-1.0, 1.0);
                format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}")
            }
            Self::BadBucketLabel { metric, le } => {
                named(&format!("bucket label \"le\" is missing or has a malformed value of {le:?}"), metric)
            }
            Self::Mixed(metric) => {
                format!("encountered a mix of histograms and floats for metric name {metric:?}")
            }
            Self::MixedInAggregation => "encountered a mix of histograms and floats for aggregation".into(),
            Self::MixedClassicNative(metric) => {
                named("vector contains a mix of classic and native histograms", metric)
            }
            Self::MixedSchemas(metric) => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric:?}"
            ),
            Self::NotCounter(metric) => {
                format!("this native histogram metric is not a counter: {metric:?}")
            }
            Self::NotGauge(metric) => format!("this native histogram metric is not a gauge: {metric:?}"),
            Self::IncompatibleBuckets(operator) => {
                format!("incompatible bucket layout encountered for binary operator {operator}")
            }
            Self::SortOfRange => {
                "sort is ineffective for range queries since results are always ordered by labels".into()
            }
            Self::MaybeNoCounter(metric) => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"
            ),
            Self::ForcedMonotonic(metric) => {
                named("input to histogram_quantile needed to be fixed for monotonicity", metric)
            }
            Self::IncompatibleTypes { left, operator, right } => format!(
                "incompatible sample types encountered for binary operator {operator:?}: {left} {operator} {right}"
            ),
            Self::IgnoredInAggregation(name) => format!("ignored histogram in {name} aggregation"),
            Self::IgnoredInRange(metric) => format!(
                "ignored histograms in a range containing both floats and histograms for metric name {metric:?}"
            ),
            Self::QuantileOfNan(metric) => {
                named("input to histogram_quantile has NaN observations, result is NaN", metric)
            }
            Self::QuantileSkewed(metric) => {
                named("input to histogram_quantile has NaN observations, result is skewed higher", metric)
            }
            Self::FractionOfNan(metric) => named(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions",
                metric,
            ),
            Self::ReconciledBounds(operation) => {
                format!("mismatched custom buckets were reconciled during {operation}")
            }
        }
    }
}

fn named(text: &str, metric: &str) -> String {
    if metric.is_empty() { text.to_owned() } else { format!("{text} for metric name {metric:?}") }
}

impl Notes {
    pub fn add(&mut self, note: &Note) {
        if note.is_info() {
            self.infos.insert(format!("PromQL info: {}", note.text()));
        } else {
            self.warnings.insert(format!("PromQL warning: {}", note.text()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_stands_once_under_its_kind() {
        let mut notes = Notes::default();
        for _ in 0..2 {
            notes.add(&Note::BadQuantile(2.0));
            notes.add(&Note::MaybeNoCounter("up".into()));
        }
        assert_eq!(
            notes.warnings.iter().collect::<Vec<_>>(),
            ["PromQL warning: quantile value should be between 0 and 1, got 2"]
        );
        assert_eq!(notes.infos.len(), 1);
    }
}

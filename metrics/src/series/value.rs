//! What a sample can be: a number or a native histogram; and exemplars beside them.

use std::sync::Arc;

use super::Labels;

/// The number that says that a series has ended: a NaN with bits of its own.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a number is the stale marker, and no other NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Histogram(Arc<Histogram>),
}

impl Value {
    /// The number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Histogram(_) => None,
        }
    }

    /// Whether the series ended here. A histogram says so by its sum.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Number(number) => is_stale(*number),
            Self::Histogram(histogram) => is_stale(histogram.sum),
        }
    }
}

/// A native histogram: exponential buckets by schema, or (schema -53) bounds of its own.
/// Source: <https://prometheus.io/docs/specs/native_histograms/>.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Bucket boundaries grow by `2^(2^-schema)`; -53: `custom_bounds`.
    pub schema: i32,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    pub positive: Buckets,
    pub negative: Buckets,
    /// Upper bounds of the buckets with schema -53, the last one `+Inf` left out.
    pub custom_bounds: Vec<f64>,
    /// Counts that may fall, as a gauge's.
    pub gauge: bool,
}

/// Buckets with absolute counts, in runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets {
    /// The distance from the end of the run before (from index 0 for the first), and the
    /// run's length.
    pub spans: Vec<(i32, u32)>,
    pub counts: Vec<f64>,
}

impl Histogram {
    /// Buckets, spans and bounds that it has.
    pub fn size(&self) -> usize {
        let of = |buckets: &Buckets| buckets.spans.len() + buckets.counts.len();
        of(&self.positive) + of(&self.negative) + self.custom_bounds.len()
    }
}

impl Buckets {
    /// Index and count of each bucket.
    pub fn iter(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        let mut next = 0i32;
        let indexes = self.spans.iter().flat_map(move |(offset, length)| {
            let start = next.saturating_add(*offset);
            next = start.saturating_add_unsigned(*length);
            start..next
        });
        indexes.zip(self.counts.iter().copied())
    }
}

/// One observation that stands for many, with a trace id most often.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    pub value: f64,
    pub labels: Labels,
}

impl Exemplar {
    /// Characters that the names and values of its labels may have together.
    /// Source: <https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars>.
    pub const MOST: usize = 128;

    /// Whether its labels have no more.
    pub fn is_short(&self) -> bool {
        let each = self.labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
        each.sum::<usize>() <= Self::MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_of_an_exemplar_are_counted_in_characters() {
        let with = |length: usize| Exemplar {
            time: 0,
            value: 1.0,
            labels: Labels::new([("id", "x"), ("name", "\u{e4}".repeat(length - 7).as_str())]),
        };
        assert!(with(Exemplar::MOST).is_short() && !with(Exemplar::MOST + 1).is_short());
    }

    #[test]
    fn all_parts_of_a_histogram_count() {
        let buckets = |many| Buckets { spans: vec![(0, 1); many], counts: vec![1.0; 2 * many] };
        let (positive, negative) = (buckets(10), buckets(100));
        let histogram = Histogram { positive, negative, custom_bounds: vec![1.0], ..Histogram::default() };
        assert_eq!(histogram.size(), 331);
    }

    #[test]
    fn runs_of_buckets_have_their_indexes() {
        let buckets = Buckets { spans: vec![(-2, 2), (3, 1)], counts: vec![1.0, 2.0, 3.0] };
        assert_eq!(buckets.iter().collect::<Vec<_>>(), [(-2, 1.0), (-1, 2.0), (3, 3.0)]);
    }

    #[test]
    fn only_the_marker_is_stale() {
        assert!(is_stale(STALE) && !is_stale(f64::NAN) && !is_stale(0.0));
    }
}

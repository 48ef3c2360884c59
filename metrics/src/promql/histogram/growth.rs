//! How much a native histogram grew over its samples, for PromQL and SQL.

use super::{
    algebra::{Incompatible, add, subtract},
    reset::is_reset,
};
use crate::series::Histogram;

/// What a histogram has grown by.
#[derive(Debug, Clone, PartialEq)]
pub struct Grown {
    pub histogram: Histogram,
    /// Whether listed bounds differed and were brought together when the first one was subtracted.
    pub subtracted_unlike: bool,
    /// Likewise, when what was lost was added.
    pub added_unlike: bool,
}

/// The last histogram without the first one and, of a counter, with what was lost where it began
/// anew. Samples are in order of time, and `of` finds the histogram of one. Absent: fewer than two.
///
/// # Errors
/// The buckets are of different kinds.
pub fn grown<S>(
    samples: &[S],
    of: impl Fn(&S) -> &Histogram,
    is_counter: bool,
) -> Result<Option<Grown>, Incompatible> {
    let [first, rest @ ..] = samples else { return Ok(None) };
    let (Some(second), Some(last)) = (rest.first(), rest.last()) else { return Ok(None) };
    let (first, second, last) = (of(first), of(second), of(last));
    // Of the first one nothing is needed where the second began anew.
    let nothing = (is_counter && is_reset(second, first)).then(|| Histogram {
        schema: second.schema,
        zero_threshold: second.zero_threshold,
        custom_bounds: second.custom_bounds.clone(),
        ..Histogram::default()
    });
    let (mut histogram, subtracted_unlike) = subtract(last, nothing.as_ref().unwrap_or(first))?;
    let mut added_unlike = false;
    for pair in rest.windows(2).filter(|_| is_counter) {
        let (before, now) = (of(&pair[0]), of(&pair[1]));
        if is_reset(now, before) {
            let (sum, unlike) = add(&histogram, before)?;
            (histogram, added_unlike) = (sum, added_unlike || unlike);
        }
    }
    histogram.gauge = true;
    Ok(Some(Grown { histogram, subtracted_unlike, added_unlike }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::buckets::{CUSTOM, pack},
        *,
    };

    /// With these counts, in buckets that end at the bounds; without bounds, in exponential ones.
    fn one(bounds: &[f64], counts: &[f64]) -> Histogram {
        Histogram {
            schema: if bounds.is_empty() { 0 } else { CUSTOM },
            custom_bounds: bounds.to_vec(),
            count: counts.iter().sum(),
            positive: pack((0..).zip(counts.iter().copied())),
            ..Histogram::default()
        }
    }

    /// The count that samples grew by, and what is said of their bounds.
    fn found(samples: &[&Histogram], is_counter: bool) -> Result<Option<(f64, bool, bool)>, Incompatible> {
        let grown = grown(samples, |one| *one, is_counter)?;
        Ok(grown.map(|grown| {
            assert!(grown.histogram.gauge);
            (grown.histogram.count, grown.subtracted_unlike, grown.added_unlike)
        }))
    }

    #[test]
    fn counters_grow_through_resets_and_gauges_do_not() {
        let [two, five, nine] = [2.0, 5.0, 9.0].map(|count| one(&[], &[count]));
        let table: [(&[&Histogram], f64, f64); 4] = [
            (&[&five, &nine], 4.0, 4.0),
            (&[&five, &nine, &two, &five], 9.0, 0.0),
            // Nothing of the first.
            (&[&nine, &two, &five], 5.0, -4.0),
            (&[&two, &nine, &two, &five, &two], 14.0, 0.0),
        ];
        for (samples, counter, gauge) in table {
            assert_eq!(found(samples, true), Ok(Some((counter, false, false))), "{samples:?}");
            assert_eq!(found(samples, false), Ok(Some((gauge, false, false))), "{samples:?}");
        }
        assert_eq!([found(&[], true), found(&[&two], true)], [Ok(None), Ok(None)]);
    }

    #[test]
    fn bounds_that_are_brought_together_are_told_and_other_kinds_refused() {
        let (fine, coarse) = (one(&[1.0, 2.0], &[1.0, 1.0]), one(&[2.0], &[5.0]));
        let fine_again = one(&[1.0, 2.0], &[1.0, 2.0]);
        assert_eq!(found(&[&fine, &coarse], true), Ok(Some((3.0, true, false))));
        // 2 to 5, and 3 since.
        assert_eq!(found(&[&fine, &coarse, &fine_again], true), Ok(Some((6.0, false, true))));
        let exponential = one(&[], &[9.0]);
        // Another kind is a new beginning; what was before it can't be added to what comes after.
        assert_eq!(found(&[&fine, &exponential], true), Ok(Some((9.0, false, false))));
        assert_eq!(found(&[&fine, &exponential], false), Err(Incompatible));
        assert_eq!(found(&[&fine, &exponential, &fine], true), Err(Incompatible));
        assert_eq!(found(&[&fine, &fine, &exponential, &fine], true), Err(Incompatible));
    }
}

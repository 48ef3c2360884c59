//! When series are made coarser, and which of their samples stay.
//!
//! ```text
//! steps     |         |         |         |         |
//! samples    a b c d e f g h i j   k     s   l m n o p
//! stay       ^       ^         ^   ^     ^   ^     ^ ^
//! ```
//!
//! Of each step of the clock, its begin excluded as in PromQL's ranges, the last sample of a series
//! stays as it is; none is made up. So series of the same times keep the same times. Beside them
//! stay those without which an answer would be another one, not only a coarser one:
//!
//! - the first, and at gaps as many as are needed so that a sample no older than a step is there
//!   wherever one was: who looks back that far finds a series at the same moments as before;
//! - a stale marker and both its neighbours: what has ended stays ended, and what lived for
//!   less than a step is still there;
//! - of counters both sides of each fall, so that what they grew by between two samples that stay
//!   is to the last digit what it was.
//!
//! Making a series coarser twice is making it coarser once. What it must not do: know files.

use std::time::Duration;

use super::{
    head::SharedHistogram,
    meta::is_named_counter,
    value::{Buckets, Histogram, is_stale},
};

/// How far PromQL looks back: with a longer step there would be moments without a value.
const LONGEST: Duration = Duration::from_secs(300);
const SHORTEST: Duration = Duration::from_secs(1);

/// From which age on series are made coarser, and how coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downsampling {
    after: Duration,
    step: Duration,
}

/// Why series can't be made so coarse, or so little.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStep {
    #[error("a step of {0:?} is longer than five minutes, which is how far a query looks back")]
    TooLong(Duration),
    #[error("a step of {0:?} is shorter than a second")]
    TooShort(Duration),
}

impl Downsampling {
    /// Keeps one sample in `step` of what is older than `after`.
    ///
    /// # Errors
    /// A step of less than a second or more than five minutes.
    pub fn new(after: Duration, step: Duration) -> Result<Self, BadStep> {
        match step {
            step if step > LONGEST => Err(BadStep::TooLong(step)),
            step if step < SHORTEST => Err(BadStep::TooShort(step)),
            step => Ok(Self { after, step }),
        }
    }

    /// Milliseconds.
    pub fn step(&self) -> i64 {
        i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX)
    }

    /// What ended by then is old at `now`, milliseconds since the Unix epoch.
    pub fn before(&self, now: i64) -> i64 {
        now.saturating_sub(i64::try_from(self.after.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Leaves the numbers of a metric that stay with a step of so many milliseconds. They come in order
/// of time, milliseconds since the Unix epoch.
pub fn thin_numbers(metric: &str, samples: &mut Vec<(i64, f64)>, step: i64) {
    let is_counter = is_named_counter(metric);
    thin(samples, step, is_counter, |number| is_stale(*number), |before, after| after < before);
}

/// The same of native histograms, which are counters unless they say otherwise.
pub fn thin_histograms(samples: &mut Vec<(i64, SharedHistogram)>, step: i64) {
    thin(samples, step, true, |one| is_stale(one.sum), |before, after| has_fallen(before, after));
}

fn thin<T>(
    samples: &mut Vec<(i64, T)>,
    step: i64,
    is_counter: bool,
    is_stale: impl Fn(&T) -> bool,
    has_fallen: impl Fn(&T, &T) -> bool,
) {
    let marks: Vec<_> = samples.iter().map(|(time, value)| (*time, is_stale(value))).collect();
    let mut stay = frame(&marks, step);
    let (mut falls, mut before) = (Vec::new(), None);
    for at in (0..samples.len()).filter(|at| !marks[*at].1) {
        if let Some(before) = before.replace(at)
            && has_fallen(&samples[before].1, &samples[at].1)
        {
            falls.extend([before, at]);
        }
    }
    // A gauge falls more often than once in a step; a counter that does so is known by its name only.
    if is_counter || falls.len() / 2 <= steps(&marks, step) {
        falls.into_iter().for_each(|at| stay[at] = true);
    }
    let mut stay = stay.into_iter();
    samples.retain(|_| stay.next().unwrap_or(true));
}

/// Which samples stay for their times and for stale markers (`true`), whatever their values: it
/// is the same for all series that are told of together.
fn frame(marks: &[(i64, bool)], step: i64) -> Vec<bool> {
    // Of the last one that stays.
    let mut last = i64::MIN;
    let stays = |(at, (time, ends)): (usize, &(i64, bool))| {
        let before = at.checked_sub(1).and_then(|at| marks.get(at));
        let (Some(before), Some(after)) = (before, marks.get(at + 1)) else {
            last = *time;
            return true;
        };
        let is_last = step_of(*time, step) != step_of(after.0, step);
        let is_beside_end = before.1 != *ends || after.1 != *ends;
        let is_kept = is_last || is_beside_end || after.0.saturating_sub(last) > step;
        if is_kept {
            last = *time;
        }
        is_kept
    };
    marks.iter().enumerate().map(stays).collect()
}

/// The number of the step that ends at a time or goes on then.
fn step_of(time: i64, step: i64) -> i64 {
    time.saturating_sub(1).div_euclid(step)
}

/// Steps that have samples.
fn steps(marks: &[(i64, bool)], step: i64) -> usize {
    let pairs = marks.iter().zip(marks.iter().skip(1));
    let ends = pairs.filter(|(before, after)| step_of(before.0, step) != step_of(after.0, step));
    ends.count() + usize::from(!marks.is_empty())
}

/// Whether a histogram may have begun anew: something in it is less than before, or told otherwise.
fn has_fallen(before: &Histogram, after: &Histogram) -> bool {
    if after.gauge {
        return false;
    }
    let is_told_otherwise = before.schema != after.schema
        || before.zero_threshold != after.zero_threshold
        || before.custom_bounds != after.custom_bounds;
    is_told_otherwise
        || after.count < before.count
        || after.zero_count < before.zero_count
        || has_less(&before.positive, &after.positive)
        || has_less(&before.negative, &after.negative)
}

fn has_less(before: &Buckets, after: &Buckets) -> bool {
    let mut after = after.iter().peekable();
    before.iter().any(|(index, count)| {
        while after.next_if(|(at, _)| *at < index).is_some() {}
        let now = after.next_if(|(at, _)| *at == index).map_or(0.0, |(_, now)| now);
        now < count
    })
}

#[cfg(test)]
pub mod tests;

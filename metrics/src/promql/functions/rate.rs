//! How fast a counter grows, or a gauge moves, within a range.
//!
//! `rate`, `increase` and `delta` reach out to the range's ends: all the way where the
//! first or last sample stands about one interval from it, else by half an interval; a
//! counter never back to before it was 0.

use super::{
    super::{
        column::{Cell, Column, is_absent},
        histogram::{is_reset, scale, subtract},
        notes::Note,
        window::Window,
    },
    Said, rate_native,
};

pub fn rate(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    extrapolated(window, true, true, said)
}

pub fn increase(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    extrapolated(window, true, false, said)
}

pub fn delta(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    extrapolated(window, false, false, said)
}

pub fn irate(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    instant(window, true, said)
}

pub fn idelta(window: &Window<'_>, _: &[f64], said: &mut Said) -> Cell {
    instant(window, false, said)
}

/// Says that a metric is no counter by its name.
pub fn doubt(function: &str, column: &Column, said: &mut Said) {
    if function != "rate" && function != "increase" {
        return;
    }
    let name = column.labels.name();
    let is_counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
    if !name.is_empty() && !is_counter && column.numbers.iter().any(|number| !is_absent(*number)) {
        said.note(Note::MaybeNoCounter(name.to_owned()));
    }
}

fn extrapolated(window: &Window<'_>, is_counter: bool, is_rate: bool, said: &mut Said) -> Cell {
    if window.is_mixed() {
        said.note(Note::Mixed(window.metric().to_owned()));
        return Cell::Nothing;
    }
    if let [(first, _), .., (last, _)] = window.histograms {
        let Some(grown) = rate_native::grown(window, is_counter, said) else { return Cell::Nothing };
        let zero = (grown.count > 0.0).then_some((window.histograms[0].1.count, grown.count));
        let reach = Reach { first: *first, last: *last, samples: window.histograms.len(), zero };
        return Cell::histogram(scale(&grown, reach.factor(window, is_counter, is_rate)));
    }
    let ([first, .., last], [begin, .., end]) = (window.times, window.numbers) else {
        return Cell::Nothing;
    };
    let grown = end - begin + if is_counter { window.lost() } else { 0.0 };
    let zero = (grown > 0.0 && *begin >= 0.0).then_some((*begin, grown));
    let reach = Reach { first: *first, last: *last, samples: window.numbers.len(), zero };
    Cell::Number(grown * reach.factor(window, is_counter, is_rate))
}

/// What is known of the samples for reaching out to the range's ends.
struct Reach {
    first: i64,
    last: i64,
    samples: usize,
    /// The first value and how much it grew, where that tells when it was 0.
    zero: Option<(f64, f64)>,
}

impl Reach {
    #[inline]
    fn factor(&self, window: &Window<'_>, is_counter: bool, is_rate: bool) -> f64 {
        let lies =
            [self.first - window.start, self.last - self.first, window.end - self.last, self.samples as i64];
        let mut spans = window.spans.borrow_mut();
        if spans.lies != lies {
            *spans = Spans::of(lies, window.end - window.start);
        }
        // Most counters were 0 long before, which shows without a division.
        let zero = self.zero.filter(|(first, grown)| is_counter && *first <= grown * spans.share);
        let to_zero = zero.map_or(f64::INFINITY, |(first, grown)| spans.sampled * (first / grown));
        if to_zero >= spans.to_start {
            return if is_rate { spans.rate } else { spans.factor };
        }
        let to_start = to_zero;
        let factor = spans.reaching(to_start);
        if is_rate { factor / spans.range } else { factor }
    }
}

/// How a window lies over its samples, and what follows from that alone: most windows of a query
/// lie alike, and nothing is divided anew. Seconds, but for `lies`.
#[derive(Debug, Default)]
pub struct Spans {
    /// From its start to the first sample, to the last, to its end, milliseconds; how many samples
    /// there are, of which no window that is asked for has none.
    lies: [i64; 4],
    sampled: f64,
    to_start: f64,
    to_end: f64,
    /// No less than the start's reach as a part of what was sampled.
    share: f64,
    range: f64,
    factor: f64,
    rate: f64,
}

/// What rounding of some operations can't take away.
const SURELY: f64 = 1.0 + 1e-9;

impl Spans {
    /// `range` is the window's length, milliseconds.
    fn of(lies: [i64; 4], range: i64) -> Self {
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let sampled = seconds(lies[1]);
        let mean = sampled / (lies[3] - 1) as f64;
        let far = mean * 1.1;
        let reach = |distance: f64| if distance >= far { mean / 2.0 } else { distance };
        let (to_start, to_end) = (reach(seconds(lies[0])), reach(seconds(lies[2])));
        let range = seconds(range);
        let share = to_start / sampled * SURELY;
        let mut spans = Self { lies, sampled, to_start, to_end, share, range, factor: 0.0, rate: 0.0 };
        spans.factor = spans.reaching(to_start);
        spans.rate = spans.factor / range;
        spans
    }

    /// By how much what was sampled is too little, where the start is so far reached out to.
    fn reaching(&self, to_start: f64) -> f64 {
        if self.sampled == 0.0 { 1.0 } else { (self.sampled + to_start + self.to_end) / self.sampled }
    }
}

/// The difference of the last two samples, per second for a counter.
fn instant(window: &Window<'_>, is_rate: bool, said: &mut Said) -> Cell {
    let two;
    let pair = match (window.numbers, window.histograms) {
        ([.., before, now], []) => {
            let [.., from, to] = window.times else { return Cell::Nothing };
            [(*from, Cell::Number(*before)), (*to, Cell::Number(*now))]
        }
        _ => {
            two = window.samples();
            let [.., before, now] = two.as_slice() else { return Cell::Nothing };
            [before.clone(), now.clone()]
        }
    };
    let [(from, before), (to, now)] = pair;
    if from == to {
        return Cell::Nothing;
    }
    let per_second = if is_rate { 1000.0 / (to - from) as f64 } else { 1.0 };
    match (before, now) {
        (Cell::Number(before), Cell::Number(now)) => {
            let moved = if is_rate && now < before { now } else { now - before };
            let seconds = (to - from) as f64 / 1000.0;
            Cell::Number(if is_rate { moved / seconds } else { moved })
        }
        (Cell::Histogram(before), Cell::Histogram(now)) => {
            let metric = || window.metric().to_owned();
            if is_rate && (before.gauge || now.gauge) {
                said.note(Note::NotCounter(metric()));
            }
            if !is_rate && (!before.gauge || !now.gauge) {
                said.note(Note::NotGauge(metric()));
            }
            let mut moved = (*now).clone();
            if !is_rate || !is_reset(&now, &before) {
                let Ok((difference, reconciled)) = subtract(&now, &before) else {
                    said.note(Note::MixedSchemas(metric()));
                    return Cell::Nothing;
                };
                if reconciled {
                    said.note(Note::ReconciledBounds("subtraction"));
                }
                moved = difference;
            }
            moved.gauge = true;
            Cell::histogram(scale(&moved, per_second))
        }
        _ => {
            said.note(Note::Mixed(window.metric().to_owned()));
            Cell::Nothing
        }
    }
}

//! How fast a counter grows, or a gauge moves, within a range.
//!
//! `rate`, `increase` and `delta` reach out to the range's ends: all the way where the
//! first or last sample stands about one interval from it, else by half an interval; a
//! counter never back to before it was 0.

use super::{
    super::{
        column::{ABSENT, Cell, Column, is_absent},
        histogram::{is_reset, scale, subtract},
        notes::Note,
        track::{Track, within},
        window::{Known, Window, Windows},
    },
    Said, rate_native,
};

/// What of the growth within a range is told.
#[derive(Debug, Clone, Copy)]
pub struct Growth {
    /// It may begin anew, and does so at 0.
    is_counter: bool,
    /// Per second.
    is_rate: bool,
}

pub const RATE: Growth = Growth { is_counter: true, is_rate: true };
pub const INCREASE: Growth = Growth { is_counter: true, is_rate: false };
pub const DELTA: Growth = Growth { is_counter: false, is_rate: false };

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
    let is_counter = crate::series::is_named_counter(name);
    if !name.is_empty() && !is_counter && column.numbers.iter().any(|number| !is_absent(*number)) {
        said.note(Note::MaybeNoCounter(name.to_owned()));
    }
}

impl Growth {
    /// Of a series without histograms, at each step: as [`Growth::of`], but that most of a window is
    /// not looked at.
    pub fn of_numbers(self, track: &Track, windows: &Windows, known: &mut Known) -> Column {
        let resets = if self.is_counter { track.resets() } else { &[] };
        let number = |((first, after), spans): ((usize, usize), &Spans)| {
            let [begin, .., end] = track.numbers[first..after] else { return ABSENT };
            let lost = within(resets, first + 1, after).iter().map(|place| track.numbers[place - 1]);
            let number = self.number(begin, end - begin + lost.sum::<f64>(), spans);
            // No computation may make a value vanish.
            if is_absent(number) { f64::NAN } else { number }
        };
        Column::of_numbers(track.labels.clone(), known.spans(windows, &track.times).map(number).collect())
    }

    pub fn of(self, window: &Window<'_>, said: &mut Said) -> Cell {
        if window.is_mixed() {
            said.note(Note::Mixed(window.metric().to_owned()));
            return Cell::Nothing;
        }
        if let [(first, begin), .., (last, _)] = window.histograms {
            let Some(grown) = rate_native::grown(window, self.is_counter, said) else { return Cell::Nothing };
            let spans = Spans::of(Layout::of(window, *first, *last, window.histograms.len()));
            return Cell::histogram(scale(&grown, self.factor(begin.count, grown.count, &spans)));
        }
        let ([first, .., last], [begin, .., end]) = (window.times, window.numbers) else {
            return Cell::Nothing;
        };
        let grown = end - begin + if self.is_counter { window.lost() } else { 0.0 };
        let spans = Spans::of(Layout::of(window, *first, *last, window.numbers.len()));
        Cell::Number(self.number(*begin, grown, &spans))
    }

    #[inline]
    fn number(self, begin: f64, grown: f64, spans: &Spans) -> f64 {
        grown * self.factor(begin, grown, spans)
    }

    /// What the growth is to be multiplied with; `begin` is the first value.
    #[inline]
    fn factor(self, begin: f64, grown: f64, spans: &Spans) -> f64 {
        // Most counters were 0 long before, which shows without a division.
        if self.is_counter && grown > 0.0 && begin >= 0.0 && begin <= grown * spans.share {
            let to_zero = spans.sampled * (begin / grown);
            if to_zero < spans.to_start {
                let factor = spans.reaching(to_zero);
                return if self.is_rate { factor / spans.range } else { factor };
            }
        }
        if self.is_rate { spans.rate } else { spans.factor }
    }
}

/// How a window lies over its samples, milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub start: i64,
    /// Of its first sample.
    pub first: i64,
    /// Of its last one.
    pub last: i64,
    pub end: i64,
    /// Two at least.
    pub samples: usize,
}

impl Layout {
    fn of(window: &Window<'_>, first: i64, last: i64, samples: usize) -> Self {
        Self { start: window.start, first, last, end: window.end, samples }
    }

    /// From its start to the first sample, to the last, to its end, and how many there are.
    fn apart(&self) -> [i64; 4] {
        [self.first - self.start, self.last - self.first, self.end - self.last, self.samples as i64]
    }
}

/// What follows from how a window lies over its samples. Seconds, but for `apart`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spans {
    /// See [`Layout::apart`]; of no window yet all zeros, of which no window is.
    apart: [i64; 4],
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
    /// Those of another window of the same length: most windows of a query lie alike, and nothing is
    /// divided anew.
    pub fn lay(&mut self, layout: Layout) {
        if self.apart != layout.apart() {
            *self = Self::of(layout);
        }
    }

    fn of(layout: Layout) -> Self {
        let apart = layout.apart();
        let seconds = |millis: i64| millis as f64 / 1000.0;
        let sampled = seconds(apart[1]);
        let mean = sampled / (apart[3] - 1) as f64;
        let far = mean * 1.1;
        let reach = |distance: f64| if distance >= far { mean / 2.0 } else { distance };
        let (to_start, to_end) = (reach(seconds(apart[0])), reach(seconds(apart[2])));
        let range = seconds(layout.end - layout.start);
        let share = to_start / sampled * SURELY;
        let mut spans = Self { apart, sampled, to_start, to_end, share, range, factor: 0.0, rate: 0.0 };
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

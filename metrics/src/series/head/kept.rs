//! One series in memory.
//!
//! Of each byte here there is one a series: what few have stands apart, and what nothing follows is packed.
//! What it must not do: know of other series, or lock anything.

use std::{collections::VecDeque, ops::Range};

use tiphys_api::ways::Ways;

use super::{HOUR, PART, SharedHistogram};
use crate::series::{
    Exemplar, Histogram, Labels, SeriesColumns, Symbols, Value,
    chunk::{Form, Open, Sealed},
    log::Current,
};

/// Exemplars that one series keeps, and for how long; they stand in no block.
const EXEMPLARS: usize = 10;
const EXEMPLARS_STAY: i64 = 2 * HOUR;
/// No log has so many segments.
const NOWHERE: u32 = u32::MAX;

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    New,
    /// It is there already.
    Again,
    Older,
    /// Another value is there at its time.
    Other,
}

/// What few series have.
#[derive(Debug, Default)]
struct Rare {
    histograms: VecDeque<(i64, SharedHistogram)>,
    exemplars: VecDeque<Exemplar>,
}

impl Rare {
    /// Bytes.
    fn size(&self) -> usize {
        let histogram = |(_, one): &(i64, SharedHistogram)| {
            size_of::<(i64, SharedHistogram)>() + size_of::<Histogram>() + one.size() * size_of::<f64>()
        };
        let exemplar = |one: &Exemplar| size_of::<Exemplar>() + one.labels.as_bytes().len();
        let exemplars = self.exemplars.iter().map(exemplar).sum::<usize>();
        size_of::<Self>() + self.histograms.iter().map(histogram).sum::<usize>() + exemplars
    }
}

/// What a series has of a range, still packed.
#[derive(Debug)]
pub struct Packed {
    sealed: Sealed,
    open: Option<Open>,
    histograms: Vec<(i64, SharedHistogram)>,
}

impl Packed {
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.open.is_none() && self.histograms.is_empty()
    }

    /// How many there are.
    pub fn samples(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|chunk| usize::from(chunk.count)).sum();
        sealed + self.open.as_ref().map_or(0, Open::count) + self.histograms.len()
    }

    /// Puts what lies within the range behind what is there.
    pub fn add_to(&self, columns: &mut SeriesColumns, range: &Range<i64>) {
        let mut inside = |time, value| {
            if range.contains(&time) {
                columns.push(time, value);
            }
        };
        self.sealed.iter().for_each(|chunk| chunk.visit(&mut inside));
        if let Some(open) = &self.open {
            open.visit(inside);
        }
        columns.histograms.extend(self.histograms.iter().cloned());
    }
}

/// A series.
#[derive(Debug)]
pub struct Kept {
    pub(super) symbols: Symbols,
    sealed: Sealed,
    open: Option<Open>,
    rare: Option<Box<Rare>>,
    pub(super) generation: u32,
    /// The last segment of the log that knows the series, and its number there.
    segment: u32,
    number: u32,
    /// By which ways it came last.
    pub(super) ways: Ways,
}

/// So many bytes a series; a place that may be empty needs no more.
const _: () = assert!(size_of::<Option<Kept>>() <= 128);

impl Kept {
    pub(super) fn new(symbols: Symbols, generation: u32) -> Self {
        Self {
            symbols,
            sealed: Sealed::default(),
            open: None,
            rare: None,
            generation,
            segment: NOWHERE,
            number: 0,
            ways: Ways::default(),
        }
    }

    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// A copy of its labels as text.
    pub fn labels(&self) -> Labels {
        self.symbols.labels()
    }

    pub fn ways(&self) -> Ways {
        self.ways
    }

    /// The number of the series in the log, and whether its segment does not know it yet; from
    /// now on it does.
    pub fn number_in(&mut self, log: &Current) -> (u32, bool) {
        let is_new = std::mem::replace(&mut self.segment, log.segment) != log.segment;
        if is_new {
            self.number = log.number();
        }
        (self.number, is_new)
    }

    /// The form that the last number fits.
    pub fn form(&self) -> Form {
        self.open.as_ref().map_or(Form::Float, Open::form)
    }

    fn last_time(&self) -> Option<i64> {
        let number = self.open.as_ref().map(Open::last_time);
        let histogram = self.rare.as_ref().and_then(|rare| rare.histograms.back()).map(|(time, _)| *time);
        number.max(histogram)
    }

    pub fn push(&mut self, time: i64, value: &Value) -> Taken {
        match self.last_time() {
            Some(last) if time < last => return Taken::Older,
            Some(last) if time == last => {
                let same = match value {
                    Value::Number(number) => {
                        self.open.as_ref().is_some_and(|open| open.last_value().to_bits() == number.to_bits())
                    }
                    Value::Histogram(histogram) => {
                        let last = self.rare.as_ref().and_then(|rare| rare.histograms.back());
                        last.is_some_and(|(_, last)| last == histogram)
                    }
                };
                return if same { Taken::Again } else { Taken::Other };
            }
            _ => {}
        }
        match value {
            Value::Number(number) => self.push_number(time, *number),
            Value::Histogram(histogram) => {
                self.rare.get_or_insert_default().histograms.push_back((time, histogram.clone()));
            }
        }
        Taken::New
    }

    #[inline]
    fn push_number(&mut self, time: i64, value: f64) {
        if let Some(open) = &mut self.open {
            let same_part = open.first_time().div_euclid(PART) == time.div_euclid(PART);
            if same_part && open.push(time, value) {
                return;
            }
        }
        let form = self.open.as_ref().map(Open::form).filter(|_| !self.starts_anew(time));
        if let Some(ended) = self.open.replace(Open::new(time, value, form)) {
            self.sealed.push(&ended);
        }
    }

    /// Puts a sample where it belongs among those that are there, if none has its time.
    pub fn insert(&mut self, time: i64, value: &Value) {
        match value {
            Value::Number(number) => {
                let mut numbers = Vec::new();
                self.numbers(&(i64::MIN..i64::MAX), |time, value| numbers.push((time, value)));
                let Err(at) = numbers.binary_search_by_key(&time, |(time, _)| *time) else { return };
                numbers.insert(at, (time, *number));
                self.sealed = Sealed::default();
                self.open = None;
                numbers.into_iter().for_each(|(time, value)| self.push_number(time, value));
            }
            Value::Histogram(histogram) => {
                let all = &mut self.rare.get_or_insert_default().histograms;
                let Err(at) = all.binary_search_by_key(&time, |(time, _)| *time) else { return };
                all.insert(at, (time, histogram.clone()));
            }
        }
    }

    /// Each part forgets what form the one before needed.
    fn starts_anew(&self, time: i64) -> bool {
        self.open.as_ref().is_some_and(|open| open.first_time().div_euclid(PART) != time.div_euclid(PART))
    }

    pub fn add_exemplar(&mut self, exemplar: Exemplar) {
        let exemplars = &mut self.rare.get_or_insert_default().exemplars;
        if exemplars.back().is_some_and(|last| last.time >= exemplar.time) {
            return;
        }
        if exemplars.len() == EXEMPLARS {
            exemplars.pop_front();
        }
        exemplars.push_back(exemplar);
    }

    pub fn exemplars(&self) -> impl Iterator<Item = &Exemplar> {
        self.rare.iter().flat_map(|rare| &rare.exemplars)
    }

    /// Gives the numbers within a range, oldest first.
    pub fn numbers(&self, range: &Range<i64>, mut take: impl FnMut(i64, f64)) {
        let mut inside = |time, value| {
            if range.contains(&time) {
                take(time, value);
            }
        };
        for chunk in self.sealed.iter() {
            if chunk.last_time >= range.start && chunk.first_time < range.end {
                chunk.visit(&mut inside);
            }
        }
        if let Some(open) = &self.open
            && open.last_time() >= range.start
            && open.first_time() < range.end
        {
            open.visit(inside);
        }
    }

    /// A copy of the chunks that meet a range.
    pub fn packed(&self, range: &Range<i64>) -> Packed {
        let meets = |first: i64, last: i64| last >= range.start && first < range.end;
        let open = self.open.as_ref().filter(|open| meets(open.first_time(), open.last_time()));
        Packed {
            sealed: self.sealed.some(|chunk| meets(chunk.first_time, chunk.last_time)),
            open: open.cloned(),
            histograms: self.histograms(range).cloned().collect(),
        }
    }

    /// The newest sample of a range, where that is the last there is; else all of the range.
    pub fn newest(&self, range: &Range<i64>) -> Packed {
        match &self.open {
            Some(open) if range.contains(&open.last_time()) && self.histograms(range).next().is_none() => {
                Packed { sealed: Sealed::default(), open: Some(open.newest()), histograms: Vec::new() }
            }
            _ => self.packed(range),
        }
    }

    /// The native histograms within a range, oldest first.
    pub fn histograms(&self, range: &Range<i64>) -> impl Iterator<Item = &(i64, SharedHistogram)> {
        let all = self.rare.iter().flat_map(|rare| &rare.histograms);
        all.filter(|(time, _)| range.contains(time))
    }

    /// Where the first chunk or histogram begins that does not begin before `time`.
    pub fn first_since(&self, time: i64) -> Option<i64> {
        let chunks = self.sealed.iter().map(|chunk| chunk.first_time);
        let mut chunks = chunks.chain(self.open.as_ref().map(Open::first_time));
        let mut histograms = self.rare.iter().flat_map(|rare| &rare.histograms).map(|(time, _)| *time);
        let first = chunks.find(|first| *first >= time);
        let histogram = histograms.find(|first| *first >= time);
        match (first, histogram) {
            (Some(first), Some(histogram)) => Some(first.min(histogram)),
            (first, histogram) => first.or(histogram),
        }
    }

    /// Whether there is a sample within the range.
    pub fn has(&self, range: &Range<i64>) -> bool {
        let sealed = self.sealed.iter().flat_map(|chunk| [chunk.first_time, chunk.last_time]);
        let open = self.open.iter().flat_map(|open| [open.first_time(), open.last_time()]);
        if sealed.chain(open).any(|time| range.contains(&time)) || self.histograms(range).next().is_some() {
            return true;
        }
        let mut found = false;
        self.numbers(range, |_, _| found = true);
        found
    }

    /// `false`: nothing is left.
    pub(super) fn drop_before(&mut self, time: i64) -> bool {
        self.sealed.retain(|chunk| chunk.last_time >= time);
        if self.open.as_ref().is_some_and(|open| open.last_time() < time) {
            self.open = None;
        }
        if let Some(rare) = &mut self.rare {
            rare.histograms.retain(|(at, _)| *at >= time);
            rare.exemplars.retain(|exemplar| exemplar.time >= time.saturating_sub(EXEMPLARS_STAY));
            if rare.histograms.is_empty() && rare.exemplars.is_empty() {
                self.rare = None;
            }
        }
        let histograms = self.rare.as_ref().is_some_and(|rare| !rare.histograms.is_empty());
        !self.sealed.is_empty() || self.open.is_some() || histograms
    }

    /// Bytes, without its labels, which it shares.
    pub fn size(&self) -> usize {
        let open = self.open.as_ref().map_or(0, Open::size);
        let rare = self.rare.as_ref().map_or(0, |rare| rare.size());
        size_of::<Self>() + self.sealed.size() + open + rare
    }
}

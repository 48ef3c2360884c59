//! The rows that memory no longer has, or never had: a row an object and step of the grid, out
//! of the store of series.
//!
//! A series of memory begins somewhere in a step; the store has the steps before that one. Held are
//! where each series of memory begins, and what was known last of what went on lately.
//!
//! Of days that were made coarser a row stands where CPU time has a sample: each step, and both sides
//! of where it began anew. What has none there is null, and a rate reaches from one sample to
//! the next of the same figure.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use datafusion::{
    arrow::datatypes::SchemaRef,
    common::{DataFusionError, Result},
};
use tiphys_api::samples::Usage;

use super::{
    Sight, absent,
    latest::Latest,
    rows::{Row, Rows},
};
use crate::{
    figures::{FIGURES, Figure},
    memory::{GRID, Level, Point, SeriesKey, Whole},
    names::back::{self, Back},
    series::Store,
    tables::joined::{Joined, LOOKBACK, Object, Question},
};

/// A rate for each figure that has one, by its place in the list of figures.
type Rates = [Option<f64>; Usage::COUNT];

/// A figure that is asked for.
struct Told {
    /// In the lists of figures and of [`Usage`].
    place: usize,
    /// Of its names among those that are read.
    names: Vec<usize>,
    back: &'static Back,
    is_counter: bool,
}

impl Told {
    /// What is made of a number for each name.
    fn made(&self, of_name: impl Fn(usize) -> f64) -> f64 {
        let mut of_names = [f64::NAN; 4];
        for (number, name) in of_names.iter_mut().zip(&self.names) {
            *number = of_name(*name);
        }
        (self.back.value)(&of_names[..self.names.len()])
    }

    /// Absent: it isn't known.
    fn value(&self, object: &Object, at: usize, level: Level) -> Option<u64> {
        if self.names.iter().any(|name| object.between[*name].is_left_out(at)) {
            return None;
        }
        let value = self.made(|name| object.values[name][at]);
        let is_known = !value.is_nan() || self.back.absent.is_zero(level);
        // What is negative, or isn't there, is 0.
        is_known.then(|| value.round() as u64)
    }

    /// What a counter lost since the row before.
    fn fallen(&self, object: &Object, at: usize) -> u64 {
        self.made(|name| object.between[name].fallen(at)).round() as u64
    }
}

/// Where a series of memory begins.
struct Begun {
    first: Row,
    /// A clock was set before it: no rate reaches there from what is older.
    is_apart: bool,
}

/// Walks over what is older.
pub struct Older {
    joined: Joined,
    /// By their place.
    told: Vec<Told>,
    /// The series of memory.
    begun: HashMap<SeriesKey, Begun>,
    /// Of each object so far.
    last: HashMap<SeriesKey, Latest>,
    since: i64,
    /// Once the store is through, the first rows of memory.
    ending: Option<hash_map::IntoIter<SeriesKey, Begun>>,
}

impl Older {
    /// Absent: memory answers all of it.
    pub fn new(store: &Arc<Store>, sight: &Sight, whole: Whole, asked: &SchemaRef) -> Option<Self> {
        let range = sight.wanted.micros();
        let until = whole.since();
        if range.start >= until || range.start >= range.end {
            return None;
        }
        let columns = || asked.fields().iter().map(|field| field.name().as_str());
        let is_asked = |figure: &str, rate: Option<&str>| {
            columns().any(|column| column == figure || Some(column) == rate)
                || absent::decides(figure, columns())
        };
        let mut names = Vec::new();
        let mut told = Vec::new();
        for (place, figure) in FIGURES.iter().enumerate() {
            let back = back::FIGURES.iter().find(|back| back.figure == figure.name);
            let Some(back) = back.filter(|_| is_asked(figure.name, figure.rate_name())) else { continue };
            let place_of = |name: &&'static str| {
                names.iter().position(|known| known == name).unwrap_or_else(|| {
                    names.push(*name);
                    names.len() - 1
                })
            };
            let is_counter = figure.rate_name().is_some();
            told.push(Told { place, names: back.names.iter().map(place_of).collect(), back, is_counter });
        }
        let mut matchers = back::of_level(sight.level);
        matchers.extend(sight.wanted.matchers(|column| label_of(sight.level, column)));
        let since = sight.wanted.millis().start.saturating_sub(LOOKBACK);
        // A step that begins before memory does may end in it.
        let until = (until.min(range.end.saturating_sub(1)).div_euclid(GRID) + 1) * (GRID / 1000);
        let question = Question {
            anchor: back::ANCHOR,
            names,
            matchers,
            apart: &back::APART,
            several: Some(back::SEVERAL),
            range: since..until,
        };
        Some(Self {
            joined: Joined::new(store.clone(), question),
            told,
            begun: HashMap::new(),
            last: HashMap::new(),
            since: i64::MIN,
            ending: None,
        })
    }

    /// Memory's row of a series from which on it has all; it comes when the row before is known.
    pub fn begins(&mut self, key: SeriesKey, first: Row, is_apart: bool) {
        self.begun.insert(key, Begun { first, is_apart });
    }

    /// What can't be read, as far as the walk has come.
    pub fn missing(&self) -> Vec<String> {
        self.joined.missing()
    }

    /// Adds the rows of the next object. False: there is none.
    pub fn step(&mut self, sight: &Sight, rows: &mut Rows) -> Result<bool> {
        if let Some(ending) = &mut self.ending {
            let Some((key, Begun { first, is_apart })) = ending.next() else { return Ok(false) };
            if sight.wanted.takes_time(first.point.time) {
                let before = self.last.get(&key).filter(|_| !is_apart);
                let told = &self.told;
                rows.push(&key, &first, |place, figure: &Figure| {
                    let nth = told.binary_search_by_key(&place, |told| told.place).ok()?;
                    before?.rate(nth, first.point.time, (figure.value)(&first.point.usage))
                });
            }
            return Ok(true);
        }
        match self.joined.next() {
            Some(object) => {
                let object = object.map_err(|error| DataFusionError::External(Box::new(error)))?;
                self.add(&object, sight, rows);
            }
            None => self.ending = Some(std::mem::take(&mut self.begun).into_iter()),
        }
        Ok(true)
    }

    fn add(&mut self, object: &Object, sight: &Sight, rows: &mut Rows) {
        if object.since != self.since {
            self.since = object.since;
            let oldest = object.since.saturating_sub(LOOKBACK).saturating_mul(1000);
            // What memory goes on with is waited for, however long ago that was.
            let (last, begun) = (&mut self.last, &self.begun);
            last.retain(|key, latest| latest.time >= oldest || begun.contains_key(key));
        }
        let Some(key) = back::key_of(sight.level, &object.labels).filter(|key| sight.takes(key)) else {
            return;
        };
        let seam = |begun: &Begun| begun.first.point.time.div_euclid(GRID) * GRID;
        let seam = self.begun.get(&key).map_or(i64::MAX, seam);
        let mut latest = self.last.remove(&key).unwrap_or_else(|| Latest::new(self.told.len()));
        for (at, time) in object.times.iter().enumerate() {
            let time = time.saturating_mul(1000);
            if time >= seam {
                break;
            }
            let (row, rates) = self.row(object, at, time, sight.level, &mut latest);
            if sight.wanted.takes_time(time) {
                rows.push(&key, &row, |place, _| rates[place]);
            }
        }
        if latest.time > i64::MIN {
            self.last.insert(key, latest);
        }
    }

    /// The row at a time, and the rates since `latest`, which goes on to it.
    fn row(&self, object: &Object, at: usize, time: i64, level: Level, latest: &mut Latest) -> (Row, Rates) {
        let (mut values, mut known, mut rates) = ([0; Usage::COUNT], 0, [None; Usage::COUNT]);
        for (nth, told) in self.told.iter().enumerate() {
            if told.is_counter {
                latest.falls(nth, told.fallen(object, at));
            }
            let Some(value) = told.value(object, at, level) else { continue };
            known |= 1 << told.place;
            values[told.place] = value;
            if told.is_counter {
                rates[told.place] = latest.next(nth, time, value);
            }
        }
        latest.time = time;
        (Row { point: Point { time, usage: Usage::from_values(values) }, known }, rates)
    }
}

/// The label that a column shows.
fn label_of(level: Level, column: &str) -> Option<&'static str> {
    super::names_of(level).iter().map(|(name, _)| *name).find(|name| *name == column)
}

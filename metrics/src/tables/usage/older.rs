//! The rows that memory no longer has, or never had: a row an object and step of the grid, out
//! of the store of series.
//!
//! A series of memory begins somewhere in a step; the store has the steps before that one. Held are
//! where each series of memory begins, and the last row of what went on lately.

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
    Sight,
    rows::{Row, Rows},
};
use crate::{
    figures::FIGURES,
    memory::{GRID, Level, Point, SeriesKey, Whole},
    names::back::{self, Back},
    series::Store,
    tables::joined::{Joined, Object, Question},
};

/// How far back the row before is looked for that a rate is computed from, milliseconds.
const BACK: i64 = 5 * 60_000;

/// A figure that is asked for.
struct Told {
    /// In the lists of figures and of [`Usage`].
    place: usize,
    /// Of its names among those that are read.
    names: Vec<usize>,
    back: &'static Back,
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
    told: Vec<Told>,
    /// The series of memory.
    begun: HashMap<SeriesKey, Begun>,
    /// The last row of each object so far.
    last: HashMap<SeriesKey, Row>,
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
        let is_asked = |figure: &str, rate: Option<&str>| {
            asked.fields().iter().any(|field| field.name() == figure || Some(field.name().as_str()) == rate)
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
            told.push(Told { place, names: back.names.iter().map(place_of).collect(), back });
        }
        let mut matchers = back::of_level(sight.level);
        matchers.extend(sight.wanted.matchers(|column| label_of(sight.level, column)));
        let since = sight.wanted.millis().start.saturating_sub(BACK);
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
                rows.push(&key, near(before, &first), &first);
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
            let oldest = object.since.saturating_sub(BACK).saturating_mul(1000);
            // What memory goes on with is waited for, however long ago that was.
            let (last, begun) = (&mut self.last, &self.begun);
            last.retain(|key, row| row.point.time >= oldest || begun.contains_key(key));
        }
        let Some(key) = back::key_of(sight.level, &object.labels).filter(|key| sight.takes(key)) else {
            return;
        };
        let seam = |begun: &Begun| begun.first.point.time.div_euclid(GRID) * GRID;
        let seam = self.begun.get(&key).map_or(i64::MAX, seam);
        let mut before = self.last.get(&key).copied();
        for (at, time) in object.times.iter().enumerate() {
            let time = time.saturating_mul(1000);
            if time >= seam {
                break;
            }
            let row = self.row(object, at, time, sight.level);
            if sight.wanted.takes_time(time) {
                rows.push(&key, near(before.as_ref(), &row), &row);
            }
            before = Some(row);
        }
        if let Some(last) = before {
            self.last.insert(key, last);
        }
    }

    fn row(&self, object: &Object, at: usize, time: i64, level: Level) -> Row {
        let (mut values, mut known) = ([0; Usage::COUNT], 0);
        for Told { place, names, back } in &self.told {
            let mut of_names = [f64::NAN; 4];
            for (of_name, name) in of_names.iter_mut().zip(names) {
                *of_name = object.values[*name][at];
            }
            let value = (back.value)(&of_names[..names.len()]);
            if value.is_nan() && !back.absent.is_zero(level) {
                continue;
            }
            known |= 1 << place;
            // What is negative, or isn't there, is 0.
            values[*place] = value.round() as u64;
        }
        Row { point: Point { time, usage: Usage::from_values(values) }, known }
    }
}

/// The row before, where it is not too far away.
fn near<'a>(before: Option<&'a Row>, row: &Row) -> Option<&'a Row> {
    before.filter(|before| row.point.time - before.point.time <= BACK * 1000)
}

/// The label that a column shows.
fn label_of(level: Level, column: &str) -> Option<&'static str> {
    super::names_of(level).iter().map(|(name, _)| *name).find(|name| *name == column)
}

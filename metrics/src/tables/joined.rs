//! Rows out of the store of series: what is told of one object under many names, side by side.
//!
//! ```text
//! a part of the range (a file) ─> a walk for each name, all in order of labels ─> one object at a time
//! ```
//!
//! Series of one name stand together, so each name has a walk of its own; all of them have the
//! objects in the same order, and go on together. A label of which an object has several values
//! would break that order: there each value has a walk. Held are a few series of each name, however
//! long the range and however many objects. What it must not do: know what the names mean.

mod column;

use std::{iter::Peekable, ops::Range, sync::Arc, vec};

use crate::series::{
    Labels, MatchOp, Matcher, Missing, NAME, Scan, SelectError, SeriesColumns, Store, is_stale,
};
use column::{Between, Column};

pub use column::LOOKBACK;

/// What is put together.
pub struct Question {
    /// The name that each object has: it has a row where this one has a sample.
    pub anchor: &'static str,
    /// What else is told.
    pub names: Vec<&'static str>,
    /// Which series are meant, whatever their name.
    pub matchers: Vec<Matcher>,
    /// Labels in which series of one object differ; those of one name are added up.
    pub apart: &'static [&'static str],
    /// The one of them of which an object has several values.
    pub several: Option<Several>,
    /// Milliseconds since the Unix epoch.
    pub range: Range<i64>,
}

/// A label of which an object has several values of one name.
#[derive(Clone, Copy)]
pub struct Several {
    pub label: &'static str,
    /// The names of which it has them.
    pub names: &'static [&'static str],
}

/// What one object has of one part of the range.
#[derive(Debug)]
pub struct Object {
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, ascending.
    pub times: Vec<i64>,
    /// For each name a value for each time; NaN where there is none, or where it isn't known.
    pub values: Vec<Vec<f64>>,
    /// For each name what these don't say.
    pub between: Vec<Between>,
    /// When the part begins.
    pub since: i64,
}

/// Walks over the objects, part after part. Blocks the thread while files are read.
pub struct Joined {
    store: Arc<Store>,
    question: Question,
    parts: vec::IntoIter<Range<i64>>,
    part: Option<Part>,
    missing: Missing,
}

struct Part {
    since: i64,
    anchor: Walk,
    /// For each name one, or one for each value; the anchor's own values are not read twice.
    others: Vec<Option<Vec<Walk>>>,
}

impl Joined {
    pub fn new(store: Arc<Store>, question: Question) -> Self {
        let parts = store.parts(&question.range).into_iter();
        Self { store, question, parts, part: None, missing: Missing::default() }
    }

    /// What can't be read, as far as the walk has come.
    pub fn missing(&self) -> Vec<String> {
        self.missing.sentences()
    }

    fn begin(&self, range: Range<i64>) -> Result<Part, SelectError> {
        let anchor = self.walk(&range, self.question.anchor, None)?;
        let other = |name: &&'static str| {
            (*name != self.question.anchor).then(|| self.walks(&range, name)).transpose()
        };
        let others = self.question.names.iter().map(other).collect::<Result<Vec<_>, SelectError>>()?;
        Ok(Part { since: range.start, anchor, others })
    }

    /// Over the series of a name, each of which has all its objects in order.
    fn walks(&self, range: &Range<i64>, name: &str) -> Result<Vec<Walk>, SelectError> {
        let several = self.question.several.filter(|several| several.names.contains(&name));
        let Some(Several { label, .. }) = several else { return Ok(vec![self.walk(range, name, None)?]) };
        let mut values: Vec<String> = Vec::new();
        // Those that are known are left out until nothing is left.
        while let Some(value) = self.value_beside(range, name, label, &values)? {
            values.push(value);
        }
        let of_value = |value: &String| self.walk(range, name, Some(Matcher::equal(label, value)));
        values.iter().map(of_value).collect()
    }

    /// A value of a label of these series that is none of those.
    fn value_beside(
        &self,
        range: &Range<i64>,
        name: &str,
        label: &str,
        known: &[String],
    ) -> Result<Option<String>, SelectError> {
        let others = known.iter().map(|value| Matcher::new(label, MatchOp::NotEqual, value));
        let others = others.collect::<Result<Vec<_>, _>>().map_err(SelectError::Unreadable)?;
        let first = self.scan(range, name, others)?.next().transpose()?;
        Ok(first.map(|columns| columns.labels.get(label).unwrap_or_default().to_owned()))
    }

    fn walk(&self, range: &Range<i64>, name: &str, of: Option<Matcher>) -> Result<Walk, SelectError> {
        Ok(Walk::new(self.scan(range, name, of)?, self.question.apart))
    }

    fn scan(
        &self,
        range: &Range<i64>,
        name: &str,
        more: impl IntoIterator<Item = Matcher>,
    ) -> Result<Scan, SelectError> {
        let own = self.question.matchers.iter().cloned();
        let matchers: Vec<_> = [Matcher::equal(NAME, name)].into_iter().chain(own).chain(more).collect();
        self.store.scan(&matchers, range, &self.missing)
    }
}

impl Iterator for Joined {
    type Item = Result<Object, SelectError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(object) = self.part.as_mut().and_then(Part::next) {
                return Some(object);
            }
            // What the part before held goes first.
            self.part = None;
            let range = self.parts.next()?;
            match self.begin(range) {
                Ok(part) => self.part = Some(part),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for Part {
    type Item = Result<Object, SelectError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (labels, anchor) = match self.anchor.next()? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let samples = anchor.times.iter().zip(&anchor.values).filter(|(_, value)| !is_stale(**value));
        let times: Vec<i64> = samples.map(|(time, _)| *time).collect();
        let (mut values, mut between) = (Vec::new(), Vec::new());
        for walks in &mut self.others {
            let mut column = Column::new(times.len());
            match walks {
                None => column.add(&times, &anchor),
                Some(walks) => {
                    for walk in walks {
                        if let Err(error) = walk.add(&labels, &times, &mut column) {
                            return Some(Err(error));
                        }
                    }
                }
            }
            values.push(column.values);
            between.push(column.between);
        }
        Some(Ok(Object { labels, times, values, between, since: self.since }))
    }
}

/// The series of one name, by what they are of.
struct Walk {
    series: Peekable<Keyed>,
}

struct Keyed {
    scan: Scan,
    apart: Vec<&'static str>,
}

impl Iterator for Keyed {
    type Item = Result<(Labels, SeriesColumns), SelectError>;

    fn next(&mut self) -> Option<Self::Item> {
        let columns = self.scan.next()?;
        Some(columns.map(|columns| (columns.labels.without(&self.apart), columns)))
    }
}

impl Walk {
    fn new(scan: Scan, apart: &[&'static str]) -> Self {
        let apart = apart.iter().copied().chain([NAME]).collect();
        Self { series: Keyed { scan, apart }.peekable() }
    }

    fn next(&mut self) -> Option<Result<(Labels, SeriesColumns), SelectError>> {
        self.series.next()
    }

    /// Adds what an object has at these times. Objects are asked for in order.
    fn add(&mut self, labels: &Labels, times: &[i64], column: &mut Column) -> Result<(), SelectError> {
        let may_be =
            |next: &Result<(Labels, SeriesColumns), _>| next.as_ref().map_or(true, |one| one.0 <= *labels);
        while let Some(next) = self.series.next_if(may_be) {
            let (of, series) = next?;
            if of == *labels {
                column.add(times, &series);
            }
        }
        Ok(())
    }
}

//! Rows out of the store of series: what is told of one object under many names, side by side.
//!
//! ```text
//! a part of the range (a file) ─> a walk for each name, all in order of labels ─> one object at a time
//! ```
//!
//! Series of one name stand together, so each name has a walk of its own; all of them have the
//! objects in the same order, and go on together. Held are a few series of each name, however
//! long the range and however many objects. What it must not do: know what the names mean.

use std::{iter::Peekable, ops::Range, sync::Arc, vec};

use crate::series::{Labels, Matcher, Missing, NAME, Scan, SelectError, SeriesColumns, Store, is_stale};

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
    /// Milliseconds since the Unix epoch.
    pub range: Range<i64>,
}

/// What one object has of one part of the range.
#[derive(Debug)]
pub struct Object {
    pub labels: Labels,
    /// Milliseconds since the Unix epoch, ascending.
    pub times: Vec<i64>,
    /// For each name a value for each time; NaN where there is none.
    pub values: Vec<Vec<f64>>,
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
    /// One for each name; the anchor's own values are not read twice.
    others: Vec<Option<Walk>>,
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
        let walk = |name: &str| -> Result<Walk, SelectError> {
            let matchers: Vec<_> = [Matcher::equal(NAME, name)]
                .into_iter()
                .chain(self.question.matchers.iter().cloned())
                .collect();
            Ok(Walk::new(self.store.scan(&matchers, &range, &self.missing)?, self.question.apart))
        };
        let anchor = walk(self.question.anchor)?;
        let other = |name: &&'static str| (*name != self.question.anchor).then(|| walk(name)).transpose();
        let others = self.question.names.iter().map(other).collect::<Result<Vec<_>, SelectError>>()?;
        Ok(Part { since: range.start, anchor, others })
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
        let (times, own): (Vec<i64>, Vec<f64>) = samples.unzip();
        let mut values = Vec::with_capacity(self.others.len());
        for walk in &mut self.others {
            values.push(match walk {
                None => own.clone(),
                Some(walk) => match walk.of(&labels, &times) {
                    Ok(values) => values,
                    Err(error) => return Some(Err(error)),
                },
            });
        }
        Some(Ok(Object { labels, times, values, since: self.since }))
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

    /// What an object has at these times. Objects are asked for in order.
    fn of(&mut self, labels: &Labels, times: &[i64]) -> Result<Vec<f64>, SelectError> {
        let mut values = vec![f64::NAN; times.len()];
        let may_be =
            |next: &Result<(Labels, SeriesColumns), _>| next.as_ref().map_or(true, |one| one.0 <= *labels);
        while let Some(next) = self.series.next_if(may_be) {
            let (of, columns) = next?;
            if of == *labels {
                add(&mut values, times, &columns);
            }
        }
        Ok(values)
    }
}

/// Adds samples to those of the same times.
fn add(values: &mut [f64], times: &[i64], columns: &SeriesColumns) {
    let mut samples = columns.times.iter().zip(&columns.values).peekable();
    for (time, sum) in times.iter().zip(values) {
        while samples.next_if(|(at, _)| *at < time).is_some() {}
        if let Some((_, value)) = samples.next_if(|(at, _)| *at == time)
            && !is_stale(*value)
        {
            *sum = if sum.is_nan() { *value } else { *sum + value };
        }
    }
}

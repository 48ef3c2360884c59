//! `node`, `pod` and `container`: one table each. Who it is, then a column a figure and a column
//! a rate.
//!
//! ```text
//! memory: each series' points of the last hour ─┐
//!                                               ├─> rows
//! store of series: what is older, each 15 s  ───┘
//! ```
//!
//! Memory is read first and notes where each of its series begins; of the store come the steps
//! before that, and everything of what memory doesn't know. So there is no gap and nothing twice
//! whenever memory began: with the process, an hour ago, or with what it is of. A statement about
//! the last hour doesn't touch the store.
//!
//! Only what a statement asks for is made: predicates over time and names leave out
//! points, series and files, and a column that isn't wanted isn't read. What is pushed down
//! here is filtered again above, so leaving out too little is never wrong.

pub mod absent;
mod latest;
mod older;
mod rows;

use std::{sync::Arc, vec};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Schema, SchemaRef},
    },
    catalog::TableProvider,
    common::Result,
};

use super::{documented, time_column};
use crate::{
    figures::{FIGURES, Kind},
    memory::{Level, Memory, SeriesKey, rate},
    names::back,
    scope::Scope,
    series::Store,
    sql::{Asker, Batches, Notes, Wanted, table_of_asked},
};
use older::Older;
use rows::{Row, Rows};

/// Rows of one batch, after which no series is begun.
const BATCH: usize = 8192;
/// Series of one batch at most: then somebody is looked for who asks.
const SERIES: usize = 256;

/// The columns that say who it is.
fn names_of(level: Level) -> &'static [(&'static str, &'static str)] {
    match level {
        Level::Node => &[("node", "the node")],
        Level::Pod => &[("namespace", "the Pod's namespace"), ("pod", "the Pod"), ("node", "where it ran")],
        Level::Container => &[
            ("namespace", "the Pod's namespace"),
            ("pod", "the Pod"),
            ("container", "the container"),
            ("node", "where it ran"),
        ],
    }
}

fn name_in<'a>(key: &'a SeriesKey, column: &str) -> &'a str {
    match column {
        "namespace" => &key.namespace,
        "pod" => &key.pod,
        "container" => &key.container,
        _ => &key.node,
    }
}

/// The columns of `node`, `pod` or `container`.
pub fn usage_schema(level: Level) -> SchemaRef {
    let mut fields = vec![time_column("when the figures were read")];
    let names = names_of(level).iter();
    fields.extend(names.map(|(name, about)| documented(name, DataType::Utf8, false, about)));
    for figure in FIGURES {
        if let Kind::Counter { rate, about, .. } = figure.kind {
            fields.push(documented(rate, DataType::Float64, true, &absent::described(figure, about)));
        }
        let mut about = absent::described(figure, figure.about);
        if !back::tells(figure.name, level) {
            about.push_str("; kept for the last hour only, null before");
        }
        // Signed: a difference of two figures may be less than nothing.
        fields.push(documented(figure.name, DataType::Int64, true, &about));
    }
    Arc::new(Schema::new(fields))
}

/// One of the three tables, for one user. Without a store it has what is in memory.
pub fn usage_table(
    level: Level,
    memory: Arc<Memory>,
    store: Option<Arc<Store>>,
    asker: Asker,
) -> Arc<dyn TableProvider> {
    let rows = move |wanted: Wanted, asked: SchemaRef| -> Result<Batches> {
        let sight = Sight { level, scope: Scope::of_asker(&asker), wanted, notes: asker.notes.clone() };
        Ok(Box::new(Scan::new(sight, memory.clone(), store.as_ref(), asked)))
    };
    table_of_asked(usage_schema(level), rows)
}

/// What of a level is asked for, and may be seen.
struct Sight {
    level: Level,
    scope: Scope,
    wanted: Wanted,
    /// Where it is told what can't be read.
    notes: Notes,
}

impl Sight {
    fn takes(&self, key: &SeriesKey) -> bool {
        let wanted = names_of(self.level).iter().all(|(name, _)| self.wanted.takes(name, name_in(key, name)));
        wanted && (self.level == Level::Node || self.scope.sees_namespace(&key.namespace))
    }

    fn is_blind(&self) -> bool {
        self.level == Level::Node && !self.scope.sees_nodes()
    }
}

/// The rows that a user sees and a statement wants: memory's in order of series and time, then
/// what is older.
struct Scan {
    sight: Sight,
    memory: Arc<Memory>,
    keys: vec::IntoIter<SeriesKey>,
    older: Option<Older>,
    rows: Rows,
    is_done: bool,
}

impl Scan {
    fn new(sight: Sight, memory: Arc<Memory>, store: Option<&Arc<Store>>, asked: SchemaRef) -> Self {
        let is_blind = sight.is_blind();
        let keys = if is_blind { Vec::new() } else { memory.keys(sight.level, |key| sight.takes(key)) };
        let older = store.filter(|_| !is_blind);
        let older = older.and_then(|store| Older::new(store, &sight, memory.whole(), &asked));
        Self { sight, memory, keys: keys.into_iter(), older, rows: Rows::new(asked), is_done: is_blind }
    }

    /// Adds the rows of the next series. False: there is none.
    fn step(&mut self) -> Result<bool> {
        if let Some(key) = self.keys.next() {
            self.of_memory(key);
            return Ok(true);
        }
        match &mut self.older {
            Some(older) => older.step(&self.sight, &mut self.rows),
            None => Ok(false),
        }
    }

    fn of_memory(&mut self, key: SeriesKey) {
        let (sight, rows, memory) = (&self.sight, &mut self.rows, &self.memory);
        let mut first = None;
        memory.read(&key, |ring| {
            let mut before = None;
            for point in ring.points() {
                let row = Row::whole(point);
                // Its rate is known with the row before, which is in the store.
                let is_held = self.older.is_some() && before.is_none();
                if is_held {
                    first = Some((row, ring.is_apart()));
                } else if sight.wanted.takes_time(point.time) {
                    let since = before.as_ref();
                    rows.push(&key, &row, |_, figure| {
                        since.map(|before: &Row| rate(figure, &before.point, &row.point))
                    });
                }
                before = Some(row);
            }
        });
        if let (Some((first, is_apart)), Some(older)) = (first, &mut self.older) {
            older.begins(key, first, is_apart);
        }
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut series = 0;
        while !self.is_done && series < SERIES && self.rows.len() < BATCH {
            series += 1;
            match self.step() {
                Ok(more) => self.is_done = !more,
                Err(error) => {
                    self.is_done = true;
                    self.older = None;
                    return Some(Err(error));
                }
            }
        }
        // Whatever was read is closed as soon as nothing more comes of it.
        if self.is_done
            && let Some(older) = self.older.take()
        {
            older.missing().into_iter().for_each(|what| self.sight.notes.add(what));
        }
        (!self.is_done || self.rows.len() > 0).then(|| self.rows.finish())
    }
}

#[cfg(test)]
mod tests;

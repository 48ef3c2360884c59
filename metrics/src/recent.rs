//! What nodes told in the last hour of things of which each has several, disks or volumes; and the walk of
//! a table over it, which goes on with what the store of series has of the time before.
//!
//! ```text
//! memory: one thing after the other, as batches are asked for ─┐
//!                                                              ├─> rows, counted before they are made
//! store of series: what is from before memory knew each thing ─┘
//! ```
//!
//! Nodes wait for nobody who asks: the lock is held while one thing is read. What is old is told by the
//! clock of its own node, however wrong, and a node that says nothing is forgotten by a clock that nobody
//! sets. What it must not do: know what is measured.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
    vec,
};

use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, Result},
};
use parking_lot::Mutex;

use crate::{
    memory::{COARSE, GRID, Whole},
    series::{Matcher, Store},
    sql::{Notes, Share, Wanted},
    tables::joined::{Joined, Object, Question},
};

/// What is kept as it was told, microseconds.
const FINE: i64 = 120_000_000;
/// So long who asks may read on, while memory forgets: so much more the store is asked for.
const WALKED: i64 = 600_000_000;
/// Things whose rows make a batch.
const THINGS: usize = 256;
/// Rows of a batch, after which nothing is begun.
const BATCH: usize = 8192;
/// Bytes of a row while it is made, and of the name of a thing, about.
const ROW: usize = 256;
const NAME: usize = 256;

/// What was measured of a thing at a time.
pub trait Point {
    /// Microseconds since the Unix epoch.
    fn time(&self) -> i64;

    /// Whether a run begins with it, so that it stays.
    fn is_anew(&self) -> bool {
        false
    }
}

/// What one node told.
struct OfNode<K, P> {
    /// When it did so last.
    heard: Instant,
    /// In order of time.
    things: BTreeMap<K, VecDeque<P>>,
}

/// What all nodes told. Bounded by time and by what there is.
pub struct Recent<K, P> {
    nodes: Mutex<BTreeMap<String, OfNode<K, P>>>,
    whole: Mutex<Whole>,
}

impl<K, P> Default for Recent<K, P> {
    fn default() -> Self {
        Self { nodes: Mutex::default(), whole: Mutex::default() }
    }
}

impl<K: Ord + Clone, P: Point> Recent<K, P> {
    /// Takes in what a node told at a time by its clock, and when that was; `forgets`: and lets go of what
    /// is old.
    pub fn take(
        &self,
        (node, time): (&str, i64),
        told: impl IntoIterator<Item = (K, P)>,
        heard: Instant,
        forgets: bool,
    ) {
        let mut told = told.into_iter().peekable();
        let mut nodes = self.nodes.lock();
        if told.peek().is_none() && !nodes.contains_key(node) {
            return;
        }
        let of_node =
            nodes.entry(node.to_owned()).or_insert_with(|| OfNode { heard, things: BTreeMap::new() });
        of_node.heard = heard;
        if of_node.forget_future(time) {
            *self.whole.lock() = Whole::default();
        }
        told.for_each(|(key, point)| push(of_node.things.entry(key).or_default(), point));
        if forgets {
            // A clock that is ahead makes nothing old.
            of_node.forget_before(time.min(jiff::Timestamp::now().as_microsecond()) - COARSE);
            let kept = Duration::from_micros(COARSE.unsigned_abs());
            nodes
                .retain(|_, one| heard.saturating_duration_since(one.heard) < kept && !one.things.is_empty());
        }
    }

    /// From when on it has everything.
    pub fn whole(&self) -> Whole {
        *self.whole.lock()
    }

    /// The things that are taken, by node.
    fn things(&self, takes: impl Fn(&str, &K) -> bool) -> Vec<(String, K)> {
        let (nodes, mut found) = (self.nodes.lock(), Vec::new());
        for (node, of_node) in nodes.iter() {
            let taken = of_node.things.keys().filter(|key| takes(node, key));
            found.extend(taken.map(|key| (node.clone(), key.clone())));
        }
        found
    }

    /// Reads a thing. Absent: it was forgotten.
    pub fn read<T>(&self, node: &str, key: &K, read: impl FnOnce(&VecDeque<P>) -> T) -> Option<T> {
        self.nodes.lock().get(node)?.things.get(key).map(read)
    }

    /// How many things a node has.
    #[cfg(test)]
    pub fn count(&self, node: &str) -> usize {
        self.nodes.lock().get(node).map_or(0, |of_node| of_node.things.len())
    }

    /// The seconds of each thing of a node.
    #[cfg(test)]
    pub fn seconds(&self, node: &str) -> Vec<Vec<i64>> {
        let nodes = self.nodes.lock();
        let things = nodes.get(node).into_iter().flat_map(|of_node| of_node.things.values());
        things.map(|points| points.iter().map(|point| point.time() / 1_000_000).collect()).collect()
    }
}

impl<K: Ord, P: Point> OfNode<K, P> {
    /// Forgets what was measured at times that are yet to come, as the clock was set back; whether there
    /// was such.
    fn forget_future(&mut self, now: i64) -> bool {
        let mut is_set_back = false;
        for points in self.things.values_mut() {
            while points.back().is_some_and(|last| last.time() > now) {
                points.pop_back();
                is_set_back = true;
            }
        }
        is_set_back
    }

    fn forget_before(&mut self, oldest: i64) {
        self.things.retain(|_, points| {
            while points.front().is_some_and(|first| first.time() < oldest) {
                points.pop_front();
            }
            !points.is_empty()
        });
    }
}

/// Adds what is newer than what is there. Of what is no longer new one of each step of the grid is
/// kept, its first, and where a run begins. Called with each new one, it has few to look at.
fn push<P: Point>(points: &mut VecDeque<P>, point: P) {
    let newest = point.time();
    if points.back().is_some_and(|last| last.time() >= newest) {
        return;
    }
    points.push_back(point);
    let step = |at: usize, points: &VecDeque<P>| points[at].time().div_euclid(GRID);
    let mut at = points.partition_point(|point| point.time() < newest - FINE);
    while at >= 2 && !points[at - 1].is_anew() && step(at - 1, points) == step(at - 2, points) {
        points.remove(at - 1);
        at -= 1;
    }
}

/// A table of such things: what its rows are.
pub trait Table {
    type Key: Ord + Clone;
    type Point: Point;

    /// Whether who asks may see a thing.
    fn sees(&mut self, _: &Self::Key) -> bool {
        true
    }

    /// Adds what memory has of a thing.
    fn of_memory(&mut self, node: &str, key: &Self::Key, points: &VecDeque<Self::Point>);

    /// Adds what the store has of a thing, as far as memory doesn't know it.
    fn of_store(&mut self, object: &Object);

    /// How many rows there are.
    fn rows(&self) -> usize;

    /// The rows, which are here no more.
    fn finish(&mut self) -> Result<RecordBatch>;
}

/// What the store has of each thing: names of series, and which of them. Absent: nothing that is wanted is
/// older than what memory knows.
pub fn older(
    store: &Arc<Store>,
    wanted: &Wanted,
    whole: Whole,
    (anchor, names): (&'static str, Vec<&'static str>),
    matchers: Vec<Matcher>,
) -> Option<Joined> {
    let (range, until) = (wanted.micros(), whole.since());
    if range.start >= until || range.start >= range.end {
        return None;
    }
    // A step that begins before memory does may end in it. What memory still has is not taken from there.
    let until = ((until + WALKED).min(range.end.saturating_sub(1)).div_euclid(GRID) + 1) * (GRID / 1000);
    let range = wanted.millis().start..until;
    let question = Question { anchor, names, matchers, apart: &[], several: None, range };
    Some(Joined::new(store.clone(), question))
}

/// Memory's rows, then those of the store.
pub struct Walk<T: Table> {
    table: T,
    recent: Arc<Recent<T::Key, T::Point>>,
    things: vec::IntoIter<(String, T::Key)>,
    older: Option<Joined>,
    notes: Notes,
    share: Share,
}

impl<T: Table> Walk<T> {
    pub fn new(
        table: T,
        recent: Arc<Recent<T::Key, T::Point>>,
        takes: impl Fn(&str, &T::Key) -> bool,
        older: Option<Joined>,
        (notes, share): (Notes, Share),
    ) -> Self {
        let things = recent.things(takes).into_iter();
        Self { table, recent, things, older, notes, share }
    }

    /// Adds rows until there are enough for a batch.
    fn fill(&mut self) -> Result<()> {
        self.share.take(self.things.len() * NAME)?;
        let mut looked = 0;
        while looked < THINGS && self.table.rows() < BATCH && self.step()? {
            looked += 1;
        }
        Ok(())
    }

    /// Adds the rows of the next thing. False: there is none.
    fn step(&mut self) -> Result<bool> {
        if let Some((node, key)) = self.things.next() {
            if self.table.sees(&key) {
                let (table, share) = (&mut self.table, &self.share);
                let add = |points: &VecDeque<T::Point>| -> Result<()> {
                    share.take(points.len() * ROW)?;
                    table.of_memory(&node, &key, points);
                    Ok(())
                };
                self.recent.read(&node, &key, add).unwrap_or(Ok(()))?;
            }
            return Ok(true);
        }
        let Some(older) = &mut self.older else { return Ok(false) };
        match older.next() {
            Some(Ok(object)) => {
                self.share.take(object.times.len() * ROW)?;
                self.table.of_store(&object);
            }
            Some(Err(error)) => return Err(DataFusionError::External(Box::new(error))),
            None => {
                older.missing().into_iter().for_each(|what| self.notes.add(what));
                self.older = None;
            }
        }
        Ok(self.older.is_some())
    }
}

impl<T: Table> Iterator for Walk<T> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        // The batch before is the plan's by now.
        self.share.give_back();
        if let Err(error) = self.fill() {
            (self.things, self.older) = (Vec::new().into_iter(), None);
            return Some(Err(error));
        }
        let goes_on = self.things.len() > 0 || self.older.is_some();
        (goes_on || self.table.rows() > 0).then(|| self.table.finish())
    }
}

//! What was told of the objects of one kind: their series, and the values that hold.
//!
//! A change is told at once; what holds is told again at each time of the grid, and what is
//! gone ends with a stale marker. Of a kind with very many objects the last ones are left out,
//! rather than that they take all memory: [`MOST`]. Where the store refuses rows, as it is full,
//! or has let series go, the objects are wanted anew: [`Told::lost`].

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use tiphys_api::ways::Way;
use tokio::sync::Notify;

use super::rows::Rows;
use crate::{
    live::AGAIN,
    scrape::counts::Counts,
    series::{Refused, STALE, Sample, SeriesId, Store, Value},
};

/// Series of a kind: those of some ten thousand Pods.
const MOST: usize = 300_000;
/// Samples that are appended at once.
const TOGETHER: usize = 10_000;
/// So far ahead of the clock nothing is told, milliseconds.
const FAR: i64 = 60_000;

pub struct Told {
    store: Arc<Store>,
    most: usize,
    inner: Mutex<Inner>,
    /// Says that it is lost.
    lost: Notify,
    /// Where it is told what the store refuses.
    counts: Counts,
}

#[derive(Default)]
struct Inner {
    /// By namespace and name.
    objects: HashMap<Box<str>, Object>,
    /// Series of all of them.
    count: usize,
    /// There was an object without room.
    is_full: bool,
    /// When all was told again, milliseconds.
    repeated: i64,
    /// While a new list comes: what it has had so far.
    listed: Option<HashSet<Box<str>>>,
    /// The store let series go that hold, or may have room for what it refused: all is to be told anew.
    is_lost: bool,
    /// How often all was told again since the store refused something.
    refused: Option<u64>,
}

#[derive(Default)]
struct Object {
    series: Box<[(SeriesId, f64)]>,
    /// When it changed, milliseconds.
    changed: i64,
}

impl Inner {
    fn time(&self, object: &Object) -> i64 {
        behind(object.changed.max(self.repeated), jiff::Timestamp::now().as_millisecond())
    }
}

/// Now, and behind all that was told of an object: of one time there is one word. What was told at a
/// time that is far from being reached was told before the clock was set back.
fn behind(told: i64, now: i64) -> i64 {
    if told - now > FAR { now } else { now.max(told + 1) }
}

impl Told {
    pub fn new(store: Arc<Store>) -> Self {
        Self::of_at_most(store, MOST)
    }

    /// So many series.
    pub fn of_at_most(store: Arc<Store>, most: usize) -> Self {
        Self { store, most, inner: Mutex::default(), lost: Notify::new(), counts: Counts::default() }
    }

    /// The same, counting what is refused.
    pub fn counting(self, counts: Counts) -> Self {
        Self { counts, ..self }
    }

    /// What there is comes now, from the beginning.
    pub fn begin(&self) {
        let mut inner = self.inner.lock();
        inner.listed = Some(HashSet::new());
        inner.is_lost = false;
    }

    /// All of it has come: the rest is gone.
    pub fn complete(&self) {
        let mut inner = self.inner.lock();
        let Some(listed) = inner.listed.take() else { return };
        let gone: Vec<_> = inner.objects.keys().filter(|key| !listed.contains(*key)).cloned().collect();
        gone.iter().for_each(|key| self.end(&mut inner, key));
    }

    /// An object as it is now.
    pub fn applied(&self, key: &str, rows: Rows) {
        let mut inner = self.inner.lock();
        if let Some(listed) = &mut inner.listed {
            listed.insert(key.into());
        }
        let mut samples = Vec::new();
        if !inner.objects.contains_key(key) && inner.count + rows.rows.len() > self.most {
            if !std::mem::replace(&mut inner.is_full, true) {
                let limit = self.most;
                tracing::warn!(object = key, limit, "a kind has more objects than are told as series");
            }
            return;
        }
        let before = inner.objects.remove(key).unwrap_or_default();
        inner.count -= before.series.len();
        let time = inner.time(&before);
        let before = before.series;
        // Looked up, as Endpoints may have thousands.
        let known: HashMap<SeriesId, f64> = before.iter().copied().collect();
        let mut told = HashSet::with_capacity(rows.rows.len());
        let sample = |series, value| Sample { series, time, value: Value::Number(value) };
        let mut series = Vec::with_capacity(rows.rows.len());
        let mut refused = None;
        for (labels, value) in rows.rows {
            match self.store.resolve_by(&labels, Way::Objects) {
                // Of equal rows one is told.
                Ok(id) if !told.insert(id) => {}
                Ok(id) => {
                    if known.get(&id) != Some(&value) {
                        samples.push(sample(id, value));
                    }
                    series.push((id, value));
                }
                Err(why) => {
                    self.counts.refused(labels.get("namespace").unwrap_or_default(), &why);
                    // What is too long is so the next time, too.
                    if matches!(why, Refused::NamespaceFull { .. } | Refused::Full(_)) {
                        refused = Some(why);
                    }
                }
            }
        }
        if let Some(refused) = refused
            && inner.refused.is_none()
        {
            inner.refused = Some(0);
            tracing::warn!(object = key, %refused, "an object has no series; it is tried again in a while");
        }
        inner.is_lost |= self.store.append(&samples).unknown > 0;
        // What the store let go has ended.
        let ended = before.iter().filter(|(id, _)| !told.contains(id));
        let ended: Vec<_> = ended.map(|(id, _)| sample(*id, STALE)).collect();
        self.store.append(&ended);
        inner.count += series.len();
        inner.objects.insert(key.into(), Object { series: series.into(), changed: time });
    }

    pub fn deleted(&self, key: &str) {
        self.end(&mut self.inner.lock(), key);
    }

    /// All that holds, at a time of the grid.
    pub fn repeat(&self, time: i64) {
        let mut inner = self.inner.lock();
        let mut samples = Vec::with_capacity(TOGETHER.min(16 * inner.objects.len()));
        let mut unknown = 0;
        for (series, value) in inner.objects.values().flat_map(|object| &object.series) {
            samples.push(Sample { series: *series, time, value: Value::Number(*value) });
            if samples.len() == TOGETHER {
                unknown += self.store.append(&samples).unknown;
                samples.clear();
            }
        }
        unknown += self.store.append(&samples).unknown;
        // A list that is coming makes good what is lost now.
        inner.is_lost |= unknown > 0 && inner.listed.is_none();
        inner.repeated = time;
        inner.refused = inner.refused.map(|rounds| rounds + 1);
        if inner.refused.is_some_and(|rounds| rounds >= AGAIN) {
            inner.refused = None;
            inner.is_lost = true;
        }
        if inner.is_lost {
            self.lost.notify_one();
        }
    }

    /// Whether a new list is wanted, because series are gone or were refused.
    pub fn is_lost(&self) -> bool {
        self.inner.lock().is_lost
    }

    /// Until a new list is wanted.
    pub async fn lost(&self) {
        while !self.is_lost() {
            self.lost.notified().await;
        }
    }

    fn end(&self, inner: &mut Inner, key: &str) {
        let Some(object) = inner.objects.remove(key) else { return };
        inner.count -= object.series.len();
        let time = inner.time(&object);
        let stale =
            |(series, _): &(SeriesId, f64)| Sample { series: *series, time, value: Value::Number(STALE) };
        let samples: Vec<_> = object.series.iter().map(stale).collect();
        self.store.append(&samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_stands_behind_the_one_before_unless_the_clock_was_set_back() {
        let table = [(0, 5000, 5000), (4999, 5000, 5000), (5000, 5000, 5001), (5700, 5000, 5701)];
        for (told, now, expected) in table {
            assert_eq!(behind(told, now), expected, "{told} {now}");
        }
        assert_eq!(behind(3_605_000, 5000), 5000);
    }
}

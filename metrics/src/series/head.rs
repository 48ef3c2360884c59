//! The recent past of every series, in memory, in packed chunks.
//!
//! Series stand in shards by the hash of their labels, each behind a lock of its own; an
//! index over all of them answers matchers, and has each label once for all series that bear it.
//! Chunks end with the part of an hour, so that a part can be written out and dropped. What it must
//! not do: touch the disk.

mod kept;
mod shard;

use std::{
    collections::HashSet,
    convert::Infallible,
    hash::BuildHasher,
    ops::Range,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread,
};

use parking_lot::{Mutex, RwLock};
use tiphys_api::ways::{Way, Ways};

use super::{
    Exemplar, Labels, Matcher, Symbols, Value,
    index::{Index, open_ones},
    limits::{Census, Limits, Offender, Refused},
    log::{Current, Records},
    own::way_of,
    symbols::Symbol,
};
use kept::Taken;
use shard::Shard;

pub use kept::{Kept, Packed};

pub const HOUR: i64 = 3_600_000;
/// Where a chunk ends and what is written out at once, milliseconds: what is younger stands in
/// memory and in the log, which both cost more than blocks.
pub const PART: i64 = HOUR / 4;
/// Shards; more than there are writers at once.
const SHARDS: u32 = 16;
/// Series of which each of two threads looks at a half.
const MANY: usize = 4096;
/// Bytes of records that are put at once, or a little more. What waits for the log has an end, and records
/// that are longer than that would never be written.
const PIECE: usize = 4 << 20;

/// A series, for as long as it is kept. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(u64);

impl SeriesId {
    fn new(slot: u32, generation: u32) -> Self {
        Self(u64::from(generation) << 32 | u64::from(slot))
    }

    pub(super) fn slot(self) -> u32 {
        self.0 as u32
    }

    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub series: SeriesId,
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    pub value: Value,
}

/// What became of appended samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    pub taken: u64,
    /// Older than the newest of their series, or of a time that is written out already.
    pub out_of_order: u64,
    /// At the time of the newest, with another value. The same value again counts as taken.
    pub duplicate: u64,
    /// More than ten minutes ahead of the clock.
    pub future: u64,
    /// Histograms of more buckets than one may have.
    pub too_large: u64,
    /// Of a series that is no longer kept: resolve its labels again.
    pub unknown: u64,
}

impl Appended {
    /// Adds what became of others.
    pub fn add(&mut self, others: &Self) {
        self.taken += others.taken;
        self.out_of_order += others.out_of_order;
        self.duplicate += others.duplicate;
        self.future += others.future;
        self.too_large += others.too_large;
        self.unknown += others.unknown;
    }

    fn count(&mut self, untaken: Untaken) {
        *match untaken {
            Untaken::OutOfOrder => &mut self.out_of_order,
            Untaken::Duplicate => &mut self.duplicate,
            Untaken::Future => &mut self.future,
            Untaken::TooLarge => &mut self.too_large,
            Untaken::Unknown => &mut self.unknown,
        } += 1;
    }
}

/// Why a sample was not taken, as [`Appended`] counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untaken {
    OutOfOrder,
    Duplicate,
    Future,
    TooLarge,
    Unknown,
}

/// What is taken of samples that come.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// No later ones, milliseconds.
    pub up_to: i64,
    /// Histograms of so many buckets, spans and bounds at most.
    pub histogram: usize,
}

impl Bounds {
    /// What was taken once is taken.
    pub const NONE: Self = Self { up_to: i64::MAX, histogram: usize::MAX };

    fn has_room_for(&self, value: &Value) -> bool {
        match value {
            Value::Number(_) => true,
            Value::Histogram(one) => one.size() <= self.histogram,
        }
    }
}

pub struct Head {
    limits: Limits,
    hasher: std::hash::RandomState,
    shards: Vec<Mutex<Shard>>,
    index: RwLock<Index>,
    census: Mutex<Census>,
    /// The time of the newest sample.
    newest: AtomicI64,
    /// What is older is not taken.
    floor: AtomicI64,
    /// Counts up when places of series become free: others may stand there since.
    freed: AtomicU64,
}

/// What a question asks of its candidates.
struct Asked<'a> {
    all: &'a [Matcher],
    /// What the index leaves open.
    open: Vec<&'a Matcher>,
    /// [`Head::freed`] before it had them.
    freed: u64,
}

impl Head {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            hasher: std::hash::RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            index: RwLock::default(),
            census: Mutex::default(),
            newest: AtomicI64::new(i64::MIN),
            floor: AtomicI64::new(i64::MIN),
            freed: AtomicU64::new(0),
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Gives a namespace a limit of series of its own, or takes it away.
    pub fn limit_namespace(&self, namespace: &str, most: Option<usize>) {
        self.census.lock().limit(namespace, most);
    }

    /// Takes away the own limits of all namespaces but these.
    pub fn keep_limits_of(&self, namespaces: &HashSet<String>) {
        self.census.lock().keep_limits_of(namespaces);
    }

    /// The series with these labels, made if there is none; it comes by these ways now, if it is known.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn resolve(&self, labels: &Labels, ways: Ways) -> Result<SeriesId, Refused> {
        self.found_or_made(labels, ways, || {
            self.limits.check(labels)?;
            let mut census = self.census.lock();
            match is_ours(ways) {
                true => census.admit_ours(labels, &self.limits),
                false => census.admit(labels, &self.limits),
            }
        })
    }

    /// The same of a series by which a scrape tells of itself: limits of series refuse it later.
    ///
    /// # Errors
    /// Even so a limit is reached.
    pub fn resolve_report(&self, labels: &Labels, ways: Ways) -> Result<SeriesId, Refused> {
        self.found_or_made(labels, ways, || {
            self.limits.check(labels)?;
            self.census.lock().admit_report(labels, &self.limits)
        })
    }

    /// The same of a series that was taken before: no limit refuses it, as those of namespaces may
    /// not be known yet. It counts towards them, if it doesn't bear the labels of what Tiphys itself tells.
    pub fn restore(&self, labels: &Labels) -> SeriesId {
        let ways = way_of(labels).map(Ways::from).unwrap_or_default();
        let counted = || -> Result<(), Infallible> {
            self.census.lock().put(labels, is_ours(ways));
            Ok(())
        };
        self.found_or_made(labels, ways, counted).unwrap_or_else(|never| match never {})
    }

    /// By which ways a series came last; none where it is not known.
    pub fn ways(&self, labels: &Labels) -> Ways {
        let hash = self.hasher.hash_one(labels);
        let shard = self.shards[(hash as u32 % SHARDS) as usize].lock();
        let kept = shard.find(hash, labels).and_then(|(at, _)| shard.at(at));
        kept.map(Kept::ways).unwrap_or_default()
    }

    fn found_or_made<E>(
        &self,
        labels: &Labels,
        ways: Ways,
        admit: impl FnOnce() -> Result<(), E>,
    ) -> Result<SeriesId, E> {
        let hash = self.hasher.hash_one(labels);
        let number = hash as u32 % SHARDS;
        let mut shard = self.shards[number as usize].lock();
        let slot = |at: u32| at * SHARDS + number;
        if let Some((at, generation)) = shard.find(hash, labels) {
            let before = shard.at(at).map(Kept::ways).unwrap_or_default();
            if !ways.is_empty() && is_ours(before) != is_ours(ways) {
                self.census.lock().change_hands(labels, is_ours(ways));
            }
            shard.comes_by(at, generation, ways);
            return Ok(SeriesId::new(slot(at), generation));
        }
        admit()?;
        // The shard's lock is held, so nobody finds a series that is not there yet.
        let symbols = self.index.write().add(slot(shard.next_place()), labels);
        let (at, generation) = shard.add(symbols, hash, |symbols| self.hash(symbols));
        shard.comes_by(at, generation, ways);
        Ok(SeriesId::new(slot(at), generation))
    }

    /// That of their labels.
    fn hash(&self, symbols: &Symbols) -> u64 {
        self.hasher.hash_one(symbols.labels())
    }

    /// The labels of a series as it has them, so that they are in memory once; of one that is not kept
    /// any more, for themselves.
    pub fn symbols(&self, series: SeriesId, labels: &Labels) -> Symbols {
        let (shard, at) = self.shard(series.slot());
        let shard = shard.lock();
        let kept = shard.at(at).filter(|kept| kept.symbols().are(labels.as_bytes()));
        kept.map_or_else(|| Symbols::of(labels, Symbol::new), |kept| kept.symbols().clone())
    }

    fn shard(&self, slot: u32) -> (&Mutex<Shard>, u32) {
        (&self.shards[(slot % SHARDS) as usize], slot / SHARDS)
    }

    /// Takes samples within bounds, puts what was taken as records, some at a time, and tells which were
    /// not. Those of one series must stand in order of time.
    pub fn append(
        &self,
        samples: &[Sample],
        bounds: &Bounds,
        log: &Current,
        mut put: impl FnMut(&Records),
        mut tell: impl FnMut(usize, Untaken),
    ) -> Appended {
        let (mut appended, mut records) = (Appended::default(), Records::for_samples(samples.len()));
        let floor = self.floor.load(Ordering::Acquire);
        let mut newest = i64::MIN;
        for (number, sample) in samples.iter().enumerate() {
            let slot = sample.series.slot();
            let (shard, at) = self.shard(slot);
            let mut shard = shard.lock();
            let taken = match shard.get_mut(at, sample.series.generation()) {
                None => Err(Untaken::Unknown),
                Some(_) if sample.time < floor => Err(Untaken::OutOfOrder),
                Some(_) if sample.time > bounds.up_to => Err(Untaken::Future),
                Some(_) if !bounds.has_room_for(&sample.value) => Err(Untaken::TooLarge),
                Some(kept) => match kept.push(sample.time, &sample.value) {
                    Taken::New => {
                        newest = newest.max(sample.time);
                        let (number, is_new) = kept.number_in(log);
                        if is_new {
                            records.define(number, &kept.labels());
                        }
                        records.sample(number, sample.time, &sample.value, kept.form());
                        Ok(())
                    }
                    Taken::Again => Ok(()),
                    Taken::Older => Err(Untaken::OutOfOrder),
                    Taken::Other => Err(Untaken::Duplicate),
                },
            };
            drop(shard);
            match taken {
                Ok(()) => appended.taken += 1,
                Err(untaken) => {
                    appended.count(untaken);
                    tell(number, untaken);
                }
            }
            if records.size() >= PIECE {
                put(&std::mem::take(&mut records));
            }
        }
        if !records.is_empty() {
            put(&records);
        }
        self.newest.fetch_max(newest, Ordering::AcqRel);
        appended
    }

    /// Takes a sample that may be older than others of its series, if its time is not written out.
    /// That costs as much as taking all of them anew.
    pub fn insert(&self, sample: &Sample) {
        let (shard, at) = self.shard(sample.series.slot());
        if sample.time >= self.floor.load(Ordering::Acquire)
            && let Some(kept) = shard.lock().get_mut(at, sample.series.generation())
        {
            kept.insert(sample.time, &sample.value);
        }
    }

    /// `false`: its labels are too long, or its series is not kept.
    pub fn add_exemplar(&self, series: SeriesId, exemplar: Exemplar) -> bool {
        if !exemplar.is_short() {
            return false;
        }
        let (shard, at) = self.shard(series.slot());
        let mut shard = shard.lock();
        let kept = shard.get_mut(at, series.generation());
        kept.map(|kept| kept.add_exemplar(exemplar)).is_some()
    }

    /// The time of the newest sample, milliseconds; absent when there is none.
    pub fn newest(&self) -> Option<i64> {
        Some(self.newest.load(Ordering::Acquire)).filter(|time| *time > i64::MIN)
    }

    pub fn series_count(&self) -> usize {
        self.census.lock().series()
    }

    pub fn offenders(&self, most: usize) -> Vec<Offender> {
        self.census.lock().offenders(most)
    }

    /// Whether a namespace has series of a metric.
    pub fn has_metric(&self, namespace: &str, metric: &str) -> bool {
        self.census.lock().has(namespace, metric)
    }

    /// The names of a namespace's series; of an empty one, of all series.
    pub fn names(&self, namespace: &str) -> HashSet<String> {
        self.census.lock().names(namespace)
    }

    /// Runs `take` over the series that match, in no order, each under its shard's lock.
    pub fn visit(&self, matchers: &[Matcher], mut take: impl FnMut(&Kept)) {
        let (candidates, asked) = self.candidates(matchers);
        for slot in candidates {
            self.look(slot, &asked, &mut take);
        }
    }

    /// What `take` makes of the series that match, in no order; of many, on two threads.
    pub fn gather<T: Send>(&self, matchers: &[Matcher], take: impl Fn(&Kept) -> Option<T> + Sync) -> Vec<T> {
        let (candidates, asked) = self.candidates(matchers);
        let some = |slots: &[u32]| {
            let mut found = Vec::new();
            for slot in slots {
                self.look(*slot, &asked, |kept| found.extend(take(kept)));
            }
            found
        };
        if candidates.len() < MANY {
            return some(&candidates);
        }
        let (one, other) = candidates.split_at(candidates.len() / 2);
        thread::scope(|scope| {
            let other = scope.spawn(|| some(other));
            let mut found = some(one);
            found.extend(other.join().unwrap_or_else(|why| resume_unwind(why)));
            found
        })
    }

    fn candidates<'a>(&self, matchers: &'a [Matcher]) -> (Vec<u32>, Asked<'a>) {
        let freed = self.freed.load(Ordering::Acquire);
        let candidates = self.index.read().candidates(matchers);
        (candidates, Asked { all: matchers, open: open_ones(matchers), freed })
    }

    /// Runs `take` over the series, if it holds what its matchers still ask: all of it, where the place may
    /// be another's since the index told of it.
    fn look(&self, slot: u32, asked: &Asked<'_>, take: impl FnOnce(&Kept)) {
        let (shard, at) = self.shard(slot);
        let shard = shard.lock();
        let Some(kept) = shard.at(at) else { return };
        let holds =
            |matcher: &Matcher| matcher.matches(kept.symbols().get(&matcher.name).unwrap_or_default());
        let is_it = match self.freed.load(Ordering::Acquire) == asked.freed {
            true => asked.open.iter().copied().all(holds),
            false => asked.all.iter().all(holds),
        };
        if is_it {
            take(kept);
        }
    }

    /// The series that have samples in the range, in order of their labels. The text of each is put
    /// together when it comes, and until then only its place is kept: they are all asked for when most is in
    /// memory. What is dropped meanwhile is left out.
    pub fn having<'a>(&'a self, range: &Range<i64>) -> impl Iterator<Item = (Labels, u32)> + use<'a> {
        let mut found = Vec::with_capacity(self.series_count());
        for (number, shard) in self.shards.iter().enumerate() {
            shard.lock().each(|at, kept| {
                if kept.has(range) {
                    found.push((kept.symbols().clone(), at * SHARDS + number as u32));
                }
            });
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        // Borrowed: a list that is made of what it takes from another keeps all of its room.
        let slots: Vec<u32> = found.iter().map(|(_, slot)| *slot).collect();
        drop(found);
        slots.into_iter().filter_map(move |slot| Some((self.with(slot, Kept::labels)?, slot)))
    }

    /// The time of the oldest sample at or after `time`, or a little before it.
    pub fn oldest_since(&self, time: i64) -> Option<i64> {
        let mut oldest: Option<i64> = None;
        for shard in &self.shards {
            shard.lock().each(|_, kept| {
                let first = kept.first_since(time);
                oldest = oldest.map_or(first, |oldest| Some(first.map_or(oldest, |first| first.min(oldest))));
            });
        }
        oldest
    }

    /// The labels of one series: the first of a shard.
    pub fn any(&self) -> Option<Labels> {
        self.shards.iter().find_map(|shard| {
            let mut found = None;
            shard.lock().each(|_, kept| {
                found.get_or_insert_with(|| kept.labels());
            });
            found
        })
    }

    /// Runs `take` over one series, if it is kept.
    pub fn with<T>(&self, slot: u32, take: impl FnOnce(&Kept) -> T) -> Option<T> {
        let (shard, at) = self.shard(slot);
        shard.lock().at(at).map(take)
    }

    /// From now on what is older is not taken.
    pub fn raise_floor(&self, time: i64) {
        self.floor.fetch_max(time, Ordering::AcqRel);
    }

    /// Drops what is older, and series that are left with nothing.
    pub fn drop_before(&self, time: i64) {
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.lock();
            let gone = shard.drop_before(time, |symbols| self.hash(symbols));
            if gone.is_empty() {
                continue;
            }
            let mut census = self.census.lock();
            gone.iter().for_each(|(_, symbols, ways)| census.leave(&symbols.labels(), is_ours(*ways)));
            drop(census);
            let gone: Vec<_> =
                gone.into_iter().map(|(at, symbols, _)| (at * SHARDS + number as u32, symbols)).collect();
            self.index.write().remove(&gone);
            // Who had their places of the index before, sees it before anybody else stands there.
            self.freed.fetch_add(1, Ordering::Release);
        }
    }

    /// Bytes that series and their samples take, without the index.
    pub fn size(&self) -> usize {
        let mut size = 0;
        for shard in &self.shards {
            shard.lock().each(|_, kept| size += kept.size());
        }
        size
    }
}

/// Whether Tiphys itself tells what comes so, of nodes and objects.
fn is_ours(ways: Ways) -> bool {
    [Way::Sampled, Way::Objects].map(Ways::from).contains(&ways)
}

/// Native histograms are shared, as they are large and never change.
pub type SharedHistogram = Arc<super::Histogram>;

#[cfg(test)]
mod tests;

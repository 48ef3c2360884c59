//! The rows of questions that a block was asked lately. A dashboard asks the same again and
//! again; a question of few series would unpack the same pages each time, for a row of each.
//!
//! Rows of few series stay until others take their place. Those of many are only kept where
//! a [`Room`] for the rows of all blocks has space for them, and go when nobody asks for them.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{KnownTimes, Row};
use crate::series::{Matcher, SeriesColumns};

/// Bytes of all that a block keeps of few series, and of one question's rows.
const MOST: usize = 512 << 10;
const MOST_OF_ONE: usize = 64 << 10;
/// What a question takes beside its rows, about.
const EACH: usize = 256;
/// A question of many series that nobody has asked for so long is asked no more.
const IDLE: Duration = Duration::from_secs(90);

/// Newest last.
#[derive(Default)]
pub struct Recent {
    kept: Mutex<Vec<Kept>>,
    /// Absent: only rows of few series are kept.
    room: Option<Arc<Room>>,
}

struct Kept {
    matchers: Vec<Matcher>,
    range: Range<i64>,
    rows: Arc<[Row]>,
    bytes: usize,
    /// Where they are of many series.
    place: Option<Place>,
    used: Instant,
}

/// The rows of a question while they are read.
pub struct Learning {
    matchers: Vec<Matcher>,
    range: Range<i64>,
    rows: Vec<Row>,
    bytes: usize,
    /// Where rows of many series may find a place.
    room: Option<Arc<Room>>,
    /// What they have of it so far: questions that are read at once share it, too.
    place: Option<Place>,
}

/// Bytes that rows of many series may take in all blocks of a store together.
pub struct Room {
    most: usize,
    taken: AtomicUsize,
}

/// Some of them, given back when it goes.
struct Place {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0) })
    }

    #[cfg(test)]
    fn left(&self) -> usize {
        self.most.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

impl Place {
    /// Takes what is missing to so many bytes; `false`: there is not so much left.
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let fits = self.room.take(more);
        self.bytes += if fits { more } else { 0 };
        fits
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Recent {
    /// Keeps rows of many series, too, while there is room for them.
    pub fn within(room: Arc<Room>) -> Self {
        Self { kept: Mutex::default(), room: Some(room) }
    }

    /// The rows of the series that match; those that don't meet the range may be among them.
    pub fn find(&self, matchers: &[Matcher], range: &Range<i64>) -> Option<Arc<[Row]>> {
        let mut kept = self.kept.lock();
        let at = kept.iter().rposition(|one| {
            one.range.start <= range.start && range.end <= one.range.end && one.matchers == matchers
        })?;
        let mut found = kept.remove(at);
        found.used = Instant::now();
        let rows = found.rows.clone();
        kept.push(found);
        Some(rows)
    }

    /// `range` is within the block's.
    pub fn learn(&self, matchers: &[Matcher], range: Range<i64>) -> Learning {
        let (matchers, room) = (matchers.to_vec(), self.room.clone());
        Learning { matchers, range, rows: Vec::new(), bytes: EACH, room, place: None }
    }

    /// Keeps what was read to its end; the oldest goes.
    pub fn keep(&self, learnt: Learning) {
        let Learning { matchers, range, rows, bytes, place, .. } = learnt;
        let mut kept = self.kept.lock();
        // What it covers is needed no more.
        kept.retain(|one| {
            !(range.start <= one.range.start && one.range.end <= range.end && one.matchers == matchers)
        });
        let used = Instant::now();
        kept.push(Kept { matchers, range, rows: rows.into(), bytes, place, used });
        let mut surplus: usize = kept.iter().filter(|one| one.place.is_none()).map(|one| one.bytes).sum();
        kept.retain(|one| {
            let goes = one.place.is_none() && surplus > MOST;
            surplus -= if goes { one.bytes } else { 0 };
            !goes
        });
    }

    /// Lets go the rows of many series that nobody asked for lately.
    pub fn forget_idle(&self, now: Instant) {
        let is_idle = |one: &Kept| one.place.is_some() && now.saturating_duration_since(one.used) >= IDLE;
        self.kept.lock().retain(|one| !is_idle(one));
    }
}

impl Learning {
    /// Notes what rows have in the range; `None` when that is too much to be kept.
    pub fn add(mut self, rows: &[Row]) -> Option<Self> {
        for row in rows {
            // To cut many rows takes longer than their bytes are worth.
            let row = if self.bytes > MOST_OF_ONE { Some(row.clone()) } else { within(row, &self.range) };
            let Some(row) = row else { continue };
            self.bytes += size_of::<Row>() + row.labels.as_bytes().len() + row.times.len() + row.values.len();
            self.rows.push(row);
        }
        self.has_place().then_some(self)
    }

    /// Whether what was noted may be kept.
    fn has_place(&mut self) -> bool {
        if self.bytes <= MOST_OF_ONE {
            return true;
        }
        let Some(room) = &self.room else { return false };
        let place = self.place.get_or_insert_with(|| Place { room: room.clone(), bytes: 0 });
        place.grow_to(self.bytes)
    }
}

/// A row without what lies beyond the range: who asks for the last value of many series needs
/// little of each. Absent: nothing is left.
fn within(row: &Row, range: &Range<i64>) -> Option<Row> {
    let is_inside = range.start <= row.first && row.last < range.end;
    if is_inside || row.has_histograms() {
        return Some(row.clone());
    }
    let mut columns = SeriesColumns::default();
    if row.add_to(&mut columns, range, &mut KnownTimes::default()).is_err() {
        // Who reads it is told so.
        return Some(row.clone());
    }
    let samples: Vec<_> = columns.times.into_iter().zip(columns.values).collect();
    Row::of_numbers(&row.labels, &samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Labels, NAME};

    fn row(name: &str, bytes: usize) -> Row {
        let labels = Labels::new([(NAME, name)]);
        Row {
            labels,
            first: 5,
            last: 5,
            count: 1,
            form: 0,
            times: [].as_slice().into(),
            values: vec![0; bytes].into(),
        }
    }

    fn learn(recent: &Recent, name: &str, range: Range<i64>, bytes: usize) {
        let learning = recent.learn(&[Matcher::equal(NAME, name)], range);
        learning.add(&[row(name, bytes)]).into_iter().for_each(|learnt| recent.keep(learnt));
    }

    fn knows(recent: &Recent, name: &str, range: Range<i64>) -> bool {
        let rows = recent.find(&[Matcher::equal(NAME, name)], &range);
        rows.is_some_and(|rows| rows.iter().all(|row| row.labels.name() == name))
    }

    #[test]
    fn what_was_asked_of_a_longer_time_answers_a_shorter_one() {
        let recent = Recent::default();
        learn(&recent, "a", 5..10, 10);
        assert!(knows(&recent, "a", 5..10) && knows(&recent, "a", 6..9));
        assert!(!knows(&recent, "a", 4..10) && !knows(&recent, "a", 5..11) && !knows(&recent, "b", 5..10));
        learn(&recent, "a", 0..10, 10);
        assert!(knows(&recent, "a", 0..10));
        assert_eq!(recent.kept.lock().len(), 1);
    }

    #[test]
    fn of_a_row_is_kept_what_was_asked_for() {
        let labels = Labels::new([(NAME, "a")]);
        let samples: Vec<_> = (0..10_000).map(|n| (n * 10, (n * n % 977) as f64)).collect();
        let whole = Row::of_numbers(&labels, &samples).expect("samples");
        let kept = |range: Range<i64>| {
            let matchers = [Matcher::equal(NAME, "a")];
            let recent = Recent::default();
            recent
                .learn(&matchers, range.clone())
                .add(std::slice::from_ref(&whole))
                .into_iter()
                .for_each(|learnt| recent.keep(learnt));
            let rows = recent.find(&matchers, &range).expect("kept");
            let mut found = Vec::new();
            rows.iter().for_each(|row| {
                row.numbers(|time, value| found.push((time, value))).expect("sound");
            });
            let bytes: usize = recent.kept.lock().iter().map(|one| one.bytes).sum();
            (found, bytes)
        };
        let (found, bytes) = kept(50_005..50_105);
        assert_eq!(found, samples[5001..5011]);
        assert!(bytes < 600, "{bytes}");
        assert_eq!(kept(0..100_000).0, samples);
        assert_eq!(kept(99_991..99_995).0, []);
    }

    #[test]
    fn what_is_large_is_not_kept_and_what_was_not_asked_for_long_goes() {
        let recent = Recent::default();
        learn(&recent, "large", 0..10, MOST_OF_ONE);
        assert!(!knows(&recent, "large", 0..10));
        let each = 32 << 10;
        learn(&recent, "first", 0..10, each);
        for at in 0..MOST / each + 2 {
            learn(&recent, &at.to_string(), 0..10, each);
            assert!(knows(&recent, "first", 0..10), "asked again and again");
        }
        assert!(!knows(&recent, "0", 0..10) && knows(&recent, &(MOST / each).to_string(), 0..10));
        let bytes: usize = recent.kept.lock().iter().map(|one| one.bytes).sum();
        assert!(bytes <= MOST);
    }

    #[test]
    fn rows_of_many_series_are_kept_while_there_is_room_and_somebody_asks() {
        let room = Room::new(3 * MOST_OF_ONE);
        let (one, other) = (Recent::within(room.clone()), Recent::within(room.clone()));
        learn(&one, "first", 0..10, 2 * MOST_OF_ONE);
        assert!(knows(&one, "first", 0..10));
        learn(&other, "second", 0..10, 2 * MOST_OF_ONE);
        assert!(!knows(&other, "second", 0..10), "the room is one for all blocks");
        learn(&other, "small", 0..10, 10);
        let asked = Instant::now();
        one.forget_idle(asked);
        assert!(knows(&one, "first", 0..10));
        for recent in [&one, &other] {
            recent.forget_idle(Instant::now() + IDLE);
        }
        assert!(!knows(&one, "first", 0..10) && knows(&other, "small", 0..10));
        learn(&other, "second", 0..10, 2 * MOST_OF_ONE);
        assert!(knows(&other, "second", 0..10), "what went gave its place back");
        drop(other);
        assert_eq!(room.left(), 3 * MOST_OF_ONE);
        // What is still being read has its place, too.
        let begun = one.learn(&[], 0..10).add(&[row("third", 2 * MOST_OF_ONE)]).expect("room");
        assert!(one.learn(&[], 0..10).add(&[row("fourth", 2 * MOST_OF_ONE)]).is_none());
        drop(begun);
        assert_eq!(room.left(), 3 * MOST_OF_ONE);
    }

    #[test]
    fn rows_of_many_series_are_kept_whole() {
        let labels = Labels::new([(NAME, "a")]);
        let samples: Vec<_> = (0..1000).map(|n| (n * 10, (n * n % 977) as f64)).collect();
        let whole = Row::of_numbers(&labels, &samples).expect("samples");
        let recent = Recent::within(Room::new(100 * MOST_OF_ONE));
        let matchers = [Matcher::equal(NAME, "a")];
        let many = vec![whole.clone(); 4 * MOST_OF_ONE / whole.values.len()];
        recent.keep(recent.learn(&matchers, 0..9990).add(&many).expect("room"));
        let rows = recent.find(&matchers, &(0..9990)).expect("kept");
        assert_eq!((rows.len(), rows.last()), (many.len(), Some(&whole)));
        assert!(rows[0].last < 9990, "the first are cut, as those of a few series are");
    }
}

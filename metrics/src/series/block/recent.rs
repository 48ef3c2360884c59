//! The rows of questions that a block was asked lately. A dashboard asks the same again and
//! again; a question of few series would unpack the same pages each time, for a row of each.

use std::{ops::Range, sync::Arc};

use parking_lot::Mutex;

use super::{KnownTimes, Row};
use crate::series::{Matcher, SeriesColumns};

/// Bytes of all that a block keeps, and of one question's rows; what has more is read again.
const MOST: usize = 512 << 10;
const MOST_OF_ONE: usize = 64 << 10;
/// What a question takes beside its rows, about.
const EACH: usize = 256;

/// Newest last.
#[derive(Default)]
pub struct Recent(Mutex<Vec<Kept>>);

struct Kept {
    matchers: Vec<Matcher>,
    range: Range<i64>,
    rows: Arc<[Row]>,
    bytes: usize,
}

/// The rows of a question while they are read.
pub struct Learning {
    matchers: Vec<Matcher>,
    range: Range<i64>,
    rows: Vec<Row>,
    bytes: usize,
}

impl Recent {
    /// The rows of the series that match; those that don't meet the range may be among them.
    pub fn find(&self, matchers: &[Matcher], range: &Range<i64>) -> Option<Arc<[Row]>> {
        let mut kept = self.0.lock();
        let at = kept.iter().rposition(|one| {
            one.range.start <= range.start && range.end <= one.range.end && one.matchers == matchers
        })?;
        let found = kept.remove(at);
        let rows = found.rows.clone();
        kept.push(found);
        Some(rows)
    }

    /// Keeps what was read to its end; the oldest goes.
    pub fn keep(&self, learnt: Learning) {
        let Learning { matchers, range, rows, bytes } = learnt;
        let mut kept = self.0.lock();
        // What it covers is needed no more.
        kept.retain(|one| {
            !(range.start <= one.range.start && one.range.end <= range.end && one.matchers == matchers)
        });
        kept.push(Kept { matchers, range, rows: rows.into(), bytes });
        let mut total: usize = kept.iter().map(|one| one.bytes).sum();
        let surplus = kept.iter().take_while(|one| {
            let surplus = total > MOST;
            total -= one.bytes;
            surplus
        });
        let surplus = surplus.count();
        kept.drain(..surplus);
    }
}

impl Learning {
    /// `range` is within the block's.
    pub fn new(matchers: &[Matcher], range: Range<i64>) -> Self {
        Self { matchers: matchers.to_vec(), range, rows: Vec::new(), bytes: EACH }
    }

    /// Notes what rows have in the range; `None` when that is too much to be kept.
    pub fn add(mut self, rows: &[Row]) -> Option<Self> {
        for row in rows {
            let Some(row) = within(row, &self.range) else { continue };
            self.bytes += size_of::<Row>() + row.labels.as_bytes().len() + row.times.len() + row.values.len();
            if self.bytes > MOST_OF_ONE {
                return None;
            }
            self.rows.push(row);
        }
        Some(self)
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
        Row { labels, first: 5, last: 5, count: 1, form: 0, times: Vec::new(), values: vec![0; bytes] }
    }

    fn learn(recent: &Recent, name: &str, range: Range<i64>, bytes: usize) {
        let learning = Learning::new(&[Matcher::equal(NAME, name)], range);
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
        assert_eq!(recent.0.lock().len(), 1);
    }

    #[test]
    fn of_a_row_is_kept_what_was_asked_for() {
        let labels = Labels::new([(NAME, "a")]);
        let samples: Vec<_> = (0..10_000).map(|n| (n * 10, (n * n % 977) as f64)).collect();
        let whole = Row::of_numbers(&labels, &samples).expect("samples");
        let kept = |range: Range<i64>| {
            let matchers = [Matcher::equal(NAME, "a")];
            let recent = Recent::default();
            Learning::new(&matchers, range.clone())
                .add(std::slice::from_ref(&whole))
                .into_iter()
                .for_each(|learnt| recent.keep(learnt));
            let rows = recent.find(&matchers, &range).expect("kept");
            let mut found = Vec::new();
            rows.iter().for_each(|row| {
                row.numbers(|time, value| found.push((time, value))).expect("sound");
            });
            let bytes: usize = recent.0.lock().iter().map(|one| one.bytes).sum();
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
        let bytes: usize = recent.0.lock().iter().map(|one| one.bytes).sum();
        assert!(bytes <= MOST);
    }
}

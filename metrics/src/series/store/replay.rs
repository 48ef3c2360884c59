//! The log, read again into the head.
//!
//! Two appends may take samples of one series at the same time, and then it is chance whose records
//! stand first in the log: a sample may come before the definition of its series, or behind
//! a later one. What was taken once is taken here again, wherever it stands and whatever limits say:
//! what is not would be lost with its segment. Samples whose definition is lost are counted.

use std::{collections::HashMap, mem};

use crate::series::{
    Value,
    head::{Bounds, Head, Sample, SeriesId, Untaken},
    log::{Current, Record},
};

/// Samples that go into the head at once.
const BATCH: usize = 4096;
/// Numbers of series whose places are one piece of memory. Numbers follow one another, so that all pieces
/// but the last are full, and no table of all of them is made anew as it grows.
const PAGE: u32 = 1024;
/// Samples that wait for their definitions where some may be lost: all that follow in a segment could.
const WAITING: u64 = 1 << 16;

/// Which series numbers mean.
#[derive(Default)]
struct Numbers(HashMap<u32, Box<[Option<SeriesId>]>>);

impl Numbers {
    fn insert(&mut self, number: u32, series: SeriesId) {
        let nothing = || vec![None; PAGE as usize].into_boxed_slice();
        let page = self.0.entry(number / PAGE).or_insert_with(nothing);
        page[(number % PAGE) as usize] = Some(series);
    }

    fn get(&self, number: u32) -> Option<SeriesId> {
        self.0.get(&(number / PAGE)).and_then(|page| page[(number % PAGE) as usize])
    }
}

pub struct Replay<'a> {
    head: &'a Head,
    /// The segment that is read, and its series.
    segment: u32,
    known: Numbers,
    batch: Vec<Sample>,
    /// Samples whose series is not defined yet, and how many they are.
    early: HashMap<u32, Vec<(i64, Value)>>,
    waiting: u64,
    /// Something of the segment is lost, definitions perhaps.
    has_gap: bool,
    /// Samples whose definition did not come.
    undefined: u64,
    /// What is read is not written again.
    log: Current,
}

impl<'a> Replay<'a> {
    pub fn new(head: &'a Head) -> Self {
        let (known, batch, early) = (Numbers::default(), Vec::new(), HashMap::new());
        let log = Current::new(u32::MAX - 1);
        Self { head, segment: 0, known, batch, early, waiting: 0, has_gap: false, undefined: 0, log }
    }

    pub fn take(&mut self, segment: u32, record: Record) {
        if segment != self.segment {
            self.segment = segment;
            self.known = Numbers::default();
            self.has_gap = false;
            // Their definition was lost, as on a full disk.
            self.give_up();
        }
        match record {
            Record::Series { number, labels } => {
                let series = self.head.restore(&labels);
                self.known.insert(number, series);
                let early = self.early.remove(&number).unwrap_or_default();
                self.waiting -= early.len() as u64;
                for (time, value) in early {
                    self.add(series, time, value);
                }
            }
            Record::Sample { number, time, value } => match self.known.get(number) {
                Some(series) => self.add(series, time, value),
                None => {
                    self.early.entry(number).or_default().push((time, value));
                    self.waiting += 1;
                    if self.has_gap && self.waiting > WAITING {
                        self.give_up();
                    }
                }
            },
            Record::Lost => self.has_gap = true,
        }
    }

    /// The samples that wait are lost.
    fn give_up(&mut self) {
        self.early.clear();
        self.undefined += mem::take(&mut self.waiting);
    }

    /// Puts the rest of what was read into the head. Gives how many samples are lost, as their series is
    /// not known.
    pub fn finish(mut self) -> u64 {
        self.flush();
        self.give_up();
        self.undefined
    }

    fn add(&mut self, series: SeriesId, time: i64, value: Value) {
        self.batch.push(Sample { series, time, value });
        if self.batch.len() == BATCH {
            self.flush();
        }
    }

    /// Puts what was read into the head.
    fn flush(&mut self) {
        let mut late = Vec::new();
        let tell = |at, untaken| {
            if untaken == Untaken::OutOfOrder {
                late.push(at);
            }
        };
        self.head.append(&self.batch, &Bounds::NONE, &self.log, |_| {}, tell);
        for at in late {
            self.head.insert(&self.batch[at]);
        }
        self.batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{ops::Range, sync::Arc};

    use super::*;
    use crate::series::{Histogram, Labels, Limits, NAME};

    /// What the head has after records in this order: of number 7 samples at these times, and `None`
    /// where its definition stands.
    fn read(order: &[Option<i64>], value: impl Fn(i64) -> Value) -> (Vec<i64>, Vec<i64>) {
        let (head, labels) = (Head::new(Limits::default()), Labels::new([(NAME, "up")]));
        let mut replay = Replay::new(&head);
        for one in order {
            replay.take(
                3,
                match one {
                    None => Record::Series { number: 7, labels: labels.clone() },
                    Some(time) => Record::Sample { number: 7, time: *time, value: value(*time) },
                },
            );
        }
        assert_eq!(replay.finish(), 0);
        let (mut numbers, mut histograms) = (Vec::new(), Vec::new());
        head.visit(&[], |kept| {
            kept.numbers(&(0..i64::MAX), |time, number| {
                assert!(number == time as f64);
                numbers.push(time);
            });
            histograms.extend(kept.histograms(&(0..i64::MAX)).map(|(time, _)| *time));
        });
        (numbers, histograms)
    }

    #[test]
    fn samples_are_taken_wherever_they_stand() {
        let histogram =
            |time| Value::Histogram(Arc::new(Histogram { sum: time as f64, ..Histogram::default() }));
        let orders: [&[Option<i64>]; 4] = [
            &[None, Some(10), Some(20), Some(30)],
            &[Some(20), None, Some(10), Some(30)],
            &[None, Some(30), Some(10), Some(20)],
            &[Some(30), Some(20), Some(10), None],
        ];
        for order in orders {
            assert_eq!(
                read(order, |time| Value::Number(time as f64)),
                (vec![10, 20, 30], vec![]),
                "{order:?}"
            );
            assert_eq!(read(order, histogram), (vec![], vec![10, 20, 30]), "{order:?}");
        }
        let again = [None, Some(20), Some(10), Some(20), Some(10)];
        assert_eq!(read(&again, |time| Value::Number(time as f64)).0, [10, 20]);
    }

    #[test]
    fn numbers_mean_their_series_wherever_they_lie() {
        let head = Head::new(Limits::default());
        let mut numbers = Numbers::default();
        let all = [0, 1, PAGE - 1, PAGE, 5 * PAGE + 7, u32::MAX];
        let series = all.map(|number| head.restore(&Labels::new([(NAME, format!("m{number}"))])));
        all.iter().zip(series).for_each(|(number, series)| numbers.insert(*number, series));
        assert_eq!(all.map(|number| numbers.get(number)), series.map(Some));
        assert_eq!([2, PAGE + 1, 2 * PAGE, u32::MAX - 1].map(|number| numbers.get(number)), [None; 4]);
        assert_eq!(numbers.0.len(), 4);
    }

    #[test]
    fn a_number_means_nothing_in_the_next_segment() {
        let head = Head::new(Limits::default());
        let mut replay = Replay::new(&head);
        let sample = |time| Record::Sample { number: 7, time, value: Value::Number(1.0) };
        replay.take(1, sample(10));
        replay.take(2, Record::Series { number: 7, labels: Labels::new([(NAME, "up")]) });
        replay.take(3, sample(20));
        assert_eq!(replay.finish(), 2);
        let mut samples = 0;
        head.visit(&[], |kept| kept.numbers(&(0..i64::MAX), |_, _| samples += 1));
        assert_eq!((head.series_count(), samples), (1, 0));
    }

    #[test]
    fn samples_behind_a_loss_wait_for_their_definition_in_few_bytes() {
        let head = Head::new(Limits::default());
        let mut replay = Replay::new(&head);
        let samples = |number: u32, times: Range<i64>| {
            times.map(move |time| Record::Sample { number, time, value: Value::Number(1.0) })
        };
        let most = WAITING as i64;
        // Where nothing is lost, any number of them may wait.
        samples(7, 0..most + 1).for_each(|record| replay.take(1, record));
        replay.take(1, Record::Series { number: 7, labels: Labels::new([(NAME, "up")]) });
        assert_eq!((replay.waiting, replay.undefined), (0, 0));
        replay.take(1, Record::Lost);
        samples(8, 0..most + 1).for_each(|record| replay.take(1, record));
        assert_eq!((replay.waiting, replay.undefined, replay.early.len()), (0, WAITING + 1, 0));
        // Those whose definition is only late are taken all the same.
        samples(9, 0..3).for_each(|record| replay.take(1, record));
        replay.take(1, Record::Series { number: 9, labels: Labels::new([(NAME, "down")]) });
        samples(7, most + 1..most + 3).for_each(|record| replay.take(1, record));
        // The next segment lacks nothing.
        samples(7, 0..most + 1).for_each(|record| replay.take(2, record));
        assert_eq!((replay.waiting, replay.undefined), (WAITING + 1, WAITING + 1));
        assert_eq!(replay.finish(), 2 * (WAITING + 1));
        let mut found = 0;
        head.visit(&[], |kept| kept.numbers(&(0..i64::MAX), |_, _| found += 1));
        assert_eq!((head.series_count(), found), (2, most + 3 + 3));
    }
}

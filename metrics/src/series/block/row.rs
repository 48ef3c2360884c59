//! The samples of one series as two streams of bytes, before zstd.
//!
//! Times are changes of the step, mostly none; values are whole numbers as changes, or
//! changes of changes where these are shorter (counters), or floats as XOR, turned by bytes.
//! A run without change is a zero and its length, where that makes it shorter.

use std::sync::Arc;

use bytes::Bytes;

use crate::series::{
    Labels, SeriesColumns,
    chunk::{put_varint, take_varint, unzigzag, zigzag},
    decimal,
    head::SharedHistogram,
    log::{read_histogram, write_histogram},
};

/// The decimals of whole numbers.
const DECIMALS: u8 = 0x0f;
/// Values are changes of changes.
const SECOND: u8 = 0x10;
/// Values stand without runs: single zeros are as common as others.
const PLAIN: u8 = 0x20;
const FLOATS: u8 = 0x40;
const HISTOGRAMS: u8 = 0x41;
/// Samples of a row at most: a day of milliseconds.
const MOST: u32 = 86_400_000;

/// One row of a block. Clones share its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub labels: Labels,
    pub first: i64,
    pub last: i64,
    pub count: u32,
    pub form: u8,
    pub times: Bytes,
    pub values: Bytes,
}

impl Row {
    /// A row of numbers, oldest first. Absent: there are none.
    pub fn of_numbers(labels: &Labels, samples: &[(i64, f64)]) -> Option<Self> {
        let times = samples.iter().map(|(time, _)| *time);
        let mut row = Self::begin(labels, times, samples.len())?;
        let decimals = samples.iter().try_fold(0, |least, (_, value)| decimal::decimals(*value, least));
        // With more decimals for the later ones, an early one may have become too large.
        let wholes = decimals.and_then(|decimals| {
            samples.iter().map(|(_, value)| decimal::whole(*value, decimals)).collect::<Option<Vec<_>>>()
        });
        (row.form, row.values) = match decimals.zip(wholes) {
            Some((decimals, wholes)) => packed_wholes(decimals, &wholes),
            None => (FLOATS, packed_floats(samples)),
        };
        Some(row)
    }

    /// A row of native histograms, oldest first.
    pub fn of_histograms(labels: &Labels, samples: &[(i64, SharedHistogram)]) -> Option<Self> {
        let times = samples.iter().map(|(time, _)| *time);
        let mut row = Self::begin(labels, times, samples.len())?;
        let mut values = Vec::new();
        samples.iter().for_each(|(_, histogram)| write_histogram(&mut values, histogram));
        (row.form, row.values) = (HISTOGRAMS, values.into());
        Some(row)
    }

    fn begin(labels: &Labels, times: impl Iterator<Item = i64> + Clone, count: usize) -> Option<Self> {
        let (first, last) = (times.clone().next()?, times.clone().last()?);
        let mut packed = Vec::new();
        let mut before = (first, 0i64);
        let changes = times.skip(1).map(|time| {
            let step = time.wrapping_sub(before.0);
            let change = step.wrapping_sub(before.1);
            before = (time, step);
            zigzag(change)
        });
        put_runs(&mut packed, changes);
        Some(Self {
            labels: labels.clone(),
            first,
            last,
            count: u32::try_from(count).ok()?,
            form: 0,
            times: packed.into(),
            values: Bytes::new(),
        })
    }

    pub fn has_histograms(&self) -> bool {
        self.form == HISTOGRAMS
    }

    /// The checksum over all of it.
    pub fn sum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.labels.as_bytes());
        hasher.update(&self.first.to_le_bytes());
        hasher.update(&self.last.to_le_bytes());
        hasher.update(&self.count.to_le_bytes());
        hasher.update(&[self.form]);
        hasher.update(&self.times);
        hasher.update(&self.values);
        hasher.finalize()
    }

    /// Gives the numbers, oldest first.
    ///
    /// # Errors
    /// The bytes do not add up, or they are histograms.
    pub fn numbers(&self, mut take: impl FnMut(i64, f64)) -> Result<(), &'static str> {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        self.put_values(&mut values)?;
        self.put_times(&mut times, &mut KnownTimes::default());
        times.into_iter().zip(values).for_each(|(time, value)| take(time, value));
        Ok(())
    }

    fn put_times(&self, times: &mut Vec<i64>, known: &mut KnownTimes) {
        if (known.first, known.count) != (self.first, self.count) || known.packed != self.times {
            (known.first, known.count) = (self.first, self.count);
            known.packed = self.times.clone();
            let mut all = Times::of(self);
            known.times.clear();
            known.times.extend((0..self.count).map(|_| all.next()));
        }
        times.extend_from_slice(&known.times);
    }

    /// Puts the numbers behind those that are there.
    fn put_values(&self, values: &mut Vec<f64>) -> Result<(), &'static str> {
        if self.count > MOST {
            return Err("it has more samples than a day can have");
        }
        match self.form {
            FLOATS => {
                let count = self.count as usize;
                if self.values.len() != count * 8 {
                    return Err("its floats are not as many as it says");
                }
                let mut last = 0;
                values.extend((0..count).map(|at| {
                    let bytes: [u8; 8] = std::array::from_fn(|plane| self.values[plane * count + at]);
                    last ^= u64::from_be_bytes(bytes);
                    f64::from_bits(last)
                }));
            }
            form if form < FLOATS => {
                let whole =
                    Wholes { count: self.count, twice: form & SECOND != 0, decimals: form & DECIMALS };
                if form & PLAIN != 0 {
                    let mut rest = &self.values[..];
                    whole.put(values, || take_varint(&mut rest));
                } else {
                    let mut runs = Runs::new(&self.values);
                    whole.put(values, || runs.next());
                }
            }
            _ => return Err("its form is not known"),
        }
        Ok(())
    }

    /// The histograms, oldest first.
    ///
    /// # Errors
    /// The bytes do not add up.
    pub fn histograms(&self, mut take: impl FnMut(i64, SharedHistogram)) -> Result<(), &'static str> {
        let mut times = Times::of(self);
        let mut rest = &self.values[..];
        for _ in 0..self.count {
            let histogram = read_histogram(&mut rest).ok_or("a histogram of it is wrong")?;
            take(times.next(), Arc::new(histogram));
        }
        Ok(())
    }

    /// Puts what lies within the range behind what is there.
    ///
    /// # Errors
    /// The bytes do not add up.
    pub fn add_to(
        &self,
        columns: &mut SeriesColumns,
        range: &std::ops::Range<i64>,
        known: &mut KnownTimes,
    ) -> Result<(), &'static str> {
        if self.has_histograms() {
            return self.histograms(|time, histogram| {
                if range.contains(&time) {
                    columns.histograms.push((time, histogram));
                }
            });
        }
        let there = columns.times.len();
        self.put_values(&mut columns.values)?;
        self.put_times(&mut columns.times, known);
        let place = |time: i64| there + columns.times[there..].partition_point(|one| *one < time);
        let (start, end) = (place(range.start), place(range.end));
        columns.times.truncate(end);
        columns.values.truncate(end);
        if start > there {
            columns.times.drain(there..start.min(end));
            columns.values.drain(there..start.min(end));
        }
        Ok(())
    }
}

/// Whole numbers, in the form that takes the fewest bytes.
fn packed_wholes(decimals: u8, wholes: &[i64]) -> (u8, Bytes) {
    let mut before = 0i64;
    let once = wholes.iter().map(move |whole| {
        let change = whole.wrapping_sub(before);
        before = *whole;
        change
    });
    let mut step = 0i64;
    let twice = once.clone().enumerate().map(move |(at, change)| {
        let second = change.wrapping_sub(step);
        // The first is no step but where it begins.
        step = if at == 0 { 0 } else { change };
        second
    });
    let plain = |bytes: &mut Vec<u8>, changes: &mut dyn Iterator<Item = i64>| {
        changes.for_each(|change| put_varint(bytes, zigzag(change)));
    };
    let runs = |bytes: &mut Vec<u8>, changes: &mut dyn Iterator<Item = i64>| {
        put_runs(bytes, changes.map(zigzag));
    };
    let mut least = (decimals, Vec::new());
    runs(&mut least.1, &mut once.clone());
    let mut try_form = |form: u8, put: &dyn Fn(&mut Vec<u8>)| {
        let mut values = Vec::with_capacity(least.1.len());
        put(&mut values);
        if values.len() < least.1.len() {
            least = (decimals | form, values);
        }
    };
    try_form(PLAIN, &|bytes| plain(bytes, &mut once.clone()));
    try_form(SECOND, &|bytes| runs(bytes, &mut twice.clone()));
    try_form(SECOND | PLAIN, &|bytes| plain(bytes, &mut twice.clone()));
    (least.0, least.1.into())
}

fn packed_floats(samples: &[(i64, f64)]) -> Bytes {
    let mut before = 0;
    let changes: Vec<[u8; 8]> = samples
        .iter()
        .map(|(_, value)| (std::mem::replace(&mut before, value.to_bits()) ^ value.to_bits()).to_be_bytes())
        .collect();
    (0..8).flat_map(|plane| changes.iter().map(move |change| change[plane])).collect()
}

/// Numbers that are written as changes of whole ones.
struct Wholes {
    count: u32,
    /// As changes of changes.
    twice: bool,
    decimals: u8,
}

impl Wholes {
    #[inline]
    fn put(self, values: &mut Vec<f64>, mut change: impl FnMut() -> u64) {
        let (mut last, mut step) = (0i64, 0i64);
        values.extend((0..self.count).map(|at| {
            let change = unzigzag(change());
            step = if self.twice && at > 1 { step.wrapping_add(change) } else { change };
            last = last.wrapping_add(step);
            decimal::number(last, self.decimals)
        }));
    }
}

/// The times of the row before, unpacked: what one scrape gives has the same times throughout.
#[derive(Debug, Default)]
pub struct KnownTimes {
    first: i64,
    count: u32,
    packed: Bytes,
    times: Vec<i64>,
}

/// Each number; a zero stands with how many more of them follow.
fn put_runs(bytes: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    let mut zeros = 0u64;
    for number in numbers {
        if number == 0 {
            zeros += 1;
            continue;
        }
        put_zeros(bytes, &mut zeros);
        put_varint(bytes, number);
    }
    put_zeros(bytes, &mut zeros);
}

fn put_zeros(bytes: &mut Vec<u8>, zeros: &mut u64) {
    if *zeros > 0 {
        bytes.push(0);
        put_varint(bytes, *zeros - 1);
        *zeros = 0;
    }
}

/// Reads what [`put_runs`] wrote; zeros past its end.
struct Runs<'a> {
    rest: &'a [u8],
    zeros: u64,
}

impl<'a> Runs<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, zeros: 0 }
    }

    #[inline]
    fn next(&mut self) -> u64 {
        if self.zeros > 0 {
            self.zeros -= 1;
            return 0;
        }
        let number = match self.rest.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.rest = rest;
                u64::from(*byte)
            }
            _ => take_varint(&mut self.rest),
        };
        if number == 0 {
            self.zeros = take_varint(&mut self.rest);
        }
        number
    }
}

struct Times<'a> {
    changes: Runs<'a>,
    time: i64,
    step: i64,
    begun: bool,
}

impl<'a> Times<'a> {
    fn of(row: &'a Row) -> Self {
        Self { changes: Runs::new(&row.times), time: row.first, step: 0, begun: false }
    }

    #[inline]
    fn next(&mut self) -> i64 {
        if self.begun {
            self.step = self.step.wrapping_add(unzigzag(self.changes.next()));
            self.time = self.time.wrapping_add(self.step);
        }
        self.begun = true;
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{NAME, STALE};
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => (-50i64..50).prop_map(|n| n as f64),
            2 => (0u32..100_000).prop_map(|n| f64::from(n) / 100.0),
            1 => any::<u64>().prop_map(f64::from_bits),
            1 => Just(STALE),
            1 => Just(9e14),
        ]
    }

    #[test]
    fn counters_and_idle_series_are_short() {
        let labels = Labels::new([(NAME, "m")]);
        let counter: Vec<_> = (0..240).map(|n| (n * 15_000, (1_000_000 * n) as f64)).collect();
        let row = Row::of_numbers(&labels, &counter).expect("samples");
        assert_eq!(row.form, SECOND);
        assert!(row.values.len() < 12 && row.times.len() < 8, "{} {}", row.values.len(), row.times.len());
        let idle: Vec<_> = (0..240).map(|n| (n * 15_000, 7.0)).collect();
        assert!(Row::of_numbers(&labels, &idle).expect("samples").values.len() < 6);
    }

    proptest! {
        #[test]
        fn numbers_come_back_to_the_bit(steps in prop::collection::vec((1i64..20_000, value()), 1..300)) {
            let mut time = -5;
            let samples: Vec<_> = steps.iter().map(|(step, value)| { time += step; (time, *value) }).collect();
            let row = Row::of_numbers(&Labels::default(), &samples).expect("samples");
            let mut found = Vec::new();
            row.numbers(|time, value| found.push((time, value.to_bits()))).expect("sound");
            let expected: Vec<_> = samples.iter().map(|(time, value)| (*time, value.to_bits())).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!((row.first, row.last), (samples[0].0, time));
        }

        #[test]
        fn times_are_each_rows_own(rows in prop::collection::vec((0i64..2, 1usize..4, 1i64..3), 1..20)) {
            let mut known = KnownTimes::default();
            for (first, count, step) in rows {
                let samples: Vec<_> = (0..count as i64).map(|n| (first + n * step, n as f64)).collect();
                let row = Row::of_numbers(&Labels::default(), &samples).expect("samples");
                let mut columns = SeriesColumns::default();
                row.add_to(&mut columns, &(i64::MIN..i64::MAX), &mut known).expect("sound");
                prop_assert_eq!(columns.times.into_iter().zip(columns.values).collect::<Vec<_>>(), samples);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(times in prop::collection::vec(any::<u8>(), 0..50),
                values in prop::collection::vec(any::<u8>(), 0..50), form in 0u8..0x50, count in 0u32..100) {
            let (times, values) = (times.into(), values.into());
            let row = Row { labels: Labels::default(), first: 0, last: 0, count, form, times, values };
            let _ = row.numbers(|_, _| {});
            let _ = row.histograms(|_, _| {});
        }
    }
}

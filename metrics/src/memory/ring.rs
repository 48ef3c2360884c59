//! One series: each second of the last two minutes, each 15 s of the last hour and a little more.
//!
//! Of a point that which changed since the one before is kept: most figures of most seconds
//! did not, and those that did by little. A [`Run`] begins with a whole point, so that nothing
//! is read further back than it, and goes as a whole.
//!
//! The coarse tier keeps the last point of each 15 s of the clock, so that the
//! rows of different series fall on the same grid.

use std::collections::VecDeque;

use tiphys_api::samples::Usage;

const SECOND: i64 = 1_000_000;
const FINE: i64 = 120 * SECOND;
/// Two minutes more than an hour: who asks for the last hour is answered from here, however late
/// the question comes to be read.
pub const COARSE: i64 = 3720 * SECOND;
/// Between the times of the grid.
pub const GRID: i64 = 15 * SECOND;
/// Points of a run.
const RUN: usize = 15;

/// One sample of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Microseconds since the Unix epoch.
    pub time: i64,
    pub usage: Usage,
}

#[derive(Debug, Default)]
pub struct Ring {
    /// See [`Ring::is_apart`].
    is_apart: bool,
    coarse: Tier,
    /// The last point of an interval that goes on.
    pending: Option<Point>,
    fine: Tier,
}

#[derive(Debug, Default)]
struct Tier {
    runs: VecDeque<Run>,
    last: Option<Box<Point>>,
}

#[derive(Debug)]
struct Run {
    first: Box<Point>,
    /// What each one of the others has changed.
    changes: Vec<u8>,
    count: usize,
    /// Of the last one.
    until: i64,
}

impl Ring {
    /// `is_apart`: the node's clock was set before.
    pub fn new(is_apart: bool) -> Self {
        Self { is_apart, ..Self::default() }
    }

    /// Whether what is older elsewhere has times of another run of the clock, so that no rate
    /// reaches from there to here.
    pub fn is_apart(&self) -> bool {
        self.is_apart
    }

    /// Adds the newest point; what grew too old moves to the coarse tier or goes.
    pub fn push(&mut self, point: Point) {
        let now = point.time;
        self.fine.push(point);
        while let Some(run) = self.fine.pop_before(now - FINE) {
            for old in run.points() {
                let ended = self.pending.replace(old);
                self.coarse
                    .extend(ended.filter(|one| one.time.div_euclid(GRID) != old.time.div_euclid(GRID)));
            }
        }
        while self.coarse.pop_before(now - COARSE).is_some() {}
    }

    pub fn newest(&self) -> Option<&Point> {
        self.fine.last.as_deref()
    }

    /// The newest point at or before `time`, else the oldest there is; never the newest one.
    pub fn before(&self, time: i64) -> Option<Point> {
        let newest = self.newest()?.time;
        let later = self.fine.runs.iter().rposition(|run| run.first.time <= time && run.first.time < newest);
        let run = self.fine.runs.get(later.unwrap_or(0))?;
        let mut older = run.points().take_while(|point| point.time < newest);
        let first = older.next()?;
        Some(older.take_while(|point| point.time <= time).last().unwrap_or(first))
    }

    /// All points, oldest first.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        let oldest = self.newest().map_or(0, |newest| newest.time - COARSE);
        let coarse = self.coarse.points().skip_while(move |point| point.time < oldest);
        coarse.chain(self.pending).chain(self.fine.points())
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        let runs = self.fine.runs.iter().chain(&self.coarse.runs);
        let of = |run: &Run| size_of::<Run>() + size_of::<Point>() + run.changes.capacity();
        size_of::<Self>() + 2 * size_of::<Point>() + runs.map(of).sum::<usize>()
    }
}

impl Tier {
    fn push(&mut self, point: Point) {
        match (self.runs.back_mut(), &self.last) {
            (Some(run), Some(last)) if run.count < RUN => run.push(last, &point),
            (full, _) => {
                if let Some(full) = full {
                    full.changes.shrink_to_fit();
                }
                let until = point.time;
                self.runs.push_back(Run { first: Box::new(point), changes: Vec::new(), count: 1, until });
            }
        }
        match &mut self.last {
            Some(last) => **last = point,
            None => self.last = Some(Box::new(point)),
        }
    }

    fn extend(&mut self, point: Option<Point>) {
        if let Some(point) = point {
            self.push(point);
        }
    }

    /// The oldest run, if it ended before this time and is not the one that is written.
    fn pop_before(&mut self, time: i64) -> Option<Run> {
        let is_old = self.runs.len() > 1 && self.runs.front().is_some_and(|run| run.until < time);
        if is_old { self.runs.pop_front() } else { None }
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        self.runs.iter().flat_map(Run::points)
    }
}

impl Run {
    fn push(&mut self, last: &Point, point: &Point) {
        put(&mut self.changes, zigzag(point.time.wrapping_sub(last.time)));
        let (before, after) = (last.usage.values(), point.usage.values());
        let changed = before.iter().zip(&after).map(|(before, after)| before != after);
        put(&mut self.changes, changed.enumerate().fold(0, |bits, (at, is)| bits | (u64::from(is) << at)));
        for (before, after) in before.iter().zip(&after).filter(|(before, after)| before != after) {
            put(&mut self.changes, zigzag(after.wrapping_sub(*before).cast_signed()));
        }
        self.count += 1;
        self.until = point.time;
    }

    fn points(&self) -> impl Iterator<Item = Point> {
        let (mut point, mut rest) = (*self.first, self.changes.as_slice());
        let following = (1..self.count).map(move |_| {
            point.time = point.time.wrapping_add(unzigzag(take(&mut rest)));
            let (changed, mut values) = (take(&mut rest), point.usage.values());
            for (at, value) in values.iter_mut().enumerate() {
                if (changed >> at) & 1 == 1 {
                    *value = value.wrapping_add_signed(unzigzag(take(&mut rest)));
                }
            }
            point.usage = Usage::from_values(values);
            point
        });
        std::iter::once(*self.first).chain(following)
    }
}

const _: () = assert!(Usage::COUNT <= 64, "a word has a bit for each figure");

/// Small numbers of either sign are small.
fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Seven bits a byte, of which the eighth says that more follow.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(rest: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, after)) = rest.split_first() {
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Point {
        Point { time: second * SECOND, usage: Usage::default() }
    }

    #[test]
    fn old_points_thin_out_and_go() {
        let mut ring = Ring::default();
        (0..5000).for_each(|second| ring.push(at(second)));
        let times: Vec<_> = ring.points().map(|point| point.time / SECOND).collect();
        assert!(times.is_sorted());
        assert_eq!(times.first().copied(), Some(1289));
        assert_eq!(times.iter().filter(|time| **time >= 4879).count(), 121);
        assert!(times.len() < 121 + 243 + RUN, "{}", times.len());
        assert!(times.iter().filter(|time| **time < 4860).all(|time| time % 15 == 14), "{times:?}");
    }

    #[test]
    fn the_point_before_a_window_is_never_the_newest() {
        let mut ring = Ring::default();
        ring.push(at(0));
        assert_eq!(ring.before(0), None);
        ring.push(at(1));
        assert_eq!(ring.before(SECOND).map(|point| point.time), Some(0));
        (2..100).for_each(|second| ring.push(at(second)));
        for (time, expected) in [(-5, 0), (0, 0), (14, 14), (15, 15), (50, 50), (98, 98), (99, 98), (500, 98)]
        {
            let found = ring.before(time * SECOND).map(|point| point.time / SECOND);
            assert_eq!(found, Some(expected), "before {time}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_pushed(
            figures in proptest::collection::vec((1i64..5_000_000, any::<u64>(), 0usize..Usage::COUNT), 1..100),
        ) {
            let (mut ring, mut pushed, mut values) = (Ring::default(), Vec::new(), [0; Usage::COUNT]);
            let mut time = 1_700_000_000 * SECOND;
            for (step, value, figure) in figures {
                time += step;
                values[figure] = value;
                let point = Point { time, usage: Usage::from_values(values) };
                ring.push(point);
                pushed.push(point);
            }
            let kept: Vec<Point> = ring.points().collect();
            let fine: Vec<Point> = pushed.iter().copied().filter(|point| point.time >= time - FINE).collect();
            prop_assert!(kept.ends_with(&fine));
            prop_assert!(kept.iter().all(|point| pushed.contains(point)));
        }
    }
}

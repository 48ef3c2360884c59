//! One series: each second of the last two minutes, each 15 s of the last hour.
//!
//! The coarse tier keeps the last point of each 15 s of the clock, so that the
//! rows of different series fall on the same grid.

use std::collections::VecDeque;

use tiphys_api::samples::Usage;

const SECOND: i64 = 1_000_000;
const FINE: i64 = 120 * SECOND;
const COARSE: i64 = 3600 * SECOND;
const GRID: i64 = 15 * SECOND;

/// One sample of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Microseconds since the Unix epoch.
    pub time: i64,
    pub usage: Usage,
}

#[derive(Debug, Default)]
pub struct Ring {
    coarse: VecDeque<Point>,
    fine: VecDeque<Point>,
}

impl Ring {
    /// Adds the newest point; what grew too old moves to the coarse tier or goes.
    pub fn push(&mut self, point: Point) {
        let now = point.time;
        self.fine.push_back(point);
        while self.fine.front().is_some_and(|point| point.time < now - FINE) {
            let Some(old) = self.fine.pop_front() else { break };
            let slot = old.time.div_euclid(GRID);
            match self.coarse.back_mut() {
                Some(last) if last.time.div_euclid(GRID) == slot => *last = old,
                _ => self.coarse.push_back(old),
            }
        }
        while self.coarse.front().is_some_and(|point| point.time < now - COARSE) {
            self.coarse.pop_front();
        }
    }

    pub fn newest(&self) -> Option<&Point> {
        self.fine.back()
    }

    /// The newest point at or before `time`, else the oldest there is; never the newest one.
    pub fn before(&self, time: i64) -> Option<&Point> {
        let last = self.fine.len().checked_sub(1)?;
        let older = self.fine.iter().take(last);
        older.clone().rev().find(|point| point.time <= time).or_else(|| older.clone().next())
    }

    /// All points, oldest first.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.coarse.iter().chain(&self.fine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_points_thin_out_and_go() {
        let mut ring = Ring::default();
        for second in 0..5000 {
            ring.push(Point { time: second * SECOND, usage: Usage::default() });
        }
        let times: Vec<_> = ring.points().map(|point| point.time / SECOND).collect();
        assert!(times.is_sorted());
        assert_eq!(times.first().copied(), Some(1409));
        assert_eq!(times.iter().filter(|time| **time >= 4879).count(), 121);
        assert!(times.len() < 121 + 235, "{}", times.len());
    }

    #[test]
    fn the_point_before_a_window_is_never_the_newest() {
        let mut ring = Ring::default();
        ring.push(Point { time: 0, usage: Usage::default() });
        assert_eq!(ring.before(0), None);
        ring.push(Point { time: SECOND, usage: Usage::default() });
        assert_eq!(ring.before(SECOND).map(|point| point.time), Some(0));
    }
}

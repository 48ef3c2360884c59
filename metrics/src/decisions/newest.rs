//! The newest decisions, those that no sealed file has. Pure.
//!
//! ```text
//! first ── in a file that is appended to ── unwritten ── in memory only ──>
//! ```
//!
//! Rows are counted through from the process's start, so that whoever writes or seals some
//! holds no lock meanwhile. They are bounded: a disk that takes nothing for long costs the
//! oldest, not memory.

use std::{collections::VecDeque, sync::Arc};

use tiphys_api::decisions::Decision;

#[derive(Debug)]
pub struct Newest {
    rows: VecDeque<Arc<Decision>>,
    /// Rows that are kept at most.
    most: usize,
    /// The number of the first row.
    first: u64,
    /// The number of the first that is in no file.
    unwritten: u64,
    /// Rows that had to go before a file had them.
    lost: u64,
}

impl Newest {
    /// Those that files have.
    pub fn written(rows: Vec<Decision>, most: usize) -> Self {
        let unwritten = rows.len() as u64;
        let rows = rows.into_iter().map(Arc::new).collect();
        let mut newest = Self { rows, most, first: 0, unwritten, lost: 0 };
        newest.bound();
        newest
    }

    pub fn push(&mut self, row: Decision) {
        self.rows.push_back(Arc::new(row));
        self.bound();
    }

    fn bound(&mut self) {
        while self.rows.len() > self.most {
            self.rows.pop_front();
            self.first += 1;
        }
    }

    /// All of them, oldest first.
    pub fn rows(&self) -> &VecDeque<Arc<Decision>> {
        &self.rows
    }

    /// Those that are to be written next, so many at most, and the number behind the last of them.
    pub fn next(&mut self, most: usize) -> (Vec<Arc<Decision>>, u64) {
        let lost = self.first.saturating_sub(self.unwritten);
        self.lost += lost;
        self.unwritten += lost;
        let written = (self.unwritten - self.first) as usize;
        let rows: Vec<_> = self.rows.iter().skip(written).take(most).cloned().collect();
        let end = self.unwritten + rows.len() as u64;
        (rows, end)
    }

    /// Those before this number are in a file.
    pub fn wrote(&mut self, end: u64) {
        self.unwritten = self.unwritten.max(end);
    }

    /// Lets go of those before this number: a sealed file has them.
    pub fn sealed(&mut self, end: u64) {
        let count = end.saturating_sub(self.first).min(self.rows.len() as u64);
        self.rows.drain(..count as usize);
        self.first += count;
    }

    /// How many went unwritten since this was asked last.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(time: i64) -> Decision {
        Decision { time, ..Decision::default() }
    }

    fn times<'a>(rows: impl IntoIterator<Item = &'a Arc<Decision>>) -> Vec<i64> {
        rows.into_iter().map(|row| row.time).collect()
    }

    #[test]
    fn rows_are_written_in_their_order_and_let_go_when_sealed() {
        let mut newest = Newest::written(vec![row(0), row(1)], 9);
        (2..7).for_each(|time| newest.push(row(time)));
        let (next, end) = newest.next(3);
        assert_eq!((times(&next), end), (vec![2, 3, 4], 5));
        // They were not taken.
        assert_eq!(times(&newest.next(2).0), [2, 3]);
        newest.wrote(end);
        newest.push(row(7));
        let (next, end) = newest.next(9);
        assert_eq!(times(&next), [5, 6, 7]);
        newest.wrote(end);
        assert!(newest.next(9).0.is_empty());
        newest.sealed(5);
        assert_eq!(times(newest.rows()), [5, 6, 7]);
        newest.push(row(8));
        assert_eq!(times(&newest.next(9).0), [8]);
        assert_eq!(newest.take_lost(), 0);
    }

    #[test]
    fn the_oldest_go_where_there_are_too_many_and_the_unwritten_are_counted() {
        let mut newest = Newest::written(vec![row(0), row(1)], 4);
        (2..6).for_each(|time| newest.push(row(time)));
        assert_eq!((times(newest.rows()), newest.take_lost()), (vec![2, 3, 4, 5], 0));
        let (_, end) = newest.next(1);
        // While the row 2 is being written.
        newest.push(row(6));
        newest.push(row(7));
        newest.wrote(end);
        assert_eq!(times(&newest.next(9).0), [4, 5, 6, 7]);
        assert_eq!((newest.take_lost(), newest.take_lost()), (1, 0), "the row 3");
        newest.sealed(3);
        assert_eq!(times(newest.rows()), [4, 5, 6, 7]);
        newest.wrote(8);
        newest.sealed(8);
        newest.push(row(8));
        assert_eq!(times(newest.rows()), [8]);
        assert_eq!(times(Newest::written((0..9).map(row).collect(), 4).rows()), [5, 6, 7, 8]);
    }
}

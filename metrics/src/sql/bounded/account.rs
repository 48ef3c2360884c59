//! What windows hold of the rows that went into them, and of their results. Pure.
//!
//! ```text
//! partitions that have ended │ the last one
//! rows and results together  │ rows as they came, results as many as its rows with its widest
//! ```
//!
//! A result is a value of some row of its own partition: a long text counts for the rows of its partition and
//! for no others. The engine gives what is left of a partition when the next one begins, all at once, and
//! most windows let go of its rows then.

use std::{collections::VecDeque, mem};

use datafusion::common::DataFusionError;

use super::multiplied::{LESS, PART};

/// Results are values, and then columns.
const TWICE: u64 = 2;

/// How long windows hold what they have.
#[derive(Debug, Clone, Copy)]
pub struct Holds {
    /// Rows with a result that are held on, of a partition that has not ended; absent: any number.
    pub behind: Option<u64>,
    /// Whether rows are let go of when their partition has ended.
    pub lets_go: bool,
    /// Whether results are held when they have gone on: views that are joined with those that have not.
    pub results: bool,
}

/// A row that goes into windows, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Row {
    /// As long as it is held.
    pub held: u64,
    /// To the end.
    pub kept: u64,
    /// Of the widest result that it and those beside it of its partition may give.
    pub result: u64,
    /// Whether a partition begins with it.
    pub begins: bool,
}

impl Row {
    fn sum(&self) -> u64 {
        self.held.saturating_add(self.kept)
    }
}

/// What windows hold now.
#[derive(Debug, Default)]
pub struct Account {
    /// Rows of the last partition that are held, as they came, and their bytes.
    held: VecDeque<(u64, u64)>,
    /// How many of the first of them have gone on.
    gone: u64,
    /// Bytes of all rows that are held, and of what is held to the end.
    bytes: u64,
    /// Rows of the last partition that have no result yet, or whose result is held.
    results: u64,
    /// Bytes of a result of the last partition.
    widest: u64,
    ended: Ended,
}

/// What is held of the partitions before the last one.
#[derive(Debug, Default)]
struct Ended {
    /// Rows that have not gone on.
    rows: u64,
    /// Bytes of rows, which count among all.
    held: u64,
    /// Bytes of results.
    results: u64,
    /// Bytes of the widest of them.
    widest: u64,
}

impl Account {
    /// How many of some rows come first that make little with a result each; one at least.
    pub fn first(&self, rows: &[Row]) -> usize {
        let (mut count, mut sum, mut widest) = (0, 0_u64, self.widest);
        for row in rows {
            widest = if row.begins { row.result } else { widest.max(row.result) };
            sum = sum.saturating_add(row.sum()).saturating_add(widest.saturating_mul(TWICE));
            if count > 0 && sum > PART {
                break;
            }
            count += 1;
        }
        count
    }

    pub fn comes(&mut self, rows: &[Row]) {
        for rows in rows.chunk_by(|_, next| !next.begins) {
            if rows.first().is_some_and(|row| row.begins) {
                self.ends();
            }
            let held = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.held));
            let all = rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.sum()));
            self.held.push_back((rows.len() as u64, held));
            self.bytes = self.bytes.saturating_add(all);
            self.results += rows.len() as u64;
            self.widest = rows.iter().fold(self.widest, |widest, row| widest.max(row.result));
        }
    }

    /// The last partition has ended.
    fn ends(&mut self) {
        let results = self.results.saturating_mul(self.widest);
        self.ended.results = self.ended.results.saturating_add(results);
        self.ended.widest = self.ended.widest.max(self.widest);
        (self.results, self.widest) = (0, 0);
        for (rows, bytes) in self.held.drain(..) {
            self.ended.rows += rows;
            self.ended.held = self.ended.held.saturating_add(bytes);
        }
        self.ended.rows = self.ended.rows.saturating_sub(mem::take(&mut self.gone));
    }

    /// Rows have gone on, and the next ones are asked for.
    pub fn goes(&mut self, rows: u64, holds: Holds) {
        let of_ended = rows.min(self.ended.rows);
        self.ended.rows -= of_ended;
        let rows = rows - of_ended;
        if self.ended.rows == 0 && holds.lets_go {
            self.bytes = self.bytes.saturating_sub(mem::take(&mut self.ended.held));
        }
        if !holds.results {
            if self.ended.rows == 0 {
                (self.ended.results, self.ended.widest) = (0, 0);
            }
            self.results = self.results.saturating_sub(rows);
        }
        self.gone += rows;
        let Some(behind) = holds.behind else { return };
        while let Some((rows, bytes)) = self.held.front().copied()
            && self.gone >= rows.saturating_add(behind)
        {
            self.held.pop_front();
            self.gone -= rows;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Bytes of results.
    fn made(&self) -> u64 {
        let last = self.results.saturating_mul(self.widest);
        self.ended.results.saturating_add(last).saturating_mul(TWICE)
    }

    /// Bytes that are taken for it.
    pub fn needs(&self) -> u64 {
        self.bytes.saturating_add(self.made())
    }

    pub fn refused(&self, error: &DataFusionError) -> DataFusionError {
        let results = match self.widest.max(self.ended.widest) {
            0 => String::new(),
            widest => {
                let made = self.made() >> 20;
                format!(" and {made} MiB of results, of which one may have {} KiB", widest >> 10)
            }
        };
        let said = format!("windows hold rows of {} MiB at once{results}", self.bytes >> 20);
        DataFusionError::ResourcesExhausted(format!("{said}; {LESS}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(behind: Option<u64>) -> Holds {
        Holds { behind, lets_go: true, results: false }
    }

    /// Rows of a partition that goes on.
    fn rows(count: usize, held: u64, result: u64) -> Vec<Row> {
        vec![Row { held, result, ..Row::default() }; count]
    }

    /// Rows of one that begins.
    fn partition(count: usize, held: u64, result: u64) -> Vec<Row> {
        let mut rows = rows(count, held, result);
        rows[0].begins = true;
        rows
    }

    #[test]
    fn rows_count_until_they_and_what_reaches_back_to_them_have_gone() {
        let mut account = Account::default();
        account.comes(&rows(10, 10, 5));
        let mut more = rows(10, 20, 5);
        more[0].kept = 7;
        account.comes(&more);
        assert_eq!(account.needs(), 307 + 20 * 5 * TWICE);
        let reaching = holds(Some(4));
        account.goes(10, reaching);
        assert_eq!(account.needs(), 307 + 10 * 5 * TWICE, "the next row looks at four of them");
        account.goes(4, reaching);
        assert_eq!(account.needs(), 207 + 6 * 5 * TWICE);
        account.comes(&rows(1, 1, 5));
        account.goes(7, reaching);
        assert_eq!(account.needs(), 208);
        account.goes(3, reaching);
        assert_eq!(account.needs(), 8, "views are held to the end");
    }

    #[test]
    fn what_is_held_to_the_end_counts_to_the_end() {
        let mut account = Account::default();
        account.comes(&rows(10, 10, 5));
        account.goes(10, holds(None));
        assert_eq!(account.needs(), 100);
        let keeping = Holds { results: true, ..holds(Some(0)) };
        let mut account = Account::default();
        account.comes(&rows(10, 10, 5));
        account.goes(10, keeping);
        assert_eq!(account.needs(), 10 * 5 * TWICE);
        account.comes(&partition(3, 10, 1));
        account.goes(3, keeping);
        assert_eq!(account.needs(), (10 * 5 + 3) * TWICE, "those of partitions before it too");
        let all = Holds { behind: None, lets_go: false, results: false };
        let mut account = Account::default();
        for _ in 0..3 {
            account.comes(&partition(10, 10, 5));
        }
        account.goes(30, all);
        assert_eq!(account.needs(), 300);
    }

    #[test]
    fn many_partitions_need_no_more_than_those_at_once() {
        for behind in [None, Some(1000)] {
            let mut account = Account::default();
            // Each waits for its last row until the next one begins.
            account.comes(&partition(10, 100, 5));
            account.goes(9, holds(behind));
            for _ in 0..100 {
                account.comes(&partition(10, 100, 5));
                assert_eq!(account.needs(), 2 * 1000 + 11 * 5 * TWICE);
                account.goes(10, holds(behind));
                assert_eq!(account.needs(), 1000 + 5 * TWICE);
            }
        }
    }

    #[test]
    fn a_partition_that_ended_counts_until_it_has_gone() {
        let mut account = Account::default();
        account.comes(&[partition(10, 100, 5), partition(10, 10, 1)].concat());
        account.goes(9, holds(None));
        assert_eq!(account.needs(), 1100 + (10 * 5 + 10) * TWICE, "one of its rows waits");
        account.goes(1, holds(None));
        assert_eq!(account.needs(), 100 + 10 * TWICE);
        // All of this one has gone, and it is held until the engine has seen that another begins.
        account.goes(10, holds(None));
        account.comes(&partition(1, 1, 1));
        assert_eq!(account.needs(), 101 + TWICE);
        account.goes(1, holds(None));
        assert_eq!(account.needs(), 1);
    }

    #[test]
    fn a_large_partition_counts_whole() {
        let mut account = Account::default();
        account.comes(&partition(10, 100, 0));
        for times in 1..100 {
            account.goes(10, holds(None));
            account.comes(&rows(10, 100, 0));
            assert_eq!(account.needs(), (times + 1) * 1000);
        }
    }

    #[test]
    fn a_long_text_counts_for_the_rows_of_its_partition() {
        let (few, many, text) = (2, 1000, 1 << 20);
        let mut account = Account::default();
        account.comes(&partition(few, 0, text));
        account.comes(&partition(many, 0, 1));
        assert_eq!(account.needs(), (few as u64 * text + many as u64) * TWICE);
        // It comes last in its partition, and may be the result of all.
        let mut account = Account::default();
        account.comes(&partition(few, 0, 1));
        account.comes(&partition(many, 0, 1));
        account.comes(&rows(1, 0, text));
        assert_eq!(account.needs(), (few as u64 + (many as u64 + 1) * text) * TWICE);
    }

    #[test]
    fn few_rows_at_once_make_little_with_their_results() {
        let quarter = Row { held: PART / 4, ..Row::default() };
        let kept = Row { kept: PART / 4, ..Row::default() };
        let whole = Row { held: PART, ..Row::default() };
        let rows = [quarter, quarter, kept, whole];
        let table = [(0, 3), (PART / 24, 3), (PART / 8, 2), (PART / 4, 1), (u64::MAX, 1)];
        for (widest, expected) in table {
            let account = Account { widest, ..Account::default() };
            assert_eq!(account.first(&rows), expected, "{widest}");
        }
        let account = Account { widest: u64::MAX, ..Account::default() };
        assert_eq!((account.first(&rows[3..]), account.first(&[])), (1, 0));
        let begun = [Row { begins: true, ..quarter }, quarter, kept];
        assert_eq!(account.first(&begun), 3, "what was wide ended with its partition");
        assert_eq!(Account::default().first(&[quarter, Row { result: PART, ..quarter }]), 1);
    }
}

//! Which records of a stream are kept: sampling and the rate limit. Of a file both
//! are decided by what the record itself has (its number, its time), so that
//! reading the same lines again after a crash keeps the same ones.

use super::Policy;
use crate::record::{Level, Record, Source};

/// What is to be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// Another of its kind stands for it.
    Sampled,
    /// The second had enough.
    OverLimit,
}

/// The second that a stream is in.
#[derive(Debug, Default)]
pub struct Limiter {
    second: i64,
    kept: u32,
    /// The first record left out in this second, and how many.
    left_out: Option<(Record, u64)>,
}

impl Limiter {
    /// Decides on the stream's next record, which counts for the second of `at`. When a second ends in which records were
    /// left out, `note` gets a record in the place of the first of them that says so.
    pub fn judge(&mut self, policy: &Policy, record: &Record, at: i64, note: &mut Vec<Record>) -> Verdict {
        if let Some(share) = policy.sample
            && record.level < Level::Warn
            && !is_chosen(record.seq, share)
        {
            return Verdict::Sampled;
        }
        let Some(limit) = policy.rate_limit else { return Verdict::Keep };
        let second = at.div_euclid(1_000_000_000);
        if second != self.second {
            note.extend(self.end(policy));
            (self.second, self.kept) = (second, 0);
        }
        if self.kept < limit {
            self.kept += 1;
            return Verdict::Keep;
        }
        match &mut self.left_out {
            Some((_, count)) => *count += 1,
            None => self.left_out = Some((Record { body: bytes::Bytes::new(), ..record.clone() }, 1)),
        }
        Verdict::OverLimit
    }

    /// The record that tells what was left out since the last one, if anything was.
    pub fn end(&mut self, policy: &Policy) -> Option<Record> {
        let (first, count) = self.left_out.take()?;
        let limit = policy.rate_limit.unwrap_or_default();
        let body = format!("[{count} records left out: the limit is {limit} a second]");
        Some(Record { level: Level::Warn, source: Source::Stderr, body: body.into(), ..first })
    }
}

/// Numbers are spread evenly (Fibonacci hashing), so of any run of records about this share is chosen.
fn is_chosen(seq: u64, share: f64) -> bool {
    let spread = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread as f64) < share * 18_446_744_073_709_551_616.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, time: i64, level: Level) -> Record {
        Record { time, seq, level, source: Source::Stdout, body: "x".into() }
    }

    #[test]
    fn the_share_is_kept_and_warnings_always() {
        for (share, expected) in [(0.0, 0), (0.1, 100), (0.5, 500), (1.0, 1000)] {
            let policy = Policy { sample: Some(share), ..Policy::default() };
            let mut notes = Vec::new();
            let mut count = |level| {
                let mut judge =
                    |seq: &u64| Limiter::default().judge(&policy, &record(*seq, 0, level), 0, &mut notes);
                (5000..6000).filter(|seq| judge(seq) == Verdict::Keep).count()
            };
            let kept = count(Level::Info);
            assert!(kept.abs_diff(expected) <= 2, "{share}: {kept}");
            assert_eq!(count(Level::Warn), 1000);
        }
    }

    #[test]
    fn each_second_has_its_limit_and_says_what_is_missing() {
        const MS: i64 = 1_000_000;
        let policy = Policy { rate_limit: Some(2), ..Policy::default() };
        let mut limiter = Limiter::default();
        let mut out = Vec::new();
        // Five in the first second, two in the second, one before all of them.
        for (seq, time) in [0, 1, 2, 3, 999, 1000, 1999, -1].into_iter().enumerate() {
            let record = record(seq as u64, time * MS, Level::Error);
            let mut notes = Vec::new();
            let verdict = limiter.judge(&policy, &record, record.time, &mut notes);
            out.extend(notes.into_iter().map(|note| (note.seq, note.time, note.body)));
            if verdict == Verdict::Keep {
                out.push((record.seq, record.time, record.body));
            }
        }
        let note = "[3 records left out: the limit is 2 a second]";
        let expected: Vec<(u64, i64, bytes::Bytes)> = vec![
            (0, 0, "x".into()),
            (1, MS, "x".into()),
            (2, 2 * MS, note.into()),
            (5, 1000 * MS, "x".into()),
            (6, 1999 * MS, "x".into()),
            (7, -MS, "x".into()),
        ];
        assert_eq!(out, expected);
        assert_eq!(limiter.end(&policy), None);
    }

    #[test]
    fn a_limit_of_zero_leaves_one_note_a_second() {
        let policy = Policy { rate_limit: Some(0), ..Policy::default() };
        let mut limiter = Limiter::default();
        let mut notes = Vec::new();
        for seq in 0..10 {
            assert_eq!(
                limiter.judge(&policy, &record(seq, 5, Level::Info), 5, &mut notes),
                Verdict::OverLimit
            );
        }
        notes.extend(limiter.end(&policy));
        assert_eq!(notes.len(), 1);
        assert!(notes[0].body.starts_with(b"[10 records"));
    }
}

//! How long records are kept. Pure.

use std::{collections::HashSet, time::Duration};

use super::{clock::Now, manifest::SplitEntry};
use crate::time;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Since a split's newest part was committed; see [`Retention::spread`].
    pub age: Duration,
    /// Bytes on disk of all splits.
    pub bytes: u64,
}

impl Default for Retention {
    /// Seven days and 10 GiB a node.
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 86_400), bytes: 10 << 30 }
    }
}

/// What is to be deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub splits: Vec<u64>,
    /// Records of them that the archive doesn't have.
    pub unarchived: u64,
}

/// Splits of a time that is still to come, or before there were any, were made while the node's
/// clock was wrong. Once it is right they age from then on. Whether there were any.
pub fn correct(splits: &mut [SplitEntry], now: Now) -> bool {
    if now.is_doubted || !is_set(now.passed()) {
        return false;
    }
    let is_wrong = |time: i64| time > now.aged || !is_set(time);
    let mut is_corrected = false;
    for split in splits {
        if is_wrong(split.created) {
            (split.created, is_corrected) = (now.aged, true);
        }
        if split.oldest_created.is_some_and(is_wrong) {
            (split.oldest_created, is_corrected) = (None, true);
        }
    }
    is_corrected
}

/// Whether a clock that shows this was ever set: no split is older than what writes splits.
pub fn is_set(time: i64) -> bool {
    const BEGINNING: i64 = 1_767_225_600 * time::SECOND;
    time >= BEGINNING
}

impl Retention {
    /// Between the commits of a split's oldest and newest part, at most: a split goes as a whole,
    /// so its oldest records stay for as much longer than [`age`](Self::age).
    pub fn spread(&self) -> i64 {
        i64::try_from(self.age.as_nanos() / 8).unwrap_or(i64::MAX)
    }

    /// Bytes beyond which nothing waits for the archive.
    pub fn hard_limit(&self) -> u64 {
        self.bytes.saturating_mul(2)
    }

    /// The splits to delete: those too old, then the oldest until the rest fits. Where there is an
    /// archive, one that it doesn't have stays, up to the hard limit.
    pub fn expired(&self, splits: &[SplitEntry], now: i64, archive: Option<&HashSet<u64>>) -> Expired {
        let age = i64::try_from(self.age.as_nanos()).unwrap_or(i64::MAX);
        let oldest_kept = now.saturating_sub(age);
        let mut by_age: Vec<&SplitEntry> = splits.iter().collect();
        by_age.sort_by_key(|split| (split.created, split.id));
        let mut total: u64 = splits.iter().map(|split| split.disk_bytes).sum();
        let mut expired = Expired::default();
        for split in by_age {
            if split.created >= oldest_kept && total <= self.bytes {
                break;
            }
            let is_missing = archive.is_some_and(|has| !has.contains(&split.id));
            if is_missing && total <= self.hard_limit() {
                continue;
            }
            total -= split.disk_bytes;
            expired.splits.push(split.id);
            expired.unarchived += if is_missing { split.records } else { 0 };
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits() -> [SplitEntry; 3] {
        let split = |id, created, disk_bytes| SplitEntry {
            id,
            created,
            disk_bytes,
            records: id * 100,
            ..SplitEntry::default()
        };
        [split(3, 100, 10), split(1, 50, 10), split(2, 90, 10)]
    }

    #[test]
    fn the_old_and_then_the_oldest_go() {
        let check = |age, bytes, expected: &[u64]| {
            let retention = Retention { age: Duration::from_nanos(age), bytes };
            assert_eq!(retention.expired(&splits(), 100, None).splits, expected, "age {age} bytes {bytes}");
        };
        check(1000, 1000, &[]);
        check(20, 1000, &[1]);
        check(1000, 15, &[1, 2]);
        check(1000, 0, &[1, 2, 3]);
    }

    #[test]
    fn times_of_a_wrong_clock_are_corrected_also_of_the_oldest_part() {
        let aged = 1_800_000_000 * time::SECOND;
        let check = |created, oldest_created, expected: (i64, Option<i64>)| {
            let mut splits = [SplitEntry { created, oldest_created, ..SplitEntry::default() }];
            let is_corrected = correct(&mut splits, Now { aged, wall: aged, is_doubted: false });
            assert_eq!((splits[0].created, splits[0].oldest_created), expected);
            assert_eq!(is_corrected, expected != (created, oldest_created));
        };
        check(aged - 5, None, (aged - 5, None));
        check(aged - 5, Some(aged - 9), (aged - 5, Some(aged - 9)));
        check(aged - 5, Some(0), (aged - 5, None));
        check(aged + 5, Some(aged - 9), (aged, Some(aged - 9)));
        check(aged + 5, Some(aged + 3), (aged, None));
        check(0, None, (aged, None));
    }

    #[test]
    fn what_the_archive_lacks_waits_as_long_as_the_disk_lasts() {
        let check = |age, bytes, has: &[u64], expected: &[u64], unarchived| {
            let retention = Retention { age: Duration::from_nanos(age), bytes };
            let expected = Expired { splits: expected.to_vec(), unarchived };
            let has = has.iter().copied().collect();
            let found = retention.expired(&splits(), 100, Some(&has));
            assert_eq!(found, expected, "age {age} bytes {bytes} has {has:?}");
        };
        check(20, 1000, &[], &[], 0);
        check(20, 1000, &[1], &[1], 0);
        check(1000, 15, &[2], &[2], 0);
        check(1000, 15, &[1, 2, 3], &[1, 2], 0);
        check(1000, 15, &[], &[], 0);
        // Thirty bytes are more than twice ten.
        check(1000, 10, &[], &[1], 100);
        check(1000, 10, &[2, 3], &[1, 2], 100);
        check(1000, 0, &[3], &[1, 2, 3], 300);
    }
}

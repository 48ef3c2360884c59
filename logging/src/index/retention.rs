//! How long records are kept. Pure.

use std::time::Duration;

use super::manifest::SplitEntry;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Since a split's newest part was committed.
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

impl Retention {
    /// The splits to delete: those too old, then the oldest until the rest fits.
    pub fn expired(&self, splits: &[SplitEntry], now: i64) -> Vec<u64> {
        let age = i64::try_from(self.age.as_nanos()).unwrap_or(i64::MAX);
        let oldest_kept = now.saturating_sub(age);
        let mut by_age: Vec<&SplitEntry> = splits.iter().collect();
        by_age.sort_by_key(|split| (split.created, split.id));
        let mut total: u64 = splits.iter().map(|split| split.disk_bytes).sum();
        let mut expired = Vec::new();
        for split in by_age {
            if split.created >= oldest_kept && total <= self.bytes {
                break;
            }
            total -= split.disk_bytes;
            expired.push(split.id);
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_and_then_the_oldest_go() {
        let split = |id, created, disk_bytes| SplitEntry { id, created, disk_bytes, ..SplitEntry::default() };
        let splits = [split(3, 100, 10), split(1, 50, 10), split(2, 90, 10)];
        let check = |age, bytes, expected: &[u64]| {
            let retention = Retention { age: Duration::from_nanos(age), bytes };
            assert_eq!(retention.expired(&splits, 100), expected, "age {age} bytes {bytes}");
        };
        check(1000, 1000, &[]);
        check(20, 1000, &[1]);
        check(1000, 15, &[1, 2]);
        check(1000, 0, &[1, 2, 3]);
    }
}

//! Which occurrences were written, of those that the API may tell once more. Pure.
//!
//! The API counts versions up, so what is newer than all was never written. What is older may have been,
//! or comes out of an API that began to count anew, as after a restore of etcd: then only the Event's
//! name tells. So those of late are remembered by both; what is older than they are was written.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::table::Occurred;

/// Occurrences that are remembered, in some ten megabytes.
const MOST: usize = 1 << 18;

/// What was written of late.
#[derive(Debug)]
pub struct Recent {
    most: usize,
    /// The newest version that was written.
    newest: u64,
    /// What happened before is not remembered, microseconds since the Unix epoch.
    since: i64,
    known: HashSet<u64>,
    /// ... in the order in which they were written, and when they happened.
    order: VecDeque<(u64, i64)>,
}

impl Default for Recent {
    fn default() -> Self {
        Self::of_most(MOST)
    }
}

impl Recent {
    fn of_most(most: usize) -> Self {
        Self { most, newest: 0, since: i64::MIN, known: HashSet::new(), order: VecDeque::new() }
    }

    /// What happened before was written, and is not remembered.
    pub fn begins(&mut self, since: i64) {
        self.since = self.since.max(since);
    }

    /// Whether an occurrence was written.
    pub fn has(&self, occurred: &Occurred) -> bool {
        occurred.version <= self.newest && (occurred.time < self.since || self.known.contains(&key(occurred)))
    }

    /// Remembers one that was written, no later than this.
    pub fn add(&mut self, occurred: &Occurred, written: i64) {
        self.newest = self.newest.max(occurred.version);
        let key = key(occurred);
        if !self.known.insert(key) {
            return;
        }
        // A clock that is ahead makes nothing old.
        self.order.push_back((key, occurred.time.min(written)));
        while self.order.len() > self.most {
            let Some((key, time)) = self.order.pop_front() else { break };
            self.known.remove(&key);
            self.begins(time.saturating_add(1));
        }
    }
}

/// Tells occurrences apart, whoever counts their versions.
fn key(occurred: &Occurred) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&occurred.namespace, &occurred.name, occurred.version).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurred(name: &str, version: u64, time: i64) -> Occurred {
        Occurred { name: name.to_owned(), version, time, ..Occurred::default() }
    }

    #[test]
    fn what_was_written_is_known_and_what_comes_anew_is_not() {
        let mut recent = Recent::default();
        recent.add(&occurred("a", 1000, 10), 20);
        recent.add(&occurred("b", 1001, 11), 20);
        let table = [
            ("the same once more", occurred("a", 1000, 10), true),
            ("the next", occurred("c", 1002, 12), false),
            ("counted up", occurred("a", 1003, 13), false),
            ("of an API that counts anew", occurred("d", 7, 14), false),
            ("with a version that was another's", occurred("d", 1000, 15), false),
        ];
        for (what, occurred, expected) in table {
            assert_eq!(recent.has(&occurred), expected, "{what}");
        }
    }

    #[test]
    fn what_is_not_remembered_was_written() {
        let mut recent = Recent::of_most(3);
        for version in 1..=5_u64 {
            recent.add(&occurred("a", version, 10 * i64::try_from(version).expect("few")), 1000);
        }
        assert_eq!((recent.known.len(), recent.order.len(), recent.since), (3, 3, 21));
        for version in 1..=5 {
            let time = 10 * i64::try_from(version).expect("few");
            assert!(recent.has(&occurred("a", version, time)), "{version}");
        }
        assert!(recent.has(&occurred("b", 4, 20)), "older than what is remembered");
        assert!(!recent.has(&occurred("b", 4, 21)), "an API that counts anew");
    }

    #[test]
    fn a_time_ahead_of_the_clock_makes_nothing_old() {
        let mut recent = Recent::of_most(1);
        recent.add(&occurred("a", 1, i64::MAX), 1000);
        recent.add(&occurred("b", 2, 1001), 1001);
        assert_eq!(recent.since, 1001);
        assert!(!recent.has(&occurred("c", 1, 1002)));
    }

    #[test]
    fn what_is_older_than_all_that_was_read_was_written() {
        let mut recent = Recent::default();
        recent.begins(100);
        recent.add(&occurred("a", 1000, 150), 200);
        assert!(recent.has(&occurred("b", 900, 99)));
        assert!(!recent.has(&occurred("b", 900, 100)));
        assert!(!recent.has(&occurred("b", 1001, 99)), "its version is newer than all");
    }
}

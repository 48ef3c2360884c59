//! Objects that others have taken the place of. Somebody may have read an index that names them, and
//! still read them: so they stay for a while, and the index says since when, for the next process to
//! know.
//!
//! How long one has stayed is told by a clock that nobody sets, but for what a former process did.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// What was replaced stays for so long: others look for indexes each ten minutes, and a statement that
/// is written out may read for ten.
pub const KEPT: Duration = Duration::from_secs(20 * 60);

/// One, as an index has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    pub name: String,
    /// When, milliseconds since the Unix epoch.
    pub at: i64,
}

/// For how long one stays that was replaced then. By a clock that was set back since, it was just now.
pub fn left(at: i64, now: i64) -> Duration {
    let passed = u64::try_from(now.saturating_sub(at)).unwrap_or(0);
    KEPT.saturating_sub(Duration::from_millis(passed))
}

/// When each of them goes, by name.
#[derive(Debug, Default)]
pub struct Leaving(BTreeMap<String, Instant>);

impl Leaving {
    pub fn add(&mut self, name: String, left: Duration) {
        self.0.insert(name, Instant::now() + left);
    }

    /// They are gone, or are named by the index again.
    pub fn forget(&mut self, names: &[String]) {
        self.0.retain(|name, _| !names.contains(name));
    }

    /// Those whose time has come.
    pub fn due(&self, now: Instant) -> Vec<String> {
        self.0.iter().filter(|(_, goes)| **goes <= now).map(|(name, _)| name.clone()).collect()
    }

    /// As if so much time had passed.
    #[cfg(test)]
    pub fn hasten(&mut self, by: Duration) {
        self.0.values_mut().for_each(|goes| *goes = goes.checked_sub(by).unwrap_or(*goes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_stays_for_twenty_minutes() {
        const MOST: i64 = 20 * 60_000;
        let table = [(0, 0, MOST), (5, 5 + MOST - 1, 1), (5, 5 + MOST, 0), (0, i64::MAX, 0), (100, 0, MOST)];
        for (at, now, expected) in table {
            assert_eq!(left(at, now).as_millis(), expected as u128, "{at} {now}");
        }
    }

    #[test]
    fn each_goes_when_its_own_time_has_come() {
        let mut leaving = Leaving::default();
        leaving.add("old".to_owned(), Duration::ZERO);
        leaving.add("new".to_owned(), KEPT);
        leaving.add("again".to_owned(), Duration::ZERO);
        leaving.forget(&["again".to_owned()]);
        assert_eq!(leaving.due(Instant::now()), ["old"]);
        assert_eq!(leaving.due(Instant::now() + KEPT), ["new", "old"]);
    }
}

//! What the archive is known to have of the splits here, so that none goes before it is there.
//!
//! The archive pulls and tells nobody. But it asks for the list behind a version only when it
//! has taken in that version's list: so what was listed then, it has, but for what it says that
//! it lacks: a split that is damaged here is refused there.

use std::{collections::HashSet, time::Duration};

use super::Store;
use crate::archive::wire;

/// An archive that hasn't asked for so long is none.
const GIVEN_UP: Duration = Duration::from_secs(7 * 86_400);

/// What was asked and answered.
#[derive(Debug, Default)]
pub(super) struct Archived {
    /// The last list that was given, and its splits.
    listed: Option<(u64, HashSet<u64>)>,
    has: HashSet<u64>,
    /// What it was given and didn't take.
    lacks: HashSet<u64>,
    /// When it asked last; 0 if it never did.
    pub asked: i64,
    /// Records that went without being there.
    pub dropped: u64,
}

impl Archived {
    pub fn new(asked: i64) -> Self {
        Self { asked, ..Self::default() }
    }

    fn asks(&mut self, after: Option<u64>, lacks: &[(u64, u64)], now: i64) {
        self.asked = now;
        if let Some((_, listed)) = self.listed.as_ref().filter(|(version, _)| Some(*version) == after) {
            self.has = listed.iter().copied().filter(|split| !wire::contains(lacks, *split)).collect();
            let lacking = listed.difference(&self.has).copied().collect();
            let before = std::mem::replace(&mut self.lacks, lacking);
            for split in self.lacks.difference(&before) {
                tracing::warn!(split, "the archive doesn't take a split, it stays here alone");
            }
        }
    }

    /// The splits that it has; `None` when there is no archive.
    pub fn has(&self, now: i64) -> Option<&HashSet<u64>> {
        let given_up = i64::try_from(GIVEN_UP.as_nanos()).unwrap_or(i64::MAX);
        (self.asked != 0 && now.saturating_sub(self.asked) < given_up).then_some(&self.has)
    }
}

impl Store {
    /// The archive asks for the list behind this version, of which it lacks these splits.
    pub fn archive_asks(&self, after: Option<u64>, lacks: &[(u64, u64)]) {
        self.archived.lock().asks(after, lacks, self.clock.now().aged);
    }

    /// The list that it is given.
    pub fn archive_told(&self, version: u64, splits: HashSet<u64>) {
        self.archived.lock().listed = Some((version, splits));
    }

    /// Records that are neither here nor in the archive any more, because the disk didn't last.
    pub fn dropped_unarchived(&self) -> u64 {
        self.archived.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_has_what_it_was_told_before_it_asked_for_more() {
        let day = 86_400_000_000_000;
        let mut archived = Archived::default();
        assert_eq!(archived.has(day), None);
        archived.asks(None, &[], day);
        archived.listed = Some((7, [1, 2].into()));
        assert_eq!(archived.has(day), Some(&[].into()));
        archived.asks(Some(6), &[], day);
        assert_eq!(archived.has(day), Some(&[].into()), "of another list");
        archived.asks(Some(7), &[(2, 2)], day);
        assert_eq!(archived.has(day), Some(&[1].into()), "what it refused it doesn't have");
        archived.asks(Some(7), &[], day);
        assert_eq!(archived.has(7 * day), Some(&[1, 2].into()));
        assert_eq!(archived.has(8 * day), None, "nobody asks any more");
    }
}

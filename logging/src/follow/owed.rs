//! From when on a stream that broke off has to begin again. Pure.
//!
//! Nodes give what was written meanwhile one by one, the oldest first, so a stream may break off
//! again before all of them are through: what they owe is remembered. Times are nanoseconds.

use std::collections::HashMap;

use super::BACK;
use crate::time::SECOND;

/// Who is back, or gave a late record, is not through for so long.
const SETTLES: i64 = 30 * SECOND;
/// A node that was lost longer ago doesn't make all others begin so early. What was shown is known
/// for as long, and two [`BACK`] more: [`Owed::since`] must never go further back than that.
pub(super) const LONGEST: i64 = 3_600 * SECOND;

/// What nodes are behind with. Only the server's word begins and settles a debt: who sends by a
/// door chooses the node that its records name. Records can prolong one, which costs a longer search.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// By node; all of them by the empty name.
    nodes: HashMap<String, Debt>,
}

#[derive(Debug)]
struct Debt {
    since: i64,
    /// It counts until then; `None`: until the node is back.
    until: Option<i64>,
}

impl Owed {
    /// A node can't be followed since the last sign of life.
    pub fn lost(&mut self, node: &str, alive: i64) {
        let since = alive.saturating_sub(BACK);
        let debt = self.nodes.entry(node.to_owned()).or_insert(Debt { since, until: None });
        if debt.until.is_some_and(|until| until < alive) {
            debt.since = since;
        }
        debt.until = None;
    }

    /// A node that was lost is back: what it owes follows.
    pub fn back(&mut self, node: &str, now: i64) {
        if let Some(debt) = self.nodes.get_mut(node) {
            debt.until = Some(now.saturating_add(SETTLES));
        }
    }

    /// The node has records from `since` on that were not shown, and they follow.
    pub fn behind(&mut self, node: &str, since: i64, now: i64) {
        let until = Some(now.saturating_add(SETTLES));
        let debt = self.nodes.entry(node.to_owned()).or_insert(Debt { since, until });
        let is_over = debt.until.is_some_and(|until| until < now);
        debt.since = if is_over { since } else { debt.since.min(since) };
        debt.until = until;
    }

    /// The time from which on what comes late may be owed.
    pub fn floor(&self, now: i64) -> i64 {
        let open = self.nodes.values().filter(|debt| debt.until.is_none_or(|until| until >= now));
        open.map(|debt| debt.since).min().unwrap_or(i64::MAX).min(now.saturating_sub(BACK))
    }

    /// The stream has begun again, all nodes from `since` on. Those that are still lost will be
    /// named again.
    pub fn began(&mut self, since: i64, now: i64) {
        let until = Some(now.saturating_add(SETTLES));
        self.nodes.values_mut().for_each(|debt| debt.until = until);
        self.nodes.insert(String::new(), Debt { since, until });
    }

    /// A record of this time has come of a node. A late one shows that what is owed is on its way.
    pub fn came(&mut self, node: &str, time: i64, now: i64) {
        if time >= now.saturating_sub(BACK) {
            return;
        }
        for owner in [node, ""] {
            let Some(debt) = self.nodes.get_mut(owner) else { continue };
            if time >= debt.since && debt.until.is_some_and(|until| until >= now) {
                debt.until = Some(now.saturating_add(SETTLES));
            }
        }
    }

    /// Where the stream begins again, at most [`LONGEST`] and [`BACK`] before `alive`; and the nodes
    /// whose records are not asked for any more, and since when, as they were lost too long ago.
    pub fn since(&mut self, alive: i64) -> (i64, Vec<(String, i64)>) {
        self.nodes.retain(|_, debt| debt.until.is_none_or(|until| until >= alive));
        let earliest = alive.saturating_sub(LONGEST);
        let given_up = self.nodes.extract_if(|node, debt| !node.is_empty() && debt.since < earliest);
        let mut given_up: Vec<_> = given_up.map(|(node, debt)| (node, debt.since)).collect();
        given_up.sort_unstable();
        let since = self.nodes.values().map(|debt| debt.since).min();
        let since = since.unwrap_or(i64::MAX).min(alive.saturating_sub(BACK));
        (since.max(earliest.saturating_sub(BACK)), given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000 * SECOND;

    fn since(owed: &mut Owed, alive: i64) -> i64 {
        owed.since(alive).0
    }

    #[test]
    fn a_stream_begins_again_where_the_last_node_stands() {
        let mut owed = Owed::default();
        assert_eq!(since(&mut owed, NOW), NOW - BACK);
        // Nothing was lost before: a record with a time of its own says nothing.
        owed.came("a", NOW - 10 * BACK, NOW);
        assert_eq!(since(&mut owed, NOW), NOW - BACK);
        owed.lost("a", NOW);
        owed.lost("a", NOW + 500 * SECOND);
        assert_eq!(since(&mut owed, NOW + 1_000 * SECOND), NOW - BACK, "it is still lost");
        // A record that names it, as one by a door may, doesn't say that it is back.
        owed.came("a", NOW + 1_000 * SECOND, NOW + 1_000 * SECOND);
        owed.came("a", NOW + 100 * SECOND, NOW + 1_000 * SECOND);
        assert_eq!(since(&mut owed, NOW + 2_000 * SECOND), NOW - BACK, "still");
        // Back, and on its way.
        let back = NOW + 2_000 * SECOND;
        owed.back("a", back);
        owed.back("b", back);
        owed.came("a", NOW + 100 * SECOND, back + 20 * SECOND);
        assert_eq!(since(&mut owed, back + 20 * SECOND + SETTLES), NOW - BACK);
        let later = back + 21 * SECOND + SETTLES;
        assert_eq!(owed.since(later), (later - BACK, Vec::new()), "through");
    }

    #[test]
    fn a_node_that_is_back_and_says_nothing_owes_nothing() {
        let mut owed = Owed::default();
        owed.lost("a", NOW);
        owed.back("a", NOW + 10 * SECOND);
        let later = NOW + 2 * LONGEST;
        assert_eq!(owed.since(later), (later - BACK, Vec::new()));
        // Lost once more on its way: it still owes what it did, and for as long as it is lost.
        owed.lost("b", NOW);
        owed.back("b", NOW + 300 * SECOND);
        owed.lost("b", NOW + 310 * SECOND);
        assert_eq!(since(&mut owed, NOW + 1_000 * SECOND), NOW - BACK);
    }

    #[test]
    fn a_second_break_soon_after_the_first_begins_where_that_did() {
        let mut owed = Owed::default();
        owed.began(NOW - 400 * SECOND, NOW);
        assert_eq!(since(&mut owed, NOW + SECOND), NOW - 400 * SECOND);
        assert_eq!(since(&mut owed, NOW + SETTLES + SECOND), NOW + SETTLES + SECOND - BACK);
    }

    #[test]
    fn what_a_node_is_behind_with_is_owed_until_it_settles() {
        let mut owed = Owed::default();
        assert_eq!(owed.floor(NOW), NOW - BACK);
        owed.behind("a", NOW - 300 * SECOND, NOW);
        owed.behind("a", NOW - 200 * SECOND, NOW + SECOND);
        assert_eq!(owed.floor(NOW + SECOND), NOW - 300 * SECOND);
        // A late record is of the backlog, and shows that there may be more.
        owed.came("a", NOW - 250 * SECOND, NOW + SETTLES);
        let later = NOW + 2 * SETTLES;
        assert_eq!((owed.floor(later), since(&mut owed, later)), (NOW - 300 * SECOND, NOW - 300 * SECOND));
        assert_eq!(owed.floor(later + SECOND), later + SECOND - BACK, "through");
        owed.behind("a", later - BACK, later + SECOND);
        assert_eq!(owed.floor(later + SECOND), later - BACK, "a debt of its own");
    }

    #[test]
    fn a_stream_never_begins_before_what_is_known_to_be_shown() {
        let mut owed = Owed::default();
        owed.began(NOW - 2 * LONGEST, NOW);
        assert_eq!(since(&mut owed, NOW + SECOND), NOW + SECOND - LONGEST - BACK);
    }

    #[test]
    fn a_node_that_is_gone_for_good_is_named_and_no_longer_waited_for() {
        let mut owed = Owed::default();
        owed.lost("a", NOW);
        let later = NOW + 2 * LONGEST;
        assert_eq!(owed.since(later), (later - BACK, vec![("a".to_owned(), NOW - BACK)]));
        assert_eq!(owed.since(later), (later - BACK, Vec::new()), "it is told once");
    }
}

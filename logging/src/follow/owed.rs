//! From when on a stream that broke off has to begin again. Pure.
//!
//! Nodes give what was written meanwhile one by one, the oldest first, so a stream may break off
//! again before all of them are through: what they owe is remembered. Times are nanoseconds.

use std::collections::HashMap;

use super::BACK;
use crate::time::SECOND;

/// Who gave a late record is not through for so long.
const SETTLES: i64 = 30 * SECOND;
/// A node that was lost longer ago doesn't make all others begin so early.
const LONGEST: i64 = 3_600 * SECOND;

/// What nodes are behind with.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// By node; all of them by the empty name.
    nodes: HashMap<String, Debt>,
}

#[derive(Debug)]
struct Debt {
    since: i64,
    /// It counts until then; `None`: until a record comes.
    until: Option<i64>,
}

impl Owed {
    /// A node can't be followed since the last sign of life.
    pub fn lost(&mut self, node: &str, alive: i64) {
        let debt = Debt { since: alive.saturating_sub(BACK), until: None };
        self.nodes.entry(node.to_owned()).or_insert(debt);
    }

    /// The stream has begun again, all nodes from `since` on.
    pub fn began(&mut self, since: i64, now: i64) {
        let until = Some(now.saturating_add(SETTLES));
        self.nodes.insert(String::new(), Debt { since, until });
    }

    /// A record of this time has come of a node: what is older has come before.
    pub fn came(&mut self, node: &str, time: i64, now: i64) {
        if time >= now.saturating_sub(BACK) {
            self.nodes.remove(node);
        } else if !self.nodes.is_empty() {
            let until = Some(now.saturating_add(SETTLES));
            self.nodes.insert(node.to_owned(), Debt { since: time.saturating_sub(BACK), until });
        }
    }

    /// Where the stream begins again; and the nodes whose records are not asked for any more, and
    /// since when, as they were lost too long ago.
    pub fn since(&mut self, alive: i64) -> (i64, Vec<(String, i64)>) {
        self.nodes.retain(|_, debt| debt.until.is_none_or(|until| until >= alive));
        let earliest = alive.saturating_sub(LONGEST);
        let given_up = self.nodes.extract_if(|_, debt| debt.until.is_none() && debt.since < earliest);
        let mut given_up: Vec<_> = given_up.map(|(node, debt)| (node, debt.since)).collect();
        given_up.sort_unstable();
        let since = self.nodes.values().map(|debt| debt.since).min();
        (since.unwrap_or(i64::MAX).min(alive.saturating_sub(BACK)), given_up)
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
        // Back, and on its way.
        owed.came("a", NOW + 100 * SECOND, NOW + 1_000 * SECOND);
        owed.came("b", NOW + 1_000 * SECOND, NOW + 1_000 * SECOND);
        assert_eq!(since(&mut owed, NOW + 1_001 * SECOND), NOW + 100 * SECOND - BACK);
        owed.came("a", NOW + 1_002 * SECOND, NOW + 1_002 * SECOND);
        assert_eq!(since(&mut owed, NOW + 1_002 * SECOND), NOW + 1_002 * SECOND - BACK);
    }

    #[test]
    fn a_second_break_soon_after_the_first_begins_where_that_did() {
        let mut owed = Owed::default();
        owed.began(NOW - 400 * SECOND, NOW);
        assert_eq!(since(&mut owed, NOW + SECOND), NOW - 400 * SECOND);
        assert_eq!(since(&mut owed, NOW + SETTLES + SECOND), NOW + SETTLES + SECOND - BACK);
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

//! From when on a stream that broke off has to begin again: where the node stands that is furthest
//! behind. Pure. Times are nanoseconds of the nodes' clocks.
//!
//! The nodes themselves say how far their records have come, between these ([`crate::wire::TailLine::Watermark`]).
//! One that is lost, or reads a backlog, stays where it is until it is through.

use std::collections::HashMap;

use super::BACK;
use crate::time::SECOND;

/// A node so far behind the first doesn't make all others begin so early. What was shown is known for as
/// long, and two [`BACK`] more: [`Watermarks::since`] must never go further back than that.
const LONGEST: i64 = 3_600 * SECOND;

/// How far each node's records have come.
#[derive(Debug)]
pub(super) struct Watermarks {
    /// What is older was there before.
    began: i64,
    nodes: HashMap<String, i64>,
    newest: i64,
}

impl Watermarks {
    /// Of a stream that shows all from a time on.
    pub fn new(began: i64) -> Self {
        Self { began, nodes: HashMap::new(), newest: began }
    }

    /// All that was written on the node before this time has come.
    pub fn reach(&mut self, node: &str, time: i64) {
        self.newest = self.newest.max(time);
        match self.nodes.get_mut(node) {
            // A stream that begins again begins further back.
            Some(reached) => *reached = time.max(*reached),
            None => _ = self.nodes.insert(node.to_owned(), time),
        }
    }

    /// Nothing older is ever asked for again.
    pub fn horizon(&self) -> i64 {
        self.newest.saturating_sub(LONGEST + 2 * BACK)
    }

    /// Where the stream begins again; and the nodes whose records are not asked for any more, and since
    /// when, as they are too far behind.
    pub fn since(&mut self) -> (i64, Vec<(String, i64)>) {
        let earliest = self.newest.saturating_sub(LONGEST);
        let given_up = self.nodes.extract_if(|_, reached| *reached < earliest);
        let mut given_up: Vec<_> = given_up.collect();
        given_up.sort_unstable();
        let least = self.nodes.values().min().copied().unwrap_or(self.newest);
        (self.began.max(least.saturating_sub(BACK)), given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_000_000 * SECOND;

    #[test]
    fn a_stream_begins_again_where_the_last_node_stands() {
        let mut marks = Watermarks::new(BEGAN);
        assert_eq!(marks.since(), (BEGAN, Vec::new()), "nobody has said anything");
        marks.reach("a", BEGAN + 10 * BACK);
        marks.reach("b", BEGAN + 5 * BACK);
        assert_eq!(marks.since(), (BEGAN + 4 * BACK, Vec::new()));
        // Again from where it was, by a server that knows no more; and once it is through.
        marks.reach("b", BEGAN + 4 * BACK);
        assert_eq!(marks.since(), (BEGAN + 4 * BACK, Vec::new()));
        marks.reach("b", BEGAN + 11 * BACK);
        assert_eq!(marks.since(), (BEGAN + 9 * BACK, Vec::new()));
        marks.reach("new", BEGAN);
        assert_eq!(marks.since(), (BEGAN, Vec::new()), "it joined, and has said nothing yet");
    }

    #[test]
    fn a_node_that_is_gone_for_good_is_named_and_no_longer_waited_for() {
        let mut marks = Watermarks::new(BEGAN);
        marks.reach("gone", BEGAN + BACK);
        marks.reach("a", BEGAN + BACK + LONGEST);
        assert_eq!(marks.since(), (BEGAN, Vec::new()), "not yet");
        let newest = BEGAN + BACK + LONGEST + 1;
        marks.reach("a", newest);
        assert_eq!(marks.since(), (newest - BACK, vec![("gone".to_owned(), BEGAN + BACK)]));
        assert_eq!(marks.since(), (newest - BACK, Vec::new()), "it is told once");
    }

    #[test]
    fn a_stream_never_begins_before_what_is_known_to_be_shown() {
        let mut marks = Watermarks::new(BEGAN);
        let newest = BEGAN + 10 * LONGEST;
        marks.reach("a", newest);
        for behind in [0, BACK, LONGEST - 1, LONGEST, LONGEST + 1, 9 * LONGEST] {
            marks.reach(&behind.to_string(), newest - behind);
        }
        assert!(marks.since().0 > marks.horizon());
    }
}

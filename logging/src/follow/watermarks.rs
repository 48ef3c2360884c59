//! From when on a stream that broke off has to begin again: of each node, where it stands. Pure. Times are nanoseconds of the nodes' clocks.
//!
//! The nodes themselves say how far their records have come, between these ([`crate::wire::TailLine::Watermark`]).
//! One that is lost, or reads a backlog, stays where it is until it is through.

use std::collections::HashMap;

use super::BACK;
use crate::time::SECOND;

/// A node further behind the first is given up. What was shown is known for as long, and two [`BACK`] more:
/// [`Watermarks::again`] must never go further back than that.
const LONGEST: i64 = 3_600 * SECOND;

/// So many nodes are told apart when the stream begins again: their names stand in an address.
const MOST: usize = 100;

/// Stands for all nodes where nobody says of each how far it is. No node is called so.
const ALL: &str = "";

/// How far each node's records have come.
#[derive(Debug)]
pub(super) struct Watermarks {
    /// What is older was there before.
    began: i64,
    nodes: HashMap<String, i64>,
    newest: Option<i64>,
}

impl Watermarks {
    /// Of a stream that shows all from a time on, by the clock of who reads it, until the server has said it.
    pub fn new(began: i64) -> Self {
        Self { began, nodes: HashMap::new(), newest: None }
    }

    /// All that was written on the node before this time has come. The first time is that of the begin by
    /// the server's clock.
    pub fn reach(&mut self, node: &str, time: i64) {
        if self.newest.is_none() {
            self.began = time;
        }
        self.newest = self.newest.max(Some(time));
        match self.nodes.get_mut(node) {
            // A stream that begins again begins further back.
            Some(reached) => *reached = time.max(*reached),
            None => _ = self.nodes.insert(node.to_owned(), time),
        }
    }

    /// The nodes say how far they are from here on. If they don't, as the server is of before they did, all
    /// counts as come that was written before this time, and then before each sign of life of the server.
    pub fn told(&mut self, by_nodes: bool, time: i64) {
        self.nodes.retain(|node, _| (node == ALL) != by_nodes);
        if !by_nodes {
            self.reach(ALL, time);
        }
    }

    /// The server, whose nodes don't say how far they are, has said something.
    pub fn heard(&mut self, time: i64) {
        if self.nodes.contains_key(ALL) {
            self.reach(ALL, time);
        }
    }

    /// What is older was there before.
    pub fn began(&self) -> i64 {
        self.began
    }

    fn newest(&self) -> i64 {
        self.newest.unwrap_or(self.began)
    }

    /// Nothing older is ever asked for again.
    pub fn horizon(&self) -> i64 {
        self.newest().saturating_sub(LONGEST + 2 * BACK)
    }

    /// Where the stream begins again.
    pub fn again(&mut self) -> Again {
        let newest = self.newest();
        let given_up = self.nodes.extract_if(|_, reached| *reached < newest.saturating_sub(LONGEST));
        let mut given_up: Vec<_> = given_up.collect();
        given_up.sort_unstable();
        let is_behind = |(node, reached): &(&String, &i64)| {
            let has_name = node.as_str() != ALL && !node.contains([',', '=']);
            **reached < newest.saturating_sub(BACK) && has_name
        };
        let mut behind: Vec<_> = self.nodes.iter().filter(is_behind).collect();
        behind.sort_unstable_by_key(|(node, reached)| (**reached, node.as_str()));
        behind.truncate(MOST);
        let others = self.nodes.iter().filter(|(node, _)| behind.iter().all(|(named, _)| named != node));
        let least = others.map(|(_, reached)| *reached).min().unwrap_or(newest);
        let from = |reached: i64| self.began.max(reached.saturating_sub(BACK));
        let of = behind.iter().map(|(node, reached)| ((*node).clone(), from(**reached))).collect();
        Again { since: from(least), of, given_up }
    }
}

/// Where a stream begins again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Again {
    /// Of all nodes that are not named.
    pub since: i64,
    /// Of those that are further behind.
    pub of: Vec<(String, i64)>,
    /// Nodes whose records are not asked for any more, as they are too far behind, and where they stood.
    pub given_up: Vec<(String, i64)>,
}

impl Again {
    /// The same for a server that can't be told of nodes.
    pub fn least(&self) -> i64 {
        self.of.iter().map(|(_, since)| *since).chain([self.since]).fold(i64::MAX, i64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: i64 = 1_000_000 * SECOND;

    fn again(since: i64, of: &[(&str, i64)], given_up: &[(&str, i64)]) -> Again {
        let named =
            |nodes: &[(&str, i64)]| nodes.iter().map(|(node, at)| ((*node).to_owned(), *at)).collect();
        Again { since, of: named(of), given_up: named(given_up) }
    }

    #[test]
    fn each_node_begins_again_where_it_stands() {
        let mut marks = Watermarks::new(BEGAN);
        assert_eq!(marks.again(), again(BEGAN, &[], &[]), "nobody has said anything");
        marks.reach("a", BEGAN);
        marks.reach("a", BEGAN + 10 * BACK);
        marks.reach("b", BEGAN + 5 * BACK);
        marks.reach("c", BEGAN + 9 * BACK);
        let expected = again(BEGAN + 8 * BACK, &[("b", BEGAN + 4 * BACK)], &[]);
        assert_eq!(marks.again(), expected);
        // Again from where it was, by a server that knows no more; and once it is through.
        marks.reach("b", BEGAN + 4 * BACK);
        assert_eq!(marks.again(), expected);
        marks.reach("b", BEGAN + 11 * BACK);
        assert_eq!(marks.again(), again(BEGAN + 9 * BACK, &[("c", BEGAN + 8 * BACK)], &[]));
        marks.reach("new", BEGAN);
        assert_eq!(marks.again().of[0], ("new".to_owned(), BEGAN), "it joined, and has said nothing yet");
    }

    #[test]
    fn of_very_many_nodes_those_are_named_that_are_furthest_behind() {
        let mut marks = Watermarks::new(BEGAN);
        marks.reach("first", BEGAN);
        marks.reach("first", BEGAN + 20 * BACK);
        for number in 0..=MOST as i64 {
            marks.reach(&format!("n{number}"), BEGAN + 2 * BACK + number);
        }
        let again = marks.again();
        assert_eq!((again.of.len(), again.since), (MOST, BEGAN + BACK + MOST as i64));
        assert_eq!(again.of[0], ("n0".to_owned(), BEGAN + BACK));
        let mut marks = Watermarks::new(BEGAN);
        marks.reach("a=b", BEGAN);
        marks.reach("c", BEGAN + 20 * BACK);
        assert_eq!(marks.again(), self::again(BEGAN, &[], &[]), "its name can't be said");
    }

    #[test]
    fn a_node_that_is_gone_for_good_is_told_and_no_longer_waited_for() {
        let mut marks = Watermarks::new(BEGAN);
        marks.reach("gone", BEGAN);
        marks.reach("a", BEGAN + LONGEST);
        let newest = BEGAN + LONGEST;
        assert_eq!(marks.again(), again(newest - BACK, &[("gone", BEGAN)], &[]), "not yet");
        marks.reach("a", newest + 1);
        assert_eq!(marks.again(), again(newest + 1 - BACK, &[], &[("gone", BEGAN)]));
        assert_eq!(marks.again(), again(newest + 1 - BACK, &[], &[]), "it is told once");
    }

    #[test]
    fn the_begin_is_that_of_the_servers_clock_once_it_is_known() {
        for clock in [BEGAN + 2 * LONGEST, BEGAN - 2 * LONGEST] {
            let mut marks = Watermarks::new(clock);
            assert_eq!((marks.again(), marks.began()), (again(clock, &[], &[]), clock));
            marks.reach("a", BEGAN);
            marks.reach("b", BEGAN);
            assert_eq!((marks.again(), marks.began()), (again(BEGAN, &[], &[]), BEGAN));
            marks.reach("a", BEGAN + 5 * BACK);
            marks.reach("b", BEGAN + 3 * BACK);
            assert_eq!(
                (marks.again(), marks.began()),
                (again(BEGAN + 4 * BACK, &[("b", BEGAN + 2 * BACK)], &[]), BEGAN)
            );
        }
    }

    #[test]
    fn a_server_whose_nodes_say_nothing_is_where_it_was_heard_last() {
        let mut marks = Watermarks::new(BEGAN);
        marks.told(false, BEGAN);
        assert_eq!(marks.again(), again(BEGAN, &[], &[]));
        marks.heard(BEGAN + 5 * BACK);
        assert_eq!((marks.again(), marks.began()), (again(BEGAN + 4 * BACK, &[], &[]), BEGAN));
        // A newer one in its place, whose nodes say it, by a clock that is ahead.
        marks.told(true, BEGAN + 4 * BACK);
        marks.heard(BEGAN + 6 * BACK);
        marks.reach("a", BEGAN + 9 * BACK);
        marks.reach("b", BEGAN + 3 * BACK);
        let both = marks.again();
        assert_eq!(both, again(BEGAN + 8 * BACK, &[("b", BEGAN + 2 * BACK)], &[]));
        // And the older one again.
        assert_eq!(both.least(), BEGAN + 2 * BACK);
        marks.told(false, both.least());
        assert_eq!(marks.again(), again(BEGAN + BACK, &[], &[]), "its name can't be said");
    }

    #[test]
    fn a_stream_never_begins_before_what_is_known_to_be_shown() {
        let mut marks = Watermarks::new(BEGAN);
        let newest = BEGAN + 10 * LONGEST;
        marks.reach("a", BEGAN);
        marks.reach("a", newest);
        for behind in [0, BACK, LONGEST - 1, LONGEST, LONGEST + 1, 9 * LONGEST] {
            marks.reach(&behind.to_string(), newest - behind);
        }
        let again = marks.again();
        assert!(
            again
                .of
                .iter()
                .map(|(_, since)| *since)
                .chain([again.since])
                .all(|since| since > marks.horizon())
        );
    }
}

//! Where a record stands in an answer: the orders of [`Order`], and which records of one block
//! come first in them.

use std::cmp::Reverse;

use crate::{block::BlockHead, wire::Order};

/// Where a record stands in the order of the answer: the less, the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place<'a> {
    Newest(Reverse<(i64, &'a str, u64)>),
    Oldest((i64, &'a str, u64)),
    Last(Reverse<u64>),
    First(u64),
}

impl Order {
    pub(super) fn place(self, time: i64, stream: &str, seq: u64) -> Place<'_> {
        match self {
            Order::Newest => Place::Newest(Reverse((time, stream, seq))),
            Order::Oldest => Place::Oldest((time, stream, seq)),
            Order::Last => Place::Last(Reverse(seq)),
            Order::First => Place::First(seq),
        }
    }

    /// No record of the block stands before this.
    pub(super) fn first_of<'a>(self, head: &BlockHead) -> Place<'a> {
        match self {
            // No key is greater than the last character there is.
            Order::Newest => Place::Newest(Reverse((head.max_time, "\u{10ffff}", u64::MAX))),
            Order::Oldest => Place::Oldest((head.min_time, "", 0)),
            // Blocks of a stream don't overlap in their numbers.
            Order::Last => Place::Last(Reverse(head.first_seq)),
            Order::First => Place::First(head.first_seq),
        }
    }
}

/// The place of the `n`-th (from 1) of some records of one stream, if there are more; `record` gives
/// the time and the number of each.
pub(super) fn nth(
    order: Order,
    n: usize,
    mut records: Vec<usize>,
    record: impl Fn(usize) -> (i64, u64),
) -> Option<Place<'static>> {
    let place = |at: usize| {
        let (time, seq) = record(at);
        order.place(time, "", seq)
    };
    let at = n.checked_sub(1).filter(|_| records.len() > n)?;
    let (_, nth, _) = records.select_nth_unstable_by(at, |a, b| place(*a).cmp(&place(*b)));
    let (time, seq) = record(*nth);
    Some(order.place(time, "", seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_of_a_streams_records_is_found_in_each_order() {
        // A clock that was set back: numbers ascend, times don't.
        let records = [(5, 10), (9, 11), (2, 12), (9, 13), (4, 14)];
        let nth = |order, n| nth(order, n, (0..records.len()).collect(), |at| records[at]);
        assert_eq!(nth(Order::Newest, 1), Some(Order::Newest.place(9, "", 13)));
        assert_eq!(nth(Order::Newest, 2), Some(Order::Newest.place(9, "", 11)));
        assert_eq!(nth(Order::Oldest, 2), Some(Order::Oldest.place(4, "", 14)));
        assert_eq!(nth(Order::Last, 2), Some(Order::Last.place(4, "", 13)));
        assert_eq!(nth(Order::First, 4), Some(Order::First.place(4, "", 13)));
        assert_eq!(nth(Order::First, 5), None, "there are no more");
        assert_eq!(nth(Order::First, 0), None);
    }
}

//! Up to when all was read of containers that have more, and while some can't be looked at. Pure.
//!
//! What has more was either written after the last record that was read of it, or after it was last
//! known to have no more: on a busy node some stream always waits its turn, and one that writes once an hour
//! would make the node say that it is an hour behind.
//!
//! What can't be looked at may have more, too: all was read up to when it was asked before that was seen.
//! Some will never be readable, so that holds for [`PATIENCE`] and no longer. Times are nanoseconds.

use std::collections::HashMap;

use super::{Place, tailer::Key};
use crate::time::SECOND;

/// How long it is waited for what may never come: until something can be looked at, and for the rest of a
/// line. Much less than what makes a follower give a node up.
pub(super) const PATIENCE: i64 = 600 * SECOND;

/// Since when containers have more.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// When it was asked last: who had no more then was read up to that time. While it is held up,
    /// when it was asked last before.
    asked: Option<i64>,
    /// When it had no more the last time; `None`: it is not known.
    since: HashMap<Key, Option<i64>>,
    /// What can't be looked at, and when that was seen first.
    refused: HashMap<Place, i64>,
    /// Since when it is held up for the sake of those.
    held: Option<i64>,
}

impl Behind {
    /// These can't be looked at, at the time `now`; `tried` are those where something has more, which may
    /// be one of them that is tried again. To be said before [`Behind::reached`] is asked.
    pub fn hold<'a>(
        &mut self,
        now: i64,
        refused: impl Iterator<Item = &'a Place>,
        tried: impl Iterator<Item = Place>,
    ) {
        let first = |place: &Place| self.refused.get(place).copied();
        let mut places: HashMap<Place, i64> =
            refused.map(|place| (place.clone(), first(place).unwrap_or(now))).collect();
        if !self.refused.is_empty() {
            places.extend(tried.filter_map(|place| first(&place).map(|seen| (place, seen))));
        }
        self.refused = places;
        // Also of a clock that was set back nothing is held for long.
        let is_new = |since: i64| now.abs_diff(since) < PATIENCE.cast_unsigned();
        let is_wanted = self.refused.values().any(|seen| is_new(*seen));
        // Nor by one after the other.
        self.held = is_wanted.then(|| self.held.unwrap_or(now)).filter(|since| is_new(*since));
    }

    /// Up to when all was read at the time `now`, at which these have more, and up to when each was read
    /// by its records. `None`: it can't be said of one of them.
    pub fn reached<'a>(
        &mut self,
        now: i64,
        have_more: impl Iterator<Item = (&'a Key, Option<i64>)>,
    ) -> Option<i64> {
        // Of a clock that was set back meanwhile they say nothing.
        let is_past = |time: &i64| *time <= now;
        let asked = self.asked.filter(is_past);
        let (mut since, mut least) = (HashMap::new(), Some(now));
        for (key, by_records) in have_more {
            let idle = self.since.get(key).copied().unwrap_or(asked).filter(is_past);
            least = least.zip(by_records.max(idle)).map(|(least, reached)| least.min(reached));
            since.insert(key.clone(), idle);
        }
        self.since = since;
        if self.held.is_some() {
            return least.zip(asked).map(|(least, asked)| least.min(asked));
        }
        self.asked = Some(now);
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_its_turn_was_read_up_to_when_it_had_no_more() {
        let [rare, busy] = ["rare", "busy"].map(|name| (String::new(), name.to_owned()));
        let mut behind = Behind::default();
        assert_eq!(behind.reached(10, [(&busy, Some(9))].into_iter()), Some(9));
        // It wrote an hour ago, and has a new line, which waits.
        assert_eq!(behind.reached(20, [(&rare, Some(-3_600)), (&busy, Some(19))].into_iter()), Some(10));
        assert_eq!(behind.reached(30, [(&busy, Some(29)), (&rare, Some(-3_600))].into_iter()), Some(10));
        assert_eq!(
            behind.reached(40, [(&rare, Some(35))].into_iter()),
            Some(35),
            "one of its lines was read"
        );
        assert_eq!(behind.reached(50, [].into_iter()), Some(50));
        // A new container, of which nothing was read.
        assert_eq!(behind.reached(60, [(&rare, None)].into_iter()), Some(50));
    }

    #[test]
    fn what_an_earlier_process_left_is_not_known_before_its_first_record() {
        let key = (String::new(), "app".to_owned());
        let mut behind = Behind::default();
        for now in [10, 20] {
            assert_eq!(behind.reached(now, [(&key, None)].into_iter()), None);
        }
        assert_eq!(behind.reached(30, [(&key, Some(-5))].into_iter()), Some(-5));
        assert_eq!(behind.reached(40, [].into_iter()), Some(40));
    }

    #[test]
    fn of_a_clock_that_was_set_back_it_is_not_known_who_had_no_more() {
        let [new, old] = ["new", "old"].map(|name| (String::new(), name.to_owned()));
        let mut behind = Behind::default();
        assert_eq!(behind.reached(1_000, [].into_iter()), Some(1_000));
        assert_eq!(behind.reached(1_010, [(&old, None)].into_iter()), Some(1_000));
        assert_eq!(behind.reached(100, [(&old, Some(90)), (&new, None)].into_iter()), None);
        assert_eq!(behind.reached(110, [(&old, Some(95)), (&new, Some(50))].into_iter()), Some(50));
        assert_eq!(behind.reached(120, [(&old, Some(95))].into_iter()), Some(95));
        assert_eq!(behind.reached(130, [].into_iter()), Some(130));
    }

    fn place(name: &str) -> Place {
        Place::Pod(name.to_owned())
    }

    /// Nobody has more that could be read.
    fn ask(behind: &mut Behind, now: i64, refused: &[&Place], tried: &[&Place]) -> Option<i64> {
        behind.hold(now, refused.iter().copied(), tried.iter().map(|place| (*place).clone()));
        behind.reached(now, [].into_iter())
    }

    #[test]
    fn what_can_not_be_looked_at_was_read_up_to_when_it_could() {
        let (denied, key) = (place("denied"), (String::new(), "app".to_owned()));
        let mut behind = Behind::default();
        assert_eq!(ask(&mut behind, 10, &[], &[]), Some(10));
        assert_eq!(ask(&mut behind, 20, &[&denied], &[]), Some(10));
        // It is tried again, and that fails.
        assert_eq!(ask(&mut behind, 30, &[], &[&denied, &place("other")]), Some(10));
        assert_eq!(ask(&mut behind, 40, &[&denied], &[]), Some(10));
        // It is there again, and what it has waits for its turn.
        behind.hold(50, [].into_iter(), [].into_iter());
        assert_eq!(behind.reached(50, [(&key, None)].into_iter()), Some(10));
        behind.hold(60, [].into_iter(), [].into_iter());
        assert_eq!(behind.reached(60, [(&key, None)].into_iter()), Some(10));
        assert_eq!(ask(&mut behind, 70, &[], &[]), Some(70));
    }

    #[test]
    fn what_can_never_be_looked_at_holds_it_up_for_a_while_only() {
        let (first, second) = (place("first"), place("second"));
        let mut behind = Behind::default();
        assert_eq!(ask(&mut behind, 10, &[&first], &[]), None, "since when it can't is not known");
        assert_eq!(ask(&mut behind, 9 + PATIENCE, &[&first], &[]), None);
        let mut now = 10 + PATIENCE;
        assert_eq!(ask(&mut behind, now, &[&first], &[]), Some(now));
        assert_eq!(ask(&mut behind, now + 1, &[], &[&first]), Some(now + 1), "tried again in vain");
        let known = now + 2;
        assert_eq!(ask(&mut behind, known, &[&first], &[]), Some(known));
        // Another one holds it up for as long.
        assert_eq!(ask(&mut behind, known + 1, &[&first, &second], &[]), Some(known));
        assert_eq!(ask(&mut behind, known + PATIENCE, &[&first, &second], &[]), Some(known));
        now = known + 1 + PATIENCE;
        assert_eq!(ask(&mut behind, now, &[&first, &second], &[]), Some(now));
        // The clock is set back.
        let back = now - 100 * PATIENCE;
        assert_eq!(ask(&mut behind, back, &[&first, &second], &[]), Some(back));
    }

    #[test]
    fn one_after_the_other_that_can_not_be_looked_at_holds_it_up_no_longer() {
        let mut behind = Behind::default();
        assert_eq!(ask(&mut behind, 0, &[], &[]), Some(0));
        let step = PATIENCE / 4;
        for number in 1..100 {
            let now = number * step;
            let reached = ask(&mut behind, now, &[&place(&number.to_string())], &[]).expect("known");
            assert!(now - reached <= PATIENCE + step, "{number}: {reached}");
        }
    }
}

//! Up to when all was read of containers that have more. Pure.
//!
//! What has more was either written after the last record that was read of it, or after it was last
//! known to have no more: on a busy node some stream always waits its turn, and one that writes once an hour
//! would make the node say that it is an hour behind. Times are nanoseconds.

use std::collections::HashMap;

use super::tailer::Key;

/// Since when containers have more.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// When it was asked last: who had no more then was read up to that time.
    asked: Option<i64>,
    /// When it had no more the last time; `None`: it is not known.
    since: HashMap<Key, Option<i64>>,
}

impl Behind {
    /// Up to when all was read at the time `now`, at which these have more, and up to when each was read
    /// by its records. `None`: it can't be said of one of them.
    pub fn reached<'a>(
        &mut self,
        now: i64,
        have_more: impl Iterator<Item = (&'a Key, Option<i64>)>,
    ) -> Option<i64> {
        let (mut since, mut least) = (HashMap::new(), Some(now));
        for (key, by_records) in have_more {
            let idle = self.since.get(key).copied().unwrap_or(self.asked);
            least = least.zip(by_records.max(idle)).map(|(least, reached)| least.min(reached));
            since.insert(key.clone(), idle);
        }
        (self.asked, self.since) = (Some(now), since);
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
}

//! Values since the beginning, of senders that only tell what was new.
//!
//! What is kept is bounded; a series that is forgotten begins again at zero, as a counter that
//! was reset. So it is after a restart of the server.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::series::Labels;

/// Series whose sums are kept, and the bytes of their labels.
const MOST: usize = 100_000;
const MOST_BYTES: usize = 64 << 20;
/// What hasn't been told of for so long may be forgotten.
const QUIET: Duration = Duration::from_secs(10 * 60);
/// So often it is looked for at most.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Sums(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    sums: HashMap<(String, Labels), Sum>,
    /// Of all labels.
    bytes: usize,
    /// When it was looked last for what can be forgotten.
    looked: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Sum {
    value: f64,
    time: i64,
    /// By no sender's clock.
    told: Instant,
}

impl Kept {
    fn has_room_for(&self, labels: &Labels) -> bool {
        self.sums.len() < MOST && self.bytes + labels.as_bytes().len() <= MOST_BYTES
    }

    fn forget(&mut self, now: Instant) {
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK) {
            return;
        }
        self.looked = Some(now);
        self.sums.retain(|_, sum| now.saturating_duration_since(sum.told) < QUIET);
        self.bytes = self.sums.keys().map(|(_, labels)| labels.as_bytes().len()).sum();
    }
}

impl Sums {
    /// The sum with `delta` at `time`; nothing if that was told before, or there are too many series.
    pub fn add(&self, namespace: &str, labels: &Labels, delta: f64, time: i64) -> Option<f64> {
        self.add_at(Instant::now(), namespace, labels, delta, time)
    }

    fn add_at(&self, now: Instant, namespace: &str, labels: &Labels, delta: f64, time: i64) -> Option<f64> {
        let mut kept = self.0.lock();
        let key = (namespace.to_owned(), labels.clone());
        let before = match kept.sums.get(&key) {
            Some(sum) => *sum,
            None => {
                if !kept.has_room_for(labels) {
                    kept.forget(now);
                }
                if !kept.has_room_for(labels) {
                    return None;
                }
                kept.bytes += labels.as_bytes().len();
                Sum { value: 0.0, time: i64::MIN, told: now }
            }
        };
        let is_new = time > before.time;
        let sum = if is_new { Sum { value: before.value + delta, time, told: now } } else { before };
        kept.sums.insert(key, sum);
        is_new.then_some(sum.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_add_up_in_order_of_time() {
        let sums = Sums::default();
        let labels = Labels::new([("__name__", "a")]);
        assert_eq!(sums.add("shop", &labels, 2.0, 10), Some(2.0));
        assert_eq!(sums.add("shop", &labels, 3.0, 20), Some(5.0));
        // A request that comes again adds nothing.
        assert_eq!(sums.add("shop", &labels, 3.0, 20), None);
        assert_eq!(sums.add("ops", &labels, 1.0, 20), Some(1.0));
    }

    #[test]
    fn abuse_34_labels_of_sums_have_so_many_bytes_and_no_senders_clock_makes_room() {
        let (sums, now) = (Sums::default(), Instant::now());
        let long = "x".repeat(1 << 20);
        let labels = |n: usize| Labels::new([("__name__", "a"), ("n", n.to_string().as_str()), ("v", &long)]);
        let add =
            |after: Duration, n: usize, time: i64| sums.add_at(now + after, "shop", &labels(n), 1.0, time);
        assert_eq!((0..100).filter(|n| add(Duration::ZERO, *n, 10).is_some()).count(), 63);
        assert_eq!(add(QUIET / 2, 100, i64::MAX), None, "there is no room");
        assert_eq!(add(QUIET / 2, 0, 20), Some(2.0));
        // What wasn't told of is forgotten.
        assert_eq!(add(QUIET, 100, 20), Some(1.0));
        assert_eq!((add(QUIET, 0, 30), add(QUIET, 1, 30)), (Some(3.0), Some(1.0)));
    }
}

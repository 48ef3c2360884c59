//! Values since the beginning, of senders that only tell what was new.
//!
//! What is kept is bounded; a series that is forgotten begins again at zero, as a counter that
//! was reset. So it is after a restart of the server.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::series::Labels;

/// Series whose sums are kept.
const MOST: usize = 100_000;
/// What hasn't been told of for so long, milliseconds, may be forgotten.
const QUIET: i64 = 10 * 60 * 1000;

#[derive(Default)]
pub struct Sums(Mutex<HashMap<(String, Labels), Sum>>);

#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    time: i64,
}

impl Sums {
    /// The sum with `delta` at `time`; nothing if that was told before, or there are too many series.
    pub fn add(&self, namespace: &str, labels: &Labels, delta: f64, time: i64) -> Option<f64> {
        let mut sums = self.0.lock();
        let key = (namespace.to_owned(), labels.clone());
        if sums.len() >= MOST && !sums.contains_key(&key) {
            sums.retain(|_, sum| sum.time > time - QUIET);
            if sums.len() >= MOST {
                return None;
            }
        }
        let sum = sums.entry(key).or_insert(Sum { value: 0.0, time: i64::MIN });
        if time <= sum.time {
            return None;
        }
        *sum = Sum { value: sum.value + delta, time };
        Some(sum.value)
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
}

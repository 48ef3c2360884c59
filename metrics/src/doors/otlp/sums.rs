//! Values since the beginning, of senders that only tell what was new.
//!
//! What is kept is bounded; a series that is forgotten begins again at zero, as a counter that
//! was reset. So it is after a restart of the server. One namespace's series take no more than they
//! leave free, so that whatever one sends, there is room for those of others.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::series::Labels;

/// Series whose sums are kept, and the bytes of their labels.
const MOST: usize = 200_000;
const MOST_BYTES: usize = 128 << 20;
/// What hasn't been told of for so long may be forgotten.
const QUIET: Duration = Duration::from_secs(10 * 60);
/// So often it is looked for at most.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Sums(Mutex<Kept>);

/// Why a delta makes no sum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSum {
    #[error("it is not newer than the one before it: each is sent once, in order of time, by one sender")]
    Before,
    #[error(
        "{series} series of deltas are kept of {}, which is its share: send cumulative values, or fewer",
        whose(.namespace)
    )]
    Full { namespace: String, series: usize },
}

fn whose(namespace: &str) -> String {
    match namespace {
        "*" => "senders to all namespaces".to_owned(),
        one => format!("namespace {one:?}"),
    }
}

#[derive(Default)]
struct Kept {
    /// None is empty.
    namespaces: HashMap<String, Namespace>,
    /// Of all.
    amount: Amount,
    /// When it was looked last for what can be forgotten.
    looked: Option<Instant>,
}

#[derive(Default)]
struct Namespace {
    sums: HashMap<Labels, Sum>,
    amount: Amount,
}

/// Series, and bytes of labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Amount {
    series: usize,
    bytes: usize,
}

#[derive(Clone, Copy)]
struct Sum {
    value: f64,
    time: i64,
    /// By no sender's clock.
    told: Instant,
}

impl Amount {
    fn of(labels: &Labels) -> Self {
        Self { series: 1, bytes: labels.as_bytes().len() }
    }

    fn and(self, other: Self) -> Self {
        Self { series: self.series + other.series, bytes: self.bytes + other.bytes }
    }

    /// Whether there is room for a series, where so much is a namespace's and so much is everybody's.
    fn has_room(own: Self, all: Self, more: Self) -> bool {
        let fits = |most: usize, own: usize, all: usize, more: usize| {
            most.checked_sub(all + more).is_some_and(|left| own + more <= left)
        };
        fits(MOST, own.series, all.series, more.series) && fits(MOST_BYTES, own.bytes, all.bytes, more.bytes)
    }
}

impl Kept {
    fn amount_of(&self, namespace: &str) -> Amount {
        self.namespaces.get(namespace).map(|one| one.amount).unwrap_or_default()
    }

    fn has_room_for(&self, namespace: &str, labels: &Labels) -> bool {
        Amount::has_room(self.amount_of(namespace), self.amount, Amount::of(labels))
    }

    fn forget(&mut self, now: Instant) {
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK) {
            return;
        }
        self.looked = Some(now);
        self.amount = Amount::default();
        for one in self.namespaces.values_mut() {
            one.sums.retain(|_, sum| now.saturating_duration_since(sum.told) < QUIET);
            one.amount = one.sums.keys().map(Amount::of).fold(Amount::default(), Amount::and);
            self.amount = self.amount.and(one.amount);
        }
        self.namespaces.retain(|_, one| !one.sums.is_empty());
    }

    /// # Errors
    /// There is no room for it.
    fn begin(&mut self, now: Instant, namespace: &str, labels: &Labels, sum: Sum) -> Result<(), NoSum> {
        if !self.has_room_for(namespace, labels) {
            self.forget(now);
        }
        if !self.has_room_for(namespace, labels) {
            let series = self.amount_of(namespace).series;
            return Err(NoSum::Full { namespace: namespace.to_owned(), series });
        }
        let more = Amount::of(labels);
        let one = self.namespaces.entry(namespace.to_owned()).or_default();
        one.sums.insert(labels.clone(), sum);
        one.amount = one.amount.and(more);
        self.amount = self.amount.and(more);
        Ok(())
    }
}

impl Sums {
    /// The sum with `delta` at `time`.
    ///
    /// # Errors
    /// That was told before, or the namespace has too many series.
    pub fn add(&self, namespace: &str, labels: &Labels, delta: f64, time: i64) -> Result<f64, NoSum> {
        self.add_at(Instant::now(), namespace, labels, delta, time)
    }

    fn add_at(
        &self,
        now: Instant,
        namespace: &str,
        labels: &Labels,
        delta: f64,
        time: i64,
    ) -> Result<f64, NoSum> {
        let mut kept = self.0.lock();
        let known = kept.namespaces.get_mut(namespace).and_then(|one| one.sums.get_mut(labels));
        let Some(sum) = known else {
            kept.begin(now, namespace, labels, Sum { value: delta, time, told: now })?;
            return Ok(delta);
        };
        if time <= sum.time {
            return Err(NoSum::Before);
        }
        *sum = Sum { value: sum.value + delta, time, told: now };
        Ok(sum.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: usize, long: &str) -> Labels {
        Labels::new([("__name__", "a"), ("n", n.to_string().as_str()), ("v", long)])
    }

    #[test]
    fn deltas_add_up_in_order_of_time() {
        let sums = Sums::default();
        let labels = Labels::new([("__name__", "a")]);
        assert_eq!(sums.add("shop", &labels, 2.0, 10), Ok(2.0));
        assert_eq!(sums.add("shop", &labels, 3.0, 20), Ok(5.0));
        // A request that comes again adds nothing.
        assert_eq!(sums.add("shop", &labels, 3.0, 20), Err(NoSum::Before));
        assert_eq!(sums.add("ops", &labels, 1.0, 20), Ok(1.0));
    }

    #[test]
    fn abuse_34_labels_of_sums_have_so_many_bytes_and_no_senders_clock_makes_room() {
        let (sums, now) = (Sums::default(), Instant::now());
        let long = "x".repeat(1 << 20);
        let add = |after: Duration, n: usize, time: i64| {
            sums.add_at(now + after, "shop", &labels(n, &long), 1.0, time)
        };
        // Each has a little more than a mebibyte, of which a namespace has 64.
        assert_eq!((0..100).filter(|n| add(Duration::ZERO, *n, 10).is_ok()).count(), 63);
        let full = NoSum::Full { namespace: "shop".to_owned(), series: 63 };
        assert_eq!(add(QUIET / 2, 100, i64::MAX), Err(full), "there is no room");
        assert_eq!(add(QUIET / 2, 0, 20), Ok(2.0));
        // What wasn't told of is forgotten.
        assert_eq!(add(QUIET, 100, 20), Ok(1.0));
        assert_eq!((add(QUIET, 0, 30), add(QUIET, 1, 30)), (Ok(3.0), Ok(1.0)));
    }

    #[test]
    fn abuse_34_sums_of_one_namespace_leave_room_for_those_of_others() {
        let (sums, now) = (Sums::default(), Instant::now());
        let long = "x".repeat(1 << 20);
        let taken = |namespace: &str| {
            let add = |n: &usize| sums.add_at(now, namespace, &labels(*n, &long), 1.0, 10).is_ok();
            (0..100).filter(add).count()
        };
        // Half of what is left, each.
        assert_eq!((taken("shop"), taken("bank"), taken("ops")), (63, 32, 16));
        // A namespace whose series are forgotten is, too, and so is what they took.
        let later = now + QUIET;
        sums.add_at(later, "shop", &labels(1000, &long), 1.0, 10).expect("room again");
        let kept = sums.0.lock();
        assert_eq!((kept.namespaces.len(), kept.amount.series), (1, 1));
    }

    #[test]
    fn abuse_34_a_namespace_has_so_many_sums() {
        let room = |own: usize, all: usize| {
            let amount = |series| Amount { series, bytes: 0 };
            Amount::has_room(amount(own), amount(all), amount(1))
        };
        assert!(room(99_999, 99_999) && !room(100_000, 100_000), "half of all where there is no other");
        assert!(room(0, 199_998) && !room(1, 199_998) && !room(0, 199_999), "and of what is left");
    }

    #[test]
    fn each_reason_says_what_helps() {
        let full = |namespace: &str| NoSum::Full { namespace: namespace.to_owned(), series: 7 }.to_string();
        let of_shop = "7 series of deltas are kept of namespace \"shop\", which is its share: ";
        assert!(full("shop").starts_with(of_shop), "{}", full("shop"));
        assert!(full("*").contains("of senders to all namespaces,"), "{}", full("*"));
        assert!(NoSum::Before.to_string().contains("in order of time"));
    }
}

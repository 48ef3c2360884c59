//! The keyed work queue of a controller.
//!
//! A key is at most once in line, and never worked on twice at the same time:
//! a key added while it is being worked on goes in line again when that ends.
//! Failed keys come back after a pause that doubles by key.
//!
//! ```text
//! add ─────────────> line ──> next ──> (worked on) ──> done
//! add_after, retry ──> waiting ──^          add meanwhile ──^
//! ```

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use prometheus_client::metrics::histogram::Histogram;
use tokio::{sync::Notify, time::Instant};

use crate::{key::Key, metric_names};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
    /// Seconds that keys stood in line.
    waited: Histogram,
}

/// What a queue says about its work so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Keys in line now.
    pub depth: usize,
    /// How often a key came into line, or is to come when the work on it ends.
    pub adds: u64,
    /// How often a key was to come again because something had failed.
    pub retries: u64,
}

#[derive(Default)]
struct Inner {
    line: VecDeque<Key>,
    /// In line, or to go in line again when the work on it ends; and since when.
    wanted: HashMap<Key, Instant>,
    working: HashSet<Key>,
    waiting: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
    adds: u64,
    retries: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self { inner: Mutex::default(), changed: Notify::new(), waited: metric_names::seconds() }
    }
}

impl Queue {
    /// Puts the key in line, unless it is there.
    pub fn add(&self, key: Key) {
        if self.inner.lock().add(key, Instant::now()) {
            self.changed.notify_one();
        }
    }

    /// Puts the key in line after `pause`, or earlier if it was to come earlier.
    pub fn add_after(&self, key: Key, pause: Duration) {
        if pause.is_zero() {
            return self.add(key);
        }
        self.inner.lock().wait_until(key, Instant::now() + pause);
        self.changed.notify_one();
    }

    /// Like [`Queue::add_after`] with the key's next pause: 5 ms doubling to 60 s.
    /// Gives that pause.
    pub fn retry(&self, key: Key) -> Duration {
        let mut inner = self.inner.lock();
        let failures = inner.failures.entry(key.clone()).or_insert(0);
        let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(20)).min(LONGEST_PAUSE);
        *failures += 1;
        inner.retries += 1;
        inner.wait_until(key, Instant::now() + pause);
        drop(inner);
        self.changed.notify_one();
        pause
    }

    /// The next failure of this key pauses shortly again.
    pub fn forget(&self, key: &Key) {
        self.inner.lock().failures.remove(key);
    }

    /// The next key; waits until there is one. [`Queue::done`] must follow.
    pub async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let until = {
                let (mut inner, now) = (self.inner.lock(), Instant::now());
                inner.wake(now);
                if let Some((key, since)) = inner.take() {
                    self.waited.observe(now.saturating_duration_since(since).as_secs_f64());
                    if !inner.line.is_empty() || !inner.waiting.is_empty() {
                        self.changed.notify_one();
                    }
                    return key;
                }
                inner.waiting.first().map(|(at, _)| *at)
            };
            match until {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// The work on this key has ended.
    pub fn done(&self, key: &Key) {
        if self.inner.lock().done(key) {
            self.changed.notify_one();
        }
    }

    pub fn counts(&self) -> Counts {
        let inner = self.inner.lock();
        Counts { depth: inner.line.len(), adds: inner.adds, retries: inner.retries }
    }

    /// Seconds that keys stood in line.
    pub fn waited(&self) -> &Histogram {
        &self.waited
    }
}

impl Inner {
    fn add(&mut self, key: Key, now: Instant) -> bool {
        if self.wanted.contains_key(&key) {
            return false;
        }
        self.wanted.insert(key.clone(), now);
        self.adds += 1;
        if self.working.contains(&key) {
            return false;
        }
        self.line.push_back(key);
        true
    }

    fn wait_until(&mut self, key: Key, at: Instant) {
        match self.due.get(&key).copied() {
            Some(earlier) if earlier <= at => return,
            Some(later) => {
                self.waiting.remove(&(later, key.clone()));
            }
            None => {}
        }
        self.due.insert(key.clone(), at);
        self.waiting.insert((at, key));
    }

    fn wake(&mut self, now: Instant) {
        while self.waiting.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.waiting.pop_first() else { return };
            self.due.remove(&key);
            self.add(key, now);
        }
    }

    /// A key, and since when it was wanted.
    fn take(&mut self) -> Option<(Key, Instant)> {
        let key = self.line.pop_front()?;
        let since = self.wanted.remove(&key)?;
        self.working.insert(key.clone());
        Some((key, since))
    }

    fn done(&mut self, key: &Key) -> bool {
        self.working.remove(key);
        if self.wanted.contains_key(key) {
            self.line.push_back(key.clone());
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    fn key(name: &str) -> Key {
        Key::new("default", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_once_in_line_and_never_worked_on_twice_at_a_time() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(queue.counts().depth, 1);
        let working = queue.next().await;
        queue.add(key("a"));
        assert_eq!(queue.counts().depth, 0, "it waits for the work on it to end");
        queue.done(&working);
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_counts_what_came_what_comes_again_and_how_long_keys_waited() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        queue.add(key("b"));
        tokio::time::advance(Duration::from_secs(2)).await;
        let working = queue.next().await;
        // It is wanted from now on, though it is in line only when the work on it ends.
        queue.add(working.clone());
        queue.retry(key("c"));
        assert_eq!(queue.counts(), Counts { depth: 1, adds: 3, retries: 1 });
        tokio::time::advance(Duration::from_secs(3)).await;
        queue.done(&working);
        for _ in 0..3 {
            queue.next().await;
        }
        assert_eq!(queue.counts(), Counts { depth: 0, adds: 4, retries: 1 });
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("waited", "Seconds", queue.waited().clone());
        encode(&mut text, &registry).unwrap();
        // Two and five seconds of the first two, three of what came meanwhile, none of the retry.
        assert!(text.contains("waited_sum 10.0\nwaited_count 4\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn delayed_keys_come_in_their_order_and_the_earlier_time_counts() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_after(key("late"), Duration::from_secs(9));
        queue.add_after(key("soon"), Duration::from_secs(5));
        queue.add_after(key("late"), Duration::from_secs(7));
        queue.add_after(key("late"), Duration::from_secs(8));
        assert_eq!(queue.next().await, key("soon"));
        assert_eq!(start.elapsed().as_secs(), 5);
        assert_eq!(queue.next().await, key("late"));
        assert_eq!(start.elapsed().as_secs(), 7);
        let nothing = tokio::time::timeout(Duration::from_secs(60), queue.next()).await;
        assert!(nothing.is_err(), "a key comes once");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_by_key_until_it_is_forgotten() {
        let queue = Queue::default();
        assert_eq!(queue.retry(key("a")).as_millis(), 5);
        assert_eq!(queue.retry(key("a")).as_millis(), 10);
        assert_eq!(queue.retry(key("b")).as_millis(), 5);
        queue.forget(&key("a"));
        assert_eq!(queue.retry(key("a")).as_millis(), 5);
    }

    #[tokio::test]
    async fn every_key_reaches_one_of_many_workers() {
        let queue = std::sync::Arc::new(Queue::default());
        let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (queue, sender) = (queue.clone(), sender.clone());
            workers.spawn(async move {
                loop {
                    let key = queue.next().await;
                    queue.done(&key);
                    if sender.send(key).is_err() {
                        return;
                    }
                }
            });
        }
        for number in 0..100 {
            queue.add(key(&number.to_string()));
        }
        let mut names = HashSet::new();
        while names.len() < 100 {
            let next = tokio::time::timeout(Duration::from_secs(120), seen.recv()).await;
            names.insert(next.unwrap().unwrap().name);
        }
    }
}

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
use tokio::{sync::Notify, time::Instant};

use crate::key::Key;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    line: VecDeque<Key>,
    /// In line, or to go in line again when the work on it ends.
    wanted: HashSet<Key>,
    working: HashSet<Key>,
    waiting: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Puts the key in line, unless it is there.
    pub fn add(&self, key: Key) {
        if self.inner.lock().add(key) {
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
                let mut inner = self.inner.lock();
                inner.wake(Instant::now());
                if let Some(key) = inner.take() {
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

    /// Keys in line now.
    pub fn depth(&self) -> usize {
        self.inner.lock().line.len()
    }
}

impl Inner {
    fn add(&mut self, key: Key) -> bool {
        if !self.wanted.insert(key.clone()) || self.working.contains(&key) {
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
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<Key> {
        let key = self.line.pop_front()?;
        self.wanted.remove(&key);
        self.working.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &Key) -> bool {
        self.working.remove(key);
        if self.wanted.contains(key) {
            self.line.push_back(key.clone());
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("default", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_once_in_line_and_never_worked_on_twice_at_a_time() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(queue.depth(), 1);
        let working = queue.next().await;
        queue.add(key("a"));
        assert_eq!(queue.depth(), 0, "it waits for the work on it to end");
        queue.done(&working);
        assert_eq!(queue.next().await, key("a"));
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
            let next = tokio::time::timeout(Duration::from_secs(10), seen.recv()).await;
            names.insert(next.unwrap().unwrap().name);
        }
    }
}

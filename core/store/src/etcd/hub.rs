//! The live watchers of this process, fed by one watch of etcd, and the last
//! events it told of, from which a watch that begins a little late is served.
//!
//! One feed for all means that what one watcher has been told, with the revision
//! of any event of any key, is true for all of them: that is where progress comes
//! from.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::stream::Batch;
use crate::{
    Event, Revision, StoreError, WatchBatch,
    queue::{Bounds, Queue},
};

/// Events kept for watches that begin late, and bytes of their values.
const RING_EVENTS: usize = 4096;
const RING_BYTES: usize = 8 << 20;

/// Names a watcher.
pub type WatcherId = u64;

pub struct Hub {
    bounds: Bounds,
    state: Mutex<State>,
    /// How far the feed is.
    seen: watch::Sender<Revision>,
}

#[derive(Default)]
struct State {
    live: HashMap<WatcherId, Live>,
    /// Who asked for progress, with the number of the request.
    wanting: HashMap<WatcherId, u64>,
    requests: u64,
    next_id: WatcherId,
    ring: VecDeque<Event>,
    ring_bytes: usize,
    /// The ring holds every event from this revision on.
    ring_from: Revision,
    /// Whether an event of the feed has the revision up to which it is: else a
    /// watch of the past could not tell when it has caught up.
    anchored: bool,
    closed: bool,
}

struct Live {
    prefix: Arc<str>,
    from: Revision,
    told: Revision,
    queue: Arc<Queue>,
}

/// What becomes of a watcher that wants to join.
pub enum Joined {
    /// It is live; these events came before.
    Live { queue: Arc<Queue>, backlog: Vec<Event>, revision: Revision },
    /// It has to read the past first, until there is an event with this revision.
    Behind { anchored: bool },
}

impl Hub {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, state: Mutex::default(), seen: watch::Sender::new(0) }
    }

    /// How far the feed is.
    pub fn seen(&self) -> Revision {
        *self.seen.borrow()
    }

    /// Resolves when the feed has come that far.
    pub async fn reached(&self, revision: Revision) {
        // The sender lives as long as the hub: waiting can't fail.
        let _ = self.seen.subscribe().wait_for(|seen| *seen >= revision).await;
    }

    /// The feed begins behind a revision.
    pub fn begin(&self, revision: Revision) {
        self.state.lock().ring_from = revision + 1;
        self.seen.send_replace(revision);
    }

    /// The feed goes on behind a revision without having told of what came before:
    /// who wanted to know has to begin anew.
    pub fn skip(&self, revision: Revision) {
        let mut state = self.state.lock();
        state.ring.clear();
        state.ring_bytes = 0;
        state.ring_from = revision + 1;
        state.anchored = false;
        state.live.retain(|_, watcher| {
            let misses = watcher.from <= revision;
            if misses {
                watcher.queue.fail(StoreError::Compacted { oldest: revision + 1 });
            }
            !misses
        });
        self.seen.send_replace(revision);
    }

    /// Takes in what the feed tells and hands it on.
    pub fn deliver(&self, batch: Batch) {
        let Batch { events, revision } = batch;
        let mut state = self.state.lock();
        let State { live, wanting, .. } = &mut *state;
        live.retain(|id, watcher| {
            let wanted = events.iter().filter(|event| watcher.wants(event)).cloned().collect::<Vec<_>>();
            (wanted.is_empty() && !wanting.contains_key(id)) || watcher.tell(wanted, revision)
        });
        for event in events {
            state.remember(event);
        }
        state.anchored = true;
        self.seen.send_replace(revision);
    }

    pub fn enter(&self) -> WatcherId {
        let mut state = self.state.lock();
        state.next_id += 1;
        state.next_id
    }

    /// Joins a watcher that has been told of everything before `next`.
    pub fn join(&self, id: WatcherId, prefix: &Arc<str>, next: Revision) -> Joined {
        let mut state = self.state.lock();
        let revision = self.seen();
        if next < state.ring_from && next <= revision && !state.closed {
            return Joined::Behind { anchored: state.anchored };
        }
        let queue = Arc::new(Queue::new(self.bounds));
        let watcher = Live { prefix: prefix.clone(), from: next, told: revision, queue: queue.clone() };
        if state.closed {
            queue.close();
            return Joined::Live { queue, backlog: Vec::new(), revision };
        }
        let backlog = state.ring.iter().filter(|event| watcher.wants(event)).cloned().collect();
        state.live.insert(id, watcher);
        Joined::Live { queue, backlog, revision }
    }

    pub fn leave(&self, id: WatcherId) {
        let mut state = self.state.lock();
        state.live.remove(&id);
        state.wanting.remove(&id);
    }

    /// Notes that a watcher wants progress, and tells it how far the feed is.
    pub fn want(&self, id: WatcherId) {
        let mut state = self.state.lock();
        state.requests += 1;
        let number = state.requests;
        state.wanting.insert(id, number);
        let revision = self.seen();
        state.progress(id, revision);
    }

    /// The number of the last request for progress.
    pub fn requests(&self) -> u64 {
        self.state.lock().requests
    }

    /// The feed has come as far as etcd was when this request was made.
    pub fn satisfy(&self, request: u64) {
        let mut state = self.state.lock();
        let revision = self.seen();
        let done: Vec<_> =
            state.wanting.iter().filter(|(_, number)| **number <= request).map(|(id, _)| *id).collect();
        for id in done {
            state.wanting.remove(&id);
            state.progress(id, revision);
        }
    }

    /// Tells everybody how far the feed is.
    pub fn progress_all(&self) {
        let mut state = self.state.lock();
        let revision = self.seen();
        let ids: Vec<_> = state.live.keys().copied().collect();
        for id in ids {
            state.progress(id, revision);
        }
    }

    /// Ends every watch for good.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        for (_, watcher) in state.live.drain() {
            watcher.queue.close();
        }
    }
}

impl State {
    fn remember(&mut self, event: Event) {
        self.ring_bytes += bytes(&event);
        self.ring.push_back(event);
        while self.ring.len() > RING_EVENTS || self.ring_bytes > RING_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= bytes(&oldest);
            // Its revision may have had more events, which are of no use alone.
            self.ring_from = oldest.revision + 1;
        }
    }

    fn progress(&mut self, id: WatcherId, revision: Revision) {
        let Some(watcher) = self.live.get_mut(&id) else { return };
        if watcher.told < revision && !watcher.tell(Vec::new(), revision) {
            self.live.remove(&id);
        }
    }
}

impl Live {
    fn wants(&self, event: &Event) -> bool {
        event.revision >= self.from && event.key.starts_with(&*self.prefix)
    }

    /// False if the watcher can take no more.
    fn tell(&mut self, events: Vec<Event>, revision: Revision) -> bool {
        self.told = revision;
        let goes_on = self.queue.push(WatchBatch { events, revision });
        if !goes_on {
            tracing::warn!(prefix = %self.prefix, "watcher of the store fell behind and was cut off");
        }
        goes_on
    }
}

fn bytes(event: &Event) -> usize {
    let records = [&event.current, &event.previous];
    records.into_iter().flatten().map(|record| record.value.len()).sum::<usize>() + event.key.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: &str, revision: Revision) -> Event {
        Event { key: key.into(), revision, current: None, previous: None }
    }

    fn hub() -> Hub {
        let hub = Hub::new(Bounds { events: 100, bytes: 1000 });
        hub.begin(5);
        hub
    }

    fn deliver(hub: &Hub, key: &str, revision: Revision) {
        hub.deliver(Batch { events: vec![event(key, revision)], revision });
    }

    fn join(hub: &Hub, prefix: &str, next: Revision) -> (WatcherId, Arc<Queue>, Vec<Revision>) {
        let id = hub.enter();
        let Joined::Live { queue, backlog, .. } = hub.join(id, &prefix.into(), next) else {
            panic!("the ring reaches back to {next}")
        };
        (id, queue, backlog.iter().map(|event| event.revision).collect())
    }

    #[tokio::test]
    async fn the_ring_serves_those_who_come_late() {
        let hub = hub();
        for revision in 6..=9 {
            deliver(&hub, "/a/1", revision);
        }
        assert_eq!(join(&hub, "/a/", 8).2, [8, 9]);
        assert!(join(&hub, "/b/", 6).2.is_empty());
        assert!(matches!(hub.join(hub.enter(), &"/a/".into(), 5), Joined::Behind { anchored: true }));
    }

    #[tokio::test]
    async fn a_ring_that_overflows_keeps_whole_revisions() {
        let hub = hub();
        let events = vec![event("/a", 6), event("/b", 6)];
        hub.deliver(Batch { events, revision: 6 });
        for revision in 7..7 + RING_EVENTS as Revision - 1 {
            deliver(&hub, "/a", revision);
        }
        assert!(matches!(hub.join(hub.enter(), &"/".into(), 6), Joined::Behind { .. }));
        assert!(join(&hub, "/b", 7).2.is_empty());
    }

    #[tokio::test]
    async fn who_misses_something_begins_anew_and_nobody_else() {
        let hub = hub();
        let (_, early, _) = join(&hub, "/", 6);
        let (_, late, _) = join(&hub, "/", 10);
        hub.skip(9);
        assert_eq!(early.next().await, Some(Err(StoreError::Compacted { oldest: 10 })));
        deliver(&hub, "/a", 10);
        assert_eq!(late.next().await.unwrap().unwrap().events.len(), 1);
        assert!(matches!(hub.join(hub.enter(), &"/".into(), 9), Joined::Behind { anchored: true }));
    }

    #[tokio::test]
    async fn progress_is_told_to_those_who_want_it_until_they_are_satisfied() {
        let hub = hub();
        let (id, queue, _) = join(&hub, "/quiet", 6);
        deliver(&hub, "/loud", 6);
        hub.want(id);
        assert_eq!(queue.next().await.unwrap().unwrap().revision, 6);
        deliver(&hub, "/loud", 7);
        assert_eq!(queue.next().await.unwrap().unwrap().revision, 7);
        hub.satisfy(hub.requests());
        deliver(&hub, "/loud", 8);
        hub.close();
        assert!(queue.next().await.is_none());
    }
}

//! The buffer of one live watcher: bounded in events and bytes. One that isn't
//! read in time is emptied and ends with an error; it never makes a writer wait.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{StoreError, WatchBatch};

/// How much a watcher may be behind.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub events: usize,
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<WatchBatch>,
    events: usize,
    bytes: usize,
    end: Option<End>,
}

#[derive(Debug, Clone)]
enum End {
    Slow,
    Failed(StoreError),
    Closed,
}

impl Queue {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, state: Mutex::default(), ready: Notify::new() }
    }

    /// Appends; false if the watcher is at its end, now or before.
    pub fn push(&self, batch: WatchBatch) -> bool {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return false;
        }
        state.events += batch.events.len();
        state.bytes += bytes(&batch);
        if state.events > self.bounds.events || state.bytes > self.bounds.bytes {
            *state = State { end: Some(End::Slow), ..State::default() };
        } else if let Some(tail) = state.batches.back_mut().filter(|_| batch.events.is_empty()) {
            tail.revision = batch.revision;
        } else {
            state.batches.push_back(batch);
        }
        let goes_on = state.end.is_none();
        drop(state);
        self.ready.notify_one();
        goes_on
    }

    /// Lets the reader take what is there, and then end.
    pub fn close(&self) {
        self.state.lock().end.get_or_insert(End::Closed);
        self.ready.notify_one();
    }

    /// Lets the reader take what is there, and then end with an error.
    pub fn fail(&self, error: StoreError) {
        self.state.lock().end.get_or_insert(End::Failed(error));
        self.ready.notify_one();
    }

    /// The next batch, for the one reader there is.
    pub async fn next(&self) -> Option<Result<WatchBatch, StoreError>> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(batch) = state.batches.pop_front() {
                    state.events -= batch.events.len();
                    state.bytes -= bytes(&batch);
                    return Some(Ok(batch));
                }
                match state.end.clone() {
                    Some(End::Failed(error)) => {
                        state.end = Some(End::Closed);
                        return Some(Err(error));
                    }
                    Some(End::Slow) => {
                        state.end = Some(End::Closed);
                        let Bounds { events, bytes } = self.bounds;
                        return Some(Err(StoreError::SlowWatcher { events, bytes }));
                    }
                    Some(End::Closed) => return None,
                    None => {}
                }
            }
            self.ready.notified().await;
        }
    }
}

fn bytes(batch: &WatchBatch) -> usize {
    let records = batch.events.iter().flat_map(|event| [&event.current, &event.previous]);
    records.flatten().map(|record| record.value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    fn batch(revision: u64, events: usize) -> WatchBatch {
        let event = Event { key: "/a".into(), revision, current: None, previous: None };
        WatchBatch { events: vec![event; events], revision }
    }

    #[tokio::test]
    async fn progress_melts_into_what_waits() {
        let queue = Queue::new(Bounds { events: 2, bytes: 10 });
        assert!(queue.push(batch(2, 1)) && queue.push(batch(3, 0)) && queue.push(batch(4, 0)));
        assert_eq!(queue.next().await.unwrap().unwrap().revision, 4);
        queue.close();
        assert!(queue.next().await.is_none());
    }

    #[tokio::test]
    async fn a_full_queue_is_emptied_and_ends_with_an_error() {
        let queue = Queue::new(Bounds { events: 2, bytes: 10 });
        assert!(queue.push(batch(2, 2)));
        assert!(!queue.push(batch(3, 1)));
        assert!(!queue.push(batch(4, 0)));
        assert_eq!(queue.next().await, Some(Err(StoreError::SlowWatcher { events: 2, bytes: 10 })));
        assert_eq!(queue.next().await, None);
    }
}

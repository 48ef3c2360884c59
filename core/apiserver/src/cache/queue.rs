//! What a watcher still has to look at: bounded in changes and bytes. One that
//! isn't read in time is emptied and ended; nobody waits for it.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::ring::Change;

pub struct Queue {
    most_changes: usize,
    most_bytes: usize,
    state: Mutex<State>,
    ready: Notify,
}

#[derive(Default)]
struct State {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    end: Option<End>,
}

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Slow,
    Closed,
}

/// What is in the queue at the moment.
pub enum Next {
    Change(Arc<Change>),
    Nothing,
    End(End),
}

impl Queue {
    pub fn new(most_changes: usize, most_bytes: usize) -> Self {
        Self { most_changes, most_bytes, state: Mutex::default(), ready: Notify::new() }
    }

    /// Appends; false if the watcher is at its end, now or before.
    pub fn push(&self, change: &Arc<Change>) -> bool {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return false;
        }
        state.bytes += change.bytes();
        state.changes.push_back(change.clone());
        if state.changes.len() > self.most_changes || state.bytes > self.most_bytes {
            *state = State { end: Some(End::Slow), ..State::default() };
        }
        let goes_on = state.end.is_none();
        drop(state);
        self.ready.notify_one();
        goes_on
    }

    /// Ends after what is in it.
    pub fn close(&self) {
        self.state.lock().end.get_or_insert(End::Closed);
        self.ready.notify_one();
    }

    pub fn pop(&self) -> Next {
        let mut state = self.state.lock();
        match (state.changes.pop_front(), state.end) {
            (Some(change), _) => {
                state.bytes -= change.bytes();
                Next::Change(change)
            }
            (None, Some(end)) => Next::End(end),
            (None, None) => Next::Nothing,
        }
    }

    /// Resolves when there may be something, for the one reader there is.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }
}

//! A watch on a cache: the initial events, then the changes that its selector
//! lets through, and bookmarks in between.
//!
//! An object that stops matching is DELETED in its former state, at the revision
//! of the change; one that starts matching is ADDED.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
    vec,
};

use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::RwLock;
use tiphys_store::Revision;
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval_at},
};

use super::{
    CacheError, CachedObject,
    queue::{End, Next, Queue},
    ring::Change,
    selector::{Matcher, Scope},
    state::State,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
    /// Only a revision: everything up to it has been sent.
    Bookmark {
        /// The one between the initial events and the changes, to be annotated `k8s.io/initial-events-end`.
        initial_events_end: bool,
    },
}

#[derive(Debug, Clone)]
pub struct WatchEvent {
    pub kind: EventKind,
    /// `None` for a bookmark.
    pub object: Option<Arc<CachedObject>>,
    pub revision: Revision,
    change: Option<Arc<Change>>,
}

/// A running watch; dropping it ends it. After an error it gives nothing more; it
/// ends without one when the cache is closed or begins anew.
pub struct CacheWatch(BoxStream<'static, Result<WatchEvent, CacheError>>);

impl WatchEvent {
    /// `{"type":"ADDED","object":{...}}` and a line feed, shared by all watchers of a change.
    /// `None` for a bookmark, whose object only the HTTP layer can name.
    pub fn line(&self) -> Option<Bytes> {
        let object = self.object.as_ref()?;
        match (&self.change, self.kind) {
            (Some(change), EventKind::Added) if change.previous.is_some() => Some(change.added_line(object)),
            _ => Some(object.line(self.kind)),
        }
    }

    fn of(kind: EventKind, object: Arc<CachedObject>, change: Option<&Arc<Change>>) -> Self {
        Self { kind, revision: object.revision, object: Some(object), change: change.cloned() }
    }

    fn bookmark(revision: Revision, initial_events_end: bool) -> Self {
        Self { kind: EventKind::Bookmark { initial_events_end }, object: None, revision, change: None }
    }
}

impl CacheWatch {
    pub async fn next(&mut self) -> Option<Result<WatchEvent, CacheError>> {
        self.0.next().await
    }

    pub(super) fn new(cursor: Cursor) -> Self {
        let events = stream::unfold(Some(cursor), |cursor| async move {
            let mut cursor = cursor?;
            let event = cursor.step().await?;
            let goes_on = event.is_ok();
            Some((event, goes_on.then_some(cursor)))
        });
        Self(events.boxed())
    }
}

impl Stream for CacheWatch {
    type Item = Result<WatchEvent, CacheError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

/// A watcher's place in the list of those to tell; left when it is dropped.
pub(super) struct Seat {
    pub state: Weak<RwLock<State>>,
    pub scope: Scope,
    pub id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(state) = self.state.upgrade() {
            state.write().leave(&self.scope, self.id);
        }
    }
}

/// How far a watcher is.
pub(super) struct Cursor {
    pub matcher: Matcher,
    /// Still to be sent as ADDED.
    pub initial: vec::IntoIter<Arc<CachedObject>>,
    /// The bookmark behind them, if one is wanted.
    pub initial_end: Option<Revision>,
    /// Changes from before it joined.
    pub backlog: vec::IntoIter<Arc<Change>>,
    /// Changes up to here are of no interest.
    pub after: Revision,
    pub queue: Arc<Queue>,
    /// How far the cache is: what is queued is always behind it.
    pub revision: watch::Receiver<Revision>,
    pub bookmarks: Option<Bookmarks>,
    pub _seat: Seat,
}

/// When the next bookmark is due.
pub(super) struct Bookmarks {
    timer: Interval,
    due: bool,
}

impl Bookmarks {
    pub fn every(period: Duration) -> Self {
        let mut timer = interval_at(tokio::time::Instant::now() + period, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { timer, due: false }
    }

    async fn wait(bookmarks: &mut Option<Self>) {
        match bookmarks {
            Some(bookmarks) => {
                bookmarks.timer.tick().await;
                bookmarks.due = true;
            }
            None => std::future::pending().await,
        }
    }
}

impl Cursor {
    async fn step(&mut self) -> Option<Result<WatchEvent, CacheError>> {
        if let Some(object) = self.initial.next() {
            return Some(Ok(WatchEvent::of(EventKind::Added, object, None)));
        }
        if let Some(revision) = self.initial_end.take() {
            return Some(Ok(WatchEvent::bookmark(revision, true)));
        }
        loop {
            if let Some(change) = self.backlog.next() {
                if let Some(event) = self.translate(&change) {
                    return Some(Ok(event));
                }
                continue;
            }
            // Read before the queue is: what it holds afterwards is newer.
            let seen = *self.revision.borrow();
            match self.queue.pop() {
                Next::Change(change) => {
                    if let Some(event) = self.translate(&change) {
                        return Some(Ok(event));
                    }
                    continue;
                }
                Next::End(End::Slow) => return Some(Err(CacheError::SlowWatcher)),
                Next::End(End::Closed) => return None,
                Next::Nothing => {}
            }
            if let Some(bookmarks) = self.bookmarks.as_mut().filter(|bookmarks| bookmarks.due) {
                bookmarks.due = false;
                return Some(Ok(WatchEvent::bookmark(seen.max(self.after), false)));
            }
            tokio::select! {
                () = self.queue.ready() => {}
                () = Bookmarks::wait(&mut self.bookmarks) => {}
            }
        }
    }

    /// A change as this watcher sees it, if it sees it.
    fn translate(&self, change: &Arc<Change>) -> Option<WatchEvent> {
        if change.revision <= self.after {
            return None;
        }
        let before = self.matcher.select(change.previous.as_ref());
        let now = self.matcher.select(change.current.as_ref());
        match (before, now) {
            (None, None) => None,
            (None, Some(object)) => Some(WatchEvent::of(EventKind::Added, object.clone(), Some(change))),
            (Some(_), Some(object)) => {
                Some(WatchEvent::of(EventKind::Modified, object.clone(), Some(change)))
            }
            (Some(_), None) => Some(WatchEvent::of(EventKind::Deleted, change.departed()?, Some(change))),
        }
    }
}

//! What can be asked of a cache, and how it can fail.

use std::sync::Arc;

use tiphys_store::{Revision, StoreError};

use super::{CachedObject, ContinueToken, Selector};

/// How new the answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// As new as the store at the time of the call (`resourceVersion` unset).
    #[default]
    MostRecent,
    /// Whatever the cache holds (`resourceVersion=0`).
    Any,
    /// At least this revision (`resourceVersionMatch=NotOlderThan`).
    NotOlderThan(Revision),
    /// The state at this very revision (`resourceVersionMatch=Exact`, and pages after the first).
    Exact(Revision),
}

/// A LIST.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only this namespace; `None` is all.
    pub namespace: Option<String>,
    pub selector: Selector,
    /// At most this many objects; `None` (and 0) is all.
    pub limit: Option<usize>,
    /// Only objects behind this key, relative to the prefix (`default/web`): [`ContinueToken::start_after`].
    pub start_after: Option<String>,
    pub freshness: Freshness,
}

/// The answer to a LIST, in key order.
#[derive(Debug, Clone)]
pub struct ListResult {
    pub objects: Vec<Arc<CachedObject>>,
    /// `metadata.resourceVersion` of the list.
    pub revision: Revision,
    /// Where the next page begins, if the limit cut the list off.
    pub next: Option<ContinueToken>,
    /// `metadata.remainingItemCount`: known only without a selector.
    pub remaining: Option<u64>,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchStart {
    /// Every change after this revision (`resourceVersion=N`).
    FromRevision(Revision),
    /// The state as ADDED events, then changes (`sendInitialEvents=true`); with `bookmark`
    /// one annotated `k8s.io/initial-events-end` between the two. The state is at least as
    /// new as `freshness` says.
    InitialEvents { bookmark: bool, freshness: Freshness },
    /// The most recent state as ADDED events, then changes (`resourceVersion` unset).
    Now,
    /// Any state as ADDED events, then changes (`resourceVersion=0`).
    Any,
}

/// A watch.
#[derive(Debug, Clone)]
pub struct WatchQuery {
    pub start: WatchStart,
    pub namespace: Option<String>,
    pub selector: Selector,
    /// Whether bookmarks are wanted now and then (`allowWatchBookmarks=true`).
    pub bookmarks: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// 410 Expired (lists) or Gone (watches): list again.
    #[error("too old resource version: {requested} ({oldest})")]
    Expired { requested: Revision, oldest: Revision },
    /// 504 Timeout with the cause ResourceVersionTooLarge; retry after a second.
    #[error("Too large resource version: {requested}, current: {current}")]
    TooLarge { requested: Revision, current: Revision },
    /// The watcher didn't read and was cut off; its stream just ends.
    #[error("watcher didn't keep up and was cut off")]
    SlowWatcher,
    /// 429 with Retry-After: the cache hasn't read its objects yet, or can't catch up with the store.
    #[error("storage is (re)initializing")]
    NotReady,
    /// The cache was closed (its resource is gone).
    #[error("the cache is closed")]
    Closed,
    /// 400: a continue token that no page gave out.
    #[error("continue key is not valid: {0}")]
    BadContinue(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

//! A watch on a cache.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind { Added, Modified, Deleted, Bookmark { initial_events_end: bool } }

#[derive(Debug, Clone)]
pub struct WatchEvent {
    pub kind: EventKind,
    /// `None` for a bookmark.
    pub object: Option<Arc<CachedObject>>,
    pub revision: Revision,
}

impl WatchEvent {
    /// `{"type":"ADDED","object":{...}}` and a line feed. Encoded once for all watchers.
    /// `None` for a bookmark, which needs the kind's name: the HTTP layer encodes it (see `encode::bookmark_line`).
    pub fn line(&self) -> Option<Bytes>;
}

/// Also a `Stream` of the same items.
impl CacheWatch {
    pub async fn next(&mut self) -> Option<Result<WatchEvent, CacheError>>;
}

//! One stored resource's cache.

pub struct CacheConfig {
    /// `/registry/pods/`, with the slash at its end. Below it, a key is `namespace/name` or `name`.
    pub prefix: String,
    pub namespaced: bool,
    pub extract: Arc<dyn Extract>,
    pub limits: Limits,
}

pub struct Limits { ring_events, ring_bytes, watcher_events, watcher_bytes, bookmark_every: Duration, wait: Duration } // Default

impl ResourceCache {
    /// Starts reading; calls wait until the first read is done.
    pub fn start(config: CacheConfig, store: Arc<dyn Store>, tasks: &Tasks) -> Arc<Self>;
    /// The store's key of an object.
    pub fn key(&self, namespace: Option<&str>, name: &str) -> String;
    pub async fn get(&self, namespace: Option<&str>, name: &str, freshness: Freshness) -> Result<Option<Arc<CachedObject>>, CacheError>;
    pub async fn list(&self, query: &ListQuery) -> Result<ListResult, CacheError>;
    pub async fn watch(&self, query: WatchQuery) -> Result<CacheWatch, CacheError>;
    /// Waits until the cache has seen `revision`.
    pub async fn wait_for(&self, revision: Revision) -> Result<(), CacheError>;
    /// The revision that the cache shows.
    pub fn revision(&self) -> Revision;
    pub fn len(&self) -> usize;
    /// Ends the feed and every watch.
    pub fn close(&self);
}

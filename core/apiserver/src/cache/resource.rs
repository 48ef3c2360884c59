//! One stored resource's cache: what the verbs call.

use std::{collections::BTreeMap, ops::Bound, sync::Arc, time::Duration};

use parking_lot::{Mutex, RwLock};
use tiphys_lifecycle::{CancellationToken, Tasks};
use tiphys_store::{Progress, Revision, Store};
use tokio::sync::watch;

use super::{
    CacheError, CacheWatch, CachedObject, ContinueToken, Extract, Freshness, ListQuery, ListResult,
    WatchQuery, WatchStart,
    object::Layout,
    selector::{Matcher, Scope},
    state::{State, start},
    watcher::{Bookmarks, Cursor, Seat},
};

/// What a cache is of.
pub struct CacheConfig {
    /// `/registry/pods/`, with the slash at its end. Below it, a key is `namespace/name` or `name`.
    pub prefix: String,
    pub namespaced: bool,
    pub extract: Arc<dyn Extract>,
    pub limits: Limits,
}

/// The bounds of a cache.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Recent changes that are kept for watches from a revision and for paged lists.
    pub ring_events: usize,
    /// Likewise, in bytes of objects.
    pub ring_bytes: usize,
    /// Changes that may wait for one watcher.
    pub watcher_events: usize,
    /// Likewise, in bytes of objects.
    pub watcher_bytes: usize,
    /// Between two bookmarks of a watch.
    pub bookmark_every: Duration,
    /// The longest that a read waits for the cache to catch up with the store.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ring_events: 5000,
            ring_bytes: 8 << 20,
            watcher_events: 4096,
            watcher_bytes: 16 << 20,
            bookmark_every: Duration::from_secs(60),
            wait: Duration::from_secs(3),
        }
    }
}

/// The objects of one resource, as new as the store.
pub struct ResourceCache {
    pub(super) shared: Arc<Shared>,
    pub(super) limits: Limits,
}

/// What the cache and its feed have in common.
pub(super) struct Shared {
    pub layout: Layout,
    pub store: Arc<dyn Store>,
    pub state: Arc<RwLock<State>>,
    /// How far the cache is; 0 until the first read is done.
    pub revision: watch::Sender<Revision>,
    pub progress: Mutex<Option<Progress>>,
    /// Held by who reads what happened before the cache began.
    pub recalling: tokio::sync::Mutex<()>,
    closing: CancellationToken,
}

impl ResourceCache {
    /// Starts reading. Calls wait (at most [`Limits::wait`]) until the first read is done.
    pub fn start(config: CacheConfig, store: Arc<dyn Store>, tasks: &Tasks) -> Arc<Self> {
        let CacheConfig { prefix, namespaced, extract, limits } = config;
        let tasks = tasks.child();
        let shared = Arc::new(Shared {
            layout: Layout { prefix, namespaced, extract },
            store,
            state: Arc::new(RwLock::new(State::new(&limits))),
            revision: watch::Sender::new(0),
            progress: Mutex::new(None),
            recalling: tokio::sync::Mutex::new(()),
            closing: tasks.token(),
        });
        let feeding = shared.clone();
        let name = format!("watch cache {}", shared.layout.prefix);
        tasks.spawn_restarting(name, move || feeding.clone().feed());
        Arc::new(Self { shared, limits })
    }

    /// The store's key of an object. The namespace is left out for a resource without namespaces.
    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        let prefix = &self.shared.layout.prefix;
        match namespace.filter(|_| self.shared.layout.namespaced) {
            Some(namespace) => format!("{prefix}{namespace}/{name}"),
            None => format!("{prefix}{name}"),
        }
    }

    pub async fn get(
        &self,
        namespace: Option<&str>,
        name: &str,
        freshness: Freshness,
    ) -> Result<Option<Arc<CachedObject>>, CacheError> {
        self.fresh(freshness).await?;
        Ok(self.shared.state.read().objects.get(self.key(namespace, name).as_str()).cloned())
    }

    /// The object, if what the cache shows of it is of this revision.
    pub fn at(&self, namespace: Option<&str>, name: &str, revision: Revision) -> Option<Arc<CachedObject>> {
        let state = self.shared.state.read();
        let object = state.objects.get(self.key(namespace, name).as_str())?;
        (object.revision == revision).then(|| object.clone())
    }

    pub async fn list(&self, query: &ListQuery) -> Result<ListResult, CacheError> {
        self.fresh(query.freshness).await?;
        let state = self.shared.state.read();
        let (revision, former) = match query.freshness {
            Freshness::Exact(requested) if requested < state.revision => {
                let oldest = state.ring.complete_after();
                let undo = state.ring.undo(requested).ok_or(CacheError::Expired { requested, oldest })?;
                (requested, undo)
            }
            Freshness::Exact(requested) => (requested, BTreeMap::new()),
            _ => (state.revision, BTreeMap::new()),
        };
        let fields = self.shared.layout.extract.fields();
        let matcher = Matcher::new(query.namespace.as_deref(), &query.selector, fields);
        let prefix = self.part(query.namespace.as_deref());
        let start_after = query.start_after.as_ref().map(|key| format!("{}{key}", self.shared.layout.prefix));
        let start_after = start_after.as_deref();

        if former.is_empty() {
            if let Some(object) = self.only_candidate(query, &matcher, &state) {
                let object = object.filter(|object| start_after.is_none_or(|key| *object.key > *key));
                let objects = matcher.select(object).cloned().into_iter().collect();
                return Ok(ListResult { objects, revision, next: None, remaining: None });
            }
            let objects = state.range(&prefix, start_after).map(|(_, object)| object);
            return Ok(self.page(objects, &matcher, query, revision));
        }
        let untouched = state.range(&prefix, start_after).filter(|(key, _)| !former.contains_key(*key));
        let mut objects: BTreeMap<&Arc<str>, &Arc<CachedObject>> = untouched.collect();
        let then = former.range::<str, _>((start(&prefix, start_after), Bound::Unbounded));
        let then = then.take_while(|(key, _)| key.starts_with(&prefix));
        objects.extend(then.filter_map(|(key, object)| Some((key, object.as_ref()?))));
        Ok(self.page(objects.into_values(), &matcher, query, revision))
    }

    pub async fn watch(&self, query: WatchQuery) -> Result<CacheWatch, CacheError> {
        let fields = self.shared.layout.extract.fields();
        let matcher = Matcher::new(query.namespace.as_deref(), &query.selector, fields);
        self.fresh(match query.start {
            WatchStart::FromRevision(_) | WatchStart::Any => Freshness::Any,
            WatchStart::Now => Freshness::MostRecent,
            WatchStart::InitialEvents { freshness, .. } => freshness,
        })
        .await?;
        if let WatchStart::FromRevision(revision) = query.start {
            self.recall(revision).await?;
        }
        let scope = matcher.scope();
        let mut state = self.shared.state.write();
        let mut initial = Vec::new();
        let mut backlog = Vec::new();
        let mut after = state.revision;
        if let WatchStart::FromRevision(revision) = query.start {
            let oldest = state.ring.complete_after();
            let changes = state.ring.after(revision);
            let changes = changes.ok_or(CacheError::Expired { requested: revision, oldest })?;
            backlog.extend(changes.cloned());
            after = revision;
        } else {
            let prefix = self.part(query.namespace.as_deref());
            let objects = state.range(&prefix, None).map(|(_, object)| object);
            initial.extend(objects.filter(|object| matcher.matches(object)).cloned());
        }
        let bookmark = matches!(query.start, WatchStart::InitialEvents { bookmark: true, .. });
        let initial_end = bookmark.then_some(state.revision);
        let (id, queue) = state.join(scope.clone());
        drop(state);
        Ok(CacheWatch::new(Cursor {
            matcher,
            initial: initial.into_iter(),
            initial_end,
            backlog: backlog.into_iter(),
            after,
            queue,
            revision: self.shared.revision.subscribe(),
            bookmarks: query.bookmarks.then(|| Bookmarks::every(self.limits.bookmark_every)),
            _seat: Seat { state: Arc::downgrade(&self.shared.state), scope, id },
        }))
    }

    /// Waits until the cache has read what the store holds, however long that takes.
    ///
    /// # Errors
    /// The cache is closed.
    pub async fn loaded(&self) -> Result<(), CacheError> {
        let mut seen = self.shared.revision.subscribe();
        tokio::select! {
            biased;
            () = self.shared.closing.cancelled() => Err(CacheError::Closed),
            seen = seen.wait_for(|seen| *seen > 0) => seen.map(drop).map_err(|_| CacheError::Closed),
        }
    }

    /// Waits until the cache has seen `revision`, at most [`Limits::wait`]: then [`CacheError::TooLarge`].
    pub async fn wait_for(&self, revision: Revision) -> Result<(), CacheError> {
        if self.shared.closing.is_cancelled() {
            return Err(CacheError::Closed);
        }
        let mut seen = self.shared.revision.subscribe();
        if *seen.borrow() >= revision.max(1) {
            return Ok(());
        }
        self.shared.request_progress();
        let reached = seen.wait_for(|seen| *seen >= revision.max(1));
        let outcome = tokio::select! {
            () = self.shared.closing.cancelled() => return Err(CacheError::Closed),
            outcome = tokio::time::timeout(self.limits.wait, reached) => outcome.map(drop),
        };
        outcome.map_err(|_| match self.revision() {
            0 => CacheError::NotReady,
            current => CacheError::TooLarge { requested: revision, current },
        })
    }

    /// The revision that the cache shows; 0 until it has read its objects.
    pub fn revision(&self) -> Revision {
        *self.shared.revision.borrow()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.state.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the feed and every watch.
    pub fn close(&self) {
        self.shared.close();
    }

    async fn fresh(&self, freshness: Freshness) -> Result<(), CacheError> {
        match freshness {
            Freshness::Any => self.wait_for(1).await,
            Freshness::NotOlderThan(revision) | Freshness::Exact(revision) => self.wait_for(revision).await,
            Freshness::MostRecent => {
                let newest = self.shared.store.revision().await?;
                self.wait_for(newest).await.map_err(|error| match error {
                    CacheError::TooLarge { .. } => CacheError::NotReady,
                    other => other,
                })
            }
        }
    }

    /// The prefix of a namespace's keys, or of all.
    fn part(&self, namespace: Option<&str>) -> String {
        let prefix = &self.shared.layout.prefix;
        match namespace.filter(|_| self.shared.layout.namespaced) {
            Some(namespace) => format!("{prefix}{namespace}/"),
            None => prefix.clone(),
        }
    }

    /// A list by name has one candidate, which needn't be searched for. The outer `None`: it's no such list.
    fn only_candidate<'a>(
        &self,
        query: &ListQuery,
        matcher: &Matcher,
        state: &'a State,
    ) -> Option<Option<&'a Arc<CachedObject>>> {
        let namespace = query.namespace.as_deref();
        let located = namespace.is_some() || !self.shared.layout.namespaced;
        let Scope::Name(name) = matcher.scope() else { return None };
        located.then(|| state.objects.get(self.key(namespace, &name).as_str()))
    }

    /// As many of the objects as the limit allows, and where the next page begins.
    fn page<'a>(
        &self,
        objects: impl Iterator<Item = &'a Arc<CachedObject>>,
        matcher: &Matcher,
        query: &ListQuery,
        revision: Revision,
    ) -> ListResult {
        let limit = query.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let mut matching = objects.filter(|object| matcher.matches(object));
        let page: Vec<_> = matching.by_ref().take(limit).cloned().collect();
        let more = page.len() == limit && matching.next().is_some();
        let next = page.last().filter(|_| more).map(|last| ContinueToken {
            revision: Some(revision),
            start_after: last.key[self.shared.layout.prefix.len()..].to_owned(),
        });
        let remaining = (more && query.selector.is_empty()).then(|| 1 + matching.count() as u64);
        ListResult { objects: page, revision, next, remaining }
    }
}

impl Shared {
    pub(super) fn close(&self) {
        self.closing.cancel();
        let mut state = self.state.write();
        state.closed = true;
        state.end_watchers();
    }

    fn request_progress(&self) {
        let progress = self.progress.lock().clone();
        if let Some(progress) = progress {
            progress.request();
        }
    }
}

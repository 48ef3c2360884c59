//! Tests of the watch cache on the embedded store: a bed with one cache of Pods,
//! and short ways to write, list and watch.

mod lists;
mod watches;

use std::{future::Future, sync::Arc, time::Duration};

use tempfile::TempDir;
use tiphys_lifecycle::Tasks;
use tiphys_store::{Embedded, Options, Revision, Store, Txn};

use super::{
    CacheConfig, CacheError, CacheWatch, EventKind, FieldPaths, Freshness, Limits, ListQuery, ListResult,
    ResourceCache, Selector, WatchEvent, WatchQuery, WatchStart,
};

const PREFIX: &str = "/registry/pods/";
const LIMIT: Duration = Duration::from_secs(120);

/// The usual limits, for a machine that may stand still between a write and the reading of it.
fn patient() -> Limits {
    Limits { wait: LIMIT, ..Limits::default() }
}

struct Bed {
    store: Arc<dyn Store>,
    cache: Arc<ResourceCache>,
    tasks: Tasks,
    _folder: TempDir,
}

impl Bed {
    async fn new() -> Self {
        Self::with(patient(), Options::default()).await
    }

    async fn with(limits: Limits, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let store: Arc<dyn Store> = Embedded::open_with(folder.path(), options, &tasks).await.unwrap();
        let extract = Arc::new(FieldPaths::new(["spec.nodeName", "status.phase"]));
        let config = CacheConfig { prefix: PREFIX.into(), namespaced: true, extract, limits };
        let cache = ResourceCache::start(config, store.clone(), &tasks);
        Self { store, cache, tasks, _folder: folder }
    }

    /// Another cache over the same store.
    fn anew(self, limits: Limits) -> Self {
        self.cache.close();
        let extract = Arc::new(FieldPaths::new(["spec.nodeName", "status.phase"]));
        let config = CacheConfig { prefix: PREFIX.into(), namespaced: true, extract, limits };
        Self { cache: ResourceCache::start(config, self.store.clone(), &self.tasks), ..self }
    }

    async fn end(self) {
        assert_eq!(self.tasks.shutdown(LIMIT).await, Vec::<String>::new());
    }

    /// Writes a Pod: `default/web`, with labels such as `app=web,tier=a`, on a node.
    async fn put(&self, pod: &str, labels: &str, node: &str) -> Revision {
        let txn = Txn::put(format!("{PREFIX}{pod}"), pod_json(pod, labels, node));
        self.store.transact(txn).await.unwrap().revision
    }

    async fn delete(&self, pod: &str) -> Revision {
        self.store.transact(Txn::delete(format!("{PREFIX}{pod}"))).await.unwrap().revision
    }

    async fn list(&self, query: ListQuery) -> ListResult {
        self.cache.list(&query).await.unwrap()
    }

    async fn watch(&self, start: WatchStart, selector: Selector) -> Result<CacheWatch, CacheError> {
        self.cache.watch(WatchQuery { start, namespace: None, selector, bookmarks: false }).await
    }
}

fn pod_json(pod: &str, labels: &str, node: &str) -> Vec<u8> {
    let (namespace, name) = pod.split_once('/').unwrap();
    let labels: serde_json::Map<_, _> = labels
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.into(), v.into()))
        .collect();
    let metadata = serde_json::json!({ "labels": labels, "name": name, "namespace": namespace });
    serde_json::json!({ "kind": "Pod", "metadata": metadata, "spec": { "nodeName": node } })
        .to_string()
        .into_bytes()
}

fn labels(text: &str) -> Selector {
    Selector::parse(Some(text), None).unwrap()
}

fn fields(text: &str) -> Selector {
    Selector::parse(None, Some(text)).unwrap()
}

fn names(result: &ListResult) -> Vec<&str> {
    result.objects.iter().map(|object| object.name()).collect()
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("done in time")
}

async fn next(watch: &mut CacheWatch) -> WatchEvent {
    within(watch.next()).await.expect("the watch goes on").expect("no error")
}

/// An event in short: `+web@7`, `~`, `-`, `=7` for a bookmark, `==7` for the one after the initial events.
fn short(event: &WatchEvent) -> String {
    let sign = match event.kind {
        EventKind::Added => '+',
        EventKind::Modified => '~',
        EventKind::Deleted => '-',
        EventKind::Bookmark { initial_events_end: true } => return format!("=={}", event.revision),
        EventKind::Bookmark { initial_events_end: false } => return format!("={}", event.revision),
    };
    format!("{sign}{}@{}", event.object.as_ref().unwrap().name(), event.revision)
}

async fn shorts(watch: &mut CacheWatch, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(short(&next(watch).await));
    }
    events
}

/// The object of an event's line.
fn object(event: &WatchEvent) -> serde_json::Value {
    let line: serde_json::Value = serde_json::from_slice(&event.line().unwrap()).unwrap();
    line["object"].clone()
}

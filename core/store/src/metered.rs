//! A store whose requests are counted and timed, and whose objects are counted now and then.
//!
//! It passes everything on to another store as it is. Which resource a key belongs to isn't the
//! store's to know: whoever makes it brings a function that says so, and what that doesn't place is
//! passed on uncounted. So are watches, leases and compactions, as kube-apiserver has it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tiphys_telemetry::Storage;
use tokio::time::{MissedTickBehavior, interval};

use crate::{LeaseId, Op, Page, Range, Record, Revision, Store, StoreError, Txn, TxnResult, Watch};

/// Where a key or a prefix belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'key> {
    /// Empty for the core group.
    pub group: &'key str,
    /// Plural.
    pub resource: &'key str,
    /// What all keys of the resource begin with, the slash at its end included.
    pub prefix: &'key str,
}

/// Says where a key or a prefix belongs, if it is one of a resource.
pub type PlaceOf = fn(&str) -> Option<Place<'_>>;

/// Counts what is asked of `inner`.
pub struct Metered {
    inner: Arc<dyn Store>,
    figures: Storage,
    place: PlaceOf,
    /// Resources that were asked about: group and plural by prefix.
    seen: Mutex<BTreeMap<String, (String, String)>>,
}

/// A request under way.
struct Begun {
    operation: &'static str,
    group: String,
    resource: String,
    since: Instant,
}

impl Metered {
    /// `figures` tell of what is asked of `inner` from now on.
    pub fn new(inner: Arc<dyn Store>, figures: Storage, place: PlaceOf) -> Arc<Self> {
        Arc::new(Self { inner, figures, place, seen: Mutex::default() })
    }

    /// Counts the objects of all resources that were asked about, and the store's bytes, at once and
    /// then each time `every` has passed. It doesn't end.
    pub async fn tally(self: Arc<Self>, every: Duration) -> Result<(), StoreError> {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.measure().await;
        }
    }

    async fn measure(&self) {
        let seen = self.seen.lock().clone();
        for (prefix, (group, resource)) in &seen {
            let number = self.inner.count(prefix).await;
            let number = number.inspect_err(|error| {
                tracing::debug!(%error, resource, "objects in the store could not be counted");
            });
            self.figures.objects((group, resource), number.ok());
        }
        match self.inner.size().await {
            Ok(Some(bytes)) => {
                let parts = self.inner.parts();
                self.figures.size(parts.first().map_or("store", String::as_str), bytes);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the store's size is not known"),
        }
    }

    fn begin(&self, operation: &'static str, key: &str) -> Option<Begun> {
        let Place { group, resource, prefix } = (self.place)(key)?;
        let (group, resource) = (group.to_owned(), resource.to_owned());
        let mut seen = self.seen.lock();
        if !seen.contains_key(prefix) {
            seen.insert(prefix.to_owned(), (group.clone(), resource.clone()));
        }
        drop(seen);
        Some(Begun { operation, group, resource, since: Instant::now() })
    }

    fn end<T>(&self, begun: Option<Begun>, outcome: &Result<T, StoreError>) {
        if let Some(Begun { operation, group, resource, since }) = begun {
            self.figures.count(operation, (&group, &resource), since.elapsed(), outcome.is_err());
        }
    }
}

/// How a transaction is counted, and the key that it is about: the first it would write.
fn operation(txn: &Txn) -> Option<(&'static str, &str)> {
    let first = txn.success.first()?;
    let key = first.key();
    let is_new = txn.compare.iter().any(|compare| compare.key == key && compare.mod_revision == 0);
    let operation = match first {
        Op::Get { .. } => "get",
        Op::Delete { .. } => "delete",
        Op::Put { .. } if is_new => "create",
        Op::Put { .. } => "update",
    };
    Some((operation, key))
}

#[async_trait]
impl Store for Metered {
    async fn get(&self, key: &str, revision: Option<Revision>) -> Result<Option<Record>, StoreError> {
        let begun = self.begin("get", key);
        let outcome = self.inner.get(key, revision).await;
        self.end(begun, &outcome);
        outcome
    }

    async fn range(&self, range: Range) -> Result<Page, StoreError> {
        let begun = self.begin("list", &range.prefix);
        let outcome = self.inner.range(range).await;
        self.end(begun, &outcome);
        outcome
    }

    async fn transact(&self, txn: Txn) -> Result<TxnResult, StoreError> {
        let begun = operation(&txn).and_then(|(operation, key)| self.begin(operation, key));
        let outcome = self.inner.transact(txn).await;
        self.end(begun, &outcome);
        outcome
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Watch, StoreError> {
        self.inner.watch(prefix, from).await
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.inner.compact(revision).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.keep_alive(lease).await
    }

    async fn time_to_live(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.time_to_live(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke(lease).await
    }

    async fn count(&self, prefix: &str) -> Result<u64, StoreError> {
        self.inner.count(prefix).await
    }

    async fn size(&self) -> Result<Option<u64>, StoreError> {
        self.inner.size().await
    }

    fn parts(&self) -> Vec<String> {
        self.inner.parts()
    }

    async fn probe(&self, part: usize) -> Result<(), StoreError> {
        self.inner.probe(part).await
    }
}

#[cfg(test)]
mod tests {
    use tiphys_lifecycle::Tasks;
    use tiphys_telemetry::Component;

    use super::*;
    use crate::Embedded;

    /// Keys as `/group/resource/name`.
    fn place(key: &str) -> Option<Place<'_>> {
        let (group, rest) = key.strip_prefix('/')?.split_once('/')?;
        let (resource, _) = rest.split_once('/')?;
        let prefix = &key[..group.len() + resource.len() + 3];
        Some(Place { group, resource, prefix })
    }

    #[test]
    fn a_transaction_is_named_after_what_it_would_write_first() {
        let name = |txn: Txn| operation(&txn).map(|(operation, key)| (operation, key.to_owned()));
        let of = |operation| Some((operation, "/a/b/c".to_owned()));
        assert_eq!(name(Txn::create("/a/b/c", "", None)), of("create"));
        assert_eq!(name(Txn::put_at("/a/b/c", 7, "", None)), of("update"));
        assert_eq!(name(Txn::put("/a/b/c", "")), of("update"));
        assert_eq!(name(Txn::delete_at("/a/b/c", 7)), of("delete"));
        let mut two = Txn::put_at("/a/b/c", 7, "", None);
        two.compare.push(crate::Compare { key: "/a/b/d".to_owned(), mod_revision: 0 });
        assert_eq!(name(two), of("update"), "another key is to be absent");
        assert_eq!(name(Txn::default()), None);
    }

    #[tokio::test]
    async fn requests_objects_and_bytes_are_told() {
        let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
        let inner = Embedded::open(folder.path().join("store"), &tasks).await.expect("a store");
        let (component, figures) = (Component::new("store"), Storage::default());
        figures.register(&component);
        let store = Metered::new(inner, figures, place);
        for name in ["/apps/deployments/a", "/apps/deployments/b", "/apps/sets/a", "/lost"] {
            store.transact(Txn::create(name, "x", None)).await.expect("created");
        }
        let lost = store.transact(Txn::create("/apps/sets/a", "x", None)).await.expect("an answer");
        assert!(!lost.succeeded);
        store.transact(Txn::delete("/apps/deployments/b")).await.expect("deleted");
        store.range(Range::prefix("/apps/deployments/")).await.expect("a page");
        store.get("/apps/sets/a", Some(1000)).await.expect_err("it is to come");
        store.measure().await;
        let text = component.render();
        for line in [
            r#"etcd_requests_total{operation="create",group="apps",resource="deployments"} 2"#,
            r#"etcd_requests_total{operation="create",group="apps",resource="sets"} 2"#,
            r#"etcd_requests_total{operation="delete",group="apps",resource="deployments"} 1"#,
            r#"etcd_requests_total{operation="list",group="apps",resource="deployments"} 1"#,
            r#"etcd_request_errors_total{operation="get",group="apps",resource="sets"} 1"#,
            r#"apiserver_storage_objects{resource="deployments.apps"} 1"#,
            r#"apiserver_storage_objects{resource="sets.apps"} 1"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        assert!(!text.contains("lost"), "a key of no resource is not told of: {text}");
        let size = text.lines().find_map(|line| {
            line.strip_prefix(r#"apiserver_storage_size_bytes{storage_cluster_id="store"} "#)?.parse().ok()
        });
        assert!(size.is_some_and(|bytes: u64| bytes > 0), "{text}");
        let failures = text.lines().filter(|line| line.starts_with("etcd_request_errors_total{"));
        assert_eq!(failures.count(), 1, "who lost against another write has not failed");
        tasks.shutdown(Duration::from_secs(120)).await;
    }
}

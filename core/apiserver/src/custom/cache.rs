//! The watch cache of a custom resource: started when it is first asked for, shared by all
//! versions, closed with the definition.
//!
//! Objects are cached as the storage version's schema of today has them: what was
//! stored before a default came is shown with it.

use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use tiphys_api::custom::Version;
use tiphys_lifecycle::Tasks;
use tiphys_store::Store;

use crate::cache::{CacheConfig, Extract, FieldPaths, Limits, Meta, ResourceCache};

pub struct LazyCache {
    started: OnceLock<Arc<ResourceCache>>,
    closed: AtomicBool,
    prefix: String,
    namespaced: bool,
    extract: Arc<dyn Extract>,
    store: Arc<dyn Store>,
    tasks: Tasks,
}

impl LazyCache {
    /// For objects kept in `storage`; `selectable` are the fields of all versions.
    /// `renames` says that versions differ by their name alone.
    pub fn new(
        storage: Arc<Version>,
        renames: bool,
        selectable: &[&str],
        store: Arc<dyn Store>,
        tasks: &Tasks,
    ) -> Self {
        let kind = storage.kind;
        let extract = Current { fields: FieldPaths::new(selectable.iter().copied()), storage, renames };
        Self {
            started: OnceLock::new(),
            closed: AtomicBool::new(false),
            prefix: format!("/registry/{}/{}/", kind.group, kind.plural),
            namespaced: kind.is_namespaced(),
            extract: Arc::new(extract),
            store,
            tasks: tasks.child(),
        }
    }

    pub fn get(&self) -> &Arc<ResourceCache> {
        let cache = self.started.get_or_init(|| {
            let config = CacheConfig {
                prefix: self.prefix.clone(),
                namespaced: self.namespaced,
                extract: self.extract.clone(),
                limits: Limits::default(),
            };
            ResourceCache::start(config, self.store.clone(), &self.tasks)
        });
        // Who asks while it is being closed must not find it open.
        if self.closed.load(Ordering::SeqCst) {
            cache.close();
        }
        cache
    }

    /// Ends the cache, and with it every watch.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(cache) = self.started.get() {
            cache.close();
        }
    }
}

/// Reads what selectors need, and brings stored objects up to the schema.
struct Current {
    fields: FieldPaths,
    storage: Arc<Version>,
    renames: bool,
}

impl Extract for Current {
    fn fields(&self) -> &[String] {
        self.fields.fields()
    }

    fn extract(&self, json: &[u8]) -> Meta {
        self.fields.extract(json)
    }

    fn prepare<'a>(&self, json: &'a [u8]) -> Cow<'a, [u8]> {
        let Ok(before) = serde_json::from_slice::<Value>(json) else { return json.into() };
        let api_version = self.storage.kind.api_version();
        // What only a webhook can convert is converted where it is read.
        if !self.renames && before["apiVersion"] != api_version {
            return json.into();
        }
        let mut now = before.clone();
        now["apiVersion"] = api_version.into();
        self.storage.on_read(&mut now);
        if now == before {
            return json.into();
        }
        serde_json::to_vec(&now).map_or(json.into(), Cow::Owned)
    }
}

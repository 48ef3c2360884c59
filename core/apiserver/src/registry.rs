//! What is served: each kind with its schema and, where it is stored, its cache.
//!
//! A resource served in two versions has two entries and one cache: objects are
//! kept in the stored version and converted on the way in and out.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::FutureExt;
use serde_json::Value;
use tiphys_api::{
    kind::Kind,
    kinds,
    schema::{self, Schema},
};
use tiphys_lifecycle::Tasks;
use tiphys_store::Store;

use crate::{
    authz::Objects,
    cache::{
        CacheConfig, CachedObject, FieldPaths, FieldSelector, Freshness, LabelSelector, Limits, ListQuery,
        ResourceCache, Selector,
    },
    status::{ApiError, GroupResource, Result},
};

/// One served resource in one version.
pub struct Resource {
    pub kind: &'static Kind,
    /// The kind as which it is kept: [`Resource::kind`], or another version of it.
    pub stored: &'static Kind,
    pub schema: Arc<Schema>,
    pub stored_schema: Arc<Schema>,
    /// None for kinds that are answered and forgotten (reviews).
    cache: Option<Arc<ResourceCache>>,
}

impl Resource {
    pub fn group_resource(&self) -> GroupResource<'static> {
        GroupResource { group: self.kind.group, resource: self.kind.plural }
    }

    /// Whether cached bytes are what clients of this version get.
    pub fn served_as_stored(&self) -> bool {
        self.kind.stored_as.is_none()
    }

    /// The cache of a stored resource.
    pub fn cache(&self) -> Result<&Arc<ResourceCache>> {
        self.cache.as_ref().ok_or_else(ApiError::method_not_allowed)
    }

    /// The store's key of an object.
    pub fn key(&self, namespace: &str, name: &str) -> Result<String> {
        Ok(self.cache()?.key(self.within(namespace), name))
    }

    /// The namespace as the cache wants it: none for cluster-scoped resources.
    pub fn within<'a>(&self, namespace: &'a str) -> Option<&'a str> {
        (self.kind.is_namespaced() && !namespace.is_empty()).then_some(namespace)
    }

    /// A cached object in the served version.
    pub fn served(&self, json: &[u8]) -> Result<Value> {
        let object = serde_json::from_slice(json).map_err(ApiError::internal)?;
        Ok(self.served_from(object))
    }

    pub fn served_from(&self, object: Value) -> Value {
        match &self.kind.stored_as {
            Some(conversion) => (conversion.from_stored)(object),
            None => object,
        }
    }

    pub fn to_stored(&self, object: Value) -> Value {
        match &self.kind.stored_as {
            Some(conversion) => (conversion.to_stored)(object),
            None => object,
        }
    }
}

/// All that is served.
pub struct Registry {
    resources: Vec<Arc<Resource>>,
    /// Those whose objects are kept, in their stored version.
    stored: Vec<Arc<Resource>>,
    store: Arc<dyn Store>,
}

impl Registry {
    /// Starts a cache for each stored built-in kind.
    pub fn start(store: Arc<dyn Store>, tasks: &Tasks) -> Self {
        let mut caches = BTreeMap::new();
        for kind in kinds::all().iter().filter(|kind| kind.is_stored() && kind.stored_as.is_none()) {
            let cache = ResourceCache::start(cache_config(kind), store.clone(), tasks);
            caches.insert((kind.group, kind.plural), cache);
        }
        let resources: Vec<_> = kinds::all().iter().map(|kind| Arc::new(resource(kind, &caches))).collect();
        let stored = resources
            .iter()
            .filter(|resource| resource.cache.is_some() && resource.served_as_stored())
            .cloned()
            .collect();
        Self { resources, stored, store }
    }

    pub fn all(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.iter().find(|resource| {
            let kind = resource.kind;
            (kind.group, kind.version, kind.plural) == (group, version, plural)
        })
    }

    /// The stored version of a resource.
    pub fn stored(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.stored.iter().find(|resource| (resource.kind.group, resource.kind.plural) == (group, plural))
    }

    /// Whether every cache has read its objects. Gives the names of those that haven't.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let unready = |resource: &&Arc<Resource>| {
            let probe = Selector {
                fields: FieldSelector::parse("metadata.name=-").unwrap_or_default(),
                labels: LabelSelector::default(),
            };
            let query = ListQuery { selector: probe, freshness: Freshness::Any, ..ListQuery::default() };
            let cache = resource.cache.as_ref();
            !cache.is_some_and(|cache| matches!(cache.list(&query).now_or_never(), Some(Ok(_))))
        };
        self.stored.iter().filter(unready).map(|resource| resource.kind.plural).collect()
    }
}

fn cache_config(kind: &Kind) -> CacheConfig {
    let prefix = match kind.group {
        "" => format!("/registry/{}/", kind.plural),
        group => format!("/registry/{group}/{}/", kind.plural),
    };
    CacheConfig {
        prefix,
        namespaced: kind.is_namespaced(),
        extract: Arc::new(FieldPaths::new(kind.selectable.iter().copied())),
        limits: Limits::default(),
    }
}

fn resource(
    kind: &'static Kind,
    caches: &BTreeMap<(&'static str, &'static str), Arc<ResourceCache>>,
) -> Resource {
    let stored = stored_kind(kind);
    Resource {
        kind,
        stored,
        schema: schema::of(kind.definition).unwrap_or_else(|| Schema::any().clone()),
        stored_schema: schema::of(stored.definition).unwrap_or_else(|| Schema::any().clone()),
        cache: caches.get(&(stored.group, stored.plural)).cloned(),
    }
}

/// The kind as which objects of `kind` are kept: of its own group, or, as with
/// Events, of another one.
fn stored_kind(kind: &'static Kind) -> &'static Kind {
    let Some(conversion) = &kind.stored_as else { return kind };
    let fits = |other: &&&'static Kind| {
        other.stored_as.is_none()
            && (other.version, other.plural, other.kind) == (conversion.version, kind.plural, kind.kind)
    };
    let mut candidates: Vec<_> = kinds::all().iter().filter(fits).collect();
    candidates.sort_by_key(|other| other.group != kind.group);
    candidates.first().map_or(kind, |other| **other)
}

fn decoded(object: &CachedObject) -> Option<Arc<Value>> {
    serde_json::from_slice(&object.json).ok().map(Arc::new)
}

/// What authentication, authorization, admission and streaming read.
#[async_trait]
impl Objects for Registry {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = self.stored(group, resource)?;
        let cache = resource.cache.as_ref()?;
        let found = cache.get(resource.within(namespace), name, Freshness::Any).now_or_never()?;
        decoded(&*found.ok()??)
    }

    fn list(&self, group: &str, resource: &str, namespace: &str, fields: &[(&str, &str)]) -> Vec<Arc<Value>> {
        let Some(resource) = self.stored(group, resource) else { return Vec::new() };
        let Some(cache) = resource.cache.as_ref() else { return Vec::new() };
        let wanted: Vec<String> = fields.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let Ok(fields) = FieldSelector::parse(&wanted.join(",")) else { return Vec::new() };
        let query = ListQuery {
            namespace: resource.within(namespace).map(String::from),
            selector: Selector { labels: LabelSelector::default(), fields },
            freshness: Freshness::Any,
            ..ListQuery::default()
        };
        match cache.list(&query).now_or_never() {
            Some(Ok(result)) => result.objects.iter().filter_map(|object| decoded(object)).collect(),
            _ => Vec::new(),
        }
    }

    async fn get_live(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = self.stored(group, resource)?;
        let key = resource.key(namespace, name).ok()?;
        let record = self.store.get(&key, None).await.ok()??;
        serde_json::from_slice(&record.value).ok().map(Arc::new)
    }
}

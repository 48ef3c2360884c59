//! What is served: each kind with its schema and, where it is stored, its cache.
//!
//! A resource served in two versions has two entries and one cache: objects are
//! kept in the stored version and converted on the way in and out.
//!
//! The built-in kinds are there for good; custom ones come and go with their
//! definitions ([`custom`](crate::custom)), each set of them under its definition's name.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::Value;
use tiphys_api::{
    access::condition,
    field::FieldError,
    kind::Kind,
    kinds::{
        self,
        custom_resource_definition::{GROUP, PLURAL},
    },
    schema::{self, Schema},
    validate::metadata::{validate, validate_update},
};
use tiphys_lifecycle::Tasks;
use tiphys_store::Store;

use crate::{
    authz::{Objects, Raw},
    cache::{
        CacheConfig, CachedObject, FieldPaths, FieldSelector, Freshness, LabelSelector, Limits, ListQuery,
        ResourceCache, Selector,
    },
    custom::{Installed, LazyCache, Served},
    status::{ApiError, GroupResource, Result},
    write::{commit::Part, metadata},
};

/// One served resource in one version.
pub struct Resource {
    pub kind: &'static Kind,
    /// The kind as which writes are checked: [`Resource::kind`], or the version of a built-in
    /// kind that is kept.
    pub stored: &'static Kind,
    pub schema: Arc<Schema>,
    pub stored_schema: Arc<Schema>,
    pub custom: Option<Served>,
    cache: Kept,
}

/// Where a resource's objects are read from.
enum Kept {
    /// Kinds that are answered and forgotten (reviews), or found out (ComponentStatus).
    Nowhere,
    InCache(Arc<ResourceCache>),
    OnDemand(Arc<LazyCache>),
}

impl Resource {
    pub fn group_resource(&self) -> GroupResource<'static> {
        GroupResource { group: self.kind.group, resource: self.kind.plural }
    }

    /// A custom resource in one of its versions.
    pub fn custom(served: Served, cache: Arc<LazyCache>) -> Self {
        let (kind, schema) = (served.version.kind, served.version.schema.clone());
        Self {
            kind,
            stored: kind,
            stored_schema: schema.clone(),
            schema,
            custom: Some(served),
            cache: Kept::OnDemand(cache),
        }
    }

    /// Whether cached bytes are what clients of this version get.
    pub fn served_as_stored(&self) -> bool {
        self.kind.stored_as.is_none() && self.custom.as_ref().is_none_or(Served::as_stored)
    }

    /// The cache of a stored resource.
    pub fn cache(&self) -> Result<&Arc<ResourceCache>> {
        match &self.cache {
            Kept::Nowhere => Err(ApiError::method_not_allowed()),
            Kept::InCache(cache) => Ok(cache),
            Kept::OnDemand(cache) => Ok(cache.get()),
        }
    }

    /// Whether objects are kept in this very version of a built-in kind.
    fn is_kept(&self) -> bool {
        self.kind.stored_as.is_none() && !matches!(self.cache, Kept::Nowhere)
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
    pub async fn served(&self, json: &[u8]) -> Result<Value> {
        Ok(self.served_all(vec![json]).await?.pop().unwrap_or_default())
    }

    /// Cached objects in the served version, in their order.
    pub async fn served_all(&self, all: Vec<&[u8]>) -> Result<Vec<Value>> {
        let decoded = all.into_iter().map(|json| serde_json::from_slice(json).map_err(ApiError::internal));
        match &self.custom {
            Some(custom) => custom.read(decoded.collect::<Result<_>>()?).await,
            None => decoded.map(|object| Ok(self.served_from(object?))).collect(),
        }
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

    /// Fills in what upstream's defaulting, or a custom resource's schema, fills in.
    pub fn default(&self, object: &mut Value) {
        (self.stored.default)(object);
        if let Some(custom) = &self.custom {
            custom.version.default(object);
        }
    }

    /// Everything wrong with a new object.
    pub fn check_create(&self, object: &Value) -> Vec<FieldError> {
        let Some(custom) = &self.custom else { return self.stored.check_create(object) };
        let mut errors = validate(object, self.stored);
        errors.extend(custom.version.check_create(object));
        errors
    }

    /// Everything wrong with `new` in the place of `old`, as far as a write of this part can change it.
    pub fn check_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let Some(custom) = &self.custom else {
            return match part {
                Part::Main => self.stored.check_update(new, old),
                Part::Status => {
                    let mut errors = self.check_metadata(new, old);
                    errors.extend((self.stored.validate_status)(new, old));
                    errors
                }
                Part::Sub(_) => self.check_metadata(new, old),
            };
        };
        let mut errors = self.check_metadata(new, old);
        errors.extend(match part {
            Part::Status => custom.version.check_status(new, old),
            _ => custom.version.check_update(new, old),
        });
        errors
    }

    fn check_metadata(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = validate_update(new, old);
        errors.extend(validate(new, self.stored));
        errors
    }

    /// The warning with every answer about a kind, or a version of a custom one, on its way out.
    pub fn deprecation(&self) -> Option<String> {
        match &self.custom {
            Some(custom) => custom.version.deprecation.clone(),
            None => self.kind.deprecation.map(str::to_owned),
        }
    }

    /// Whether a new object begins at generation 1.
    pub fn counts_generations(&self) -> bool {
        self.custom.is_some() || self.stored.counts_generations
    }

    /// The generation after a write that isn't the status's own.
    pub fn bump_generation(&self, new: &mut Value, old: &Value) {
        if self.custom.is_some() {
            metadata::bump_generation(new, old, &["metadata"]);
        } else if self.stored.counts_generations {
            metadata::bump_generation(new, old, &["metadata", "status"]);
        }
    }
}

/// All that is served.
pub struct Registry {
    builtin: Vec<Arc<Resource>>,
    places: Places,
    /// By their definitions' names.
    custom: ArcSwap<BTreeMap<String, Arc<Installed>>>,
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
        let builtin: Vec<_> = kinds::all().iter().map(|kind| Arc::new(resource(kind, &caches))).collect();
        Self { places: Places::of(&builtin), builtin, custom: ArcSwap::default(), store }
    }

    /// The resources that are always there.
    pub fn builtin(&self) -> &[Arc<Resource>] {
        &self.builtin
    }

    /// Every resource in every served version, the built-in ones first.
    pub fn all(&self) -> Vec<Arc<Resource>> {
        let custom = self.custom.load();
        let shown = custom.iter().filter(|(name, installed)| self.is_shown(name, installed));
        let custom = shown.flat_map(|(_, installed)| &installed.resources);
        self.builtin.iter().chain(custom).cloned().collect()
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let is_it = |resource: &&Arc<Resource>| {
            let kind = resource.kind;
            (kind.group, kind.version, kind.plural) == (group, version, plural)
        };
        let builtin = self.places.served.get(&(group, version, plural)).cloned();
        builtin.or_else(|| self.defined(group, plural)?.resources.iter().find(is_it).cloned())
    }

    /// A resource in the version in which its objects are kept, served or not.
    pub fn stored(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        let builtin = self.places.kept.get(&(group, plural)).cloned();
        builtin.or_else(|| Some(self.defined(group, plural)?.storage.clone()))
    }

    /// A definition's name is its plural and its group.
    fn defined(&self, group: &str, plural: &str) -> Option<Arc<Installed>> {
        let name = format!("{plural}.{group}");
        self.installed(&name).filter(|installed| self.is_shown(&name, installed))
    }

    /// Clients find a kind when they can see that its definition is established, and not before.
    fn is_shown(&self, name: &str, installed: &Installed) -> bool {
        let definition = || Objects::get(self, GROUP, PLURAL, "", name);
        installed.is_established(|| definition().is_some_and(|found| condition(&found, "Established")))
    }

    /// What is or will be served for the definition of this name.
    pub fn installed(&self, definition: &str) -> Option<Arc<Installed>> {
        self.custom.load().get(definition).cloned()
    }

    /// Serves a definition's resources, in the place of what was served for it. Its watches end.
    pub fn install(&self, definition: &str, installed: Installed) {
        let installed = Arc::new(installed);
        let before = self.custom.rcu(|all| {
            let mut all = (**all).clone();
            all.insert(definition.to_owned(), installed.clone());
            all
        });
        before.get(definition).inspect(|old| old.close());
    }

    pub fn uninstall(&self, definition: &str) {
        let before = self.custom.rcu(|all| {
            let mut all = (**all).clone();
            all.remove(definition);
            all
        });
        before.get(definition).inspect(|old| old.close());
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// All objects of a resource, as its cache has them.
    pub fn decoded(&self, group: &str, plural: &str) -> Vec<Value> {
        let objects = self.list(group, plural, "", &[]);
        objects
            .into_iter()
            .map(|object| Arc::try_unwrap(object).unwrap_or_else(|shared| (*shared).clone()))
            .collect()
    }

    /// Whether every cache has read its objects. Gives the names of those that haven't.
    pub fn not_ready(&self) -> Vec<&'static str> {
        let unready = |resource: &&Arc<Resource>| {
            let probe = Selector {
                fields: FieldSelector::parse("metadata.name=-").unwrap_or_default(),
                labels: LabelSelector::default(),
            };
            let query = ListQuery { selector: probe, freshness: Freshness::Any, ..ListQuery::default() };
            let cache = resource.cache();
            !cache.is_ok_and(|cache| matches!(cache.list(&query).now_or_never(), Some(Ok(_))))
        };
        let kept = self.builtin.iter().filter(|resource| resource.is_kept());
        kept.filter(unready).map(|resource| resource.kind.plural).collect()
    }
}

/// The built-in resources by their names: every request asks for some of them.
struct Places {
    /// By group, version and plural.
    served: HashMap<(&'static str, &'static str, &'static str), Arc<Resource>>,
    /// By group and plural, in the version in which objects are kept.
    kept: HashMap<(&'static str, &'static str), Arc<Resource>>,
}

impl Places {
    /// Of two with the same name the first one counts.
    fn of(builtin: &[Arc<Resource>]) -> Self {
        let mut places = Self { served: HashMap::new(), kept: HashMap::new() };
        for resource in builtin {
            let kind = resource.kind;
            places.served.entry((kind.group, kind.version, kind.plural)).or_insert_with(|| resource.clone());
            if resource.is_kept() {
                places.kept.entry((kind.group, kind.plural)).or_insert_with(|| resource.clone());
            }
        }
        places
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
        custom: None,
        cache: match caches.get(&(stored.group, stored.plural)) {
            Some(cache) => Kept::InCache(cache.clone()),
            None => Kept::Nowhere,
        },
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

/// Few objects that nearly every write is measured by: what is decoded of them is kept with them.
const CONSULTED: &[&str] =
    &["namespaces", "serviceaccounts", "limitranges", "priorityclasses", "runtimeclasses", "storageclasses"];

fn decoded(resource: &Resource, object: &CachedObject) -> Option<Arc<Value>> {
    if resource.custom.is_none() && CONSULTED.contains(&resource.kind.plural) {
        return object.value();
    }
    serde_json::from_slice(&object.json).ok().map(Arc::new)
}

/// What authentication, authorization, admission and streaming read.
#[async_trait]
impl Objects for Registry {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = self.stored(group, resource)?;
        let cache = resource.cache().ok()?;
        let found = cache.get(resource.within(namespace), name, Freshness::Any).now_or_never()?;
        decoded(&resource, &*found.ok()??)
    }

    fn list(&self, group: &str, resource: &str, namespace: &str, fields: &[(&str, &str)]) -> Vec<Arc<Value>> {
        let Some(resource) = self.stored(group, resource) else { return Vec::new() };
        let Ok(cache) = resource.cache() else { return Vec::new() };
        let wanted: Vec<String> = fields.iter().map(|(field, value)| format!("{field}={value}")).collect();
        let Ok(fields) = FieldSelector::parse(&wanted.join(",")) else { return Vec::new() };
        let query = ListQuery {
            namespace: resource.within(namespace).map(String::from),
            selector: Selector { labels: LabelSelector::default(), fields },
            freshness: Freshness::Any,
            ..ListQuery::default()
        };
        match cache.list(&query).now_or_never() {
            Some(Ok(result)) => {
                result.objects.iter().filter_map(|object| decoded(&resource, object)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn raw(&self, group: &str, resource: &str) -> Vec<Raw> {
        let Some(resource) = self.stored(group, resource) else { return Vec::new() };
        let Ok(cache) = resource.cache() else { return Vec::new() };
        let query = ListQuery { freshness: Freshness::Any, ..ListQuery::default() };
        let Some(Ok(all)) = cache.list(&query).now_or_never() else { return Vec::new() };
        let raw = |object: &Arc<CachedObject>| Raw {
            name: object.name().to_owned(),
            revision: object.revision,
            json: object.json.clone(),
        };
        all.objects.iter().map(raw).collect()
    }

    async fn get_live(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = self.stored(group, resource)?;
        let key = resource.key(namespace, name).ok()?;
        let record = self.store.get(&key, None).await.ok()??;
        serde_json::from_slice(&record.value).ok().map(Arc::new)
    }
}

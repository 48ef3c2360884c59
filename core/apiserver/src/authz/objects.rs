//! What authentication, authorization, admission and streaming read of the
//! cluster: objects by name and by field, out of the watch caches.
//!
//! The API server implements [`Objects`] over its caches; tests implement it
//! over a list.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

/// An object undecoded.
#[derive(Debug, Clone)]
pub struct Raw {
    pub name: String,
    pub revision: u64,
    pub json: Bytes,
}

/// Read access to stored objects. Groups are without version (`""` for core),
/// resources are plural and lower case, an empty namespace means cluster scope.
#[async_trait]
pub trait Objects: Send + Sync {
    /// The object as the cache has it.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;

    /// All objects of a resource in a namespace (empty: in all), whose selectable
    /// fields (`spec.nodeName`) have exactly these values. In no order.
    fn list(&self, group: &str, resource: &str, namespace: &str, fields: &[(&str, &str)]) -> Vec<Arc<Value>>;

    /// All objects of a resource without namespaces as they lie in the cache: for what is
    /// kept in another form as long as its revision is the same.
    fn raw(&self, group: &str, resource: &str) -> Vec<Raw> {
        let text =
            |object: &Value, key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let raw = |object: Arc<Value>| Raw {
            name: text(&object, "name"),
            revision: text(&object, "resourceVersion").parse().unwrap_or_default(),
            json: object.to_string().into(),
        };
        self.list(group, resource, "", &[]).into_iter().map(raw).collect()
    }

    /// The object as the store has it: for a decision that must see what was
    /// acknowledged a moment ago. Called only after [`Objects::get`] found nothing.
    async fn get_live(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;
}

/// From the cache, else from the store.
pub async fn find(
    objects: &dyn Objects,
    group: &str,
    resource: &str,
    namespace: &str,
    name: &str,
) -> Option<Arc<Value>> {
    match objects.get(group, resource, namespace, name) {
        Some(object) => Some(object),
        None => objects.get_live(group, resource, namespace, name).await,
    }
}

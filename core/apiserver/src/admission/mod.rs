//! What a write must pass before it is stored: one plug-in a file, one list.
//!
//! ```text
//! decoded and defaulted object ──> mutate: every plug-in in the order of all() ──> validation of the kind
//!                              ──> validate: every plug-in again ──> store
//! ```
//!
//! A plug-in changes the object only in [`Plugin::mutate`], and must be content
//! with what it has made of it when it sees it again (retried writes, dry runs).
//! It reads the cluster through [`Objects`] and has no state of its own.

mod default_toleration_seconds;
mod namespace_lifecycle;
mod node_labels;
mod node_restriction;
mod priority;
mod service_account;
mod taint_nodes;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tiphys_api::auth::UserInfo;

use crate::authz::{Objects, Refusal};

/// Every plug-in, in the order they run.
pub fn all() -> &'static [&'static dyn Plugin] {
    &[
        &namespace_lifecycle::NamespaceLifecycle,
        &service_account::ServiceAccount,
        &node_restriction::NodeRestriction,
        &taint_nodes::TaintNodesByCondition,
        &priority::Priority,
        &default_toleration_seconds::DefaultTolerationSeconds,
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// exec, attach, port-forward, proxy.
    Connect,
}

/// A write on its way to the store.
pub struct Request<'a> {
    pub operation: Operation,
    pub user: &'a UserInfo,
    /// Empty for the core group.
    pub group: &'a str,
    /// Plural, lower case.
    pub resource: &'a str,
    /// Empty for the resource itself.
    pub subresource: &'a str,
    /// Empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// May be empty in a create with `generateName`.
    pub name: &'a str,
    /// What is to be stored; of a subresource with a kind of its own (TokenRequest,
    /// Eviction, Binding) that object. `None` for a delete.
    pub object: Option<&'a mut Value>,
    /// What is stored: for updates and deletes.
    pub old: Option<&'a Value>,
}

impl Request<'_> {
    /// Whether this is about the resource itself (`""`, `"pods"`), not a subresource.
    fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource && self.subresource.is_empty()
    }

    fn new_object(&self) -> &Value {
        self.object.as_deref().unwrap_or(&Value::Null)
    }

    fn old_object(&self) -> &Value {
        self.old.unwrap_or(&Value::Null)
    }

    /// 403: `pods "web" is forbidden: <why>`.
    fn forbid(&self, why: &str) -> Refusal {
        let in_object = self.new_object()["metadata"]["name"].as_str().unwrap_or_default();
        let name = if self.name.is_empty() { in_object } else { self.name };
        Refusal::forbidden(self.group, self.resource, name, why)
    }
}

/// A rule about writes.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Upstream's name of it.
    fn name(&self) -> &'static str;

    /// Fills in or refuses, before validation.
    async fn mutate(&self, _objects: &dyn Objects, _request: &mut Request<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Refuses, after validation.
    async fn validate(&self, _objects: &dyn Objects, _request: &Request<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}

/// All plug-ins over one cluster.
pub struct Admission {
    objects: Arc<dyn Objects>,
}

impl Admission {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// Before validation: plug-ins fill in the object, or refuse.
    pub async fn mutate(&self, request: &mut Request<'_>) -> Result<(), Refusal> {
        for plugin in all() {
            plugin.mutate(&*self.objects, request).await.inspect_err(|why| log(*plugin, why))?;
        }
        Ok(())
    }

    /// After validation: plug-ins refuse, or not.
    pub async fn validate(&self, request: &Request<'_>) -> Result<(), Refusal> {
        for plugin in all() {
            plugin.validate(&*self.objects, request).await.inspect_err(|why| log(*plugin, why))?;
        }
        Ok(())
    }
}

fn log(plugin: &dyn Plugin, why: &Refusal) {
    tracing::debug!(plugin = plugin.name(), %why, "write refused");
}

/// The list `field` of an object, made when it is not there.
fn list_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    let list = &mut object[field];
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut().expect("it was just made an array")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A mirror Pod: the API's picture of a static Pod, made by a kubelet.
fn is_mirror_pod(pod: &Value) -> bool {
    pod["metadata"]["annotations"][MIRROR].is_string()
}

const MIRROR: &str = "kubernetes.io/config.mirror";

#[cfg(test)]
mod tests;

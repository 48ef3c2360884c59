//! A write on its way to the store, as plug-ins see it.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde_json::Value;
use tiphys_api::auth::UserInfo;

use super::again::Again;
use crate::authz::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// exec, attach, port-forward, proxy.
    Connect,
}

impl Operation {
    /// As rules and reviews name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

pub struct Request<'a> {
    pub operation: Operation,
    pub user: &'a UserInfo,
    /// Empty for the core group.
    pub group: &'a str,
    /// The version that the client speaks; `object` is in the stored one.
    pub version: &'a str,
    /// Plural, lower case.
    pub resource: &'a str,
    /// Empty for the resource itself.
    pub subresource: &'a str,
    /// Empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// May be empty in a create with `generateName`.
    pub name: &'a str,
    /// What is to be stored; of a subresource with a kind of its own (TokenRequest,
    /// Eviction, Binding, Scale) that object. `None` for a delete.
    pub object: Option<&'a mut Value>,
    /// What is stored: for updates and deletes.
    pub old: Option<&'a Value>,
    /// Nothing will be stored: what a plug-in does must have no effect either.
    pub dry_run: bool,
    /// CreateOptions, UpdateOptions, DeleteOptions or the options of a connection, as JSON.
    pub options: &'a Value,
    pub notes: &'a Notes,
    /// Whether plug-ins run a second time.
    pub again: Again,
}

impl Request<'_> {
    /// Whether this is about the resource itself (`""`, `"pods"`), not a subresource.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource && self.subresource.is_empty()
    }

    /// A create or an update.
    pub fn writes(&self) -> bool {
        matches!(self.operation, Operation::Create | Operation::Update)
    }

    pub fn creates(&self) -> bool {
        self.operation == Operation::Create
    }

    pub fn new_object(&self) -> &Value {
        self.object.as_deref().unwrap_or(&Value::Null)
    }

    pub fn old_object(&self) -> &Value {
        self.old.unwrap_or(&Value::Null)
    }

    /// The apiVersion that the client speaks.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The path's name, or the one in the object.
    pub fn object_name(&self) -> &str {
        match self.name {
            "" => self.new_object()["metadata"]["name"].as_str().unwrap_or_default(),
            name => name,
        }
    }

    /// 403: `pods "web" is forbidden: <why>`.
    pub fn forbid(&self, why: &str) -> Refusal {
        Refusal::forbidden(self.group, self.resource, self.object_name(), why)
    }
}

/// Bytes of warnings that a client gets; above that each is cut to so many characters, then left out.
const ALL_WARNINGS: usize = 4096;
const ONE_WARNING: usize = 256;

/// What plug-ins have to say beside yes and no: warnings for the client, annotations
/// for the audit log.
#[derive(Debug, Default)]
pub struct Notes {
    warnings: Mutex<Vec<String>>,
    annotations: Mutex<BTreeMap<String, String>>,
}

impl Notes {
    /// Said once, however often the write is tried again. All together are bounded: they are
    /// headers of the answer, and webhooks have a say in them.
    pub fn warn(&self, warning: impl Into<String>) {
        let (mut warnings, mut warning) = (self.warnings.lock(), warning.into());
        let said: usize = warnings.iter().map(String::len).sum();
        if said + warning.len() > ALL_WARNINGS {
            warning = warning.chars().take(ONE_WARNING).collect();
        }
        if said + warning.len() <= ALL_WARNINGS + ONE_WARNING && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        self.annotations.lock().insert(key.into(), value.into());
    }

    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }

    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.annotations.lock().clone()
    }
}

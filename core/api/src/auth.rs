//! Who asks, and the question whether they may.
//!
//! Authentication and authorization themselves live in the API server; other
//! parts (logs, metrics, dashboard) are handed a [`UserInfo`] in the request's
//! extensions and an [`Authorizer`] to ask.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// Its members may do anything, whatever the roles say: the way back in.
pub const MASTERS: &str = "system:masters";

/// An authenticated user, as in `authentication.k8s.io/v1` UserInfo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A component or user with these groups beside `system:authenticated`.
    pub fn named(name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().copied().chain(["system:authenticated"]).map(String::from).collect();
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// A user who may do anything, by the group [`MASTERS`].
    pub fn master(name: impl Into<String>) -> Self {
        Self::named(name, &[MASTERS])
    }
}

/// A token that came as the password of an Arrow Flight client. It is in the request's extensions,
/// as the client wants to be told what to show from then on.
#[derive(Clone, PartialEq, Eq)]
pub struct AsPassword(pub String);

/// Hides the token: it must not reach a log.
impl fmt::Debug for AsPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsPassword")
    }
}

/// What is asked for, as in `authorization.k8s.io/v1` ResourceAttributes and
/// NonResourceAttributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes {
    Resource {
        /// get, list, watch, create, update, patch, delete, deletecollection, or a special verb.
        verb: String,
        group: String,
        version: String,
        /// Plural, lower case.
        resource: String,
        /// Empty for the resource itself.
        subresource: String,
        /// Empty for cluster-scoped resources and for all namespaces.
        namespace: String,
        /// Empty for list, create and deletecollection.
        name: String,
    },
    NonResource {
        /// The HTTP method in lower case.
        verb: String,
        path: String,
    },
}

impl Attributes {
    /// The question `verb resource[/subresource]` in a namespace, of the core group.
    pub fn core(verb: &str, resource: &str, namespace: &str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self::Resource {
            verb: verb.into(),
            group: String::new(),
            version: "v1".into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: String::new(),
        }
    }
}

/// Answers from memory; never blocks.
pub trait Authorizer: Send + Sync {
    /// `Ok` when the user may; else the reason, as a sentence for the user.
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String>;
}

pub type SharedAuthorizer = Arc<dyn Authorizer>;

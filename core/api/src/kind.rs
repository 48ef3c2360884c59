//! What a kind is to the API server: names, defaults, validation, columns.
//!
//! A kind is one file in `kinds/` holding one `static` [`Kind`], and one line in
//! `kinds::all`. It starts from [`Kind::namespaced`] or
//! [`Kind::cluster`] and names only what is its own; the verbs are written once
//! over this description, and custom resources will fill the same one.

use serde_json::Value;

use crate::field::FieldError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Namespaced,
    Cluster,
}

/// A path below the object with behaviour of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    Status,
    /// `scale`, with where its figures stand in the object (as in a CRD's).
    Scale(ScalePaths),
    /// Anything that the API server handles by name: `binding`, `log`, `exec`, ...
    Named(&'static str),
}

/// JSON pointers into the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScalePaths {
    pub spec_replicas: &'static str,
    pub status_replicas: &'static str,
    /// A label selector object (`matchLabels`...) or a map of labels.
    pub selector: &'static str,
}

/// A printed column, as in `meta.k8s.io/v1` TableColumnDefinition.
#[derive(Clone, Copy)]
pub struct Column {
    pub name: &'static str,
    /// integer, number, string, boolean, date
    pub kind: &'static str,
    /// `name` for the first column, else empty.
    pub format: &'static str,
    pub description: &'static str,
    /// 0 always, 1 with `-o wide`.
    pub priority: i32,
    /// The cell of an object; `now` is seconds since the Unix epoch, for ages.
    pub cell: fn(object: &Value, now: i64) -> Value,
}

/// A built-in kind.
pub struct Kind {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    /// The schema's name in OpenAPI: `io.k8s.api.core.v1.Pod`.
    pub definition: &'static str,
    /// All of get, list, watch, create, update, patch, delete, deletecollection,
    /// or only these. Review kinds (TokenReview, ...) have only create and are not stored.
    pub verbs: &'static [&'static str],
    pub subresources: &'static [Subresource],
    /// Fills in what upstream's defaulting fills in. Idempotent.
    pub default: fn(&mut Value),
    /// Before a create: drops `status`, sets what the server owns. Generation is done by the verb.
    pub prepare_create: fn(&mut Value),
    /// Before an update through the main resource, with the stored object.
    pub prepare_update: fn(new: &mut Value, old: &Value),
    pub validate: fn(&Value) -> Vec<FieldError>,
    /// Immutable fields and transitions, beside `validate`.
    pub validate_update: fn(new: &Value, old: &Value) -> Vec<FieldError>,
    pub columns: &'static [Column],
    /// Fields for field selectors beside metadata.name and metadata.namespace, as
    /// dotted paths: `spec.nodeName`.
    pub selectable: &'static [&'static str],
    /// For a second version of a resource: how it is kept. The object is converted
    /// from this version to the stored one and back.
    pub stored_as: Option<Conversion>,
}

/// How a version that is not stored is made from the one that is.
#[derive(Clone, Copy)]
pub struct Conversion {
    pub version: &'static str,
    pub to_stored: fn(Value) -> Value,
    pub from_stored: fn(Value) -> Value,
}

pub const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

//! What a kind is to the API server: names, defaults, validation, columns.
//!
//! A kind is one file in `kinds/` holding one `static` [`Kind`], and one line in
//! `kinds::all`. It starts from [`Kind::namespaced`] or
//! [`Kind::cluster`] and names only what is its own; the verbs are written once
//! over this description, and custom resources will fill the same one.

use std::borrow::Cow;

use serde_json::Value;

use crate::{
    field::FieldError,
    table::NAME_AND_AGE,
    validate::{metadata, names},
};

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

/// The metadata that isn't the server's own, for [`Kind::status_keeps`].
pub const METADATA: &[&str] = &["labels", "annotations", "finalizers", "ownerReferences"];

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
    /// Of a list; empty is the kind with `List` behind it.
    pub list_kind: &'static str,
    pub scope: Scope,
    /// The schema's name in OpenAPI: `io.k8s.api.core.v1.Pod`.
    pub definition: &'static str,
    /// All of get, list, watch, create, update, patch, delete, deletecollection,
    /// or only these. Review kinds (TokenReview, ...) have only create and are not stored.
    pub verbs: &'static [&'static str],
    pub subresources: &'static [Subresource],
    /// For a kind that is on its way out: the warning with every answer about it.
    pub deprecation: Option<&'static str>,
    /// What is wrong with a name; empty when nothing is.
    pub validate_name: fn(&str) -> Vec<String>,
    /// Fills in what upstream's defaulting fills in. Idempotent.
    pub default: fn(&mut Value),
    /// Whether a create may bring `status`; the verb drops it otherwise.
    pub keeps_new_status: bool,
    /// Before a create, after `metadata.uid` is set: sets what the server owns.
    /// Generation is done by the verb.
    pub prepare_create: fn(&mut Value),
    /// Before an update through the main resource, with the stored object.
    pub prepare_update: fn(new: &mut Value, old: &Value),
    pub validate: fn(&Value) -> Vec<FieldError>,
    /// What is wrong only with a new object, beside `validate`.
    pub validate_create: fn(&Value) -> Vec<FieldError>,
    /// Immutable fields and transitions, beside `validate`.
    pub validate_update: fn(new: &Value, old: &Value) -> Vec<FieldError>,
    /// What is wrong with a status written through its subresource.
    pub validate_status: fn(new: &Value, old: &Value) -> Vec<FieldError>,
    /// Fields of the metadata that a write of the status leaves as they are; the others it may change.
    pub status_keeps: &'static [&'static str],
    /// Whether `metadata.generation` counts changes of anything but metadata and status. Most
    /// kinds with a controller of their own count; Services, Nodes and claims don't.
    pub counts_generations: bool,
    pub columns: &'static [Column],
    /// Fields for field selectors beside metadata.name and metadata.namespace, as
    /// dotted paths: `spec.nodeName`.
    pub selectable: &'static [&'static str],
    /// For a second version of a resource: how it is kept. The object is converted
    /// from this version to the stored one and back.
    pub stored_as: Option<Conversion>,
}

impl Kind {
    /// A stored, namespaced kind with all verbs and nothing of its own. Kinds
    /// start from it and override what differs.
    pub const fn namespaced(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
        definition: &'static str,
    ) -> Self {
        Self {
            group,
            version,
            kind,
            plural,
            singular,
            short_names: &[],
            categories: &[],
            list_kind: "",
            scope: Scope::Namespaced,
            definition,
            verbs: ALL_VERBS,
            subresources: &[],
            deprecation: None,
            validate_name: names::dns_subdomain,
            default: |_| {},
            keeps_new_status: false,
            prepare_create: |_| {},
            prepare_update: |_, _| {},
            validate: |_| Vec::new(),
            validate_create: |_| Vec::new(),
            validate_update: |_, _| Vec::new(),
            validate_status: |_, _| Vec::new(),
            status_keeps: &[],
            counts_generations: false,
            columns: NAME_AND_AGE,
            selectable: &[],
            stored_as: None,
        }
    }

    /// As [`Kind::namespaced`], for a kind without namespaces.
    pub const fn cluster(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
        singular: &'static str,
        definition: &'static str,
    ) -> Self {
        let base = Self::namespaced(group, version, kind, plural, singular, definition);
        Self { scope: Scope::Cluster, ..base }
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// `pods`, `deployments.apps`: how messages name the resource.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `PodList`
    pub fn list_kind(&self) -> Cow<'static, str> {
        match self.list_kind {
            "" => format!("{}List", self.kind).into(),
            given => given.into(),
        }
    }

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether objects are written and can be read. Reviews and Binding are only written: answered
    /// and forgotten. ComponentStatus is only read: found out when it is asked for.
    pub fn is_stored(&self) -> bool {
        self.is_read() && self.verbs.contains(&"create")
    }

    pub fn is_read(&self) -> bool {
        self.verbs.contains(&"get")
    }

    /// Everything wrong with a new object: metadata, then the kind's own rules. Defaulted already.
    pub fn check_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = self.check(object);
        errors.extend((self.validate_create)(object));
        errors
    }

    /// What holds for new objects and for changed ones.
    fn check(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = metadata::validate(object, self);
        errors.extend((self.validate)(object));
        errors
    }

    /// Everything wrong with `new` in the place of `old`: itself, and what may not change.
    pub fn check_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = metadata::validate_update(new, old);
        errors.extend(self.check(new));
        errors.extend((self.validate_update)(new, old));
        errors
    }

    pub fn has_status(&self) -> bool {
        self.subresources.contains(&Subresource::Status)
    }

    pub fn scale(&self) -> Option<ScalePaths> {
        self.subresources.iter().find_map(|s| match s {
            Subresource::Scale(paths) => Some(*paths),
            _ => None,
        })
    }

    pub fn subresource(&self, name: &str) -> Option<Subresource> {
        self.subresources.iter().copied().find(|s| s.name() == name)
    }
}

impl Subresource {
    /// The path's last segment.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Scale(_) => "scale",
            Self::Named(name) => name,
        }
    }

    /// What discovery says of it under `parent`.
    pub fn discovery(&self, parent: &Kind) -> SubresourceDiscovery {
        let of_parent = (parent.group, parent.version, parent.kind);
        let ((group, version, kind), verbs): (_, &'static [&'static str]) = match self {
            Self::Status => (of_parent, &["get", "patch", "update"]),
            Self::Scale(_) => (("autoscaling", "v1", "Scale"), &["get", "patch", "update"]),
            Self::Named("binding") => (("", "v1", "Binding"), &["create"]),
            Self::Named("eviction") => (("policy", "v1", "Eviction"), &["create"]),
            Self::Named("token") => (("authentication.k8s.io", "v1", "TokenRequest"), &["create"]),
            Self::Named("log") => (of_parent, &["get"]),
            Self::Named("finalize") => (of_parent, &["update"]),
            Self::Named("ephemeralcontainers" | "approval" | "resize") => {
                (of_parent, &["get", "patch", "update"])
            }
            Self::Named("exec") => (("", "v1", "PodExecOptions"), &["create", "get"]),
            Self::Named("attach") => (("", "v1", "PodAttachOptions"), &["create", "get"]),
            Self::Named("portforward") => (("", "v1", "PodPortForwardOptions"), &["create", "get"]),
            Self::Named("proxy") => {
                let kind = match parent.kind {
                    "Node" => "NodeProxyOptions",
                    "Service" => "ServiceProxyOptions",
                    _ => "PodProxyOptions",
                };
                (("", "v1", kind), &["create", "delete", "get", "patch", "update"])
            }
            Self::Named(_) => (of_parent, &["get"]),
        };
        SubresourceDiscovery { group, version, kind, verbs }
    }
}

/// The kind a subresource speaks, and its verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubresourceDiscovery {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub verbs: &'static [&'static str],
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

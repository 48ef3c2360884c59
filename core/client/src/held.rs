//! What a [`crate::Cache`] can hold, and how it is found there.
//!
//! Most kinds are held as they are decoded. A kind of which there are very many may
//! be held in a form of its own ([`crate::LeanPod`]): then `Wire` is what is decoded.
//! An [`Entry`] is its own key, so that no set of objects keeps their names twice.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    ops::Bound,
    sync::Arc,
};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{OwnerReference, Time},
    jiff::Timestamp,
};
use kube::Resource;
use serde::de::DeserializeOwned;
use tiphys_api::labels::LabelMap;

/// An object that a cache can hold.
pub trait Held: Metadata + Debug + Send + Sync + 'static {
    /// What the API's answers are decoded to.
    type Wire: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static;

    fn hold(wire: Self::Wire) -> Self;
}

/// What an object of any form says of itself. Absent strings are empty.
pub trait Metadata {
    type Labels: LabelMap + PartialEq + ?Sized;

    fn namespace(&self) -> &str;
    fn name(&self) -> &str;
    fn uid(&self) -> &str;
    fn resource_version(&self) -> &str;
    /// The epoch when it says nothing.
    fn created(&self) -> Timestamp;
    fn deletion(&self) -> Option<Timestamp>;
    fn labels(&self) -> &Self::Labels;
    fn annotation(&self, key: &str) -> Option<&str>;
    fn owners(&self) -> &[OwnerReference];
}

/// As it was decoded, without `managedFields`: nobody reads them here, and they are most of an object.
impl<K> Held for K
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    type Wire = K;

    fn hold(mut wire: K) -> K {
        wire.meta_mut().managed_fields = None;
        wire
    }
}

impl<K: Resource> Metadata for K {
    type Labels = BTreeMap<String, String>;

    fn namespace(&self) -> &str {
        self.meta().namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.meta().uid.as_deref().unwrap_or_default()
    }

    fn resource_version(&self) -> &str {
        self.meta().resource_version.as_deref().unwrap_or_default()
    }

    fn created(&self) -> Timestamp {
        self.meta().creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
    }

    fn deletion(&self) -> Option<Timestamp> {
        self.meta().deletion_timestamp.as_ref().map(|Time(time)| *time)
    }

    fn labels(&self) -> &Self::Labels {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.meta().labels.as_ref().unwrap_or(&NONE)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.meta().annotations.as_ref()?.get(key).map(String::as_str)
    }

    fn owners(&self) -> &[OwnerReference] {
        self.meta().owner_references.as_deref().unwrap_or_default()
    }
}

/// Namespace and name, of an entry or of what is looked for.
pub trait Place {
    fn place(&self) -> (&str, &str);
}

impl Place for (&str, &str) {
    fn place(&self) -> (&str, &str) {
        *self
    }
}

/// An object in a set, ordered by namespace and name. Sets are searched by `&dyn Place`.
#[derive(Debug)]
pub struct Entry<V>(pub Arc<V>);

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V: Held> Place for Entry<V> {
    fn place(&self) -> (&str, &str) {
        (self.0.namespace(), self.0.name())
    }
}

impl<'a, V: Held> Borrow<dyn Place + 'a> for Entry<V> {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl<V: Held> PartialEq for Entry<V> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<V: Held> Eq for Entry<V> {}

impl<V: Held> PartialOrd for Entry<V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<V: Held> Ord for Entry<V> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Place + '_ {}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// Objects by namespace and name.
pub type Entries<V> = BTreeSet<Entry<V>>;

/// The object of this namespace and name.
pub fn find<'a, V: Held>(entries: &'a Entries<V>, namespace: &str, name: &str) -> Option<&'a Arc<V>> {
    let wanted: &dyn Place = &(namespace, name);
    entries.get(wanted).map(|Entry(object)| object)
}

/// The objects of a namespace, by name.
pub fn in_namespace<'a, V: Held>(
    entries: &'a Entries<V>,
    namespace: &'a str,
) -> impl Iterator<Item = &'a Arc<V>> + use<'a, V> {
    let first: &dyn Place = &(namespace, "");
    let from = entries.range::<dyn Place, _>((Bound::Included(first), Bound::Unbounded));
    from.map(|Entry(object)| object).take_while(move |object| object.namespace() == namespace)
}

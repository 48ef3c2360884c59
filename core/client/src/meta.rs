//! Objects of any kind, by their metadata alone, without `managedFields`: those are
//! most of the work of decoding an object, and who watches very many reads none of them.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::{Resource, api::ApiResource, core::DynamicResourceScope};
use serde::{Deserialize, Deserializer};

/// An object of which nothing else is decoded. The kind is the client's to know.
#[derive(Debug, Clone, Deserialize)]
pub struct MetaOnly {
    #[serde(deserialize_with = "without_managed_fields")]
    pub metadata: ObjectMeta,
}

impl Resource for MetaOnly {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// [`ObjectMeta`] as far as it is decoded.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeanMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    finalizers: Option<Vec<String>>,
}

/// What to decode metadata with.
///
/// # Errors
/// It is no metadata.
pub fn without_managed_fields<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    let meta = LeanMeta::deserialize(from)?;
    Ok(ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        labels: meta.labels,
        annotations: meta.annotations,
        owner_references: meta.owner_references,
        finalizers: meta.finalizers,
        ..ObjectMeta::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_metadata_is_decoded() {
        let object: MetaOnly = serde_json::from_value(serde_json::json!({
            "kind": "Any",
            "metadata": {
                "name": "a", "namespace": "b", "uid": "c", "resourceVersion": "7", "finalizers": ["f"],
                "deletionTimestamp": "2026-01-01T00:00:00Z", "managedFields": "skipped, whatever it is",
                "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}],
            },
            "spec": {},
        }))
        .expect("an object");
        let meta = object.metadata;
        assert_eq!((meta.name.as_deref(), meta.uid.as_deref()), (Some("a"), Some("c")));
        assert!(meta.deletion_timestamp.is_some() && meta.managed_fields.is_none());
        assert_eq!(meta.finalizers.as_deref(), Some(&["f".to_owned()][..]));
        assert_eq!(meta.owner_references.map(|owners| owners.len()), Some(1));
    }
}

//! One finalizer of an object put on or taken off, if that changes anything.
//!
//! The patch names the resourceVersion: a finalizer that somebody else has just
//! added is not lost.

use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{
    error::{Error, found},
    object,
    watched::Kind,
};

pub fn has<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.meta().finalizers.iter().flatten().any(|known| known == finalizer)
}

pub async fn add<K: Kind>(api: &Api<K>, object: &K, finalizer: &str) -> Result<(), Error> {
    if has(object, finalizer) {
        return Ok(());
    }
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.push(finalizer.to_owned());
    write(api, object, finalizers).await
}

pub async fn remove<K: Kind>(api: &Api<K>, object: &K, finalizer: &str) -> Result<(), Error> {
    if !has(object, finalizer) {
        return Ok(());
    }
    let mut finalizers = object.meta().finalizers.clone().unwrap_or_default();
    finalizers.retain(|known| known != finalizer);
    write(api, object, finalizers).await
}

async fn write<K: Kind>(api: &Api<K>, object: &K, finalizers: Vec<String>) -> Result<(), Error> {
    let patch = json!({ "metadata": {
        "resourceVersion": object.meta().resource_version, "uid": object::uid(object), "finalizers": finalizers,
    }});
    found(api.patch(object::name(object), &PatchParams::default(), &Patch::Merge(patch)).await)?;
    Ok(())
}

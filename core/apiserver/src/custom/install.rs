//! From a definition to the resources that the registry serves.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tiphys_api::custom::Version;

use super::{LazyCache, Served, conversion::Conversion};
use crate::{registry::Resource, state::Core, write::metadata};

/// What must be the same for what is installed to stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(String);

impl Signature {
    /// By what is served: the spec and the accepted names. Not by the generation, which a
    /// deletion counts up, too: watches go on until the last instance is gone.
    pub fn of(definition: &Value, names: &Value) -> Self {
        let spec = Sha256::digest(definition["spec"].to_string());
        let uid = metadata::text(definition, "uid");
        Self(format!("{uid} {spec:x} {names}"))
    }
}

/// One resource a served version, all over one cache.
pub struct Installed {
    pub signature: Signature,
    pub resources: Vec<Arc<Resource>>,
    /// In the storage version, which needn't be served.
    pub storage: Arc<Resource>,
    cache: Arc<LazyCache>,
    /// The definition is being deleted: nothing new is taken.
    ending: Arc<AtomicBool>,
    /// The definition has said so; it does not take that back.
    established: AtomicBool,
}

impl Installed {
    /// None if the definition has no storage version, which its validation doesn't allow.
    pub fn of(definition: &Value, names: &Value, core: &Core) -> Option<Self> {
        let versions: Vec<Arc<Version>> = Version::all(definition, names).into_iter().map(Arc::new).collect();
        let storage = versions.iter().find(|version| version.storage)?.clone();
        let mut selectable: Vec<&str> = Vec::new();
        for field in versions.iter().flat_map(|version| version.kind.selectable) {
            if !selectable.contains(field) {
                selectable.push(field);
            }
        }
        let conversion = Arc::new(Conversion::of(definition, &core.webhooks));
        let cache = Arc::new(LazyCache::new(
            storage.clone(),
            conversion.keeps_the_rest(),
            &selectable,
            core.registry.store().clone(),
            &core.tasks,
        ));
        let ending = Arc::new(AtomicBool::new(false));
        let resource = |version: &Arc<Version>| {
            let served = Served {
                version: version.clone(),
                storage: storage.clone(),
                storage_api_version: storage.kind.api_version(),
                conversion: conversion.clone(),
                ending: ending.clone(),
            };
            Arc::new(Resource::custom(served, cache.clone()))
        };
        let resources = versions.iter().filter(|version| version.served).map(&resource).collect();
        let storage = resource(&storage);
        let (signature, established) = (Signature::of(definition, names), AtomicBool::new(false));
        Some(Self { signature, resources, storage, cache, ending, established })
    }

    /// Whether there is anything for clients yet. `says_so` reads it off the definition as clients see it.
    pub fn is_established(&self, says_so: impl FnOnce() -> bool) -> bool {
        if self.established.load(Ordering::Relaxed) {
            return true;
        }
        let established = says_so();
        self.established.fetch_or(established, Ordering::Relaxed);
        established
    }

    /// From now on nothing new is taken.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }

    /// Ends the cache and every watch: requests under way may still hold the resources.
    pub fn close(&self) {
        self.cache.close();
    }
}

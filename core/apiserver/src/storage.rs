//! Objects in the store: read, created, replaced and removed, each at a revision.
//!
//! The value is the object's JSON without `metadata.resourceVersion`, which is
//! the record's revision. A write that lost against another gives what is there
//! now; the verbs decide whether to try again.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tiphys_store::{LeaseId, LeasePool, OpResult, Record, Revision, Store, Txn, TxnResult};

use crate::{
    registry::Resource,
    status::{ApiError, Result},
};

/// How long Events are kept.
const EVENT_TTL: Duration = Duration::from_secs(3600);

/// An object in its stored version, with its resourceVersion.
#[derive(Debug, Clone)]
pub struct Current {
    pub object: Value,
    pub revision: Revision,
    lease: Option<LeaseId>,
}

/// What became of a write.
pub enum Outcome {
    /// The revision of the write.
    Done(Revision),
    /// Another write came first: what it left, if anything.
    Lost(Option<Current>),
}

/// The store, as the verbs use it.
pub struct Storage {
    store: Arc<dyn Store>,
    event_leases: LeasePool,
}

impl Storage {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { event_leases: LeasePool::new(store.clone()), store }
    }

    /// The object as the store has it now.
    pub async fn load(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Option<Current>> {
        let key = resource.key(namespace, name)?;
        self.store.get(&key, None).await?.as_ref().map(decode).transpose()
    }

    pub async fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        object: &Value,
    ) -> Result<Outcome> {
        let lease = match resource.stored.plural {
            "events" => Some(self.event_leases.lease(EVENT_TTL).await?),
            _ => None,
        };
        self.write(resource, Txn::create(resource.key(namespace, name)?, encode(object)?, lease)).await
    }

    /// Replaces `current` by `object`.
    pub async fn replace(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        current: &Current,
        object: &Value,
    ) -> Result<Outcome> {
        let key = resource.key(namespace, name)?;
        self.write(resource, Txn::put_at(key, current.revision, encode(object)?, current.lease)).await
    }

    pub async fn remove(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        current: &Current,
    ) -> Result<Outcome> {
        self.write(resource, Txn::delete_at(resource.key(namespace, name)?, current.revision)).await
    }

    /// A write is answered when the cache shows it: what a client asks next, and
    /// what admission and authorization look up for it, knows of the write.
    async fn write(&self, resource: &Resource, txn: Txn) -> Result<Outcome> {
        let outcome = outcome(&self.store.transact(txn).await?)?;
        if let Outcome::Done(revision) = outcome
            && let Err(error) = resource.cache()?.wait_for(revision).await
        {
            tracing::warn!(resource = resource.stored.plural, revision, %error, "cache lags behind a write");
        }
        Ok(outcome)
    }
}

fn outcome(result: &TxnResult) -> Result<Outcome> {
    if result.succeeded {
        return Ok(Outcome::Done(result.revision));
    }
    let found = match result.results.first() {
        Some(OpResult::Get(Some(record))) => Some(decode(record)?),
        _ => None,
    };
    Ok(Outcome::Lost(found))
}

fn decode(record: &Record) -> Result<Current> {
    let mut object: Value = serde_json::from_slice(&record.value).map_err(ApiError::internal)?;
    set_revision(&mut object, record.mod_revision);
    Ok(Current { object, revision: record.mod_revision, lease: record.lease })
}

/// Puts the resourceVersion into an object that is answered with.
pub fn set_revision(object: &mut Value, revision: Revision) {
    object["metadata"]["resourceVersion"] = revision.to_string().into();
}

/// The object's bytes in the store.
fn encode(object: &Value) -> Result<Vec<u8>> {
    let revision = object.pointer("/metadata/resourceVersion");
    if revision.is_none() {
        return serde_json::to_vec(object).map_err(ApiError::internal);
    }
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    serde_json::to_vec(&object).map_err(ApiError::internal)
}

//! Objects in the store: read, created, replaced and removed, each at a revision.
//!
//! The value is the object's JSON without `metadata.resourceVersion`, which is
//! the record's revision. A write that lost against another gives what is there
//! now; the verbs decide whether to try again.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tiphys_store::{Compare, LeaseId, LeasePool, Op, OpResult, Record, Revision, Store, Txn, TxnResult};

use crate::{
    nesting,
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
    /// It is kept in a version that is no longer the one to keep: any write renews it.
    pub stale: bool,
    lease: Option<LeaseId>,
}

/// What became of a write.
pub enum Outcome {
    /// The revision of the write.
    Done(Revision),
    /// Another write came first: what it left, if anything.
    Lost(Option<Current>),
    /// Another write to what was to be stored along came first. The caches know of it.
    Outrun,
}

/// Another object that changes in the same transaction.
pub struct Along {
    resource: Arc<Resource>,
    key: String,
    revision: Revision,
    value: Vec<u8>,
}

impl Along {
    /// The object as it shall be, with the resourceVersion at which it must still be.
    pub fn new(resource: Arc<Resource>, object: &Value) -> Result<Self> {
        let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
        let revision = text("resourceVersion").parse().map_err(ApiError::internal)?;
        let key = resource.key(text("namespace"), text("name"))?;
        Ok(Self { resource, key, revision, value: without_revision(object)? })
    }
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
        match self.store.get(&key, None).await? {
            Some(record) => decode(resource, &record).await.map(Some),
            None => Ok(None),
        }
    }

    pub async fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        object: &Value,
        along: &[Along],
    ) -> Result<Outcome> {
        let lease = match resource.stored.plural {
            "events" if resource.custom.is_none() => Some(self.event_leases.lease(EVENT_TTL).await?),
            _ => None,
        };
        let txn = Txn::create(resource.key(namespace, name)?, encode(resource, object).await?, lease);
        self.write(resource, 0, txn, along).await
    }

    /// Replaces `current` by `object`.
    pub async fn replace(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        current: &Current,
        object: &Value,
        along: &[Along],
    ) -> Result<Outcome> {
        let key = resource.key(namespace, name)?;
        let txn = Txn::put_at(key, current.revision, encode(resource, object).await?, current.lease);
        self.write(resource, current.revision, txn, along).await
    }

    pub async fn remove(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        current: &Current,
    ) -> Result<Outcome> {
        let txn = Txn::delete_at(resource.key(namespace, name)?, current.revision);
        self.write(resource, current.revision, txn, &[]).await
    }

    /// A write is answered when the cache shows it: what a client asks next, and
    /// what admission and authorization look up for it, knows of the write.
    async fn write(
        &self,
        resource: &Resource,
        expected: Revision,
        mut txn: Txn,
        along: &[Along],
    ) -> Result<Outcome> {
        for other in along {
            txn.compare.push(Compare { key: other.key.clone(), mod_revision: other.revision });
            let value = other.value.clone().into();
            txn.success.push(Op::Put { key: other.key.clone(), value, lease: None });
        }
        let result = self.store.transact(txn).await?;
        let outcome = outcome(resource, &result, expected).await?;
        if matches!(outcome, Outcome::Done(_)) {
            shown(resource, result.revision).await?;
        }
        if matches!(outcome, Outcome::Done(_) | Outcome::Outrun) {
            for other in along {
                shown(&other.resource, result.revision).await?;
            }
        }
        Ok(outcome)
    }
}

/// Waits until the resource's cache shows a revision.
async fn shown(resource: &Resource, revision: Revision) -> Result<()> {
    if let Err(error) = resource.cache()?.wait_for(revision).await {
        tracing::warn!(resource = resource.stored.plural, revision, %error, "cache lags behind a write");
    }
    Ok(())
}

/// `expected` is the revision at which the object itself had to be; 0 for none.
async fn outcome(resource: &Resource, result: &TxnResult, expected: Revision) -> Result<Outcome> {
    if result.succeeded {
        return Ok(Outcome::Done(result.revision));
    }
    let found = match result.results.first() {
        Some(OpResult::Get(Some(record))) => Some(decode(resource, record).await?),
        _ => None,
    };
    if found.as_ref().map_or(0, |found| found.revision) == expected {
        return Ok(Outcome::Outrun);
    }
    Ok(Outcome::Lost(found))
}

async fn decode(resource: &Resource, record: &Record) -> Result<Current> {
    let mut object: Value = serde_json::from_slice(&record.value).map_err(ApiError::internal)?;
    let mut stale = false;
    if let Some(custom) = &resource.custom {
        stale = custom.is_stale(&object);
        object = custom.read(vec![object]).await?.pop().unwrap_or_default();
    }
    set_revision(&mut object, record.mod_revision);
    Ok(Current { object, revision: record.mod_revision, stale, lease: record.lease })
}

/// Puts the resourceVersion into an object that is answered with.
pub fn set_revision(object: &mut Value, revision: Revision) {
    object["metadata"]["resourceVersion"] = revision.to_string().into();
}

/// The object's bytes in the store, in the version in which it is kept.
async fn encode(resource: &Resource, object: &Value) -> Result<Vec<u8>> {
    match &resource.custom {
        Some(custom) => without_revision(&custom.to_store(object.clone()).await?),
        None => without_revision(object),
    }
}

fn without_revision(object: &Value) -> Result<Vec<u8>> {
    if !nesting::within(object, nesting::STORED) {
        let levels = nesting::STORED;
        return Err(ApiError::bad_request(format!(
            "the object with its managedFields nests deeper than {levels} levels and could not be read again; make it flatter"
        )));
    }
    if object.pointer("/metadata/resourceVersion").is_none() {
        return serde_json::to_vec(object).map_err(ApiError::internal);
    }
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    serde_json::to_vec(&object).map_err(ApiError::internal)
}

//! A store whose values are sealed in another one.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tiphys_store::{
    LeaseId, Op, OpResult, Page, Range, Record, Revision, Store, StoreError, Txn, TxnResult, Watch,
    WatchBatch,
};

use super::keyring::{Keyring, SealError};

/// Seals on the way in, opens on the way out; everything else is the inner store's.
pub struct Encrypted {
    pub(super) inner: Arc<dyn Store>,
    pub(super) keyring: Arc<Keyring>,
}

impl Encrypted {
    pub fn new(inner: Arc<dyn Store>, keyring: Keyring) -> Arc<Self> {
        Arc::new(Self { inner, keyring: Arc::new(keyring) })
    }

    fn seal(&self, operations: &mut [Op]) -> Result<(), StoreError> {
        for operation in operations {
            if let Op::Put { key, value, .. } = operation {
                let sealed = self.keyring.seal(key, std::mem::take(value));
                *value = sealed.map_err(|error| refused(key, &error))?;
            }
        }
        Ok(())
    }
}

fn refused(key: &str, error: &SealError) -> StoreError {
    StoreError::Io(format!("the value of {key} can't be encrypted or decrypted: {error}"))
}

pub(super) fn open(keyring: &Keyring, record: &mut Record) -> Result<(), StoreError> {
    let opened = keyring.open(&record.key, std::mem::take(&mut record.value));
    record.value = opened.map_err(|error| refused(&record.key, &error))?;
    Ok(())
}

fn open_batch(keyring: &Keyring, batch: &mut WatchBatch) -> Result<(), StoreError> {
    let records = batch.events.iter_mut().flat_map(|event| [&mut event.current, &mut event.previous]);
    records.flatten().try_for_each(|record| open(keyring, record))
}

#[async_trait]
impl Store for Encrypted {
    async fn get(&self, key: &str, revision: Option<Revision>) -> Result<Option<Record>, StoreError> {
        let mut found = self.inner.get(key, revision).await?;
        if let Some(record) = &mut found {
            open(&self.keyring, record)?;
        }
        Ok(found)
    }

    async fn range(&self, range: Range) -> Result<Page, StoreError> {
        let mut page = self.inner.range(range).await?;
        page.records.iter_mut().try_for_each(|record| open(&self.keyring, record))?;
        Ok(page)
    }

    async fn transact(&self, mut txn: Txn) -> Result<TxnResult, StoreError> {
        self.seal(&mut txn.success)?;
        self.seal(&mut txn.failure)?;
        let mut result = self.inner.transact(txn).await?;
        for outcome in &mut result.results {
            match outcome {
                OpResult::Get(Some(record)) | OpResult::Put(record) | OpResult::Delete(Some(record)) => {
                    open(&self.keyring, record)?;
                }
                OpResult::Get(None) | OpResult::Delete(None) => {}
            }
        }
        Ok(result)
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Watch, StoreError> {
        let watch = self.inner.watch(prefix, from).await?;
        let progress = watch.progress();
        let keyring = self.keyring.clone();
        let batches = stream::unfold(Some(watch), move |watch| {
            let keyring = keyring.clone();
            async move {
                let mut watch = watch?;
                let batch = watch.next().await?.and_then(|mut batch| {
                    open_batch(&keyring, &mut batch)?;
                    Ok(batch)
                });
                let goes_on = batch.is_ok();
                Some((batch, goes_on.then_some(watch)))
            }
        });
        Ok(Watch::new(batches.boxed(), move || progress.request()))
    }

    async fn compact(&self, revision: Revision) -> Result<(), StoreError> {
        self.inner.compact(revision).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.keep_alive(lease).await
    }

    async fn time_to_live(&self, lease: LeaseId) -> Result<Duration, StoreError> {
        self.inner.time_to_live(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke(lease).await
    }

    async fn count(&self, prefix: &str) -> Result<u64, StoreError> {
        self.inner.count(prefix).await
    }

    async fn size(&self) -> Result<Option<u64>, StoreError> {
        self.inner.size().await
    }

    fn parts(&self) -> Vec<String> {
        self.inner.parts()
    }

    async fn probe(&self, part: usize) -> Result<(), StoreError> {
        self.inner.probe(part).await
    }
}

#[cfg(test)]
mod tests {
    use tiphys_lifecycle::Tasks;
    use tiphys_store::Embedded;

    use super::*;

    #[tokio::test]
    async fn what_needs_no_value_opens_none() {
        let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
        let inner = Embedded::open(folder.path().join("store"), &tasks).await.expect("a store");
        for name in ["a", "b"] {
            let key = format!("/registry/secrets/default/{name}");
            let sealed = "k8s:enc:aesgcm:v1:lost:nobody has its key";
            assert!(inner.transact(Txn::create(&key, sealed, None)).await.expect("an answer").succeeded);
        }
        let store = Encrypted::new(inner, Keyring::default());
        let secrets = "/registry/secrets/";
        let refused = store.range(Range::prefix(secrets)).await.expect_err("nobody can open them");
        assert!(refused.to_string().contains("aesgcm:v1:lost"), "{refused}");
        assert_eq!(store.count(secrets).await.expect("a number"), 2);
        assert!(store.size().await.expect("an answer").is_some_and(|bytes| bytes > 0));
        assert!(tasks.shutdown(Duration::from_secs(120)).await.is_empty());
    }
}

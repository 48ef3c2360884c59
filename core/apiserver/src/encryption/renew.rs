//! What is in the store already: that it can be read is checked at start, and what
//! was written with another than the first key is written anew.

use std::sync::Arc;

use tiphys_lifecycle::{OnError, Tasks};
use tiphys_store::{Range, Record, Revision, Store, StoreError, Txn};

use super::{Encrypted, Keyring};

/// Values looked at in one go.
const PAGE: usize = 500;

/// A value to be written anew, if it is still at this revision.
pub struct Stale {
    key: String,
    revision: Revision,
}

impl Encrypted {
    /// A store behind a keyring. One with values that can't be opened is refused; those
    /// to be written anew are, while the store is in use.
    pub async fn open(
        inner: Arc<dyn Store>,
        keyring: Keyring,
        tasks: &Tasks,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let encrypted = Self::new(inner, keyring);
        let stale = encrypted.check().await?;
        let renewing = encrypted.clone();
        tasks.spawn("encryption renewal", OnError::Log, async move { renewing.renew(stale).await });
        Ok(encrypted)
    }

    /// Refuses a store with values that can't be opened; gives those to write anew.
    pub async fn check(&self) -> Result<Vec<Stale>, StoreError> {
        let mut stale = Vec::new();
        for prefix in self.keyring.prefixes() {
            let mut range = Range { limit: Some(PAGE), ..Range::prefix(prefix) };
            loop {
                let page = self.inner.range(range.clone()).await?;
                for record in &page.records {
                    stale.extend(self.look_at(record)?);
                }
                if !page.more {
                    break;
                }
                range.revision = Some(page.revision);
                range.start_after = page.records.last().map(|record| record.key.clone());
            }
        }
        Ok(stale)
    }

    fn look_at(&self, record: &Record) -> Result<Option<Stale>, StoreError> {
        let mut opened = record.clone();
        super::store::open(&self.keyring, &mut opened)?;
        let stale = self.keyring.is_stale(&record.key, &record.value);
        Ok(stale.then(|| Stale { key: record.key.clone(), revision: record.mod_revision }))
    }

    /// Writes values anew. Who changed one meanwhile has done so with the first key.
    pub async fn renew(&self, stale: Vec<Stale>) -> Result<(), StoreError> {
        if stale.is_empty() {
            return Ok(());
        }
        let mut renewed = 0_usize;
        for Stale { key, revision } in stale {
            let Some(record) = self.get(&key, None).await? else { continue };
            if record.mod_revision == revision {
                let txn = Txn::put_at(key, revision, record.value, record.lease);
                renewed += usize::from(self.transact(txn).await?.succeeded);
            }
        }
        tracing::info!(values = renewed, "values were encrypted with the first key");
        Ok(())
    }
}

//! One lease for many keys that are to live about equally long.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::Mutex, time::Instant};

use crate::{LeaseId, Store, StoreError};

/// Leases for puts such as Events, where a put shouldn't cost a grant each. A
/// lease is shared by the puts of a twentieth of its TTL, at most a minute, and
/// lives that much longer than was asked: no key is deleted too early.
pub struct LeasePool {
    store: Arc<dyn Store>,
    open: Mutex<HashMap<Duration, Open>>,
}

struct Open {
    lease: LeaseId,
    until: Instant,
}

impl LeasePool {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, open: Mutex::default() }
    }

    /// A lease that lives for at least `ttl` from now.
    pub async fn lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let mut open = self.open.lock().await;
        let now = Instant::now();
        open.retain(|_, shared| shared.until > now);
        if let Some(shared) = open.get(&ttl) {
            return Ok(shared.lease);
        }
        let shared_for = (ttl / 20).min(Duration::from_secs(60));
        let lease = self.store.grant(ttl + shared_for).await?;
        open.insert(ttl, Open { lease, until: now + shared_for });
        Ok(lease)
    }
}

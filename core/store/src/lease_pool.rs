//! One lease for many keys that are to live about equally long.

use std::{
    sync::Arc,
    time::Duration,
};

use crate::{LeaseId, Store, StoreError};

/// Hands out leases for puts such as Events: a put every millisecond shouldn't
/// cost a grant each. A lease is shared by the puts of a twentieth of its TTL (at
/// most a minute) and lives that much longer than asked.
pub struct LeasePool {
    store: Arc<dyn Store>,
}

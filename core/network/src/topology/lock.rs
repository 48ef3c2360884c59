//! One lock a machine for the moments in which clusters could meet: choosing a
//! subnet, making and removing mount points, forwarding.
//!
//! It is an flock on the root folder, so that it leaves no file behind and ends
//! with its process.

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};

use crate::Error;

/// Held until dropped.
pub(super) struct HostLock {
    _lock: Flock<File>,
}

impl HostLock {
    /// Waits for the lock.
    pub(super) fn take() -> Result<Self, Error> {
        let root = File::open("/").map_err(Error::io("open /"))?;
        match Flock::lock(root, FlockArg::LockExclusive) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err((_, errno)) => Err(Error::io("lock /")(errno)),
        }
    }

    /// As [`HostLock::take`], for async callers.
    pub(super) async fn wait() -> Result<Self, Error> {
        let taken = tokio::task::spawn_blocking(Self::take).await;
        taken.map_err(|error| Error::io("lock /")(std::io::Error::other(error)))?
    }
}

//! The store that the options name, and what a user does when it can't be opened.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use tiphys_lifecycle::Tasks;
use tiphys_store::{Embedded, Etcd, Store, StoreError};

use crate::cli::StoreOptions;

/// Opens the store of a server.
///
/// # Errors
/// A damaged store, an etcd that is not there, credentials that can't be read.
pub async fn open(options: &StoreOptions, data_dir: &Path, tasks: &Tasks) -> anyhow::Result<Arc<dyn Store>> {
    let opened: Result<Arc<dyn Store>, StoreError> = match options.etcd()? {
        Some(etcd) => Etcd::connect(etcd, tasks).await.map(|store| store as _),
        None => Embedded::open(data_dir.join("store"), tasks).await.map(|store| store as _),
    };
    opened.context("the store can't be opened")
}

/// The next step after a failure, where the store is to blame.
pub fn next_step(error: &anyhow::Error) -> Option<String> {
    let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>())?;
    match store {
        StoreError::Unreachable { endpoints, .. } => {
            let endpoints = endpoints.replace(", ", ",");
            Some(format!("etcdctl --endpoints={endpoints} endpoint health, then check --etcd-servers"))
        }
        StoreError::Unfit { .. } => Some("tiphys server --help".to_owned()),
        StoreError::Damaged { path, .. } => {
            let aside = path.with_extension("damaged");
            let data_dir = path.parent().unwrap_or(path);
            Some(format!(
                "mv {} {} && tiphys snapshot restore FILE --data-dir {}",
                path.display(),
                aside.display(),
                data_dir.display()
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_fits_the_failure() {
        let step = |error: StoreError| next_step(&anyhow::Error::new(error).context("outer"));
        let damaged = StoreError::Damaged { path: "/data/store".into(), what: "x".into() };
        let restore = step(damaged).unwrap();
        assert!(restore.contains("tiphys snapshot restore FILE --data-dir /data"), "{restore}");
        let away = StoreError::Unreachable { endpoints: "http://a, http://b".into(), why: "x".into() };
        assert!(step(away).unwrap().contains("--endpoints=http://a,http://b"));
        assert_eq!(step(StoreError::Closed), None);
    }
}

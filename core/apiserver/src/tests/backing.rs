//! Which store the scenarios run on: the embedded one, or, with
//! `TIPHYS_TEST_STORE=etcd`, an etcd of each scenario's own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tiphys_lifecycle::Tasks;
use tiphys_store::{Embedded, Etcd, EtcdOptions, Store};
use tiphys_tests::EtcdCluster;

/// The variable that chooses.
pub const CHOICE: &str = "TIPHYS_TEST_STORE";

pub enum Backing {
    Embedded,
    Etcd(EtcdCluster),
}

impl Backing {
    pub fn chosen() -> Self {
        match std::env::var(CHOICE).as_deref() {
            Err(_) | Ok("embedded") => Self::Embedded,
            Ok("etcd") => Self::Etcd(EtcdCluster::start(1)),
            Ok(other) => panic!("{CHOICE} must be embedded or etcd, not {other:?}"),
        }
    }

    pub async fn open(&self, folder: &Path, tasks: &Tasks) -> Arc<dyn Store> {
        match self {
            Self::Embedded => Embedded::open(folder.join("store"), tasks).await.expect("a store"),
            Self::Etcd(cluster) => {
                let options = EtcdOptions::new(cluster.endpoints());
                Etcd::connect(options, tasks).await.expect("a store")
            }
        }
    }

    /// Where the store keeps its files.
    pub fn disk(&self, folder: &Path) -> PathBuf {
        match self {
            Self::Embedded => folder.join("store"),
            Self::Etcd(cluster) => cluster.folder().to_owned(),
        }
    }
}

//! Making a store from a snapshot. An embedded one is built beside its place and
//! moved there when it is whole; another one is filled through its transactions.

use std::{collections::HashMap, fs, path::Path};

use super::{AHEAD, Snapshot, SnapshotError};
use crate::{Embedded, Op, Range, Revision, Store, StoreError, Txn};

/// Records put in one transaction: etcd takes 128 operations, two for each.
const GROUP: usize = 50;

impl Snapshot {
    /// Makes an embedded store in a folder that is empty or not there; gives its revision.
    pub fn restore_folder(&self, folder: &Path) -> Result<Revision, SnapshotError> {
        let io = |error: std::io::Error| StoreError::Io(format!("{}: {error}", folder.display()));
        match fs::read_dir(folder).map(Iterator::count) {
            Ok(0) => fs::remove_dir(folder).map_err(io)?,
            Ok(_) => return Err(SnapshotError::NotEmpty(folder.display().to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error).into()),
        }
        let mut building = folder.as_os_str().to_owned();
        building.push(".restoring");
        let building = Path::new(&building);
        if building.exists() {
            fs::remove_dir_all(building).map_err(io)?;
        }
        let revision = self.revision + AHEAD;
        Embedded::write_folder(building, self, revision)?;
        fs::rename(building, folder).map_err(io)?;
        if let Some(parent) = folder.parent() {
            fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io)?;
        }
        Ok(revision)
    }

    /// Puts everything into a store that holds nothing; gives its revision.
    pub async fn restore_into(&self, store: &dyn Store) -> Result<Revision, SnapshotError> {
        let first = store.range(Range { limit: Some(1), ..Range::prefix("/") }).await?;
        if let Some(record) = first.records.first() {
            return Err(SnapshotError::NotEmpty(format!("the store, which holds {},", record.key)));
        }
        let mut leases = HashMap::new();
        for (lease, left) in &self.leases {
            leases.insert(*lease, store.grant(*left).await?);
        }
        for group in self.records.chunks(GROUP) {
            let puts = group.iter().map(|record| Op::Put {
                key: record.key.clone(),
                value: record.value.clone(),
                lease: record.lease.and_then(|lease| leases.get(&lease).copied()),
            });
            store.transact(Txn { success: puts.collect(), ..Txn::default() }).await?;
        }
        Ok(store.revision().await?)
    }
}

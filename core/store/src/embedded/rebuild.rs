//! Writing the files of a store anew, from a snapshot. Nobody may have them open.

use std::{collections::HashMap, path::Path};

use super::{
    clock, codec,
    disk::{self, Disk},
    mark::Mark,
};
use crate::{Embedded, Revision, Snapshot, StoreError};

/// Records written in one batch.
const CHUNK: usize = 1000;

impl Embedded {
    /// Makes a store in a folder that isn't there. It is at `revision`, and has no
    /// history before it.
    pub(crate) fn write_folder(
        folder: &Path,
        snapshot: &Snapshot,
        revision: Revision,
    ) -> Result<(), StoreError> {
        let io = |error: std::io::Error| StoreError::Io(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(io)?;
        let cache = super::Options::default().cache_bytes;
        let disk = Disk::open(&folder.join("db"), cache).map_err(|error| disk::refused(folder, &error))?;
        let mut batch = disk.batch();
        batch.put(codec::COMPACTED, &revision.to_le_bytes());
        let next = snapshot.leases.iter().map(|(id, _)| id + 1).max().unwrap_or(1);
        batch.put(codec::NEXT_LEASE, &next.to_le_bytes());
        for (id, left) in &snapshot.leases {
            let stored = codec::encode_lease(clock::millis(*left), clock::unix_millis_in(*left));
            batch.put(&codec::lease_key(*id), &stored);
        }
        batch.commit()?;
        // Where a record stands among those of its revision.
        let mut subs: HashMap<Revision, u16> = HashMap::new();
        for chunk in snapshot.records.chunks(CHUNK) {
            let mut batch = disk.batch();
            for record in chunk {
                let sub = subs.entry(record.mod_revision).or_default();
                batch.put(&codec::history_key(record.mod_revision, *sub), &codec::encode_put(record, true));
                *sub += 1;
            }
            batch.commit()?;
        }
        drop(disk);
        Mark::of(folder).write(revision).map_err(io)
    }
}

//! Days that are old are made coarser, one in a round of the keeper: those that are here, and those
//! in the archive.
//!
//! Here the coarser block has the name of the one that it is made of, and takes its place by a rename
//! when it is durable: whenever the process is killed, one of the two is there, whole. Who reads the
//! old one meanwhile has its file open, and reads on. With an archive a day waits until it is
//! there.
//!
//! In the archive it is another object. The index names it instead of the fine one when it is whole and
//! there, and the fine one stays for a while, as somebody may still read it. A day that can't be read is
//! put off, and the others go on.

use std::{fs, io, path::Path, slice, sync::Arc, time::Instant};

use super::Blocks;
use crate::series::{
    archive::{Archive, ArchiveError, Entry},
    block::{Block, BlockError},
    store::{Store, StoreConfig, StoreError},
};

/// Where the coarser copy of an archived day stands until it is archived itself.
const ASIDE: &str = "coarser";

impl Store {
    /// Makes the oldest day coarser that is old at `now`. False: there is none.
    ///
    /// # Errors
    /// The disk takes nothing, or the day is damaged, which sets it aside.
    pub(in crate::series::store) fn make_coarser(
        &self,
        config: &StoreConfig,
        now: i64,
    ) -> Result<bool, StoreError> {
        let (Some(blocks), Some(downsampling)) = (&self.blocks, config.downsampling) else {
            return Ok(false);
        };
        let (step, before) = (downsampling.step(), downsampling.before(now));
        let is_due = |block: &Arc<Block>| {
            let is_wanted = self.archive.as_ref().is_some_and(|archive| archive.wants(block, now));
            block.resolution < step && block.range.end <= before && !is_wanted
        };
        let Some(old) = blocks.sealed().into_iter().find(is_due) else { return Ok(false) };
        let path = blocks
            .merge(&blocks.folder, &old.range, slice::from_ref(&old), Some(step))
            .inspect_err(|error| blocks.give_up_damaged(error))?;
        let coarser = Block::open(&path)?;
        let (from, to) = (old.size, coarser.size);
        tracing::info!(path = %path.display(), from, to, "a day of series is made coarser");
        blocks.publish(coarser, slice::from_ref(&old));
        Ok(true)
    }
}

/// Makes the oldest day coarser that this store has in the archive and that is old at `now`, or puts it off
/// as it can't be read, which sets it aside if it is damaged. False: there is none.
///
/// # Errors
/// The archive takes nothing, or the disk.
pub async fn make_archived_coarser(
    archive: &Arc<Archive>,
    blocks: &Arc<Blocks>,
    config: &StoreConfig,
    now: i64,
) -> Result<bool, ArchiveError> {
    let Some(downsampling) = config.downsampling else { return Ok(false) };
    let (step, before) = (downsampling.step(), downsampling.before(now));
    let Some(entry) = archive.finer(step, before, Instant::now()) else { return Ok(false) };
    let (of, here, asked, aside) =
        (archive.clone(), blocks.clone(), entry.clone(), config.folder.join(ASIDE));
    let making = tokio::task::spawn_blocking(move || make_copy(&of, &here, &asked, &aside, step));
    match making.await.map_err(|_| ArchiveError::Stopping)? {
        Ok(Made::Now(coarser)) => {
            match archive.copy(&coarser).await {
                Err(error @ ArchiveError::Changed(_)) => {
                    archive.put_off(&entry, &error, Instant::now());
                    return Ok(true);
                }
                done => done?,
            }
            let (path, to) = (entry.path(), coarser.size);
            tracing::info!(path = %path.display(), to, "an archived day of series is made coarser");
            // What stays is cleared before the next one.
            let _ = tokio::fs::remove_file(coarser.path()).await;
        }
        Ok(Made::Before(resolution)) => archive.note(&entry, resolution).await?,
        // The disk's fault, and no day's.
        Err(error @ BlockError::Io { .. }) => return Err(error.into()),
        Err(error) => {
            if let BlockError::Damaged { why, .. } = &error {
                archive.give_up(&entry, why);
            }
            archive.put_off(&entry, &error.into(), Instant::now());
        }
    }
    Ok(true)
}

/// What a day of the archive is made to.
enum Made {
    Now(Arc<Block>),
    /// It is so coarse already, and the index has lost that.
    Before(i64),
}

fn make_copy(
    archive: &Archive,
    blocks: &Blocks,
    entry: &Entry,
    aside: &Path,
    step: i64,
) -> Result<Made, BlockError> {
    let fine = archive.open(entry)?;
    if fine.resolution >= step {
        return Ok(Made::Before(fine.resolution));
    }
    let io = |doing| move |source| BlockError::Io { path: aside.to_owned(), doing, source };
    match fs::remove_dir_all(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("cleared")(error)),
        _ => {}
    }
    fs::create_dir_all(aside).map_err(io("made"))?;
    let path = blocks.merge(aside, &entry.range, slice::from_ref(&fine), Some(step))?;
    Ok(Made::Now(Arc::new(Block::open(&path)?)))
}

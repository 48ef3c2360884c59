//! Days that are old are made coarser, one in a round of the keeper.
//!
//! The coarser block has the name of the one that it is made of, and takes its place by a rename
//! when it is durable: whenever the process is killed, one of the two is there, whole. Who reads the
//! old one meanwhile has its file open, and reads on. With an archive a day waits until it is
//! there as it came.

use std::{slice, sync::Arc};

use super::merge;
use crate::series::{
    block::Block,
    store::{Store, StoreConfig, StoreError},
};

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
        let path = merge(&blocks.folder, &old.range, slice::from_ref(&old), Some(step))
            .inspect_err(|error| blocks.give_up_damaged(error))?;
        let coarser = Block::open(&path)?;
        let (from, to) = (old.size, coarser.size);
        tracing::info!(path = %path.display(), from, to, "a day of series is made coarser");
        blocks.publish(coarser, slice::from_ref(&old));
        Ok(true)
    }
}

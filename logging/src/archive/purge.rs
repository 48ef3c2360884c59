//! What leaves the archive: what is too old or too much, and what somebody ordered.
//!
//! ```text
//! drop     whole splits: the index without them, then their objects
//! rewrite  fetched, written again without what is gone, put beside the old one
//!          -> the index with the new one -> delete the old one
//! ```
//!
//! It runs when an index or an order changed, when the oldest split comes of age, and now
//! and then, since other servers give orders and namespaces change what they keep.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use futures::StreamExt;
use tiphys_lifecycle::Backoff;
use tokio_util::io::ReaderStream;

use super::{Archive, ArchiveError, ArchivedSplit, catalog::Known, chain, wire::Part};
use crate::{
    index::{Clock, Deletion, Floors, IndexError, Keep, Purge, Split, Weight, purge, rewrite},
    time,
};

/// Orders that are carried out are remembered so long, for what comes late.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Between looks when nothing is known to happen: other servers give orders, and namespaces
/// change what they say.
const LONGEST: Duration = Duration::from_secs(30);

impl Archive {
    /// Up to here a time has passed for sure: a clock that is wrong for a while deletes nothing.
    /// The nodes' newest split says where time stood before this process.
    fn passed(&self, known: &Known) -> i64 {
        let (wall, splits) = (time::now(), known.nodes.values().flat_map(|index| &index.splits));
        match splits.map(|split| split.created).filter(|created| *created <= wall).max() {
            Some(stood) => self.inner.clock.get_or_init(|| Clock::new(Some(stood))).now().passed(),
            None => wall,
        }
    }

    /// Below which times records are gone.
    pub(super) fn floors(&self, known: &Known) -> Floors {
        let deletions: Vec<Deletion> = known.orders.iter().map(|order| order.deletion.clone()).collect();
        Floors::new(&deletions, &self.keeps(known), self.passed(known), |namespace| {
            let splits = known.nodes.values().flat_map(|index| &index.splits);
            splits.filter_map(|split| split.namespaces.get(namespace)).map(Weight::from).collect()
        })
    }
}

/// Purges whenever there may be something, for ever.
pub(super) async fn run(archive: &Archive) {
    let catalog = &archive.inner.catalog;
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
    loop {
        let pause = match purge_all(archive).await {
            Ok(()) => {
                backoff.reset();
                until_next(archive)
            }
            Err(error) => {
                let (pause, error) = (backoff.next_pause(), chain(&error));
                tracing::warn!(%error, ?pause, "the log archive can't be purged and is tried again");
                pause
            }
        };
        tokio::select! {
            () = catalog.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Until the oldest split is too old.
fn until_next(archive: &Archive) -> Duration {
    let known = archive.inner.catalog.known();
    let keeps = archive.keeps(&known);
    let ends = known.nodes.values().flat_map(|index| &index.splits);
    let next = ends.map(|split| split.created.saturating_add(age(archive, split, &keeps))).min();
    let nanos = next.map_or(i64::MAX, |next| next.saturating_sub(archive.passed(&known)));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).clamp(Duration::from_secs(1), LONGEST)
}

/// All that is to be done now.
pub(super) async fn purge_all(archive: &Archive) -> Result<(), ArchiveError> {
    let catalog = &archive.inner.catalog;
    catalog.read_orders().await?;
    archive.remember_keeps().await?;
    let known = catalog.known();
    let (now, keeps) = (archive.passed(&known), archive.keeps(&known));
    for (node, split) in expired(archive, &known, &keeps, now) {
        drop_split(archive, &node, &split).await?;
    }
    let known = catalog.known();
    let floors = archive.floors(&known);
    if !floors.is_empty() {
        let deletions: Vec<Deletion> = known.orders.iter().map(|order| order.deletion.clone()).collect();
        for (node, index) in &known.nodes {
            for split in &index.splits {
                match purge(weights(split), &floors, &deletions, now) {
                    Purge::Nothing => {}
                    Purge::Drop => drop_split(archive, node, split).await?,
                    Purge::Rewrite => rewrite_split(archive, node, split, &floors, now).await?,
                }
            }
        }
    }
    forget_orders(archive, now).await
}

fn weights(split: &ArchivedSplit) -> impl Iterator<Item = (&str, Weight)> {
    split.namespaces.iter().map(|(name, part)| (name.as_str(), Weight::from(part)))
}

/// How long the split is kept: as long as the namespace in it that keeps most.
fn age(archive: &Archive, split: &ArchivedSplit, keeps: &BTreeMap<String, Keep>) -> i64 {
    let default = archive.inner.retention.age;
    let of = |name: &String| keeps.get(name).and_then(|keep| keep.age).unwrap_or(default);
    let age = split.namespaces.keys().map(of).max().unwrap_or(default);
    i64::try_from(age.as_nanos()).unwrap_or(i64::MAX)
}

/// Splits that are too old, and the oldest until the rest fits.
fn expired(
    archive: &Archive,
    known: &Known,
    keeps: &BTreeMap<String, Keep>,
    now: i64,
) -> Vec<(String, ArchivedSplit)> {
    let mut splits: Vec<(&String, &ArchivedSplit)> = known
        .nodes
        .iter()
        .flat_map(|(node, index)| index.splits.iter().map(move |split| (node, split)))
        .collect();
    splits.sort_by_key(|(_, split)| split.created);
    let mut total: u64 = splits.iter().map(|(_, split)| split.bytes()).sum();
    let mut out = Vec::new();
    for (node, split) in splits {
        let too_old = split.created.saturating_add(age(archive, split, keeps)) < now;
        if too_old || total > archive.inner.retention.bytes {
            total -= split.bytes();
            out.push((node.clone(), split.clone()));
        }
    }
    out
}

async fn drop_split(archive: &Archive, node: &str, split: &ArchivedSplit) -> Result<(), ArchiveError> {
    let inner = &archive.inner;
    inner.catalog.change(node, |index| index.let_go(split)).await?;
    inner.cache.forget(node, split);
    Ok(inner.catalog.nodes().below(node).delete(&split.folder()).await?)
}

async fn rewrite_split(
    archive: &Archive,
    node: &str,
    split: &ArchivedSplit,
    floors: &Floors,
    now: i64,
) -> Result<(), ArchiveError> {
    let inner = &archive.inner;
    let objects = inner.catalog.nodes();
    let source = match inner.cache.get(&objects, node, split).await {
        Ok(source) => source,
        // What can never be read can't be shown either; it stays named.
        Err(error) if is_lost(&error) => {
            tracing::error!(node, split = split.id, error = %chain(&*error), "a damaged split of the archive is deleted by order");
            return drop_split(archive, node, split).await;
        }
        Err(error) => return Err(ArchiveError::Fetch(chain(&*error))),
    };
    let aside = inner.cache.aside();
    let fresh = write_aside(source, &aside, split, floors, now).await;
    let done = match fresh {
        Ok(Some(fresh)) => put(archive, node, split, fresh, &aside).await,
        Ok(None) => drop_split(archive, node, split).await,
        Err(error) => Err(error),
    };
    match tokio::fs::remove_dir_all(&aside).await {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(ArchiveError::Folder { path: aside, source })
        }
        _ => done,
    }
}

/// Whether a split of the archive is not what was written, or this version can't read it. That this
/// server couldn't read its copy for a while says nothing of it.
fn is_lost(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Other { .. }
            | ArchiveError::Split(IndexError::Damaged { .. } | IndexError::Newer { .. })
    )
}

/// `None` when nothing is left.
async fn write_aside(
    source: Arc<Split>,
    aside: &Path,
    split: &ArchivedSplit,
    floors: &Floors,
    now: i64,
) -> Result<Option<ArchivedSplit>, ArchiveError> {
    let (path, floors) = (aside.to_owned(), floors.clone());
    let write = move || rewrite(&source, &path, &floors, now);
    let written = tokio::task::spawn_blocking(write).await.map_err(|_| ArchiveError::Stopping)??;
    Ok(written.map(|written| ArchivedSplit {
        revision: split.revision + 1,
        records: written.records,
        raw_bytes: written.raw_bytes,
        min_time: written.parts.values().map(|part| part.min_time).min().unwrap_or_default(),
        max_time: written.parts.values().map(|part| part.max_time).max().unwrap_or_default(),
        namespaces: written.parts,
        files: written.files,
        ..split.clone()
    }))
}

async fn put(
    archive: &Archive,
    node: &str,
    old: &ArchivedSplit,
    fresh: ArchivedSplit,
    aside: &Path,
) -> Result<(), ArchiveError> {
    let inner = &archive.inner;
    let objects = inner.catalog.nodes().below(node);
    let unnamed = inner.unnamed.lock().await;
    let mut names = Vec::new();
    for file in &fresh.files {
        let path = aside.join(&file.name);
        let fault = |source| ArchiveError::Folder { path: path.clone(), source };
        let opened = tokio::fs::File::open(&path).await.map_err(fault)?;
        let pieces = ReaderStream::new(opened).map(|piece| piece.map_err(fault)).boxed();
        let name = format!("{}/{}", fresh.folder(), file.name);
        objects.write(&name, &file.sum(), pieces).await?;
        names.push(name);
    }
    objects.make_durable(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let replaced = inner.catalog.change(node, |index| index.replace(old, fresh.clone())).await?;
    drop(unnamed);
    // Merged on its node meanwhile: then the new one is not needed.
    let out = if replaced { old } else { &fresh };
    inner.cache.forget(node, out);
    Ok(objects.delete(&out.folder()).await?)
}

/// Orders that nobody has to be told of any more, and that nothing is left of.
pub(super) async fn forget_orders(archive: &Archive, now: i64) -> Result<(), ArchiveError> {
    let catalog = &archive.inner.catalog;
    let known = catalog.known();
    let before = |span: Duration| now.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX));
    let (recent, forgotten) = (before(REMEMBERED), before(archive.inner.retention.age.max(REMEMBERED)));
    for order in &known.orders {
        let deletion = &order.deletion;
        let parts = known.nodes.values().flat_map(|index| &index.splits);
        let left = parts.filter_map(|split| split.namespaces.get(&deletion.namespace));
        let is_left = left.into_iter().any(|part: &Part| part.min_time < deletion.before);
        let is_known = order.waiting.is_empty() || deletion.ordered < forgotten;
        if deletion.ordered < recent && is_known && !is_left {
            catalog.remove_order(order).await?;
        }
    }
    Ok(())
}

impl From<&Part> for Weight {
    fn from(part: &Part) -> Self {
        Self { min_time: part.min_time, max_time: part.max_time, bytes: part.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_can_not_be_read_for_a_while_costs_the_archive_nothing() {
        let what = || "why".to_owned();
        let check = |error: ArchiveError, expected| assert_eq!(is_lost(&error), expected, "{error:?}");
        check(ArchiveError::Other { name: what() }, true);
        check(IndexError::Damaged { split: 1, what: what() }.into(), true);
        check(IndexError::Unread { split: 1, what: what() }.into(), false);
        check(ArchiveError::Slow, false);
    }
}

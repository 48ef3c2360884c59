//! Takes each node's splits into the archive as they are sealed.
//!
//! ```text
//! wait for the node's list to change -> split by split: files, checked, durable
//!   -> the node's index, which names the new split and no longer those it was made of
//!   -> delete these
//! ```
//!
//! Nodes that are gone keep what they have here. One task a server, which waits for
//! all nodes at once; [`UPLOADS`] splits are under way at a time.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tiphys_lifecycle::{Backoff, CancellationToken, Tasks};
use tokio::sync::Semaphore;

use super::{
    Archive, ArchiveError, ArchivedSplit, chain, purge,
    wire::{self, SplitInfo, SplitList},
};
use crate::{
    deletion::DeleteOrder,
    index::{FileSum, is_file_name, is_set},
    root::{self, Collector, Collectors, Http},
    time,
};

/// Splits that are copied at a time.
const UPLOADS: usize = 4;
/// A list that takes longer is of a node that is gone: nodes say something each 50 s.
const SILENCE: Duration = Duration::from_secs(75);
/// A piece of a file that takes longer is of a node that is gone.
const STALLED: Duration = Duration::from_secs(30);
/// For so long a collector may be starting.
const STARTS: Duration = Duration::from_secs(30);
const MAX_LIST: usize = 256 << 20;

impl Archive {
    /// Takes in what the nodes seal, until `tasks` stops. Of several servers one does this.
    pub fn pull(&self, collectors: Arc<dyn Collectors>, tasks: &Tasks) {
        let archive = self.clone();
        tasks.spawn_restarting("log archive", move || {
            let (archive, collectors) = (archive.clone(), collectors.clone());
            async move { keep(&archive, collectors).await }
        });
    }
}

async fn keep(archive: &Archive, collectors: Arc<dyn Collectors>) -> Result<(), ArchiveError> {
    let _writing = archive.inner.catalog.begin_writing().await?;
    tokio::select! {
        pulled = pull_all(archive, collectors) => pulled,
        () = purge::run(archive) => Ok(()),
    }
}

async fn pull_all(archive: &Archive, collectors: Arc<dyn Collectors>) -> Result<(), ArchiveError> {
    let mut changes = collectors.changes();
    let uploads = Semaphore::new(UPLOADS);
    let mut pulls = FuturesUnordered::new();
    let mut nodes: BTreeMap<String, CancellationToken> = BTreeMap::new();
    loop {
        let listed: HashSet<String> = collectors.list().await.into_iter().map(|c| c.node).collect();
        nodes.retain(|node, gone| {
            let stays = listed.contains(node);
            if !stays {
                gone.cancel();
            }
            stays
        });
        for node in listed {
            if !nodes.contains_key(&node) {
                let gone = CancellationToken::new();
                nodes.insert(node.clone(), gone.clone());
                let pull = Pull::new(archive, collectors.clone(), node, &uploads);
                pulls.push(gone.run_until_cancelled_owned(pull.run()));
            }
        }
        tokio::select! {
            change = changes.next() => if change.is_none() { return Ok(()) },
            Some(_) = pulls.next() => {}
        }
    }
}

/// Takes in what all nodes have now.
#[cfg(test)]
pub(super) async fn once(archive: &Archive, collectors: Arc<dyn Collectors>) -> Result<(), ArchiveError> {
    let _writing = archive.inner.catalog.begin_writing().await?;
    let uploads = Semaphore::new(UPLOADS);
    for collector in collectors.list().await {
        Pull::new(archive, collectors.clone(), collector.node, &uploads).step().await?;
    }
    Ok(())
}

/// Takes in what a node has now, and what it has after `meanwhile`.
#[cfg(test)]
pub(super) async fn twice(
    archive: &Archive,
    collectors: Arc<dyn Collectors>,
    node: &str,
    meanwhile: impl FnOnce(),
) -> Result<(), ArchiveError> {
    let _writing = archive.inner.catalog.begin_writing().await?;
    let uploads = Semaphore::new(UPLOADS);
    let mut pull = Pull::new(archive, collectors, node.to_owned(), &uploads);
    pull.step().await?;
    meanwhile();
    pull.step().await
}

/// Of one node.
struct Pull<'a> {
    archive: &'a Archive,
    collectors: Arc<dyn Collectors>,
    node: String,
    uploads: &'a Semaphore,
    http: Http,
    /// The list that was taken in, and the splits of it that were not.
    version: Option<(u64, Vec<(u64, u64)>)>,
    /// Left by an upload that broke off; looked for once.
    swept: bool,
}

impl<'a> Pull<'a> {
    fn new(
        archive: &'a Archive,
        collectors: Arc<dyn Collectors>,
        node: String,
        uploads: &'a Semaphore,
    ) -> Self {
        let http = root::http(collectors.tls());
        Self { archive, collectors, node, uploads, http, version: None, swept: false }
    }

    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        let mut changes = self.collectors.changes();
        let mut failing: Option<Instant> = None;
        loop {
            match self.step().await {
                Ok(()) => {
                    backoff.reset();
                    failing = None;
                }
                Err(error) => {
                    let pause = backoff.next_pause();
                    let error = chain(&error);
                    let since = failing.get_or_insert_with(Instant::now).elapsed();
                    if lasts(since) {
                        tracing::warn!(node = %self.node, %error, ?pause, "logs of a node are not archived and are tried again");
                    } else {
                        tracing::debug!(node = %self.node, %error, ?pause, "logs of a node are not archived yet");
                    }
                    // The collector may have come back at another address.
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        Some(()) = changes.next() => {}
                    }
                }
            }
        }
    }

    /// Waits for a list that is new, and takes it in.
    async fn step(&mut self) -> Result<(), ArchiveError> {
        if !self.swept {
            self.sweep().await?;
            self.swept = true;
        }
        let found = self.collectors.list().await.into_iter().find(|c| c.node == self.node);
        let collector = found.ok_or_else(|| ArchiveError::Collector("the node is gone".into()))?;
        let list = self.list(&collector).await?;
        let catalog = &self.archive.inner.catalog;
        catalog.read_orders().await?;
        self.tell(&collector).await?;
        let index = catalog.known().nodes.get(&self.node).cloned().unwrap_or_default();
        for info in index.lacks(&list) {
            let uploaded = self.upload(&collector, &list, info).await;
            match uploaded {
                Ok(true) => {}
                // Merged or expired meanwhile: there is another list by now.
                Ok(false) => break,
                // One that is not what its node says doesn't keep the others from the archive.
                Err(error @ ArchiveError::Other { .. }) => {
                    let (node, error) = (&self.node, chain(&error));
                    tracing::error!(
                        node,
                        split = info.id,
                        error,
                        "split is damaged on its node and is not archived"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        let out = catalog.change(&self.node, |index| index.settle(&list, None)).await?;
        self.delete(&out).await?;
        // The node keeps what was refused as long as it can.
        let index = catalog.known().nodes.get(&self.node).cloned().unwrap_or_default();
        let lacks = wire::runs(index.lacks(&list).into_iter().map(|info| info.id));
        self.version = Some((list.version, lacks));
        Ok(())
    }

    /// Tells the node of orders that it missed.
    async fn tell(&self, collector: &Collector) -> Result<(), ArchiveError> {
        let catalog = &self.archive.inner.catalog;
        for order in catalog.known().orders.iter().filter(|order| order.waiting.contains(&self.node)) {
            let deletion = &order.deletion;
            let told = DeleteOrder { namespace: deletion.namespace.clone(), before: deletion.before };
            root::order(&self.http, collector, &told).await.map_err(ArchiveError::Collector)?;
            catalog.told(order, &self.node).await?;
        }
        Ok(())
    }

    /// Deletes what no index names.
    async fn sweep(&self) -> Result<(), ArchiveError> {
        let _unnamed = self.archive.inner.unnamed.lock().await;
        let catalog = &self.archive.inner.catalog;
        let objects = catalog.nodes().below(&self.node);
        let index = catalog.known().nodes.get(&self.node).cloned().unwrap_or_default();
        if catalog.known().faults.contains_key(&self.node) {
            return Ok(());
        }
        let named: HashSet<String> = index.splits.iter().map(ArchivedSplit::folder).collect();
        for folder in objects.folders().await? {
            if !named.contains(&folder) {
                objects.delete(&folder).await?;
            }
        }
        Ok(())
    }

    /// Copies a split; `false` when the node doesn't have it any more.
    async fn upload(
        &self,
        collector: &Collector,
        list: &SplitList,
        info: &SplitInfo,
    ) -> Result<bool, ArchiveError> {
        let _permit = self.uploads.acquire().await.map_err(|_| ArchiveError::Stopping)?;
        let catalog = &self.archive.inner.catalog;
        let objects = catalog.nodes().below(&self.node);
        let mut split = ArchivedSplit::new(&list.store, info);
        if !is_set(split.created) {
            // The node's clock wasn't set yet: this would be too old at once.
            split.created = time::now();
        }
        let mut names = Vec::new();
        for file in &split.files {
            let name = format!("{}/{}", split.folder(), file.name);
            if !is_file_name(&file.name) {
                return Err(ArchiveError::Other { name });
            }
            let Some(body) = self.file(collector, info, file).await? else { return Ok(false) };
            objects.write(&name, &file.sum(), Box::pin(pieces(body))).await?;
            names.push(name);
        }
        objects.make_durable(&names.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let out = catalog.change(&self.node, |index| index.settle(list, Some(split))).await?;
        self.delete(&out).await?;
        Ok(true)
    }

    async fn delete(&self, out: &[ArchivedSplit]) -> Result<(), ArchiveError> {
        let objects = self.archive.inner.catalog.nodes().below(&self.node);
        for split in out {
            objects.delete(&split.folder()).await?;
            self.archive.inner.cache.forget(&self.node, split);
        }
        Ok(())
    }

    async fn list(&self, collector: &Collector) -> Result<SplitList, ArchiveError> {
        let path = match &self.version {
            Some((version, lacks)) => {
                format!("/v1/splits?after={version}&lacks={}", wire::to_text(lacks))
            }
            None => "/v1/splits".to_owned(),
        };
        let asked = root::ask(&self.http, collector, &path, None, MAX_LIST, None);
        let answer = tokio::time::timeout(SILENCE, asked).await;
        let answer = answer
            .unwrap_or_else(|_| Err(format!("no list within {SILENCE:?}")))
            .map_err(ArchiveError::Collector)?;
        serde_json::from_slice(&answer.bytes)
            .map_err(|error| ArchiveError::Collector(format!("the list can't be read: {error}")))
    }

    /// The bytes of a file; `None` when the node doesn't have it any more.
    async fn file(
        &self,
        collector: &Collector,
        info: &SplitInfo,
        file: &FileSum,
    ) -> Result<Option<Incoming>, ArchiveError> {
        let path = format!("/v1/splits/{}/{}", info.id, file.name);
        let sent = root::send(&self.http, collector, &path, None::<&()>);
        let response = tokio::time::timeout(STALLED, sent).await;
        let response = response
            .unwrap_or_else(|_| Err(format!("no file within {STALLED:?}")))
            .map_err(ArchiveError::Collector)?;
        match response.status().as_u16() {
            200 => Ok(Some(response.into_body())),
            404 => Ok(None),
            status => Err(ArchiveError::Collector(format!("collector answered {status} for {path}"))),
        }
    }
}

/// Whether a node that can't be asked is worth a word: collectors take a moment to start.
fn lasts(failing: Duration) -> bool {
    failing >= STARTS
}

fn pieces(body: Incoming) -> impl futures::Stream<Item = Result<Bytes, ArchiveError>> {
    let broken = |error: String| ArchiveError::Collector(format!("a file broke off: {error}"));
    futures::stream::try_unfold(body, move |mut body| async move {
        loop {
            let frame = tokio::time::timeout(STALLED, body.frame()).await;
            let frame = frame.map_err(|_| broken("it stalled".into()))?;
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(piece) = frame.map_err(|error| broken(error.to_string()))?.into_data() {
                return Ok(Some((piece, body)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_may_take_a_moment_to_start() {
        assert!(!lasts(Duration::from_secs(29)) && lasts(Duration::from_secs(30)));
    }
}

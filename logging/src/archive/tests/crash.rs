//! The archiver dies at each operation of the object store in turn.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use tiphys_lifecycle::Tasks;

use super::nodes::{Cluster, Node};

/// Fails from the n-th operation on.
#[derive(Debug)]
struct Failing {
    inner: InMemory,
    left: AtomicI64,
}

impl Failing {
    fn step(&self) -> Result<()> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            ..=0 => Err(Error::Generic { store: "failing", source: "it is gone".into() }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.step()?;
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.step()?;
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.step()?;
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.step()?;
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, names: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // Each deletion is an operation of its own: what is behind the last one stays.
        let left = self.left.load(Ordering::SeqCst).max(0);
        let allowed = self.inner.delete_stream(names.take(left as usize).boxed());
        self.left.fetch_sub(left.min(8), Ordering::SeqCst);
        allowed
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.step() {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.step()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.step()?;
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_operation_leaves_an_archive_that_can_be_read() {
    let tasks = Tasks::new();
    let node = Node::start("one", &tasks).await;
    for _ in 0..8 {
        node.write(2);
        node.commit();
    }
    let before = Arc::new(InMemory::new());
    let cluster = Cluster::over(before.clone(), &tasks);
    cluster.live(&[&node]);
    cluster.pull().await;
    assert!(node.store().merge().expect("merged"));
    node.write(2);
    node.commit();

    let mut crashes = 0;
    for operations in 0.. {
        let store = Arc::new(Failing { inner: before.fork(), left: AtomicI64::new(operations) });
        let mut cluster = Cluster::over(store.clone(), &tasks);
        cluster.live(&[&node]);
        let lived = cluster.try_pull().await.is_ok();
        store.left.store(i64::MAX, Ordering::SeqCst);
        cluster.reopen();
        cluster.live(&[]);
        // Sixteen records were there before, however they are divided.
        let records = cluster.archived_records("one").await;
        assert!(records == 16 || records == 18, "after {operations} operations {records}");
        if operations % 20 == 0 {
            let answer = cluster.search("*", 1000).await;
            assert_eq!(answer.partial, [], "after {operations} operations");
            let ids: BTreeSet<_> = answer.records.iter().map(|record| &record.id).collect();
            assert_eq!((ids.len() as u64, cluster.facets_count("*").await), (records, records));
        }

        // The next one goes on where it ended, and leaves nothing behind.
        cluster.live(&[&node]);
        cluster.pull().await;
        cluster.live(&[]);
        assert_eq!(cluster.archived_records("one").await, 18);
        let names = cluster.names().await;
        let inside = names.iter().filter_map(|name| name.strip_prefix("c/nodes/one/")?.split_once('/'));
        let folders: BTreeSet<&str> = inside.map(|(folder, _)| folder).collect();
        assert_eq!(folders.len(), 2, "after {operations} operations {folders:?}");
        if lived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 15, "{crashes}");
    tasks.shutdown(std::time::Duration::from_secs(10)).await;
}

//! An object store that takes its time: files of splits are given while its gate is open, and it says
//! what it has, or never does. It counts what it is asked for.

use std::{
    collections::BTreeSet,
    fmt,
    ops::Range,
    path::{Path as Folder, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use parking_lot::Mutex;
use tokio::sync::watch;

#[derive(Debug)]
pub struct Gated {
    inner: InMemory,
    gate: watch::Sender<bool>,
    is_silent: AtomicBool,
    looks: AtomicUsize,
    begun: Mutex<BTreeSet<String>>,
    /// A folder whose size is taken whenever a file is given, and the most that it was.
    measured: Mutex<Option<PathBuf>>,
    most: AtomicU64,
}

impl Default for Gated {
    /// An open one that has nothing.
    fn default() -> Self {
        Self {
            inner: InMemory::new(),
            gate: watch::Sender::new(true),
            is_silent: AtomicBool::new(false),
            looks: AtomicUsize::new(0),
            begun: Mutex::default(),
            measured: Mutex::default(),
            most: AtomicU64::new(0),
        }
    }
}

impl Gated {
    pub fn open(&self) {
        self.gate.send_replace(true);
    }

    pub fn close(&self) {
        self.gate.send_replace(false);
    }

    /// From now on it never says what it has.
    pub fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    /// How often it was asked which nodes it has.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// The splits of which a file was asked for, as `node/folder`.
    pub fn begun(&self) -> BTreeSet<String> {
        self.begun.lock().clone()
    }

    pub fn measure(&self, folder: &Folder) {
        *self.measured.lock() = Some(folder.to_owned());
    }

    /// The most bytes that were in the folder.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

/// Bytes of all files below a folder; those that are deleted meanwhile have none.
pub fn bytes_below(folder: &Folder) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}

impl fmt::Display for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gated")
    }
}

#[async_trait]
impl ObjectStore for Gated {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let name = at.to_string();
        let parts: Vec<&str> = name.split('/').collect();
        if let [_, "nodes", node, folder, _, ..] = parts[..] {
            self.begun.lock().insert(format!("{node}/{folder}"));
            let mut gate = self.gate.subscribe();
            let _ = gate.wait_for(|is_open| *is_open).await;
            let measured = self.measured.lock().clone();
            if let Some(folder) = measured {
                self.most.fetch_max(bytes_below(&folder), Ordering::SeqCst);
            }
        }
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(&self, names: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(names)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if prefix.is_some_and(|prefix| prefix.to_string().ends_with("/nodes")) {
            self.looks.fetch_add(1, Ordering::SeqCst);
        }
        if self.is_silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

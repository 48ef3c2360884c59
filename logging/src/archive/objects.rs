//! The object store that the archive lies in: a folder, S3, GCS or Azure.
//!
//! ```text
//! <place>/<cluster>/nodes/<node>/index                      see super::index
//!                                <store>-<split>/blocks     as on the node
//!                                <store>-<split>/words/...
//!                   orders/...                            see super::orders
//! ```
//!
//! Only whole objects are written, and each appears whole or not at all. What lies in
//! a folder is made durable before it counts.

use std::{collections::HashMap, path::PathBuf, str::FromStr, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart, path::Path};
use url::Url;

use super::ArchiveError;
use crate::index::FileSum;

/// Objects up to so many bytes are sent in one piece, greater ones in pieces of this size.
const PIECE: usize = 8 << 20;
/// Pieces of an object that are under way at a time.
const PIECES: usize = 4;
/// The index of a node is not greater.
const MAX_INDEX: u64 = 256 << 20;
/// Environment variables that say how a store is reached begin so.
const ENVIRONMENT: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Where logs are archived: `s3://bucket/prefix`, `gs://...`, `az://...`, `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(Url);

/// The text names no place.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no place for an archive: {1}; use s3://BUCKET/PREFIX, gs://..., az://..., file:///PATH or none"
)]
pub struct BadLocation(String, String);

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let bad = |why: &str| BadLocation(text.to_owned(), why.to_owned());
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        match url.scheme() {
            "s3" | "s3a" | "gs" | "az" | "adl" | "azure" | "abfs" | "abfss" if url.has_host() => {
                Ok(Self(url))
            }
            "file" if !url.has_host() => Ok(Self(url)),
            "file" => Err(bad("a file has three slashes")),
            _ => Err(bad("the begin is not known")),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Location {
    /// A folder of this machine; the path must be absolute.
    pub fn folder(path: &std::path::Path) -> Option<Self> {
        Url::from_file_path(path).ok().map(Self)
    }

    /// Opens it, with the credentials that the environment has; a folder is made.
    pub fn open(&self) -> Result<Objects, ArchiveError> {
        if self.0.scheme() == "file" {
            let path = self.0.to_file_path().map_err(|()| ArchiveError::Place(self.0.to_string()))?;
            return Objects::in_folder(path);
        }
        let known = |name: &str| ENVIRONMENT.iter().any(|begin| name.starts_with(begin));
        let environment: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| known(name))
            .collect();
        let (store, place) = object_store::parse_url_opts(&self.0, environment)?;
        Ok(Objects { store: store.into(), place, folder: None })
    }
}

/// The objects of an archive.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Everything is below it.
    place: Path,
    /// Where the store's root is, when it is a folder.
    folder: Option<PathBuf>,
}

impl Objects {
    /// In a folder, which is made.
    pub fn in_folder(path: PathBuf) -> Result<Self, ArchiveError> {
        let made = std::fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        let folder = made.map_err(|source| ArchiveError::Folder { path, source })?;
        let store = object_store::local::LocalFileSystem::new_with_prefix(&folder)?;
        let store = store.with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), place: Path::default(), folder: Some(folder) })
    }

    /// In a store that is open.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, place: Path::default(), folder: None }
    }

    /// Those below a folder.
    pub fn below(&self, name: &str) -> Self {
        Self { place: self.place.clone().join(name), ..self.clone() }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.place.clone(), |path, part| path.join(part))
    }

    /// The names of the folders here.
    pub async fn folders(&self) -> Result<Vec<String>, ArchiveError> {
        let listed = self.store.list_with_delimiter(Some(&self.place)).await?;
        let names = listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned));
        Ok(names.collect())
    }

    /// The names of the objects here.
    pub async fn names(&self) -> Result<Vec<String>, ArchiveError> {
        let listed = self.store.list_with_delimiter(Some(&self.place)).await?;
        Ok(listed.objects.iter().filter_map(|meta| meta.location.filename().map(str::to_owned)).collect())
    }

    /// A small object; `None` when there is none.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>, ArchiveError> {
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if found.meta.size > MAX_INDEX {
            return Err(ArchiveError::Place(format!("{name} of {} bytes", found.meta.size)));
        }
        Ok(Some(found.bytes().await?))
    }

    /// Puts a small object in the place of the one before.
    pub async fn replace(&self, name: &str, content: Vec<u8>) -> Result<(), ArchiveError> {
        self.store.put(&self.path(name), PutPayload::from(content)).await?;
        self.make_durable(&[name]).await
    }

    /// Makes a small object that is not there yet. A store that can't tell makes it all the same.
    pub async fn create(&self, name: &str, content: Vec<u8>) -> Result<(), ArchiveError> {
        let (path, content) = (self.path(name), PutPayload::from(content));
        match self.store.put_opts(&path, content.clone(), PutMode::Create.into()).await {
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                self.store.put(&path, content).await?;
            }
            done => drop(done?),
        }
        self.make_durable(&[name]).await
    }

    /// Copies a stream of bytes into an object; fails, and leaves nothing, when they are
    /// not what was announced. Not durable before [`Objects::make_durable`].
    pub async fn write<E>(
        &self,
        name: &str,
        sum: &FileSum,
        mut bytes: impl futures::Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(), ArchiveError>
    where
        ArchiveError: From<E>,
    {
        let path = self.path(name);
        let (mut crc, mut size) = (crc32fast::Hasher::new(), 0u64);
        let mut take = |piece: &Bytes| {
            crc.update(piece);
            size += piece.len() as u64;
            size <= sum.size
        };
        let other = || ArchiveError::Other { name: name.to_owned() };
        if sum.size <= PIECE as u64 {
            let mut content = Vec::new();
            while let Some(piece) = bytes.next().await {
                let piece = piece?;
                if !take(&piece) {
                    return Err(other());
                }
                content.extend_from_slice(&piece);
            }
            if (size, crc.finalize()) != (sum.size, sum.crc) {
                return Err(other());
            }
            self.store.put(&path, PutPayload::from(content)).await?;
            return Ok(());
        }
        let upload = self.store.put_multipart(&path).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
        let copied = async {
            while let Some(piece) = bytes.next().await {
                let piece = piece?;
                if !take(&piece) {
                    return Err(other());
                }
                upload.wait_for_capacity(PIECES).await?;
                upload.put(piece);
            }
            Ok(())
        };
        let copied: Result<(), ArchiveError> = copied.await;
        let sound = copied.and_then(|()| match (size, crc.finalize()) == (sum.size, sum.crc) {
            true => Ok(()),
            false => Err(other()),
        });
        if let Err(error) = sound {
            upload.abort().await?;
            return Err(error);
        }
        upload.finish().await?;
        Ok(())
    }

    /// An object's bytes.
    pub async fn stream(
        &self,
        name: &str,
    ) -> Result<impl futures::Stream<Item = Result<Bytes, object_store::Error>> + Unpin + use<>, ArchiveError>
    {
        Ok(self.store.get(&self.path(name)).await?.into_stream())
    }

    /// What was written to a folder survives the machine when this returns.
    pub async fn make_durable(&self, names: &[&str]) -> Result<(), ArchiveError> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(self.path(name).as_ref())).collect();
        let sync = move || {
            for path in paths {
                let parents = path.ancestors().take_while(|parent| parent.starts_with(&folder));
                parents.into_iter().try_for_each(|path| std::fs::File::open(path)?.sync_all())?;
            }
            Ok(())
        };
        let synced: std::io::Result<()> =
            tokio::task::spawn_blocking(sync).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        synced
            .map_err(|source| ArchiveError::Folder { path: self.folder.clone().unwrap_or_default(), source })
    }

    /// Deletes an object.
    pub async fn delete_one(&self, name: &str) -> Result<(), ArchiveError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes all below a folder.
    pub async fn delete(&self, folder: &str) -> Result<(), ArchiveError> {
        let found = self.store.list(Some(&self.path(folder))).map_ok(|meta| meta.location).boxed();
        self.store
            .delete_stream(found)
            .map(|done| match done {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                done => done.map(drop),
            })
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for good in ["s3://logs/prod", "gs://logs", "az://logs/a/b", "file:///var/lib/archive"] {
            assert_eq!(good.parse::<Location>().expect(good).to_string(), good);
        }
        for bad in ["", "logs", "s3://", "file://host/path", "http://x/y", "none"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }
}

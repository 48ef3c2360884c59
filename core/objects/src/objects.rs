//! The objects below a place: read, written whole, listed and deleted.

use std::{ops::Range, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart, path::Path};

use super::ObjectsError;

/// Objects up to so many bytes are sent in one piece, greater ones in pieces of this size.
const PIECE: usize = 8 << 20;
/// Pieces of an object that are under way at a time.
const PIECES: usize = 4;
/// What is read at once is not greater.
const MAX_READ: u64 = 256 << 20;

/// What an object's bytes add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    pub size: u64,
    /// CRC-32.
    pub crc: u32,
}

/// An object that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub name: String,
    pub size: u64,
}

/// The objects of an archive.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Everything is below it.
    place: Path,
    /// Where the store's root is, when it is a folder.
    folder: Option<PathBuf>,
}

impl Objects {
    /// In a folder, which is made.
    pub fn in_folder(path: PathBuf) -> Result<Self, ObjectsError> {
        let made = std::fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        let folder = made.map_err(|source| ObjectsError::Folder { path, source })?;
        let store = object_store::local::LocalFileSystem::new_with_prefix(&folder)?;
        let store = store.with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), place: Path::default(), folder: Some(folder) })
    }

    /// In a store that is open.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self::at(store, Path::default())
    }

    pub(crate) fn at(store: Arc<dyn ObjectStore>, place: Path) -> Self {
        Self { store, place, folder: None }
    }

    /// Those below a folder.
    pub fn below(&self, name: &str) -> Self {
        Self { place: self.place.clone().join(name), ..self.clone() }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.place.clone(), |path, part| path.join(part))
    }

    /// The names of the folders here.
    pub async fn folders(&self) -> Result<Vec<String>, ObjectsError> {
        let listed = self.store.list_with_delimiter(Some(&self.place)).await?;
        let names = listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned));
        Ok(names.collect())
    }

    /// The objects here, not those of folders here.
    pub async fn list(&self) -> Result<Vec<Object>, ObjectsError> {
        let listed = self.store.list_with_delimiter(Some(&self.place)).await?;
        let named = listed.objects.into_iter().filter_map(|meta| {
            let name = meta.location.filename()?.to_owned();
            Some(Object { name, size: meta.size })
        });
        Ok(named.collect())
    }

    /// The names of the objects here.
    pub async fn names(&self) -> Result<Vec<String>, ObjectsError> {
        Ok(self.list().await?.into_iter().map(|object| object.name).collect())
    }

    /// A small object; `None` when there is none.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>, ObjectsError> {
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if found.meta.size > MAX_READ {
            return Err(ObjectsError::Place(format!("{name} of {} bytes", found.meta.size)));
        }
        Ok(Some(found.bytes().await?))
    }

    /// Puts a small object in the place of the one before.
    pub async fn replace(&self, name: &str, content: Vec<u8>) -> Result<(), ObjectsError> {
        self.store.put(&self.path(name), PutPayload::from(content)).await?;
        self.make_durable(&[name]).await
    }

    /// Makes a small object that is not there yet. A store that can't tell makes it all the same.
    pub async fn create(&self, name: &str, content: Vec<u8>) -> Result<(), ObjectsError> {
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
        sum: &Sum,
        mut bytes: impl futures::Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(), E>
    where
        E: From<ObjectsError>,
    {
        let path = self.path(name);
        let (mut crc, mut size) = (crc32fast::Hasher::new(), 0u64);
        let mut take = |piece: &Bytes| {
            crc.update(piece);
            size += piece.len() as u64;
            size <= sum.size
        };
        let other = || E::from(ObjectsError::Other { name: name.to_owned() });
        let store = |error: object_store::Error| E::from(ObjectsError::Store(error));
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
            self.store.put(&path, PutPayload::from(content)).await.map_err(store)?;
            return Ok(());
        }
        let upload = self.store.put_multipart(&path).await.map_err(store)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
        let copied = async {
            while let Some(piece) = bytes.next().await {
                let piece = piece?;
                if !take(&piece) {
                    return Err(other());
                }
                upload.wait_for_capacity(PIECES).await.map_err(store)?;
                upload.put(piece);
            }
            Ok(())
        };
        let copied: Result<(), E> = copied.await;
        let sound = copied.and_then(|()| match (size, crc.finalize()) == (sum.size, sum.crc) {
            true => Ok(()),
            false => Err(other()),
        });
        if let Err(error) = sound {
            upload.abort().await.map_err(store)?;
            return Err(error);
        }
        upload.finish().await.map_err(store)?;
        Ok(())
    }

    /// Some of an object's bytes; `None` when there is no such object.
    pub async fn range(&self, name: &str, range: Range<u64>) -> Result<Option<Bytes>, ObjectsError> {
        match self.store.get_range(&self.path(name), range).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// How many bytes an object has; `None` when there is no such object.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, ObjectsError> {
        match self.store.head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What an object's bytes add up to, by reading them; `None` when there is no such object.
    pub async fn sum(&self, name: &str) -> Result<Option<Sum>, ObjectsError> {
        let mut bytes = match self.store.get(&self.path(name)).await {
            Ok(found) => found.into_stream(),
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (mut crc, mut size) = (crc32fast::Hasher::new(), 0);
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            crc.update(&piece);
            size += piece.len() as u64;
        }
        Ok(Some(Sum { size, crc: crc.finalize() }))
    }

    /// Gives an object another name.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), ObjectsError> {
        self.store.rename(&self.path(from), &self.path(to)).await?;
        self.make_durable(&[to]).await
    }

    /// An object's bytes.
    pub async fn stream(
        &self,
        name: &str,
    ) -> Result<impl futures::Stream<Item = Result<Bytes, object_store::Error>> + Unpin + use<>, ObjectsError>
    {
        Ok(self.store.get(&self.path(name)).await?.into_stream())
    }

    /// What was written to a folder survives the machine when this returns.
    pub async fn make_durable(&self, names: &[&str]) -> Result<(), ObjectsError> {
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
            .map_err(|source| ObjectsError::Folder { path: self.folder.clone().unwrap_or_default(), source })
    }

    /// Deletes an object.
    pub async fn delete_one(&self, name: &str) -> Result<(), ObjectsError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes all below a folder.
    pub async fn delete(&self, folder: &str) -> Result<(), ObjectsError> {
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
    use std::convert::Infallible;

    use super::*;

    /// What a stream's error may be.
    #[derive(Debug)]
    struct Failed;

    impl From<ObjectsError> for Failed {
        fn from(_: ObjectsError) -> Self {
            Self
        }
    }

    impl From<Infallible> for Failed {
        fn from(never: Infallible) -> Self {
            match never {}
        }
    }

    #[tokio::test]
    async fn what_is_written_is_what_was_announced_or_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects = Objects::in_folder(folder.path().join("made")).expect("a folder").below("a");
        for size in [1000, PIECE + PIECE / 2] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let sum = Sum { size: size as u64, crc: crc32fast::hash(&bytes) };
            let pieces = || futures::stream::iter(bytes.chunks(700_000).map(Bytes::copy_from_slice).map(Ok));
            for wrong in [Sum { crc: sum.crc ^ 1, ..sum }, Sum { size: sum.size - 1, ..sum }] {
                let written: Result<(), Failed> = objects.write("x", &wrong, pieces()).await;
                assert!(written.is_err() && objects.sum("x").await.expect("asked").is_none());
            }
            let written: Result<(), Failed> = objects.write("x", &sum, pieces()).await;
            assert!(written.is_ok() && objects.sum("x").await.expect("asked") == Some(sum));
            let some = objects.range("x", 5..9).await.expect("asked").expect("there");
            assert_eq!(some, bytes[5..9]);
            objects.rename("x", "y").await.expect("renamed");
            let listed = objects.list().await.expect("listed");
            assert_eq!(listed, [Object { name: "y".to_owned(), size: sum.size }]);
            assert!(objects.range("x", 5..9).await.expect("asked").is_none());
            objects.delete_one("y").await.expect("deleted");
        }
    }
}

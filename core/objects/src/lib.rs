//! The object store that an archive lies in: a folder, S3, GCS or Azure.
//!
//! Only whole objects are written, and each appears whole or not at all. What lies in
//! a folder is made durable before it counts. What this must not do: know what is archived.

mod objects;
mod place;

use std::path::PathBuf;

pub use objects::{Object, Objects, Sum};
pub use place::{BadLocation, Location};

/// Something about an archive's objects failed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    #[error("the archive can't be reached")]
    Store(#[from] object_store::Error),
    #[error("folder `{path}` of the archive can't be used")]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{name}` in the archive is not what was written")]
    Other { name: String },
    #[error("the archive's place `{0}` can't be used")]
    Place(String),
}

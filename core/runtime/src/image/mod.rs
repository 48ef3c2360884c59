//! Images without any other program: built from files, read from archives,
//! handed to containerd.
//!
//! ```text
//! folder, files ──build──> Image ──> archive (OCI layout in a tar)
//! archive (OCI or docker) ──open──> Image ──import──> containerd's content store + image record
//! ```
//!
//! An [`Image`] only points at bytes (a piece of an archive, a file, memory), so
//! a large binary is never copied on the way. An archive is untrusted: nothing
//! of it is unpacked here, and names that leave it are refused ([`archive`]).

mod archive;
mod blob;
mod build;
mod check;
mod import;
mod name;
mod own;

pub use archive::open_archive;
pub use blob::Blob;
pub use build::{Recipe, build_from_dir, build_from_files, write_archive};
pub use import::{import, import_archive};
pub use name::normalize;
pub use own::{own_image, pause_image};

/// One image: its manifest and what that refers to.
#[derive(Debug, Clone)]
pub struct Image {
    /// Full references, such as `docker.io/library/web:1`.
    pub names: Vec<String>,
    pub manifest: Blob,
    pub config: Blob,
    pub layers: Vec<Blob>,
}

//! The two calls that make a file outlive the machine's end. They stand by themselves so that
//! tests can put others in their place, which tell what was made durable: no test can take the
//! machine's power away.

use std::{fs::File, io, path::Path};

/// What was written to a file.
///
/// # Errors
/// The disk's.
pub fn data(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// The names of what is in a folder.
///
/// # Errors
/// The disk's.
pub fn names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

//! How much of a log file is safe elsewhere: an extended attribute that the
//! collector sets.

use std::{
    ffi::CString,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

/// Decimal count of bytes from the file's start.
const ATTRIBUTE: &std::ffi::CStr = c"user.tiphys.acked";

/// What a collector has of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Acked {
    /// Bytes that it doesn't have.
    pub missing: u64,
    /// Whether it said anything of the file.
    pub is_marked: bool,
}

/// Nothing is missing of what isn't there, and of a link, which is none of the runtime's files.
pub(super) fn look(path: &Path) -> Acked {
    let Ok(metadata) = path.symlink_metadata() else { return Acked::default() };
    if !metadata.is_file() {
        return Acked::default();
    }
    let acked = acked(path);
    Acked { missing: metadata.size().saturating_sub(acked.unwrap_or(0)), is_marked: acked.is_some() }
}

fn acked(path: &Path) -> Option<u64> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut value = [0_u8; 32];
    // SAFETY: both strings end in zero, and the length is that of the buffer.
    let length = unsafe {
        nix::libc::lgetxattr(name.as_ptr(), ATTRIBUTE.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    let length = usize::try_from(length).ok()?;
    std::str::from_utf8(&value[..length]).ok()?.trim().parse().ok()
}

#[cfg(test)]
pub(super) fn acknowledge(path: &Path, bytes: u64) {
    let name = CString::new(path.as_os_str().as_bytes()).expect("a path");
    let value = bytes.to_string();
    // SAFETY: as above.
    let done = unsafe {
        nix::libc::setxattr(name.as_ptr(), ATTRIBUTE.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

//! How much of a log file is safe elsewhere: an extended attribute that the
//! collector sets.

use std::{
    ffi::CString,
    fs::File,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt},
    },
    path::Path,
};

/// Decimal count of bytes from the file's start.
const ATTRIBUTE: &std::ffi::CStr = c"user.tiphys.acked";

/// Bytes of a line at most; the runtime cuts them at 16 KiB of text.
const LONGEST: usize = 64 << 10;

/// What a collector has of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acked {
    /// Bytes that it doesn't have.
    pub missing: u64,
    /// Bytes that it said it has; `None` where it said nothing of the file.
    pub marked: Option<u64>,
    /// Whether the file system keeps what a collector says.
    pub is_markable: bool,
}

const NOTHING: Acked = Acked { missing: 0, marked: None, is_markable: true };

/// Nothing is missing of what isn't there, and of a link, which is none of the runtime's files.
pub(super) fn look(path: &Path) -> Acked {
    let Ok(metadata) = path.symlink_metadata() else { return NOTHING };
    if !metadata.is_file() {
        return NOTHING;
    }
    let said = said(path);
    let marked = said.unwrap_or_default();
    let missing = metadata.size().saturating_sub(marked.unwrap_or(0));
    // The begin of a line that nobody ends: the collector takes it when the file goes.
    let is_torn =
        marked.is_some_and(|from| (1..=LONGEST as u64).contains(&missing) && !has_line_end(path, from));
    Acked { missing: if is_torn { 0 } else { missing }, marked, is_markable: said.is_ok() }
}

/// Bytes that a collector said it has of the file.
pub(super) fn mark(path: &Path) -> Option<u64> {
    said(path).ok().flatten()
}

fn has_line_end(path: &Path, from: u64) -> bool {
    let mut rest = vec![0; LONGEST];
    let read = File::open(path).and_then(|file| file.read_at(&mut rest, from));
    read.map_or(true, |length| rest[..length].contains(&b'\n'))
}

/// The file system has no place for what a collector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoPlace;

fn said(path: &Path) -> Result<Option<u64>, NoPlace> {
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else { return Ok(None) };
    let mut value = [0_u8; 32];
    // SAFETY: both strings end in zero, and the length is that of the buffer.
    let length = unsafe {
        nix::libc::lgetxattr(name.as_ptr(), ATTRIBUTE.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    let Ok(length) = usize::try_from(length) else {
        let error = std::io::Error::last_os_error();
        return if has_place(error.raw_os_error()) { Ok(None) } else { Err(NoPlace) };
    };
    Ok(std::str::from_utf8(&value[..length]).ok().and_then(|text| text.trim().parse().ok()))
}

/// By the number of the error that the kernel answered with: an attribute that isn't there may come.
fn has_place(error: Option<i32>) -> bool {
    !matches!(error, Some(nix::libc::EOPNOTSUPP | nix::libc::ENOSYS))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_not_waited_for() {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let path = folder.path().join("0.log");
        let check = |text: &[u8], has: u64, missing: u64| {
            std::fs::write(&path, text).expect("written");
            acknowledge(&path, has);
            let expected = Acked { missing, marked: Some(has), is_markable: true };
            assert_eq!(look(&path), expected, "{has} of {}", text.len());
        };
        check(b"one\ntwo\n", 4, 4);
        check(b"one\ntw", 4, 0);
        check(b"one\ntw", 0, 6);
        let long = [b"one\n".as_slice(), &vec![b'x'; LONGEST + 1]].concat();
        check(&long, 4, LONGEST as u64 + 1);
    }

    #[test]
    fn where_nothing_can_be_said_differs_from_where_nothing_is_said() {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let path = folder.path().join("0.log");
        std::fs::write(&path, "text").expect("written");
        assert_eq!(look(&path), Acked { missing: 4, marked: None, is_markable: true });
        assert_eq!((mark(&path), look(&folder.path().join("none"))), (None, NOTHING));
        // A file of the kernel's own, whose file system has no attributes.
        assert_eq!(look(Path::new("/proc/version")), Acked { is_markable: false, ..NOTHING });
        for (error, expected) in [
            (nix::libc::ENODATA, true),
            (nix::libc::EACCES, true),
            (nix::libc::EIO, true),
            (nix::libc::ENOTSUP, false),
            (nix::libc::ENOSYS, false),
        ] {
            assert_eq!(has_place(Some(error)), expected, "{error}");
        }
    }
}

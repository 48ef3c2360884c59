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
    let missing = metadata.size().saturating_sub(acked.unwrap_or(0));
    // The begin of a line that nobody ends: the collector takes it when the file goes.
    let is_torn =
        acked.is_some_and(|from| (1..=LONGEST as u64).contains(&missing) && !has_line_end(path, from));
    Acked { missing: if is_torn { 0 } else { missing }, is_marked: acked.is_some() }
}

fn has_line_end(path: &Path, from: u64) -> bool {
    let mut rest = vec![0; LONGEST];
    let read = File::open(path).and_then(|file| file.read_at(&mut rest, from));
    read.map_or(true, |length| rest[..length].contains(&b'\n'))
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
            assert_eq!(look(&path), Acked { missing, is_marked: true }, "{has} of {}", text.len());
        };
        check(b"one\ntwo\n", 4, 4);
        check(b"one\ntw", 4, 0);
        check(b"one\ntw", 0, 6);
        let long = [b"one\n".as_slice(), &vec![b'x'; LONGEST + 1]].concat();
        check(&long, 4, LONGEST as u64 + 1);
    }
}

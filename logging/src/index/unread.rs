//! Why a split can't be read: its bytes are not what was written, or the disk or the system
//! doesn't give them now. Pure.
//!
//! Only the first is damage, for which a split is set aside for good. A process may be out of
//! descriptors or memory for a while, and a disk may fail to answer: such a split stays where it
//! is, answers name it, and it is tried again.

use std::{
    fmt::Display,
    io::{self, ErrorKind},
    path::Path,
};

use tantivy::{
    TantivyError,
    directory::error::{LockError, OpenDirectoryError, OpenReadError},
};

use super::IndexError;

/// What reading a file of a split came to.
pub(super) fn file(split: u64, path: &Path, error: &io::Error) -> IndexError {
    judged(split, path, is_damage(error), error)
}

/// What reading a split's words came to, which lie in `path`.
pub(super) fn words(split: u64, path: &Path, error: &TantivyError) -> IndexError {
    match io_of(error) {
        Some(error) => file(split, path, error),
        None => judged(split, path, !is_of_the_process(error), error),
    }
}

fn judged(split: u64, path: &Path, is_damage: bool, why: &dyn Display) -> IndexError {
    let what = format!("`{}` can't be read: {why}", path.display());
    match is_damage {
        true => IndexError::Damaged { split, what },
        false => IndexError::Unread { split, what },
    }
}

/// What the system says has a number, what a reader says of the bytes has none. Of the first, only
/// that there is no such file, or something else in its place, will not pass.
fn is_damage(error: &io::Error) -> bool {
    match (error.raw_os_error(), error.kind()) {
        (Some(_), kind) => {
            matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
        }
        (None, kind) => kind != ErrorKind::OutOfMemory,
    }
}

/// The failure of a file or folder that an error was made of.
fn io_of(error: &TantivyError) -> Option<&io::Error> {
    match error {
        TantivyError::IoError(error)
        | TantivyError::OpenReadError(OpenReadError::IoError { io_error: error, .. })
        | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error: error, .. })
        | TantivyError::LockFailure(LockError::IoError(error), _) => Some(error),
        _ => None,
    }
}

/// Nothing was read of the bytes yet.
fn is_of_the_process(error: &TantivyError) -> bool {
    matches!(
        error,
        TantivyError::LockFailure(..)
            | TantivyError::SystemError(_)
            | TantivyError::ErrorInThread(_)
            | TantivyError::Poisoned
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use nix::errno::Errno;
    use tantivy::error::DataCorruption;

    use super::*;

    /// Whether it is damage; it names the split and the path.
    fn is_damaged(error: IndexError) -> bool {
        let text = error.to_string();
        assert!(text.contains("split 7") && text.contains("`/a/7`"), "{text}");
        match error {
            IndexError::Damaged { .. } => true,
            IndexError::Unread { .. } => false,
            other => panic!("{other:?} is neither"),
        }
    }

    fn system(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno as i32)
    }

    #[test]
    fn only_what_is_wrong_with_the_bytes_is_damage() {
        let check = |error: io::Error, expected: bool| {
            let found = is_damaged(file(7, Path::new("/a/7"), &error));
            assert_eq!(found, expected, "{error:?}");
        };
        use Errno::*;
        for passes in [EMFILE, ENFILE, EIO, ENOMEM, EAGAIN, EACCES, ESTALE, EROFS, ENOSPC, ELOOP] {
            check(system(passes), false);
        }
        check(ErrorKind::OutOfMemory.into(), false);
        for stays in [ENOENT, ENOTDIR, EISDIR] {
            check(system(stays), true);
        }
        check(ErrorKind::UnexpectedEof.into(), true);
        check(ErrorKind::InvalidData.into(), true);
        check(io::Error::other("a reader's own"), true);
    }

    #[test]
    fn errors_of_words_are_judged_by_what_they_were_made_of() {
        let check = |error: TantivyError, expected: bool| {
            assert_eq!(is_damaged(words(7, Path::new("/a/7"), &error)), expected, "{error:?}");
        };
        let path = || PathBuf::from("meta.json");
        for (errno, expected) in [(Errno::EMFILE, false), (Errno::EIO, false), (Errno::ENOTDIR, true)] {
            check(system(errno).into(), expected);
            check(OpenReadError::wrap_io_error(system(errno), path()).into(), expected);
            check(OpenDirectoryError::wrap_io_error(system(errno), path()).into(), expected);
            check(LockError::wrap_io_error(system(errno)).into(), expected);
        }
        check(LockError::LockBusy.into(), false);
        check(TantivyError::SystemError("no thread".into()), false);
        check(OpenReadError::wrap_io_error(ErrorKind::UnexpectedEof.into(), path()).into(), true);
        check(OpenReadError::FileDoesNotExist(path()).into(), true);
        check(OpenDirectoryError::DoesNotExist(path()).into(), true);
        check(DataCorruption::comment_only("a footer").into(), true);
        check(TantivyError::FieldNotFound("word".into()), true);
    }
}

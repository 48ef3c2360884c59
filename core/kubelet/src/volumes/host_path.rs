//! hostPath volumes: checked, or made, as their type says.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
};

/// `Err` is a sentence for the Pod's owner.
pub(super) fn ensure(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("hostPath {shown}: {error}");
    match kind {
        "DirectoryOrCreate" if !path.exists() => {
            fs::create_dir_all(path).map_err(failed)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        "FileOrCreate" if !path.exists() => {
            OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        }
        _ => {}
    }
    let found = fs::metadata(path).map(|metadata| metadata.file_type());
    let (fits, what) = match kind {
        "" => return Ok(()),
        "Directory" | "DirectoryOrCreate" => (found.is_ok_and(|found| found.is_dir()), "directory"),
        "File" | "FileOrCreate" => (found.is_ok_and(|found| found.is_file()), "file"),
        "Socket" => (found.is_ok_and(|found| found.is_socket()), "socket"),
        "CharDevice" => (found.is_ok_and(|found| found.is_char_device()), "character device"),
        "BlockDevice" => (found.is_ok_and(|found| found.is_block_device()), "block device"),
        other => return Err(format!("hostPath type {other:?} is unknown")),
    };
    if fits { Ok(()) } else { Err(format!("hostPath type check failed: {shown} is not a {what}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_and_made() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        let check = |name: &str, kind: &str, ok: bool| {
            assert_eq!(ensure(&at(name), kind).is_ok(), ok, "{name} as {kind:?}");
        };
        check("none", "", true);
        check("none", "Directory", false);
        check("dir", "DirectoryOrCreate", true);
        check("dir", "Directory", true);
        check("dir", "File", false);
        check("file", "FileOrCreate", true);
        check("file", "File", true);
        check("file", "Socket", false);
        assert!(ensure(Path::new("/dev/null"), "CharDevice").is_ok());
    }
}

//! What an archive may hold, and what is refused.
//!
//! Nothing is unpacked by this process, so a hostile name could only fool a
//! lookup; it is refused all the same, because whoever unpacks the image later
//! would meet it. Layers are read through for the same reason.

use std::{
    io::Read,
    path::{Component, Path, PathBuf},
};

use tar::EntryType;

/// The path without `.` components; `Err` says why it is refused.
pub(super) fn inner_path(path: &Path) -> Result<PathBuf, String> {
    let mut inner = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inner.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err(format!("the entry {path:?} leads out of the archive")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("the entry {path:?} is an absolute path"));
            }
        }
    }
    Ok(inner)
}

/// Where a link of the archive leads, from the folder it lies in.
pub(super) fn link_target(entry: &Path, target: &Path) -> Result<PathBuf, String> {
    let out = || format!("the link {entry:?} leads out of the archive");
    let mut at = entry.parent().map(Path::to_path_buf).unwrap_or_default();
    for component in target.components() {
        match component {
            Component::Normal(name) => at.push(name),
            Component::CurDir => {}
            Component::ParentDir if at.pop() => {}
            _ => return Err(out()),
        }
    }
    Ok(at)
}

/// A layer's entries: names and hard links stay inside; symbolic links and
/// devices are what images may hold, but nothing may lie below them by `..`.
pub(super) fn layer(reader: impl Read) -> Result<(), String> {
    let mut archive = tar::Archive::new(reader);
    let entries = archive.entries().map_err(|error| format!("a layer is no tar: {error}"))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("a layer is broken: {error}"))?;
        let path = entry.path().map_err(|error| format!("a layer has an unreadable name: {error}"))?;
        // Some tools write `/etc/...` into layers; unpacking takes it below the root.
        let path = path.strip_prefix("/").unwrap_or(&path).to_path_buf();
        inner_path(&path)?;
        if entry.header().entry_type() == EntryType::Link
            && let Ok(Some(target)) = entry.link_name()
        {
            inner_path(target.strip_prefix("/").unwrap_or(&target))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_are_refused() {
        let check = |path: &str, ok| assert_eq!(inner_path(Path::new(path)).is_ok(), ok, "{path}");
        check("blobs/sha256/ab", true);
        check("./index.json", true);
        check("../x", false);
        check("a/../../x", false);
        check("a/../b", false);
        check("/etc/passwd", false);
    }

    #[test]
    fn links_are_followed_inside_only() {
        let check = |entry: &str, target: &str, expected: Option<&str>| {
            let found = link_target(Path::new(entry), Path::new(target)).ok();
            assert_eq!(found.as_deref(), expected.map(Path::new), "{entry} -> {target}");
        };
        check("ab/layer.tar", "../cd.tar", Some("cd.tar"));
        check("layer.tar", "../cd.tar", None);
        check("layer.tar", "/etc/passwd", None);
    }
}

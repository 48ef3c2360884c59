//! Rotation of a running container's log: renamed, then the runtime opens a new file.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::acked::is_acked;

/// A rotated file that nobody takes over is kept this long beyond its turn.
const KEEP_UNACKED: Duration = Duration::from_secs(600);

/// Files of this log that were rotated away, the oldest first. A link is none: the
/// runtime makes none.
pub(super) fn rotated(path: &Path) -> Vec<PathBuf> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Vec::new() };
    let prefix = format!("{}.", name.to_string_lossy());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .collect();
    // The time is in the name.
    found.sort();
    found
}

/// Renames the log if it is large enough; true when the runtime has to open a new one.
pub(super) fn rotate(path: &Path, max_bytes: u64) -> io::Result<bool> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_file() || metadata.len() < max_bytes {
        return Ok(false);
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S%3f");
    fs::rename(path, format!("{}.{stamp}", path.display()))?;
    Ok(true)
}

/// Undoes a rotation whose new file could not be opened: lines go on into the old one.
pub(super) fn undo(path: &Path) -> io::Result<()> {
    match rotated(path).last() {
        Some(latest) if !path.exists() => fs::rename(latest, path),
        _ => Ok(()),
    }
}

/// Removes rotated files beyond `keep`, the oldest first, once they are taken over.
pub(super) fn prune(path: &Path, keep: usize, now: SystemTime) -> io::Result<()> {
    let files = rotated(path);
    let surplus = files.len().saturating_sub(keep);
    for file in files.iter().take(surplus) {
        let age = now.duration_since(file.metadata()?.modified()?).unwrap_or_default();
        if is_acked(file) || age > KEEP_UNACKED {
            fs::remove_file(file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::acked::acknowledge;

    #[test]
    fn a_file_goes_when_it_is_taken_over_or_old() {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let path = folder.path().join("0.log");
        let old = |n: u32| folder.path().join(format!("0.log.2026010{n}-000000000"));
        for n in 1..=3 {
            fs::write(old(n), "four").expect("written");
        }
        let now = SystemTime::now();
        prune(&path, 1, now).expect("pruned");
        assert_eq!(rotated(&path).len(), 3);
        acknowledge(&old(1), 4);
        acknowledge(&old(2), 3);
        prune(&path, 1, now).expect("pruned");
        assert_eq!(rotated(&path), [old(2), old(3)]);
        prune(&path, 1, now + 2 * KEEP_UNACKED).expect("pruned");
        assert_eq!(rotated(&path), [old(3)]);
    }

    #[test]
    fn a_large_file_is_renamed_and_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("0.log");
        fs::write(&path, "0123456789").expect("written");
        assert!(!rotate(&path, 11).expect("looked at"));
        assert!(rotate(&path, 10).expect("rotated"));
        assert!(!path.exists() && rotated(&path).len() == 1);
        undo(&path).expect("undone");
        assert!(path.exists() && rotated(&path).is_empty());
    }
}

//! A disk of a few MiB that a test may fill: a tmpfs in a mount namespace of its own.
//!
//! The test binary starts itself again inside that namespace, so the mount ends with the
//! test, however it ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes that the disk gives at once.
const PAGE: u64 = 4096;

/// What the inner side works with.
pub struct SmallDisk {
    /// On a real disk.
    pub folder: PathBuf,
    /// The small disk, below `folder`.
    pub data: PathBuf,
}

/// `None` in the outer process, after the inner one has passed. `test` is the test's own name.
pub fn enter(test: &str) -> Option<SmallDisk> {
    const FOLDER: &str = "TIPHYS_TEST_SMALL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        return Some(SmallDisk { data: folder.join("data"), folder });
    }
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("data")).expect("a folder");
    let setup = "mount -t tmpfs -o size=16m tmpfs \"$2/data\"; exec \"$0\" --exact \"$1\"";
    let who: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let ended = Command::new("unshare")
        .args(who)
        .args(["--mount", "sh", "-ec", setup])
        .arg(std::env::current_exe().expect("this test"))
        .arg(test)
        .arg(folder.path())
        .env(FOLDER, folder.path())
        .output()
        .expect("unshare runs");
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{test} failed inside: {said}");
    None
}

impl SmallDisk {
    fn ballast(&self) -> PathBuf {
        self.data.join("ballast")
    }

    /// Leaves room for so many pages.
    pub fn leave(&self, pages: u64) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.ballast()).expect("a file");
        let full = loop {
            match file.write_all(&[1; PAGE as usize]) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let size = file.metadata().expect("its size").len();
        let file = File::options().write(true).open(self.ballast()).expect("a file");
        file.set_len(size / PAGE * PAGE - pages * PAGE).expect("cut");
    }

    /// There is room again.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("deleted");
    }

    /// Bytes that are left.
    pub fn room(&self) -> u64 {
        let disk = nix::sys::statvfs::statvfs(&self.data).expect("a disk");
        disk.blocks_available() * disk.fragment_size()
    }
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

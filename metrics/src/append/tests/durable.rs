//! Makes files durable as the module of this name beside the tests does, and remembers of which
//! file how much. A test may hold that up, as a slow disk does, or let it fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

struct Durable {
    /// How many bytes files had when they were synced last.
    lengths: BTreeMap<PathBuf, u64>,
    names: BTreeSet<PathBuf>,
}

/// Of all tests: each has a folder of its own.
static DURABLE: Mutex<Durable> = Mutex::new(Durable { lengths: BTreeMap::new(), names: BTreeSet::new() });

/// What becomes of who asks for something to be made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Slow,
    Failing,
}

/// Folders of which nothing becomes durable, and who hears that something was to.
static HELD: Mutex<BTreeMap<PathBuf, (Disk, UnboundedSender<()>)>> = Mutex::new(BTreeMap::new());
static FREED: Condvar = Condvar::new();

/// Below a folder nothing becomes durable until this goes.
pub struct Held {
    folder: PathBuf,
    asked: UnboundedReceiver<()>,
}

/// Who asks for it waits.
pub fn hold(folder: &Path) -> Held {
    Held::by(folder, Disk::Slow)
}

/// Who asks for it gets an error.
pub fn fail(folder: &Path) -> Held {
    Held::by(folder, Disk::Failing)
}

impl Held {
    fn by(folder: &Path, disk: Disk) -> Self {
        let folder = folder.canonicalize().expect("a folder");
        let (sender, asked) = unbounded_channel();
        HELD.lock().insert(folder.clone(), (disk, sender));
        Self { folder, asked }
    }

    /// Waits until somebody asks.
    pub async fn asked(&mut self) {
        self.asked.recv().await.expect("it is held");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.lock().remove(&self.folder);
        FREED.notify_all();
    }
}

fn wait(path: &Path) -> io::Result<()> {
    let (mut held, mut is_told) = (HELD.lock(), false);
    loop {
        let of_it = held.iter().find(|(folder, _)| path.starts_with(folder));
        let Some((disk, asked)) = of_it.map(|(_, of_it)| of_it.clone()) else { return Ok(()) };
        if !std::mem::replace(&mut is_told, true) {
            let _ = asked.send(());
        }
        if disk == Disk::Failing {
            return Err(io::Error::other("the disk fails"));
        }
        FREED.wait(&mut held);
    }
}

pub fn data(file: &File) -> io::Result<()> {
    // What comes while it is synced may not be.
    let length = file.metadata()?.len();
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    wait(&path)?;
    file.sync_data()?;
    DURABLE.lock().lengths.insert(path, length);
    Ok(())
}

pub fn names(folder: &Path) -> io::Result<()> {
    let folder = folder.canonicalize()?;
    let names = fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    File::open(&folder)?.sync_all()?;
    DURABLE.lock().names.extend(names);
    Ok(())
}

/// How many bytes of a file would be there if the machine lost power now.
pub fn bytes(path: &Path) -> u64 {
    let path = path.canonicalize().expect("a file");
    let durable = DURABLE.lock();
    if durable.names.contains(&path) { durable.lengths.get(&path).copied().unwrap_or(0) } else { 0 }
}

/// The files of a folder that would lose something then.
pub fn lossy(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("listed").path());
    files.filter(|path| bytes(path) < fs::metadata(path).expect("a file").len()).collect()
}

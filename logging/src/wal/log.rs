//! The segments of a folder: read once at the start, then written.
//!
//! One task owns it. All of it blocks.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{Read, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{MAX_BYTES, SEGMENT_BYTES, WalError, entry, segment};

const ENDING: &str = "wal";
/// Bytes that are read on their own where a whole segment can't be: a page.
const PIECE: usize = 4096;
/// Of a segment that can't be read in one go.
const MAX_READ: u64 = 1 << 30;
/// Bytes of a segment in which its first entry ends, if it is one that takes others back.
const BEGIN: u64 = 64 << 10;

/// An entry as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub payload: Vec<u8>,
}

/// What a segment of an earlier process has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub segment: u64,
    /// In order, without those that no sender was told are taken.
    pub entries: Vec<Entry>,
    /// What can't be read, as a sentence; a copy of the segment was set aside.
    pub fault: Option<String>,
}

/// How bytes become durable and how they are taken back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disk {
    pub sync: fn(&File) -> std::io::Result<()>,
    pub cut: fn(&File, u64) -> std::io::Result<()>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { sync: File::sync_data, cut: |file, at| file.set_len(at).and_then(|()| file.sync_data()) }
    }
}

/// The log of a collector.
#[derive(Debug)]
pub struct Wal {
    directory: PathBuf,
    /// Where damaged segments go.
    broken: PathBuf,
    /// Segments that an earlier process left and that were not read yet, oldest last.
    left: Vec<u64>,
    closed: Vec<Closed>,
    current: Option<Current>,
    next_segment: u64,
    /// The number of the newest entry, also of those that were refused.
    last: u64,
    limit: u64,
    /// Entries whose senders were refused and that may be on disk all the same, first to last:
    /// the next write says that they don't count.
    void: Vec<(u64, u64)>,
    /// The same, of an earlier process.
    void_left: Vec<(u64, u64)>,
    pub(super) disk: Disk,
}

#[derive(Debug)]
struct Closed {
    id: u64,
    last: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Current {
    id: u64,
    file: File,
    salt: u64,
    /// Bytes that are durable.
    bytes: u64,
    last: u64,
}

impl Wal {
    /// The log in `directory`, which is made when it isn't there; entries up to `covered` are in
    /// splits. Read what is left before the first write.
    pub fn open(directory: &Path, broken: &Path, covered: u64) -> Result<Self, WalError> {
        fs::create_dir_all(directory).map_err(io("can't create", directory))?;
        fs::create_dir_all(broken).map_err(io("can't create", broken))?;
        let mut left = Vec::new();
        for entry in fs::read_dir(directory).map_err(io("can't list", directory))? {
            let path = entry.map_err(io("can't list", directory))?.path();
            let is_segment = path.extension().is_some_and(|ending| ending == ENDING);
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            left.extend(id.filter(|_| is_segment));
        }
        left.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        let void_left = left.iter().flat_map(|id| voided(&path(directory, *id))).collect();
        Ok(Self {
            directory: directory.to_owned(),
            broken: broken.to_owned(),
            next_segment: left.first().map_or(0, |newest| newest + 1),
            left,
            closed: Vec::new(),
            current: None,
            last: covered,
            limit: MAX_BYTES,
            void: Vec::new(),
            void_left,
            disk: Disk::default(),
        })
    }

    /// Takes no more than so many bytes.
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// The next segment that an earlier process left, as far as no split covers it; `None` when
    /// all were read. What the disk doesn't give or can't be understood costs no other entry.
    pub fn read_left(&mut self) -> Option<Left> {
        let id = self.left.pop()?;
        let path = self.path(id);
        let mut left = Left { segment: id, ..Left::default() };
        let (bytes, unreadable) = read(&path);
        let mut why = unreadable;
        match segment::scan(&bytes, self.last) {
            Ok(scan) => {
                if scan.torn > 0 {
                    tracing::info!(segment = %path.display(), bytes = scan.torn, "write-ahead log ends within an entry, which was not acknowledged");
                }
                why = why.or_else(|| {
                    let place = scan.damaged.first()?;
                    Some(format!("{} bytes from {} are no entry", place.len(), place.start))
                });
                self.last = scan.entries.last().map_or(self.last, |(number, _)| *number);
                for (number, at) in scan.entries {
                    let is_void = |(first, last): &(u64, u64)| (*first..=*last).contains(&number);
                    if !self.void_left.iter().any(is_void) && entry::voided(&bytes[at.clone()]).is_none() {
                        left.entries.push(Entry { number, payload: bytes[at].to_vec() });
                    }
                }
            }
            Err(error) => why = why.or_else(|| Some(error.to_string())),
        }
        left.fault = why.map(|why| self.set_aside(id, &why));
        self.closed.push(Closed { id, last: self.last, bytes: bytes.len() as u64 });
        Some(left)
    }

    /// Writes entries, all with one fsync. Gives the first one's number; the others follow.
    /// After an error none of them counts, and their numbers are not used again.
    pub fn write(&mut self, payloads: &[Vec<u8>]) -> Result<u64, WalError> {
        let bytes = self.bytes();
        if bytes >= self.limit {
            return Err(WalError::Full { path: self.directory.clone(), bytes });
        }
        let void = (!self.void.is_empty()).then(|| entry::write_void(&self.void));
        let first = self.last + 1 + u64::from(void.is_some());
        let from = self.last + 1;
        self.last = first + payloads.len() as u64 - 1;
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        let mut out = Vec::with_capacity(payloads.iter().map(|payload| payload.len() + 32).sum());
        for (number, payload) in (from..).zip(void.iter().chain(payloads)) {
            segment::put(&mut out, current.salt, number, payload);
        }
        let written = current.file.write_all_at(&out, current.bytes);
        if let Err(error) = written.and_then(|()| (self.disk.sync)(&current.file)) {
            // What of it is on disk is not known: this segment ends where it was sound.
            if let Err(error) = (self.disk.cut)(&current.file, current.bytes) {
                tracing::warn!(%error, "a failed write to the write-ahead log can't be taken back: the next one says that it doesn't count");
                match self.void.last_mut() {
                    // One after the other they are one: what says so must stay small.
                    Some(before) if before.1 + 1 == from => before.1 = self.last,
                    _ => self.void.push((first, self.last)),
                }
            }
            let path = self.path(current.id);
            self.close(current);
            return Err(io("can't write", &path)(error));
        }
        self.void.clear();
        current.bytes += out.len() as u64;
        current.last = self.last;
        if current.bytes >= SEGMENT_BYTES {
            self.close(current)
        } else {
            self.current = Some(current)
        }
        Ok(first)
    }

    /// Deletes segments whose entries are all in splits.
    pub fn forget(&mut self, covered: u64) {
        if let Some(current) = self.current.take_if(|current| current.last <= covered) {
            self.close(current);
        }
        let directory = self.directory.clone();
        self.closed.retain(|segment| {
            if segment.last > covered {
                return true;
            }
            let path = path(&directory, segment.id);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "segment of the write-ahead log can't be deleted, the next commit tries again");
                return error.kind() != std::io::ErrorKind::NotFound;
            }
            false
        });
    }

    /// Bytes on disk that wait for a commit.
    pub fn bytes(&self) -> u64 {
        self.closed.iter().map(|segment| segment.bytes).sum::<u64>()
            + self.current.as_ref().map_or(0, |current| current.bytes)
    }

    fn begin(&mut self) -> Result<Current, WalError> {
        let (id, salt) = (self.next_segment, RandomState::new().hash_one(self.next_segment));
        self.next_segment += 1;
        let path = self.path(id);
        let begin = || {
            let mut file = File::create_new(&path)?;
            file.write_all(&segment::head(salt))?;
            file.sync_all()?;
            File::open(&self.directory)?.sync_all()?;
            Ok(file)
        };
        let file = begin().map_err(|error| {
            // Nothing of it counts, and on a full disk each sender that tries would leave one.
            match fs::remove_file(&path) {
                Err(left) if left.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), error = %left, "segment of the write-ahead log that couldn't be begun can't be deleted, the next start will try again");
                }
                _ => {}
            }
            io("can't begin", &path)(error)
        })?;
        Ok(Current { id, file, salt, bytes: segment::HEAD as u64, last: self.last })
    }

    fn close(&mut self, current: Current) {
        self.closed.push(Closed { id: current.id, last: current.last, bytes: current.bytes });
    }

    /// Keeps a copy of a segment of which something can't be read beside the damaged splits, and
    /// gives the sentence that says so.
    pub fn set_aside(&self, id: u64, why: &str) -> String {
        let path = self.path(id);
        let aside = self.aside(id, &path);
        let kept = match fs::hard_link(&path, &aside) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            // Not every file system has links, and nothing has them to folders.
            Err(_) => fs::rename(&path, &aside),
            Ok(()) => Ok(()),
        };
        tracing::error!(segment = %path.display(), aside = %aside.display(), why, ?kept, "write-ahead log can't be read in full: entries are missing, a copy was set aside");
        format!(
            "write-ahead log {id} can't be read in full ({why}), a copy was set aside as {}",
            aside.display()
        )
    }

    /// Where a copy of the segment is, or has place: numbers begin anew in an empty log, so another
    /// segment of an earlier time may have the name.
    fn aside(&self, id: u64, path: &Path) -> PathBuf {
        let inode = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.ino());
        let own = inode(path);
        let names = (0u32..).map(|again| match again {
            0 => self::path(&self.broken, id),
            again => self.broken.join(format!("{id:012}.{again}.{ENDING}")),
        });
        let mut names = names.filter(|name| inode(name).is_none_or(|there| own == Some(there)));
        names.next().unwrap_or_else(|| self::path(&self.broken, id))
    }

    fn path(&self, id: u64) -> PathBuf {
        path(&self.directory, id)
    }
}

/// What of a segment the disk gives, with zeros in the place of the rest, and why that is missing.
fn read(path: &Path) -> (Vec<u8>, Option<String>) {
    match fs::read(path) {
        Ok(bytes) => (bytes, None),
        Err(error) => {
            let open = || File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let bytes = open().map(|(size, file)| pieces(size, |buffer, at| file.read_exact_at(buffer, at)));
            (bytes.unwrap_or_default(), Some(error.to_string()))
        }
    }
}

/// Piece by piece: one that can't be read hides no other.
pub(super) fn pieces(size: u64, read: impl Fn(&mut [u8], u64) -> std::io::Result<()>) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(size.min(MAX_READ)).unwrap_or_default()];
    for (number, piece) in (0u64..).zip(bytes.chunks_mut(PIECE)) {
        if read(piece, number * PIECE as u64).is_err() {
            piece.fill(0);
        }
    }
    bytes
}

/// What the begin of a segment says doesn't count.
fn voided(path: &Path) -> Vec<(u64, u64)> {
    let begin = || -> std::io::Result<Vec<u8>> {
        let mut begin = Vec::new();
        File::open(path)?.take(BEGIN).read_to_end(&mut begin)?;
        Ok(begin)
    };
    // What can't be read is told when the segment is.
    let begin = begin().unwrap_or_default();
    segment::first(&begin).and_then(entry::voided).unwrap_or_default()
}

fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:012}.{ENDING}"))
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WalError {
    let path = path.to_owned();
    move |source| WalError::Io { what, path, source }
}

//! The segments of a folder: read once at the start, then written.
//!
//! One task owns it. All of it blocks.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{MAX_BYTES, SEGMENT_BYTES, WalError, segment};

const ENDING: &str = "wal";

/// An entry as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub payload: Vec<u8>,
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
        Ok(Self {
            directory: directory.to_owned(),
            broken: broken.to_owned(),
            next_segment: left.first().map_or(0, |newest| newest + 1),
            left,
            closed: Vec::new(),
            current: None,
            last: covered,
            limit: MAX_BYTES,
        })
    }

    /// Takes no more than so many bytes.
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Entries of the next segment that an earlier process left and no split covers, in order;
    /// `None` when all were read.
    pub fn read_left(&mut self) -> Result<Option<Vec<Entry>>, WalError> {
        let Some(id) = self.left.pop() else { return Ok(None) };
        let path = self.path(id);
        let bytes = fs::read(&path).map_err(io("can't read", &path))?;
        let mut entries = Vec::new();
        match segment::scan(&bytes, self.last) {
            Ok(scan) => {
                if scan.torn > 0 {
                    tracing::info!(segment = %path.display(), bytes = scan.torn, "write-ahead log ends within an entry, which was not acknowledged");
                }
                for place in &scan.damaged {
                    self.set_aside(id, &format!("{} bytes from {} are no entry", place.len(), place.start));
                }
                self.last = scan.entries.last().map_or(self.last, |(number, _)| *number);
                entries.extend(
                    scan.entries
                        .into_iter()
                        .map(|(number, at)| Entry { number, payload: bytes[at].to_vec() }),
                );
            }
            Err(why) => self.set_aside(id, &why.to_string()),
        }
        self.closed.push(Closed { id, last: self.last, bytes: bytes.len() as u64 });
        Ok(Some(entries))
    }

    /// Writes entries, all with one fsync. Gives the first one's number; the others follow.
    /// After an error none of them counts, and their numbers are not used again.
    pub fn write(&mut self, payloads: &[Vec<u8>]) -> Result<u64, WalError> {
        let first = self.last + 1;
        let bytes = self.bytes();
        if bytes >= self.limit {
            return Err(WalError::Full { path: self.directory.clone(), bytes });
        }
        self.last += payloads.len() as u64;
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        let mut out = Vec::with_capacity(payloads.iter().map(|payload| payload.len() + 32).sum());
        for (number, payload) in (first..).zip(payloads) {
            segment::put(&mut out, current.salt, number, payload);
        }
        let written = current.file.write_all_at(&out, current.bytes).and_then(|()| current.file.sync_data());
        if let Err(error) = written {
            // What of it is on disk is not known: this segment ends where it was sound.
            if let Err(error) = current.file.set_len(current.bytes).and_then(|()| current.file.sync_data()) {
                tracing::warn!(%error, "a failed write to the write-ahead log can't be taken back");
            }
            let path = self.path(current.id);
            self.close(current);
            return Err(io("can't write", &path)(error));
        }
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
        let file = begin().map_err(io("can't begin", &path))?;
        Ok(Current { id, file, salt, bytes: segment::HEAD as u64, last: self.last })
    }

    fn close(&mut self, current: Current) {
        self.closed.push(Closed { id: current.id, last: current.last, bytes: current.bytes });
    }

    /// Keeps a copy of a damaged segment beside the damaged splits.
    fn set_aside(&self, id: u64, why: &str) {
        let (path, aside) = (self.path(id), path(&self.broken, id));
        let kept = match fs::hard_link(&path, &aside) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        };
        tracing::error!(segment = %path.display(), aside = %aside.display(), why, ?kept, "write-ahead log is damaged: entries of it are lost, a copy was set aside");
    }

    fn path(&self, id: u64) -> PathBuf {
        path(&self.directory, id)
    }
}

fn path(directory: &Path, id: u64) -> PathBuf {
    directory.join(format!("{id:012}.{ENDING}"))
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> WalError {
    let path = path.to_owned();
    move |source| WalError::Io { what, path, source }
}

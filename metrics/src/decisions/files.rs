//! The folder of decisions: its files' names, how they are read and sealed.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::Arc,
};

use tiphys_api::decisions::Decision;

use crate::append::Lines;

const OPEN: &str = ".jsonl";
const SEALED: &str = ".jsonl.zst";
/// What a file is called while it is written.
const PART: &str = ".part";
/// Text of one file at most; more is no file of ours.
const LONGEST: u64 = 1 << 30;

/// A file that is whole, and between which times its rows are.
#[derive(Debug, Clone)]
pub struct Sealed {
    pub path: PathBuf,
    pub number: u64,
    pub first: i64,
    pub last: i64,
    pub bytes: u64,
}

impl Sealed {
    fn named(path: PathBuf, bytes: u64) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(SEALED)?;
        let mut parts = name.splitn(3, '-');
        let mut next = || parts.next();
        let (number, first, last) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        Some(Self { path, number, first, last, bytes })
    }

    /// Whether it may have rows of a range of time, microseconds since the Unix epoch.
    pub fn touches(&self, range: &Range<i64>) -> bool {
        self.first < range.end && self.last >= range.start
    }

    /// Gives its lines to `each`, as they are unpacked, until that says that it is enough.
    ///
    /// # Errors
    /// It is damaged (`InvalidData`), gone, or the disk's; lines that were given don't count then.
    pub fn visit(&self, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let packed = fs::read(&self.path)?;
        let damaged = |error: io::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let decoder = zstd::Decoder::new(packed.as_slice()).map_err(damaged)?;
        let mut lines = BufReader::new(decoder.take(LONGEST));
        let mut line = Vec::new();
        loop {
            line.clear();
            let is_end = lines.read_until(b'\n', &mut line).map_err(damaged)? == 0;
            if is_end || each(line.strip_suffix(b"\n").unwrap_or(&line)).is_break() {
                return Ok(());
            }
        }
    }

    /// Sets it aside, so that it is asked no more.
    pub fn set_aside(&self, error: &io::Error) {
        let aside = self.path.with_extension("damaged");
        tracing::error!(path = %self.path.display(), aside = %aside.display(), %error, "a file of decisions is damaged and set aside");
        if let Err(error) = fs::rename(&self.path, &aside) {
            tracing::error!(path = %self.path.display(), %error, "the damaged file can't be renamed");
        }
    }
}

/// A file that is appended to.
pub struct Open {
    pub number: u64,
    pub lines: Lines,
}

impl Open {
    /// Appends rows, all of them or none.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, rows: &[Arc<Decision>]) -> io::Result<()> {
        let mut text = Vec::new();
        for row in rows {
            // Numbers and texts only: it can't fail, but one row must not keep back all others.
            if let Ok(line) = serde_json::to_vec(&**row) {
                text.extend(line);
                text.push(b'\n');
            }
        }
        self.lines.append(&text)
    }
}

pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// # Errors
    /// It can't be made.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    /// The sealed files, and the numbers of those that are appended to or wait to be sealed; both
    /// in order.
    ///
    /// # Errors
    /// The folder can't be read or written.
    pub fn list(&self) -> io::Result<(Vec<Sealed>, Vec<u64>)> {
        let (mut sealed, mut open) = (Vec::<Sealed>::new(), Vec::<u64>::new());
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(PART) {
                fs::remove_file(&path)?;
            } else if name.ends_with(SEALED) {
                sealed.extend(Sealed::named(path, entry.metadata()?.len()));
            } else if let Some(number) = name.strip_suffix(OPEN).and_then(|number| number.parse().ok()) {
                open.push(number);
            }
        }
        sealed.sort_unstable_by_key(|one| one.number);
        open.sort_unstable();
        // The process died after it had sealed them, and before they went.
        let is_sealed = |number: &u64| sealed.binary_search_by_key(number, |one| one.number).is_ok();
        let (gone, open) = open.into_iter().partition::<Vec<u64>, _>(is_sealed);
        gone.iter().try_for_each(|number| fs::remove_file(self.path_of(*number)))?;
        Ok((sealed, open))
    }

    fn path_of(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number}{OPEN}"))
    }

    /// The rows of a file that was appended to, and the file to go on with.
    ///
    /// # Errors
    /// The disk's.
    pub fn resume(&self, number: u64) -> io::Result<(Vec<Decision>, Open)> {
        let open = self.next(number)?;
        Ok((read(open.lines.path())?, open))
    }

    /// A file to append to.
    ///
    /// # Errors
    /// The disk's.
    pub fn next(&self, number: u64) -> io::Result<Open> {
        Ok(Open { number, lines: Lines::open(&self.path_of(number))? })
    }

    /// Makes a sealed file of one that was appended to, which goes. Nothing where that has no rows.
    ///
    /// # Errors
    /// The disk's; then the old file stays, and nothing of a new one.
    pub fn seal(&self, number: u64) -> io::Result<Option<Sealed>> {
        let path = self.path_of(number);
        let rows = read(&path)?;
        let times = rows.iter().map(|row| row.time);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            fs::remove_file(path)?;
            return Ok(None);
        };
        let name = format!("{number}-{first}-{last}{SEALED}");
        let (part, whole) = (self.path.join(format!("{name}{PART}")), self.path.join(name));
        let packed = pack(&part, &rows).and_then(|bytes| fs::rename(&part, &whole).map(|()| bytes));
        let bytes = packed.inspect_err(|_| {
            // It would take up what room there is.
            let _ = fs::remove_file(&part);
        })?;
        // It is sealed by now. Where that may not be durable the old file stays; the next start
        // removes it.
        if File::open(&self.path).and_then(|folder| folder.sync_all()).is_ok() {
            let _ = fs::remove_file(path);
        }
        Ok(Some(Sealed { path: whole, number, first, last, bytes }))
    }
}

/// Writes rows as a sealed file has them, and gives its size.
fn pack(path: &Path, rows: &[Decision]) -> io::Result<u64> {
    let mut encoder = zstd::Encoder::new(File::create(path)?, 3)?;
    encoder.include_checksum(true)?;
    for row in rows {
        serde_json::to_writer(&mut encoder, row)?;
        encoder.write_all(b"\n")?;
    }
    let file = encoder.finish()?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// The rows of a file that was appended to.
fn read(path: &Path) -> io::Result<Vec<Decision>> {
    let (rows, damaged) = parse(&fs::read(path)?);
    if damaged > 0 {
        tracing::warn!(path = %path.display(), damaged, "lines of decisions can't be read");
    }
    Ok(rows)
}

/// The rows of some text, and how many lines are none.
fn parse(text: &[u8]) -> (Vec<Decision>, usize) {
    let (mut rows, mut damaged) = (Vec::new(), 0);
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(decision) => rows.push(decision),
            Err(_) => damaged += 1,
        }
    }
    (rows, damaged)
}

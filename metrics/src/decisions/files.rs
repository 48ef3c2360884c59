//! The folder of decisions: its files' names, how they are read and sealed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use tiphys_api::decisions::Decision;

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

    /// Its rows.
    ///
    /// # Errors
    /// It is damaged, or gone.
    pub fn read(&self) -> io::Result<Vec<Decision>> {
        let mut text = Vec::new();
        zstd::Decoder::new(File::open(&self.path)?)?.take(LONGEST).read_to_end(&mut text)?;
        Ok(parse(&text).0)
    }
}

/// The file that is appended to.
pub struct Open {
    pub path: PathBuf,
    pub number: u64,
    pub file: File,
    /// Bytes that are whole lines.
    pub length: u64,
}

impl Open {
    /// Appends lines; what was written of them by half is cut off again.
    ///
    /// # Errors
    /// The disk's.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // If this fails too, the next start cuts it off.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
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

    /// The sealed files in order, and the number of the newest file of all. Files that were appended
    /// to and are not the newest are sealed first.
    ///
    /// # Errors
    /// The folder can't be read or written.
    pub fn list(&self) -> io::Result<(Vec<Sealed>, u64)> {
        let (mut sealed, mut open) = (Vec::new(), Vec::new());
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
                open.push((number, path));
            }
        }
        open.sort_unstable();
        let newest = open.last().map(|(number, _)| *number);
        for (number, path) in &open {
            let has_been = sealed.iter().any(|one: &Sealed| one.number == *number);
            if has_been {
                fs::remove_file(path)?;
            } else if Some(*number) != newest {
                sealed.extend(self.seal(*number, path)?);
            }
        }
        sealed.sort_unstable_by_key(|one| one.number);
        let last = sealed.last().map_or(0, |one| one.number + 1);
        Ok((sealed, newest.unwrap_or(last).max(last)))
    }

    /// The rows of an open file, and the file to go on with.
    ///
    /// # Errors
    /// The disk's.
    pub fn resume(&self, number: u64) -> io::Result<(Vec<Decision>, Open)> {
        let mut open = self.next(number)?;
        let text = fs::read(&open.path)?;
        let (rows, damaged) = parse(&text);
        if damaged > 0 {
            tracing::warn!(path = %open.path.display(), damaged, "lines of decisions can't be read");
        }
        open.length = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1) as u64;
        open.file.set_len(open.length)?;
        Ok((rows, open))
    }

    /// A file to append to.
    ///
    /// # Errors
    /// The disk's.
    pub fn next(&self, number: u64) -> io::Result<Open> {
        let path = self.path.join(format!("{number}{OPEN}"));
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        Ok(Open { path, number, file, length: 0 })
    }

    /// Makes a sealed file of one that was appended to, which goes. Nothing where that has no rows.
    ///
    /// # Errors
    /// The disk's; then the old file stays.
    pub fn seal(&self, number: u64, path: &Path) -> io::Result<Option<Sealed>> {
        let (rows, _) = parse(&fs::read(path)?);
        let times = rows.iter().map(|row| row.time);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else {
            fs::remove_file(path)?;
            return Ok(None);
        };
        let name = format!("{number}-{first}-{last}{SEALED}");
        let (part, whole) = (self.path.join(format!("{name}{PART}")), self.path.join(name));
        let mut encoder = zstd::Encoder::new(File::create(&part)?, 3)?;
        for row in &rows {
            serde_json::to_writer(&mut encoder, row)?;
            encoder.write_all(b"\n")?;
        }
        let file = encoder.finish()?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        fs::rename(&part, &whole)?;
        File::open(&self.path)?.sync_all()?;
        fs::remove_file(path)?;
        Ok(Some(Sealed { path: whole, number, first, last, bytes }))
    }
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

//! Files of spans: Parquet, each with the times of its first and last span in its name.
//!
//! What is asked for is looked for group by group ([`search`]): a file says of each group of rows
//! which traces, services and names it surely has not.

mod failing;
mod search;

use std::{
    error::Error,
    fs::{self, File},
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::span::{Span, batch, schema};
use crate::sql::ParquetFile;

pub use failing::Failing;
pub use search::{Search, SearchedRows};

/// Rows that are read at once, and of a group.
const ROWS: usize = 8192;
/// The columns by which one is looked for. Files of before have no filters of them.
const SEARCHED: [&str; 3] = ["trace_id", "service", "name"];
/// What a file ends in while it is written.
pub const HALF: &str = "half";

/// A file and the times of its spans, microseconds, the last one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanFile {
    pub path: PathBuf,
    pub first: i64,
    pub last: i64,
    /// Rises from file to file.
    pub number: u64,
}

impl SpanFile {
    fn of(path: &Path) -> Option<Self> {
        let (first, rest) = path.file_name()?.to_str()?.strip_suffix(".parquet")?.split_once('-')?;
        let (last, number) = rest.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        Some(Self { path: path.to_owned(), first, last, number: number.parse().ok()? })
    }

    pub fn meets(&self, range: &Range<i64>) -> bool {
        self.first < range.end && self.last >= range.start
    }

    /// # Errors
    /// It is gone, damaged, or can't be read now.
    pub fn read(&self) -> io::Result<ParquetRecordBatchReader> {
        let file = File::open(&self.path)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(io::Error::other)?;
        builder.with_batch_size(ROWS).build().map_err(io::Error::other)
    }

    /// What a search finds in it.
    ///
    /// # Errors
    /// It is gone, damaged, or can't be read now.
    pub fn search(&self, search: &Search) -> io::Result<SearchedRows> {
        SearchedRows::open(File::open(&self.path)?, search).map_err(io::Error::other)
    }

    /// What it means that it can't be read: a damaged file is set aside, so that it is asked no
    /// more, and a sound one is left where it is.
    pub fn failed(&self, error: &(dyn Error + 'static)) -> Failing {
        let failing = Failing::of(error);
        match failing {
            Failing::Damaged => self.set_aside(error),
            Failing::Unread => {
                tracing::warn!(path = %self.path.display(), %error, "a file of spans can't be read now");
            }
        }
        failing
    }

    fn set_aside(&self, error: &(dyn Error + 'static)) {
        let aside = self.path.with_extension("damaged");
        tracing::error!(path = %self.path.display(), aside = %aside.display(), %error, "a file of spans is damaged and set aside");
        if let Err(error) = fs::rename(&self.path, &aside) {
            tracing::error!(path = %self.path.display(), %error, "the damaged file can't be renamed");
        }
    }
}

/// The files of a folder, the oldest first.
///
/// # Errors
/// The folder can't be read.
pub fn list(folder: &Path) -> io::Result<Vec<SpanFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.extend(SpanFile::of(&entry?.path()));
    }
    files.sort_by_key(|file| (file.first, file.last));
    Ok(files)
}

/// Removes what a death left of files that were not finished.
///
/// # Errors
/// The disk's.
pub fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == HALF) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Writes spans as a file, whole or not at all. `number` makes its name its own.
///
/// # Errors
/// The disk's.
pub fn write(folder: &Path, spans: &[impl AsRef<Span>], number: u64) -> io::Result<()> {
    let times = || spans.iter().map(|span| span.as_ref().time);
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(()) };
    let mut file = ParquetFile::searched(schema(), ROWS, &SEARCHED).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    for part in spans.chunks(ROWS) {
        let rows = batch(part.iter().map(AsRef::as_ref)).map_err(io::Error::other)?;
        bytes.extend(file.write(&rows).map_err(io::Error::other)?);
    }
    bytes.extend(file.finish(&[]).map_err(io::Error::other)?);
    let path = folder.join(format!("{first}-{last}-{number}.parquet"));
    let half = path.with_extension(HALF);
    let written = File::create(&half).and_then(|mut out| {
        out.write_all(&bytes)?;
        out.sync_all()?;
        fs::rename(&half, &path)?;
        File::open(folder)?.sync_all()
    });
    written.inspect_err(|_| {
        // It would take up what room there is; and what isn't durable is written once more.
        for path in [&half, &path] {
            let _ = fs::remove_file(path);
        }
    })
}

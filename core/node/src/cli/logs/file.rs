//! `-o parquet`: records as a Parquet file with the columns of the SQL table `logs`, or counts with
//! columns of their own. What an answer lacks stands in the file's metadata, as in SQL's.
//! Its [`Target`] takes answers of other forms too.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use tiphys_logging::wire::LogRecord;
use tiphys_metrics::ParquetFile;

use crate::{
    failure::{Failure, OrNext, Outcome},
    log_table::{logs_schema, rows_of},
};

/// A file that takes its name when it is whole, or stdout. What didn't become whole is taken away.
pub struct Target {
    out: Box<dyn Write>,
    rename: Option<(PathBuf, PathBuf)>,
}

impl Target {
    /// # Errors
    /// Bytes for a terminal; a folder that can't be written to.
    pub fn open(path: Option<&Path>) -> Outcome<Self> {
        let Some(path) = path else {
            if io::stdout().is_terminal() {
                return Err(Failure::usage(
                    "a Parquet file is nothing for a terminal",
                    "name a file with --file logs.parquet, or send it there with >",
                ));
            }
            return Ok(Self { out: Box::new(io::stdout()), rename: None });
        };
        let part = part(path);
        let file = File::create(&part).or_next(format!("name another file than {}", path.display()))?;
        Ok(Self { out: Box::new(BufWriter::new(file)), rename: Some((part, path.to_owned())) })
    }

    /// # Errors
    /// A full disk.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// # Errors
    /// A full disk, a name that a folder has.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        if let Some((part, path)) = &self.rename {
            std::fs::rename(part, path)?;
        }
        self.rename = None;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.rename {
            // Why it failed is being told; the rest of it is of no use.
            let _ = std::fs::remove_file(part);
        }
    }
}

/// The name that a file has as long as it is not whole.
pub fn part(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

/// Writes counts as a file of these columns; gives the number of its rows.
///
/// # Errors
/// As [`Target::open`], or a full disk.
pub fn save(path: Option<&Path>, columns: Vec<(String, ArrayRef)>, notes: &[String]) -> Outcome<usize> {
    let mut target = Target::open(path)?;
    let nullable = columns.into_iter().map(|(name, values)| (name, values, true));
    let rows = RecordBatch::try_from_iter_with_nullable(nullable)?;
    let mut parquet = ParquetFile::new(rows.schema())?;
    target.write(&parquet.write(&rows)?)?;
    target.write(&parquet.finish(notes)?)?;
    target.finish()?;
    Ok(rows.num_rows())
}

/// Records on their way into a file.
pub struct Export {
    parquet: ParquetFile,
    target: Target,
    records: usize,
}

impl Export {
    /// # Errors
    /// As [`Target::open`].
    pub fn open(path: Option<&Path>) -> Outcome<Self> {
        Ok(Self { parquet: ParquetFile::new(logs_schema())?, target: Target::open(path)?, records: 0 })
    }

    /// # Errors
    /// A full disk.
    pub fn add(&mut self, records: &[LogRecord]) -> Outcome<()> {
        self.records += records.len();
        let bytes = self.parquet.write(&rows_of(records)?)?;
        Ok(self.target.write(&bytes)?)
    }

    /// How many records the file has; it says what the answer lacked.
    ///
    /// # Errors
    /// A full disk.
    pub fn finish(mut self, notes: &[String]) -> Outcome<usize> {
        let rest = self.parquet.finish(notes)?;
        self.target.write(&rest)?;
        self.target.finish()?;
        Ok(self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.parquet");
        let mut export = Export::open(Some(&path)).expect("opened");
        let record =
            LogRecord { time: "2026-01-31T12:00:00Z".into(), body: "one".into(), ..LogRecord::default() };
        export.add(&[record.clone(), record]).expect("added");
        assert!(!path.exists());
        let notes = ["n1 is missing from this answer: down".to_owned()];
        assert_eq!(export.finish(&notes).expect("finished"), 2);
        let bytes = std::fs::read(&path).expect("a file");
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        assert_eq!(tiphys_metrics::notes_of(&bytes), notes);
        let left: Vec<_> = folder.path().read_dir().expect("a folder").collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_did_not_become_whole_is_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.parquet");
        let left = || folder.path().read_dir().expect("a folder").count();
        let mut export = Export::open(Some(&path)).expect("opened");
        assert_eq!(left(), 1);
        let wrong = LogRecord { time: "never".into(), ..LogRecord::default() };
        assert!(export.add(&[wrong]).is_err());
        drop(export);
        assert_eq!(left(), 0);
        // A place that can't take the name.
        std::fs::create_dir_all(path.join("in")).expect("a folder");
        assert!(Export::open(Some(&path)).expect("opened").finish(&[]).is_err());
        assert_eq!(left(), 1);
    }
}

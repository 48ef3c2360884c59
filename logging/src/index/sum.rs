//! Sizes and checksums of a split's files: as they are written, and as they are found later.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use super::FileSum;

/// Sums up what goes through.
pub(super) struct Summed<W> {
    pub inner: W,
    pub size: u64,
    pub crc: crc32fast::Hasher,
}

impl<W> Summed<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, size: 0, crc: crc32fast::Hasher::new() }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file's size and CRC-32.
pub(super) fn file(path: &Path) -> io::Result<(u64, u32)> {
    let mut summed = Summed::new(io::sink());
    io::copy(&mut File::open(path)?, &mut summed)?;
    Ok((summed.size, summed.crc.finalize()))
}

/// The files of a directory, without those of others below it, by name.
pub(super) fn below(path: &Path, prefix: &str) -> io::Result<Vec<FileSum>> {
    let mut sums = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if let Some(name) =
            entry.file_name().to_str().filter(|_| entry.file_type().is_ok_and(|t| t.is_file()))
        {
            let (size, crc) = file(&entry.path())?;
            sums.push(FileSum { name: format!("{prefix}{name}"), size, crc });
        }
    }
    sums.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(sums)
}

/// All files of a split that lies in `path`.
pub(super) fn split(path: &Path) -> io::Result<Vec<FileSum>> {
    let mut sums = below(&path.join("words"), "words/")?;
    sums.extend(below(path, "")?);
    Ok(sums)
}

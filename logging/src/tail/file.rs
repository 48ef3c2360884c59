//! One log file and how far it was read.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
};

use super::{
    checkpoint::{FileCheckpoint, Fingerprint, Skipping},
    dir::Dir,
};
use crate::parse::{Format, Joined, Joiner, MAX_BODY};

/// Bytes that are read at once; of a line that doesn't fit, what comes later is handed on as it
/// is. The runtime's own pieces are 16 KiB.
pub const CHUNK: usize = MAX_BODY + 1024;

/// One file of a stream.
#[derive(Debug)]
pub struct LogFile {
    pub name: String,
    pub inode: u64,
    /// All bytes before it were handed on.
    pub offset: u64,
    /// What the xattr says.
    pub acked: Option<u64>,
    /// It may have more.
    pub dirty: bool,
    /// Deleted; what is left is read through the descriptor.
    pub gone: bool,
    /// How often it was looked for in vain.
    pub missing: u8,
    file: Option<File>,
    fingerprint: Fingerprint,
    /// Known once something of the file was read.
    format: Option<Format>,
    /// A part's own log, not a container's.
    is_plain: bool,
    skipping: Option<Skipping>,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more at once.
    More,
    /// Up to the end, or to a line that is not finished.
    End,
}

impl LogFile {
    /// A file seen for the first time, or again after a restart.
    pub fn new(name: String, inode: u64, checkpoint: Option<FileCheckpoint>) -> Self {
        let (offset, fingerprint, skipping) = match checkpoint {
            Some(known) => (known.offset, known.fingerprint, known.skipping),
            None => (0, Fingerprint::default(), None),
        };
        Self {
            name,
            inode,
            offset,
            acked: None,
            dirty: true,
            gone: false,
            missing: 0,
            file: None,
            fingerprint,
            format: None,
            is_plain: false,
            skipping,
        }
    }

    /// A log whose lines are as they were written.
    pub fn plain(self) -> Self {
        Self { is_plain: true, ..self }
    }

    pub fn checkpoint(&self) -> FileCheckpoint {
        FileCheckpoint {
            inode: self.inode,
            name: self.name.clone(),
            offset: self.offset,
            fingerprint: self.fingerprint,
            skipping: self.skipping,
        }
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Known to have no name any more; only an open file can tell.
    pub fn is_unlinked(&self) -> bool {
        self.file.as_ref().and_then(|file| file.metadata().ok()).is_some_and(|metadata| metadata.nlink() == 0)
    }

    /// Whether the file says already that so much of it was committed.
    pub fn is_acknowledged(&self, committed: &FileCheckpoint) -> bool {
        self.acked == Some(committed.offset)
    }

    /// Writes the acknowledgement of what was committed. Nothing is lost where the file
    /// system has no xattrs: the kubelet then waits its time.
    pub fn acknowledge(&mut self, directory: &Dir, committed: &FileCheckpoint) -> io::Result<()> {
        use xattr::FileExt;
        let offset = committed.offset;
        let was_open = self.is_open();
        let result = self.open(directory).and_then(|file| {
            // Never on another file that has got the inode since, maybe before anything of it was read:
            // its text would be thought indexed. So what was committed tells which file it was.
            if !committed.fingerprint.fits(file) {
                return Err(io::Error::new(io::ErrorKind::NotFound, "another file has the inode now"));
            }
            file.set_xattr(super::ACKED, offset.to_string().as_bytes())
        });
        if !was_open {
            self.close();
        }
        result.map(|()| self.acked = Some(offset))
    }

    /// Bytes that are still to be read, as far as an open file tells.
    pub fn unread(&self) -> u64 {
        let size =
            self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
        size.saturating_sub(self.offset)
    }

    /// Lets the descriptor go; a later read opens it again.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Opens the file now, so that it can be read even when it is deleted.
    pub fn open(&mut self, directory: &Dir) -> io::Result<&File> {
        if self.file.is_none() {
            let file = directory.file(&self.name)?;
            if file.metadata()?.ino() != self.inode {
                return Err(io::Error::new(io::ErrorKind::NotFound, "another file has the name now"));
            }
            self.file = Some(file);
        }
        self.file.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Reads up to [`CHUNK`] bytes of an open file and hands on the lines that are complete.
    pub fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        joiner: &mut Joiner,
        found: &mut impl FnMut(Joined),
    ) -> io::Result<Progress> {
        let Some(file) = &self.file else { return Ok(Progress::End) };
        if file.metadata()?.len() < self.offset || !self.fingerprint.fits(file) {
            tracing::info!(file = %self.name, offset = self.offset, "log file was truncated, it is read from its begin");
            (self.offset, self.fingerprint, self.skipping) = (0, Fingerprint::default(), None);
            (self.acked, self.format) = (None, None);
            take_back(file, &self.name);
        }
        buffer.resize(CHUNK, 0);
        let length = file.read_at(buffer, self.offset)?;
        let format = self.format()?;
        let used = self.lines(&buffer[..length], format, joiner, found);
        self.advance(used)?;
        Ok(if length == CHUNK { Progress::More } else { Progress::End })
    }

    /// The rest of a file that gets no more, as a line even if its end is missing.
    pub fn read_torn_line(
        &mut self,
        buffer: &mut Vec<u8>,
        joiner: &mut Joiner,
        found: &mut impl FnMut(Joined),
    ) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        buffer.resize(CHUNK, 0);
        let length = file.read_at(buffer, self.offset)?;
        let rest = &buffer[..length];
        if let Some(inside) = self.skipping.take() {
            joiner.extend(inside.source(), None, rest).into_iter().for_each(&mut *found);
            if inside.full {
                joiner.finish(inside.source()).into_iter().for_each(found);
            }
        } else if !rest.is_empty() {
            joiner.push(self.format()?.piece(rest)).into_iter().for_each(found);
        }
        self.advance(length)
    }

    /// Told by the first byte, also when reading goes on in the midst of the file.
    fn format(&mut self) -> io::Result<Format> {
        if self.is_plain {
            return Ok(Format::Plain { now: crate::time::now() });
        }
        if let (None, Some(file)) = (self.format, &self.file) {
            let mut first = [0];
            let read = file.read_at(&mut first, 0)?;
            self.format = (read > 0).then(|| Format::of(first[0]));
        }
        Ok(self.format.unwrap_or(Format::Cri))
    }

    fn advance(&mut self, bytes: usize) -> io::Result<()> {
        self.offset += bytes as u64;
        if bytes > 0
            && !self.fingerprint.is_complete()
            && let Some(file) = &self.file
        {
            self.fingerprint = Fingerprint::of(file, self.offset)?;
        }
        Ok(())
    }

    /// Gives how many bytes are done with.
    fn lines(
        &mut self,
        data: &[u8],
        format: Format,
        joiner: &mut Joiner,
        found: &mut impl FnMut(Joined),
    ) -> usize {
        let mut at = 0;
        if let Some(inside) = self.skipping {
            let end = line_end(data);
            let text = &data[..end.unwrap_or(data.len())];
            joiner.extend(inside.source(), None, text).into_iter().for_each(&mut *found);
            let Some(end) = end else { return data.len() };
            if inside.full {
                joiner.finish(inside.source()).into_iter().for_each(&mut *found);
            }
            self.skipping = None;
            at = end + 1;
        }
        while let Some(length) = line_end(&data[at..]) {
            joiner.push(format.piece(&data[at..at + length])).into_iter().for_each(&mut *found);
            at += length + 1;
        }
        if at == 0 && data.len() == CHUNK {
            // A line that doesn't fit: its text goes on with the next bytes.
            let piece = format.piece(data);
            joiner.extend(piece.source, piece.time, &piece.text).into_iter().for_each(&mut *found);
            self.skipping = Some(Skipping::new(piece.source, piece.tag));
            at = data.len();
        }
        at
    }
}

/// Takes the acknowledgement off a file that has another text now: of the same size, it would look
/// indexed before it is read.
fn take_back(file: &File, name: &str) {
    use xattr::FileExt;
    if let Err(error) = file.remove_xattr(super::ACKED)
        && error.raw_os_error() != Some(nix::libc::ENODATA)
    {
        tracing::debug!(file = %name, %error, "acknowledgement of a truncated log file can't be taken back");
    }
}

fn line_end(data: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', data)
}

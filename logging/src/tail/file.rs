//! One log file and how far it was read; also one that was compressed ([`super::packed`]),
//! and one that is a copy of another ([`copied`]).

mod copied;

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
};

use super::{
    checkpoint::{FileCheckpoint, Fingerprint, NO_INODE, Skipping},
    dir::{Dir, Entry},
    name,
    packed::{Begin, Unpacked, Unpacking},
    room::{OpenFile, Room},
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
    /// All bytes before it were handed on; of a compressed file, bytes of its text.
    pub offset: u64,
    /// What the xattr says.
    pub acked: Option<u64>,
    /// It may have more.
    pub dirty: bool,
    /// Deleted; what is left is read through the descriptor.
    pub gone: bool,
    /// How often it was looked for in vain.
    pub missing: u8,
    /// It couldn't be opened and is not read before the next look at its folder.
    pub waits: bool,
    file: Option<OpenFile>,
    fingerprint: Fingerprint,
    /// Of the last bytes that were handed on, if those are kept in mind.
    end: Fingerprint,
    keeps_end: bool,
    /// The inode of the file that it is a copy of. As long as it is one, it isn't read.
    copy_of: Option<u64>,
    /// Known once something of the file was read.
    format: Option<Format>,
    /// A part's own log, not a container's.
    is_plain: bool,
    skipping: Option<Skipping>,
    packed: Option<Packed>,
}

/// What there is to know of a compressed file.
#[derive(Debug)]
struct Packed {
    /// All of it was handed on, and it gets no more.
    is_done: bool,
    /// Open is the file that it was made of: deleted, and easier to read.
    has_original: bool,
    unpacking: Option<Box<Unpacking>>,
    /// Why it can't be read to its end; told once.
    damage: Option<io::Error>,
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
        let (offset, fingerprint, end, skipping) = match checkpoint {
            Some(known) => (known.offset, known.fingerprint, known.end, known.skipping),
            None => (0, Fingerprint::default(), Fingerprint::default(), None),
        };
        Self {
            name,
            inode,
            offset,
            acked: None,
            dirty: true,
            gone: false,
            missing: 0,
            waits: false,
            file: None,
            fingerprint,
            end,
            keeps_end: false,
            copy_of: None,
            format: None,
            is_plain: false,
            skipping,
            packed: None,
        }
    }

    /// A compressed file, held open if there is room, of which so much was read.
    pub fn compressed(
        entry: &Entry,
        file: Option<OpenFile>,
        begin: &Begin,
        checkpoint: Option<FileCheckpoint>,
    ) -> Self {
        let mut log = Self::new(entry.name.clone(), entry.inode, checkpoint);
        log.become_compressed(entry, file, begin);
        log
    }

    /// This file's text is in a compressed one now, by whose name it is known from here on.
    pub fn become_compressed(&mut self, entry: &Entry, file: Option<OpenFile>, begin: &Begin) {
        (self.name, self.inode) = (entry.name.clone(), entry.inode);
        (self.gone, self.missing, self.acked) = (false, 0, None);
        (self.fingerprint, self.format) = (begin.fingerprint(), begin.format());
        // It gets no other text.
        (self.end, self.keeps_end) = (Fingerprint::default(), false);
        let (is_done, has_original) = (begin.ends_at(self.offset), self.file.is_some());
        if !is_done && !has_original {
            self.file = file;
        }
        self.dirty = !is_done;
        self.packed = Some(Packed { is_done, has_original, unpacking: None, damage: None });
    }

    /// Whether a compressed file has another name now, as docker gives it.
    pub fn was_renamed(&self, entry: &Entry, begin: &Begin) -> bool {
        self.packed.is_some() && self.inode == entry.inode && self.fingerprint == begin.fingerprint()
    }

    /// Nothing of a compressed file is to be read.
    pub fn pass_over(&mut self, begin: &Begin) {
        self.offset = begin.length();
        self.end();
        self.close();
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
            end: self.end,
            skipping: self.skipping,
        }
    }

    /// What was read of a text that may be in another file now.
    pub fn former(&self) -> FileCheckpoint {
        FileCheckpoint { inode: NO_INODE, ..self.checkpoint() }
    }

    /// Whether it is what a listing has there. No compressed file was what it is before it was
    /// written, whatever inode it got; where it was renamed, its text must tell.
    pub fn is(&self, entry: &Entry) -> bool {
        let is_same = self.inode == entry.inode;
        match &self.packed {
            Some(_) => is_same && self.name == entry.name,
            None => is_same && name::original(&entry.name).is_none(),
        }
    }

    /// Whether this is the file that a compressed one was made of. A listing may have its inode
    /// all the same, which another file got. Names tell where they stay (`named`).
    pub fn is_original_of(&self, entry: &Entry, begin: &Begin, is_listed: bool, named: bool) -> bool {
        match &self.file {
            _ if self.packed.is_some() => false,
            // Nobody else can get its inode: it is there.
            Some(_) if is_listed => false,
            Some(file) if self.offset == 0 => {
                (named && name::original(&entry.name) == Some(self.name.as_str()))
                    || begin.is_all_of(file).unwrap_or(false)
            }
            _ => begin.is_of(self.fingerprint),
        }
    }

    pub fn is_compressed(&self) -> bool {
        self.packed.is_some()
    }

    /// A compressed file that was read to its end.
    pub fn is_done(&self) -> bool {
        self.packed.as_ref().is_some_and(|packed| packed.is_done)
    }

    /// Whether it is being unpacked, which takes memory.
    pub fn is_unpacking(&self) -> bool {
        self.packed.as_ref().is_some_and(|packed| packed.unpacking.is_some())
    }

    /// Whether the next read begins to unpack it.
    pub fn is_to_unpack(&self) -> bool {
        let Some(packed) = &self.packed else { return false };
        !packed.is_done && !packed.has_original && packed.unpacking.is_none()
    }

    /// Why a compressed file was read no further, once.
    pub fn take_damage(&mut self) -> Option<io::Error> {
        self.packed.as_mut()?.damage.take()
    }

    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Known to have no name any more; only an open file can tell.
    pub fn is_unlinked(&self) -> bool {
        self.file.as_ref().and_then(|file| file.metadata().ok()).is_some_and(|metadata| metadata.nlink() == 0)
    }

    /// Whether it is open for nothing but what may come.
    pub fn is_idle(&self) -> bool {
        self.is_open() && !self.dirty && !self.gone && !self.is_copy() && self.unread() == 0
    }

    /// Whether it is one that may be waited for: of compressed ones the text was rotated before, and
    /// that of a copy is in the other file.
    pub fn may_be_acknowledged(&self) -> bool {
        !self.gone && self.missing == 0 && self.packed.is_none() && !self.is_copy()
    }

    /// Whether the file says already that so much of it was committed.
    pub fn is_acknowledged(&self, committed: &FileCheckpoint) -> bool {
        self.acked == Some(committed.offset)
    }

    /// Writes the acknowledgement of what was committed. Nothing is lost where the file
    /// system has no xattrs: the kubelet then waits its time.
    pub fn acknowledge(
        &mut self,
        directory: &Dir,
        room: &Room,
        committed: &FileCheckpoint,
    ) -> io::Result<()> {
        use xattr::FileExt;
        let offset = committed.offset;
        let was_open = self.is_open();
        let result = self.open(directory, room).and_then(|file| {
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

    /// Bytes of an open file.
    fn size(&self) -> u64 {
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len())
    }

    /// Bytes that are still to be read, as far as an open file tells; of a compressed one all
    /// that it takes on the disk.
    pub fn unread(&self) -> u64 {
        let size = self.size();
        match &self.packed {
            _ if self.is_copy() => 0,
            Some(packed) if packed.is_done => 0,
            Some(packed) if !packed.has_original => size,
            _ => size.saturating_sub(self.offset),
        }
    }

    /// Lets the descriptor go; a later read opens it again.
    pub fn close(&mut self) {
        self.file = None;
        if let Some(packed) = &mut self.packed {
            (packed.has_original, packed.unpacking) = (false, None);
        }
    }

    /// Opens the file now, so that it can be read even when it is deleted.
    pub fn open(&mut self, directory: &Dir, room: &Room) -> io::Result<&File> {
        if self.file.is_none() {
            let file = directory.file(&self.name)?;
            if file.metadata()?.ino() != self.inode {
                return Err(io::Error::new(io::ErrorKind::NotFound, "another file has the name now"));
            }
            self.file = Some(room.take(file));
        }
        self.file.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Reads up to [`CHUNK`] bytes of an open file and hands on the lines that are complete.
    pub fn read(
        &mut self,
        buffer: &mut Vec<u8>,
        joiner: &mut Joiner,
        found: &mut impl FnMut(Joined),
    ) -> io::Result<Progress> {
        if self.packed.as_ref().is_some_and(|packed| !packed.has_original) {
            return self.unpack(buffer, joiner, found);
        }
        let Some(file) = &self.file else { return Ok(Progress::End) };
        buffer.resize(CHUNK, 0);
        let length = file.read_at(buffer, self.offset)?;
        let format = self.format()?;
        let used = self.lines(&buffer[..length], format, joiner, found);
        self.advance(used)?;
        Ok(if length == CHUNK { Progress::More } else { Progress::End })
    }

    /// Reads a chunk of a compressed file's text.
    fn unpack(
        &mut self,
        buffer: &mut Vec<u8>,
        joiner: &mut Joiner,
        found: &mut impl FnMut(Joined),
    ) -> io::Result<Progress> {
        let (Some(file), Some(packed)) = (&self.file, &mut self.packed) else { return Ok(Progress::End) };
        if packed.is_done {
            return Ok(Progress::End);
        }
        let mut unpacking = match packed.unpacking.take() {
            Some(unpacking) => unpacking,
            None => Box::new(Unpacking::new(file)?),
        };
        let unpacked = if unpacking.at() < self.offset {
            unpacking.skip_to(self.offset, buffer)
        } else {
            let unpacked = unpacking.read(buffer);
            // Its first byte is not that of the text.
            let format = if self.is_plain { self.format()? } else { self.format.unwrap_or(Format::Cri) };
            let used = self.lines(buffer, format, joiner, found);
            self.offset += used as u64;
            unpacking.keep(&buffer[used..]);
            unpacked
        };
        // An error of the disk says nothing of the bytes: unpacking begins anew at the offset.
        if let Unpacked::Damaged(error) = &unpacked
            && error.raw_os_error().is_some()
        {
            return Err(super::again::copy(error));
        }
        let (progress, damage) = match unpacked {
            Unpacked::More => (Progress::More, None),
            Unpacked::End => (Progress::End, None),
            Unpacked::Damaged(error) => (Progress::End, Some(error)),
        };
        if let Some(packed) = &mut self.packed {
            (packed.unpacking, packed.damage) = (Some(unpacking), damage);
        }
        Ok(progress)
    }

    /// The rest of a file that gets no more, as a line even if its end is missing.
    pub fn read_torn_line(
        &mut self,
        buffer: &mut Vec<u8>,
        joiner: &mut Joiner,
        found: &mut impl FnMut(Joined),
    ) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        match self.packed.as_mut().filter(|packed| !packed.has_original) {
            Some(packed) => {
                buffer.clear();
                packed.unpacking.iter_mut().for_each(|unpacking| unpacking.take_rest(buffer));
            }
            None => {
                buffer.resize(CHUNK, 0);
                let length = file.read_at(buffer, self.offset)?;
                buffer.truncate(length);
            }
        }
        let rest = buffer.as_slice();
        if let Some(inside) = self.skipping.take() {
            joiner.extend(inside.source(), None, rest).into_iter().for_each(&mut *found);
            if inside.full {
                joiner.finish(inside.source()).into_iter().for_each(found);
            }
        } else if !rest.is_empty() {
            joiner.push(self.format()?.piece(rest)).into_iter().for_each(found);
        }
        self.advance(rest.len())?;
        self.end();
        Ok(())
    }

    /// A compressed file has no more.
    fn end(&mut self) {
        if let Some(packed) = &mut self.packed {
            (packed.is_done, packed.unpacking) = (true, None);
            self.dirty = false;
        }
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
        let Some(file) = self.file.as_deref().filter(|_| bytes > 0 && self.packed.is_none()) else {
            return Ok(());
        };
        if self.keeps_end {
            // Of a file that was emptied meanwhile only the begin is known.
            self.end = Fingerprint::before(file, self.offset).unwrap_or_default();
        }
        if !self.fingerprint.is_complete() {
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

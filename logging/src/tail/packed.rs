//! Files that a kubelet has compressed: `0.log.<time>.gz` has the text of `0.log.<time>`; those
//! that docker has: `<id>-json.log.1.gz` has that of `<id>-json.log.1`; and those that logrotate has of
//! a part of the node: `kern.log.2.gz`, `kern.log-20260131.gz`.
//!
//! It is another file, so its inode says nothing about what was read before; the begin of its
//! text does ([`Begin`]), which is that of the file it was made of. A kubelet writes it under
//! another name, gives it this one when it is whole, and only then removes the other file: a
//! `.gz` gets no more, and at each moment one of the two is there. Docker and logrotate write it under
//! its own name, which is as good: what is not whole stands beside the other file, and isn't looked at.
//! With each rotation they give it a new name, whose number is its age.
//!
//! A begin that can't be read now, because of the disk or because somebody writes the file with nothing
//! beside it, is none: which text the file has isn't known, so it waits ([`Begin::of`]).
//!
//! It is unpacked while it is read, a chunk at a time ([`Unpacking`]); neither a file that
//! grows a thousandfold nor one without line ends takes more memory than another. Where
//! reading stands is counted in bytes of the text. To go on there, what is before is unpacked again.

use std::{
    fs::File,
    io::{self, Read, Seek},
    os::unix::fs::FileExt,
    time::{Duration, SystemTime},
};

use flate2::read::MultiGzDecoder;

use super::{
    checkpoint::{FINGERPRINT, Fingerprint},
    file::CHUNK,
};
use crate::parse::Format;

/// What is unpacked in one step. Of a damaged file the last step is lost.
const STEP: usize = 4 << 10;
/// What is unpacked in one turn on the way to where reading goes on.
const SKIPPED: u64 = 4 << 20;
/// A file without any text has so many bytes.
const SHORTEST: u64 = 18;
/// What each begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A file that breaks off gets no more when nobody has written to it for so long.
const SETTLED: Duration = Duration::from_secs(60);

/// What tells which text a compressed file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// As much of the text as a fingerprint is made of, or all there is.
    text: Vec<u8>,
    /// Bytes of all of it, modulo 2^32, as the file's end says.
    length: u32,
}

impl Begin {
    /// Of a damaged file it is what can be read.
    ///
    /// # Errors
    ///
    /// What the disk says; and `UnexpectedEof` if the file breaks off there and may be being written.
    pub fn of(file: &File) -> io::Result<Self> {
        let mut text = Vec::new();
        match Unpacking::new(file)?.fill(&mut text, FINGERPRINT as usize) {
            Unpacked::Damaged(error) if error.raw_os_error().is_some() => return Err(error),
            Unpacked::Damaged(error) if error.kind() == io::ErrorKind::UnexpectedEof && may_grow(file)? => {
                let why = "it breaks off in its first lines, as while it is being written";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
            Unpacked::More | Unpacked::End | Unpacked::Damaged(_) => {}
        }
        let size = file.metadata()?.len();
        let mut length = [0; 4];
        if size >= SHORTEST {
            file.read_exact_at(&mut length, size - 4)?;
        }
        Ok(Self { text, length: u32::from_le_bytes(length) })
    }

    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_text(&self.text)
    }

    /// Whether the text is that of a file of which this was read.
    pub fn is_of(&self, read: Fingerprint) -> bool {
        read.begins(&self.text)
    }

    /// Whether the text is that of a file, nothing of which was read.
    pub fn is_all_of(&self, original: &File) -> io::Result<bool> {
        let size = original.metadata()?.len();
        Ok(size as u32 == self.length && Fingerprint::of(original, size)? == self.fingerprint())
    }

    /// Whether the text surely ends there. Of a file of several members it can't be told.
    pub fn ends_at(&self, offset: u64) -> bool {
        offset > 0 && offset as u32 == self.length
    }

    /// Bytes of the text, as the file says.
    pub fn length(&self) -> u64 {
        u64::from(self.length)
    }

    /// The text's format, if there is any.
    pub fn format(&self) -> Option<Format> {
        self.text.first().map(|first| Format::of(*first))
    }

    /// The time of the first line.
    pub fn time(&self) -> Option<i64> {
        self.time_in(self.format()?)
    }

    /// The same of a text whose format is known otherwise.
    pub fn time_in(&self, format: Format) -> Option<i64> {
        let line = self.text.split(|byte| *byte == b'\n').next()?;
        format.piece(line).time
    }
}

/// Whether a file that breaks off may be one that isn't written to its end yet.
fn may_grow(file: &File) -> io::Result<bool> {
    let mut first = [0; MAGIC.len()];
    let length = file.read_at(&mut first, 0)?;
    let is_fresh = is_fresh(file.metadata()?.modified()?, SystemTime::now());
    Ok(is_fresh && MAGIC.starts_with(&first[..length]))
}

/// Whatever the clock did meanwhile.
fn is_fresh(written: SystemTime, now: SystemTime) -> bool {
    now.duration_since(written).unwrap_or_else(|error| error.duration()) < SETTLED
}

/// Whether an earlier version is done with a compressed file that it didn't name. It read none;
/// but what is older than its newest line it had read before it was compressed, or never.
pub fn is_passed(first: Option<i64>, newest: Option<i64>) -> bool {
    first.zip(newest).is_some_and(|(first, newest)| first <= newest)
}

/// Whether it surely begins behind the newest line that was read.
pub fn is_newer(first: Option<i64>, newest: Option<i64>) -> bool {
    first.is_some_and(|first| newest.is_none_or(|newest| first > newest))
}

/// How unpacking went.
#[derive(Debug)]
pub enum Unpacked {
    /// As far as was asked for.
    More,
    /// To the end of the text.
    End,
    /// To where the file can't be read any further.
    Damaged(io::Error),
}

/// A compressed file that is being read.
#[derive(Debug)]
pub struct Unpacking {
    decoder: MultiGzDecoder<File>,
    /// Bytes of the text that were unpacked.
    at: u64,
    /// Those of them that are not handed on: the begin of a line.
    rest: Vec<u8>,
}

impl Unpacking {
    /// From the begin.
    pub fn new(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        Ok(Self { decoder: MultiGzDecoder::new(file), at: 0, rest: Vec::new() })
    }

    /// Bytes of the text that were unpacked.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// A step on the way to this place, with nothing handed on.
    pub fn skip_to(&mut self, offset: u64, buffer: &mut Vec<u8>) -> Unpacked {
        let end = offset.min(self.at + SKIPPED);
        while self.at < end {
            buffer.clear();
            match self.fill(buffer, CHUNK.min((end - self.at) as usize)) {
                Unpacked::More => {}
                ended => return ended,
            }
        }
        Unpacked::More
    }

    /// The next chunk: what was kept, and what comes behind it.
    pub fn read(&mut self, buffer: &mut Vec<u8>) -> Unpacked {
        self.take_rest(buffer);
        self.fill(buffer, CHUNK)
    }

    /// Keeps what of a chunk is not handed on.
    pub fn keep(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }

    /// What was kept, and nothing else.
    pub fn take_rest(&mut self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.append(&mut self.rest);
    }

    /// Unpacks until there are so many bytes.
    fn fill(&mut self, buffer: &mut Vec<u8>, full: usize) -> Unpacked {
        while buffer.len() < full {
            let from = buffer.len();
            buffer.resize(full.min(from + STEP), 0);
            let read = self.decoder.read(&mut buffer[from..]);
            buffer.truncate(from + read.as_ref().map_or(0, |length| *length));
            match read {
                Ok(0) => return Unpacked::End,
                Ok(length) => self.at += length as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Unpacked::Damaged(error),
            }
        }
        Unpacked::More
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    }

    /// Written a while ago.
    fn file(bytes: &[u8]) -> File {
        let file = fresh(bytes);
        file.set_modified(SystemTime::now() - 2 * SETTLED).expect("changed");
        file
    }

    fn fresh(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(bytes).expect("written");
        file
    }

    fn begin(bytes: &[u8]) -> Begin {
        Begin::of(&file(bytes)).expect("read")
    }

    /// The text, by turns, and whether the file was whole.
    fn unpack(bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut unpacking = Unpacking::new(&file(bytes)).expect("open");
        let (mut text, mut buffer) = (Vec::new(), Vec::new());
        loop {
            let unpacked = unpacking.read(&mut buffer);
            assert!(buffer.len() <= CHUNK, "memory is bounded");
            text.append(&mut buffer);
            match unpacked {
                Unpacked::More => {}
                Unpacked::End => return (text, true),
                Unpacked::Damaged(_) => return (text, false),
            }
        }
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn a_text_is_known_by_its_begin_and_its_end_by_its_length() {
        let text = noise(1000);
        let known = begin(&gzip(&text));
        for read in [1, 255, 256, 1000] {
            assert!(known.is_of(Fingerprint::of(&file(&text), read).expect("read")), "{read}");
        }
        assert!(!known.is_of(Fingerprint::default()), "nothing was read");
        assert!(!known.is_of(Fingerprint::of_text(&text[1..])));
        assert!(known.ends_at(1000) && !known.ends_at(999) && !known.ends_at(0));
        assert!(known.is_all_of(&file(&text)).expect("read"));
        assert!(!known.is_all_of(&file(&text[..999])).expect("read"), "it has more");
        // Of a short text, more can't have been read.
        assert!(!begin(&gzip(&text[..100])).is_of(Fingerprint::of_text(&text)));
        let whole = gzip(&text);
        let damaged: [&[u8]; 3] = [b"", b"no gzip", &whole[..9]];
        for damaged in damaged {
            let none = begin(damaged);
            assert_eq!((none.length(), none.format(), none.time()), (0, None, None), "{damaged:?}");
        }
    }

    #[test]
    fn a_begin_that_is_not_there_yet_is_none() {
        let kind = |file: &File| Begin::of(file).map_err(|error| error.kind());
        let (unfinished, noise) = (Err(io::ErrorKind::UnexpectedEof), noise(1000));
        let (whole, short) = (gzip(&noise), gzip(b"short"));
        for length in [0, 1, 2, 9, 10, 30] {
            assert_eq!(kind(&fresh(&whole[..length])), unfinished, "{length}");
            assert!(Begin::of(&file(&whole[..length])).is_ok(), "{length}: it stays so");
        }
        assert_eq!(kind(&fresh(&short[..short.len() - 1])), unfinished);
        // Nothing is to be waited for.
        assert_eq!(kind(&fresh(&short)), Ok(begin(&short)));
        assert_eq!(kind(&fresh(&whole[..whole.len() - 1])), Ok(begin(&whole[..whole.len() - 1])));
        let others: [&[u8]; 3] = [b"n", b"no gzip", b"no gzip at all, but long enough"];
        for other in others {
            assert_eq!(kind(&fresh(other)), Ok(begin(other)), "{other:?}");
        }
        // What the disk says: here, that this descriptor gives nothing.
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.gz");
        std::fs::write(&path, &whole).expect("written");
        let closed = File::options().write(true).open(path).expect("open");
        closed.set_modified(SystemTime::now() - 2 * SETTLED).expect("changed");
        let error = Begin::of(&closed).expect_err("nothing can be read");
        assert_eq!(error.raw_os_error(), Some(nix::libc::EBADF));
    }

    #[test]
    fn a_file_is_fresh_on_either_side_of_now() {
        let (now, second) = (SystemTime::UNIX_EPOCH + 10 * SETTLED, Duration::from_secs(1));
        for written in [now, now - SETTLED + second, now + SETTLED - second] {
            assert!(is_fresh(written, now), "{written:?}");
        }
        for written in [now - SETTLED, now + SETTLED] {
            assert!(!is_fresh(written, now), "{written:?}");
        }
    }

    #[test]
    fn what_an_earlier_version_is_done_with() {
        let line = b"1970-01-01T00:00:00.000000007Z stdout F a\n";
        let first = begin(&gzip(&line.repeat(9))).time();
        assert_eq!(first, Some(7));
        assert_eq!(begin(&gzip(b"no time\n")).time(), None);
        let plain = Format::Plain { now: 0 };
        assert_eq!(begin(&gzip(b"1970-01-01T00:00:00.000000009Z a\n")).time_in(plain), Some(9));
        assert_eq!(begin(&gzip(b"no time\n")).time_in(plain), None);
        for (newest, expected) in [(Some(6), false), (Some(7), true), (Some(8), true), (None, false)] {
            assert_eq!(is_passed(first, newest), expected, "{newest:?}");
        }
        assert!(!is_passed(None, Some(8)));
        for (newest, expected) in [(Some(6), true), (Some(7), false), (None, true)] {
            assert_eq!(is_newer(first, newest), expected, "{newest:?}");
        }
        assert!(!is_newer(None, Some(8)) && !is_newer(None, None));
    }

    #[test]
    fn a_text_is_unpacked_in_chunks_however_far_it_grows() {
        for text in [noise(3 * CHUNK + 5), vec![b'x'; 16 << 20], noise(CHUNK), Vec::new()] {
            let packed = gzip(&text);
            assert!(unpack(&packed) == (text.clone(), true), "{} bytes", text.len());
            // Of several members, too.
            let twice = packed.repeat(2);
            assert!(unpack(&twice) == (text.repeat(2), true), "twice {} bytes", text.len());
        }
    }

    #[test]
    fn what_is_kept_comes_first_in_the_next_chunk() {
        let text = noise(2 * CHUNK);
        let mut unpacking = Unpacking::new(&file(&gzip(&text))).expect("open");
        let mut buffer = Vec::new();
        assert!(matches!(unpacking.read(&mut buffer), Unpacked::More));
        unpacking.keep(&buffer[CHUNK - 7..]);
        assert!(matches!(unpacking.read(&mut buffer), Unpacked::More));
        assert!(buffer == text[CHUNK - 7..2 * CHUNK - 7]);
        unpacking.keep(&buffer[CHUNK - 3..]);
        unpacking.take_rest(&mut buffer);
        assert!(buffer == text[2 * CHUNK - 10..2 * CHUNK - 7]);
    }

    #[test]
    fn reading_goes_on_at_a_place_in_the_text() {
        let text = noise(SKIPPED as usize + CHUNK);
        let mut unpacking = Unpacking::new(&file(&gzip(&text))).expect("open");
        let (mut buffer, place) = (Vec::new(), SKIPPED + 9);
        assert!(matches!(unpacking.skip_to(place, &mut buffer), Unpacked::More));
        assert_eq!(unpacking.at(), SKIPPED, "a turn takes no longer");
        assert!(matches!(unpacking.skip_to(place, &mut buffer), Unpacked::More));
        assert_eq!(unpacking.at(), place);
        assert!(matches!(unpacking.read(&mut buffer), Unpacked::End));
        assert!(buffer == text[place as usize..]);
        let mut short = Unpacking::new(&file(&gzip(b"short"))).expect("open");
        assert!(matches!(short.skip_to(6, &mut buffer), Unpacked::End));
    }

    #[test]
    fn of_a_damaged_file_all_is_read_that_can_be() {
        let text = noise(5 * CHUNK);
        let whole = gzip(&text);
        // Noise doesn't get smaller: half of the file is about half of the text.
        let half = whole.len() / 2;
        let mut changed = whole.clone();
        changed[half..half + 64].fill(0xff);
        let mut added = whole.clone();
        added.extend_from_slice(b"no gzip");
        let cases: [(&str, &[u8], usize); 5] = [
            ("cut", &whole[..half], half - half / 8),
            ("without an end", &whole[..whole.len() - 8], text.len()),
            ("something behind it", &added, text.len()),
            ("no gzip", b"no gzip at all, but long enough", 0),
            ("nothing", b"", 0),
        ];
        for (what, bytes, least) in cases {
            let (found, is_whole) = unpack(bytes);
            assert!(!is_whole, "{what}");
            assert!(found.len() >= least && text.starts_with(&found), "{what}: {}", found.len());
        }
        let (_, is_whole) = unpack(&changed);
        assert!(!is_whole, "its sum is another");
    }
}

//! The log's files: written, made durable, begun anew, read again and taken away.
//!
//! ```text
//! frame:  length (u32 LE)  CRC-32 (u32 LE)  records of one append
//!         length | 2^31    CRC-32           zstd of frames: what waited when it was written
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    mem,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{Record, Records};
use crate::append::{Appending, Unsynced};

/// How a segment ends whose process was killed in the middle of it.
const TORN: &str = "it ends within a frame";
/// What is wrong with a frame whose length may be right all the same.
const WRONG: &str = "the checksum of a frame is wrong";
/// A segment is ended at so many bytes.
const SEGMENT: u64 = 256 << 20;
/// What waits for a disk that takes nothing, at most.
const PENDING: usize = 64 << 20;
/// A frame is no longer than this.
const FRAME: usize = 256 << 20;
const HEAD: usize = 8;
/// In a frame's length: what stands in it are frames, packed by zstd.
const PACKED: u32 = 1 << 31;
/// So few bytes are not worth packing.
const SHORT: usize = 512;
const LEVEL: i32 = 1;
/// So many bytes are packed at once, and no more wait as they came: packed they are a tenth. All
/// definitions of a new segment come within a second.
const TOGETHER: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log of series in {path} can't be {doing}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::Io { path, doing, source }
}

/// The segment that records go to, and how many series it knows.
#[derive(Debug)]
pub struct Current {
    pub segment: u32,
    series: AtomicU32,
}

impl Current {
    pub fn new(segment: u32) -> Self {
        Self { segment, series: AtomicU32::new(0) }
    }

    /// The number of a series that it does not know yet.
    pub fn number(&self) -> u32 {
        self.series.fetch_add(1, Ordering::Relaxed)
    }
}

/// A segment that is ended.
#[derive(Debug)]
struct Ended {
    number: u32,
    newest: Option<i64>,
    length: u64,
    /// Until it is durable.
    file: Option<Appending>,
}

/// All segments; the last one grows.
pub struct Segments {
    folder: PathBuf,
    number: u32,
    file: Option<Appending>,
    newest: Option<i64>,
    ended: Vec<Ended>,
    /// Frames as they came.
    pending: Vec<u8>,
    /// Those before them, packed.
    ready: Vec<u8>,
    /// Something was lost that what comes may need: the next segment needs nothing.
    has_gap: bool,
    /// The disk took nothing the last time.
    fails: bool,
}

/// What reading the log found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Segments that end early, though they are not the last: which, and why.
    pub damaged: Vec<(PathBuf, String)>,
    /// Segments with frames that were passed over, as their checksums are wrong: which, and what.
    pub passed: Vec<(PathBuf, Passed)>,
    /// Segments with appends that can't be read though they are as they were written: which, how many,
    /// and why the first of them.
    pub unreadable: Vec<(PathBuf, u64, &'static str)>,
}

/// Frames of a segment whose checksums are wrong, with others behind them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    pub frames: u64,
    pub bytes: u64,
    /// Where the first of them begins.
    pub at: u64,
}

impl Passed {
    /// Adds those behind it.
    fn add(&mut self, more: Self) {
        let at = if self.frames == 0 { more.at } else { self.at };
        *self = Self { frames: self.frames + more.frames, bytes: self.bytes + more.bytes, at };
    }
}

/// How a segment was read.
#[derive(Debug, Default)]
struct Outcome {
    /// Why it ends early, if it does.
    ends: Option<&'static str>,
    /// Appends that can't be read, and why the first can't. What stands behind them is read on: where a
    /// frame ends does not depend on what is in it.
    unreadable: Option<(u64, &'static str)>,
    passed: Passed,
    /// Bytes up to where its last whole frame ends.
    whole: u64,
}

impl Outcome {
    /// How many appends can't be read.
    fn unread(&self) -> u64 {
        self.unreadable.map_or(0, |(count, _)| count)
    }

    fn note(&mut self, read: Result<(), &'static str>) {
        if let Err(why) = read {
            self.unreadable.get_or_insert((0, why)).0 += 1;
        }
    }
}

fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.log"))
}

impl Segments {
    /// Reads all there is, oldest first, and goes on in a new segment. `take` gets each
    /// record with its segment's number.
    ///
    /// # Errors
    /// The folder can't be read or written.
    pub fn open(folder: &Path, mut take: impl FnMut(u32, Record)) -> Result<(Self, Replayed), LogError> {
        fs::create_dir_all(folder).map_err(failed(folder, "made"))?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder, "listed"))? {
            let name = entry.map_err(failed(folder, "listed"))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u32>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        let mut replayed = Replayed::default();
        let mut ended = Vec::new();
        for number in &numbers {
            let path = path_of(folder, *number);
            let (mut newest, is_last) = (None, Some(number) == numbers.last());
            let mut length = fs::metadata(&path).map_err(failed(&path, "looked at"))?.len();
            let outcome = read_segment(&path, |record| {
                if let Record::Sample { time, .. } = &record {
                    newest = newest.max(Some(*time));
                }
                take(*number, record);
            })?;
            if let Some((count, why)) = outcome.unreadable {
                replayed.unreadable.push((path.clone(), count, why));
            }
            if outcome.passed.frames > 0 {
                replayed.passed.push((path.clone(), outcome.passed));
            }
            match outcome.ends {
                // No later start, for which it is not the last one, is to take it for damaged.
                Some(TORN) if is_last => {
                    length = cut(&path, outcome.whole).map_or(length, |()| outcome.whole)
                }
                Some(why) if !is_last => replayed.damaged.push((path, why.to_owned())),
                _ => {}
            }
            ended.push(Ended { number: *number, newest, length, file: None });
        }
        let number = numbers.last().map_or(0, |last| last + 1);
        let segments = Self {
            folder: folder.to_owned(),
            number,
            file: None,
            newest: None,
            ended,
            pending: Vec::new(),
            ready: Vec::new(),
            has_gap: false,
            fails: false,
        };
        Ok((segments, replayed))
    }

    /// The segment that records go to now.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Bytes of all segments, as far as they are written.
    pub fn size(&self) -> u64 {
        self.ended.iter().map(|one| one.length).sum::<u64>() + self.length()
    }

    /// Bytes of the segment that records go to.
    fn length(&self) -> u64 {
        self.file.as_ref().map_or(0, Appending::length)
    }

    /// Takes records, which [`Segments::flush`] writes. `false`: there is no room for them, and they are
    /// lost when the process ends.
    pub fn push(&mut self, records: &Records) -> bool {
        if !self.has_room(records) && !self.fails {
            // More came than until the next flush was expected. Whether it was written says the room.
            let _ = self.flush();
        }
        if !self.has_room(records) {
            self.has_gap = true;
            return false;
        }
        self.newest = self.newest.max(records.newest());
        // A frame holds the records of one append: they are changes to one another.
        put_frame(&mut self.pending, 0, |out| records.write(out));
        if self.pending.len() >= TOGETHER {
            // What can't be packed waits as it is, and the next flush says why.
            let _ = self.pack();
        }
        true
    }

    fn has_room(&self, records: &Records) -> bool {
        self.pending.len() + self.ready.len() + records.size() <= PENDING
    }

    fn pack(&mut self) -> io::Result<()> {
        match pack(&self.pending)? {
            Some(packed) => self.ready.extend_from_slice(&packed),
            None => self.ready.extend_from_slice(&self.pending),
        }
        self.pending.clear();
        // One that was long for once takes no memory for good.
        self.pending.shrink_to(2 * TOGETHER);
        Ok(())
    }

    /// Writes what waits. What the disk does not take waits on.
    ///
    /// # Errors
    /// It could not be written whole; nothing half is left behind.
    pub fn flush(&mut self) -> Result<(), LogError> {
        let written = self.write();
        self.fails = written.is_err();
        written
    }

    fn write(&mut self) -> Result<(), LogError> {
        if self.pending.is_empty() && self.ready.is_empty() {
            return Ok(());
        }
        let path = path_of(&self.folder, self.number);
        self.pack().map_err(failed(&path, "packed"))?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => Appending::make(&path).map_err(failed(&path, "made"))?,
        };
        // A frame in the middle that is cut would hide all that come behind it.
        let written = file.append(&self.ready);
        self.file = Some(file);
        written.map_err(failed(&path, "written"))?;
        self.ready.clear();
        self.ready.shrink_to(TOGETHER);
        Ok(())
    }

    /// What is not durable yet, the oldest first, to be made so without the lock: what comes meanwhile is
    /// written.
    ///
    /// # Errors
    /// There are too many open files.
    pub fn unsynced(&mut self) -> Result<Vec<Unsynced>, LogError> {
        let ask = |file: &Appending| file.unsynced().map_err(failed(file.path(), "made durable"));
        let mut all = Vec::new();
        for one in &mut self.ended {
            let unsynced = one.file.as_ref().map(ask).transpose()?.flatten();
            if unsynced.is_none() {
                one.file = None;
            }
            all.extend(unsynced);
        }
        all.extend(self.file.as_ref().map(ask).transpose()?.flatten());
        Ok(all)
    }

    /// It is long enough, or lacks something.
    pub fn should_end(&self) -> bool {
        self.length() >= SEGMENT || self.has_gap
    }

    /// Ends the segment; what is pushed from now on stands in the next. It is no more durable than it was.
    ///
    /// # Errors
    /// What waits could not be written.
    pub fn begin_next(&mut self) -> Result<(), LogError> {
        self.flush()?;
        if let Some(file) = self.file.take() {
            let (number, newest, length) = (self.number, self.newest, file.length());
            self.ended.push(Ended { number, newest, length, file: Some(file) });
        }
        self.number += 1;
        (self.newest, self.has_gap) = (None, false);
        Ok(())
    }

    /// Takes away ended segments that have nothing at or after `time`.
    ///
    /// # Errors
    /// A file can't be removed.
    pub fn forget_before(&mut self, time: i64) -> Result<(), LogError> {
        while let Some(at) = self.ended.iter().position(|one| one.newest.is_none_or(|newest| newest < time)) {
            let path = path_of(&self.folder, self.ended[at].number);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path, "removed")(error));
                }
                _ => self.ended.remove(at),
            };
        }
        Ok(())
    }
}

/// Makes durable what is not, in this order.
///
/// # Errors
/// The disk's; what is not durable then is asked for again.
pub fn make_durable(unsynced: Vec<Unsynced>) -> Result<(), LogError> {
    unsynced.into_iter().try_for_each(|one| {
        let path = one.path().to_owned();
        one.sync().map_err(failed(&path, "made durable"))
    })
}

fn cut(path: &Path, length: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.set_len(length)
}

fn put_frame(out: &mut Vec<u8>, flag: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    out.extend_from_slice(&[0; HEAD]);
    write(out);
    let body = &out[head + HEAD..];
    let (length, sum) = (body.len() as u32 | flag, crc32fast::hash(body));
    out[head..head + 4].copy_from_slice(&length.to_le_bytes());
    out[head + 4..head + HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// Frames as one frame; `None` where that is not worth it.
fn pack(frames: &[u8]) -> io::Result<Option<Vec<u8>>> {
    if frames.len() < SHORT {
        return Ok(None);
    }
    let mut packed = Vec::new();
    let frames = zstd::bulk::compress(frames, LEVEL)?;
    put_frame(&mut packed, PACKED, |out| out.extend_from_slice(&frames));
    Ok(Some(packed))
}

/// Reads a segment. A frame whose checksum is wrong is passed over where one stands behind it that checks
/// out; where none does, the length of the first may be as wrong, and the segment ends with it.
fn read_segment(path: &Path, mut take: impl FnMut(Record)) -> Result<Outcome, LogError> {
    let mut file = io::BufReader::with_capacity(1 << 20, File::open(path).map_err(failed(path, "opened"))?);
    let (mut frame, mut outcome, mut wrong) = (Vec::new(), Outcome::default(), Passed::default());
    loop {
        let read = read_frame(&mut file, &mut frame).map_err(failed(path, "read"))?;
        let (packed, length) = match (read, (HEAD + frame.len()) as u64) {
            // Zeros look like a frame of nothing, which nobody writes.
            (Ok(Some(packed)), length) if wrong.frames == 0 || !frame.is_empty() => (packed, length),
            (Err(WRONG), bytes) => {
                wrong.add(Passed { frames: 1, bytes, at: outcome.whole });
                continue;
            }
            (Err(why), _) if wrong.frames == 0 => return Ok(Outcome { ends: Some(why), ..outcome }),
            (Ok(None), _) if wrong.frames == 0 => return Ok(outcome),
            _ => return Ok(Outcome { ends: Some(WRONG), ..outcome }),
        };
        if wrong.frames > 0 {
            take(Record::Lost);
            outcome.whole += wrong.bytes;
            outcome.passed.add(mem::take(&mut wrong));
        }
        outcome.whole += length;
        let before = outcome.unread();
        let read = match packed {
            false => Records::read(&frame, &mut take),
            true => read_packed(&frame, &mut take, &mut outcome),
        };
        outcome.note(read);
        if outcome.unread() > before {
            take(Record::Lost);
        }
    }
}

/// The frames of a packed one. Those that can't be read are noted; the error: nor can be what follows.
fn read_packed(
    packed: &[u8],
    mut take: impl FnMut(Record),
    outcome: &mut Outcome,
) -> Result<(), &'static str> {
    let length = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    let length = length.and_then(|length| usize::try_from(length).ok()).filter(|length| *length <= FRAME);
    let length = length.ok_or("a packed frame has no length that could be")?;
    let frames = zstd::bulk::decompress(packed, length).map_err(|_| "a packed frame can't be unpacked")?;
    let (mut rest, mut frame) = (frames.as_slice(), Vec::new());
    loop {
        match read_frame(&mut rest, &mut frame).map_err(|_| "a packed frame can't be read")?? {
            Some(false) => outcome.note(Records::read(&frame, &mut take)),
            Some(true) => return Err("a packed frame stands in another"),
            None => return Ok(()),
        }
    }
}

/// Reads a frame, and tells whether it is packed; `None` at the end. The inner error: what follows
/// is no frame.
fn read_frame(file: &mut impl Read, frame: &mut Vec<u8>) -> io::Result<Result<Option<bool>, &'static str>> {
    let mut head = [0; HEAD];
    match fill(file, &mut head)? {
        0 => return Ok(Ok(None)),
        HEAD => {}
        _ => return Ok(Err(TORN)),
    }
    let [a, b, c, d, e, f, g, h] = head;
    let (length, sum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    let (packed, length) = (length & PACKED != 0, (length & !PACKED) as usize);
    if length > FRAME {
        return Ok(Err("a frame has no length that could be"));
    }
    frame.resize(length, 0);
    if fill(file, frame)? < length {
        return Ok(Err(TORN));
    }
    match crc32fast::hash(frame) == sum {
        true => Ok(Ok(Some(packed))),
        false => Ok(Err(WRONG)),
    }
}

fn fill(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;

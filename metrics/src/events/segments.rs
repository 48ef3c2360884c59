//! Files of an hour each, `2026-01-31T12.jsonl`, with a line an occurrence. They are read a line at a
//! time, as somebody asks for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
};

use jiff::{Timestamp, tz::TimeZone};
use parking_lot::Mutex;

use super::{recent::Recent, table::Occurred};
use crate::{append::Lines, late::Late, retention::Retention};

const HOUR: i64 = 3_600_000_000;
/// A list at a start brings Events of up to an hour ago, and clocks differ.
const LATE_HOURS: i64 = 2;
const ENDING: &str = ".jsonl";
/// Hours that are read at a start: what was written last is among them, whatever order it came in, and
/// the API has no Events that are older.
const REMEMBERED: usize = 2;
/// Bytes of a line, of which the largest Event of the API makes no more, whatever letters it has.
const LONGEST: u64 = 32 << 20;

/// All segments.
pub struct Segments {
    folder: PathBuf,
    retention: Retention,
    state: Mutex<State>,
    /// Hours with lines that can't be read, of which the log tells.
    damaged: Mutex<BTreeSet<i64>>,
}

#[derive(Default)]
struct State {
    /// By hours since the Unix epoch: bytes.
    sizes: BTreeMap<i64, u64>,
    open: Option<(i64, Lines)>,
    recent: Recent,
    /// How late it is for hours that are too old.
    late: Late,
}

impl Segments {
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(folder: PathBuf, retention: Retention) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut state = State::default();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if let Some(hour) = entry.file_name().to_str().and_then(hour_of) {
                state.sizes.insert(hour, entry.metadata()?.len());
            }
        }
        let segments = Self { folder, retention, state: Mutex::default(), damaged: Mutex::default() };
        let remembered = state.sizes.len().saturating_sub(REMEMBERED);
        for (place, hour) in state.sizes.keys().enumerate().skip(remembered) {
            if place == remembered && place > 0 {
                state.recent.begins(hour.saturating_mul(HOUR));
            }
            let end = hour.saturating_add(1).saturating_mul(HOUR);
            segments.read(*hour, &mut |occurred| state.recent.add(&occurred, end))?;
        }
        state.late = Late::since(state.sizes.keys().next_back().map(|hour| hour.saturating_mul(HOUR)));
        *segments.state.lock() = state;
        Ok(segments)
    }

    /// Writes an occurrence, unless it was written before.
    ///
    /// # Errors
    /// A full disk; then nothing of it is written, and it may be added again.
    pub fn add(&self, occurred: &Occurred, now: Timestamp) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.recent.has(occurred) {
            return Ok(());
        }
        let hour = now.as_microsecond().div_euclid(HOUR);
        if state.open.as_ref().is_none_or(|(open, _)| *open != hour) {
            let lines = Lines::open(&self.path(hour))?;
            state.sizes.insert(hour, lines.length());
            state.open = Some((hour, lines));
            self.forget(&mut state, now)?;
        }
        let mut line = serde_json::to_vec(occurred)?;
        line.push(b'\n');
        if let Some((_, lines)) = &mut state.open {
            lines.append(&line)?;
        }
        state.recent.add(occurred, now.as_microsecond());
        *state.sizes.entry(hour).or_default() += line.len() as u64;
        if state.sizes.values().sum::<u64>() > self.retention.bytes {
            self.forget(&mut state, now)?;
        }
        Ok(())
    }

    /// Removes what is too old, and the oldest of what is too much; never the hour that is written.
    fn forget(&self, state: &mut State, now: Timestamp) -> io::Result<()> {
        let now = now.as_microsecond();
        let (hour, late) = (now.div_euclid(HOUR), state.late.is(now).div_euclid(HOUR));
        // Whole hours, at least as long as is said.
        let kept = self.retention.micros().saturating_add(HOUR - 1).div_euclid(HOUR);
        while let Some((&oldest, &bytes)) = state.sizes.first_key_value() {
            let too_much = state.sizes.values().sum::<u64>() > self.retention.bytes;
            if oldest >= hour || (oldest >= late.saturating_sub(kept) && !too_much) {
                break;
            }
            match fs::remove_file(self.path(oldest)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => tracing::debug!(bytes, "an hour of events is forgotten"),
            }
            state.sizes.remove(&oldest);
        }
        Ok(())
    }

    /// From now on the clock counts at once, whatever it tells.
    #[cfg(test)]
    pub fn believe(&self) {
        self.state.lock().late = Late::standing(std::time::Duration::ZERO);
    }

    /// The hours that may have occurrences of a span of time, microseconds since the Unix epoch.
    pub fn hours(&self, may_have: impl Fn(i64, i64) -> bool) -> Vec<i64> {
        let hours: Vec<i64> = self.state.lock().sizes.keys().copied().collect();
        let spans = |hour: &i64| may_have((hour - LATE_HOURS) * HOUR, (hour + 2) * HOUR);
        hours.into_iter().filter(spans).collect()
    }

    /// An hour, to be read; none that was forgotten since it was listed.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn hour(&self, hour: i64) -> io::Result<Option<Hour>> {
        match File::open(self.path(hour)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => Ok(Some(Hour { reader: BufReader::new(file?), line: Vec::new(), damaged: 0 })),
        }
    }

    /// Reads a whole hour.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, hour: i64, each: &mut dyn FnMut(Occurred)) -> io::Result<()> {
        let Some(mut lines) = self.hour(hour)? else { return Ok(()) };
        while let Some((occurred, _)) = lines.next_line()? {
            each(occurred);
        }
        self.missing(hour, &lines);
        Ok(())
    }

    /// What an hour lacks that was read to its end, in a sentence. The log tells it once.
    pub fn missing(&self, hour: i64, read: &Hour) -> Option<String> {
        if read.damaged == 0 {
            return None;
        }
        let path = self.path(hour);
        if self.damaged.lock().insert(hour) {
            tracing::warn!(path = %path.display(), lines = read.damaged, "lines of events can't be read");
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(format!("events: lines of {name} that can't be read are left out: {}", read.damaged))
    }

    fn path(&self, hour: i64) -> PathBuf {
        let begin = Timestamp::from_microsecond(hour.saturating_mul(HOUR)).unwrap_or(Timestamp::UNIX_EPOCH);
        self.folder.join(format!("{}{ENDING}", begin.strftime("%Y-%m-%dT%H")))
    }
}

/// An hour that is read, a line at a time.
pub struct Hour {
    reader: BufReader<File>,
    line: Vec<u8>,
    /// Lines so far that can't be read.
    damaged: usize,
}

impl Hour {
    /// The next occurrence and the bytes of its line. What a kill cut off at the end is none.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn next_line(&mut self) -> io::Result<Option<(Occurred, usize)>> {
        loop {
            self.line.clear();
            let bytes = (&mut self.reader).take(LONGEST).read_until(b'\n', &mut self.line)?;
            if self.line.last() != Some(&b'\n') {
                if (bytes as u64) < LONGEST {
                    return Ok(None);
                }
                self.damaged += 1;
                self.skip()?;
                continue;
            }
            match serde_json::from_slice(&self.line) {
                Ok(occurred) => return Ok(Some((occurred, bytes))),
                Err(_) => self.damaged += 1,
            }
        }
    }

    /// Passes over the rest of a line.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            self.line.clear();
            let bytes = (&mut self.reader).take(LONGEST).read_until(b'\n', &mut self.line)?;
            if bytes == 0 || self.line.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }
}

/// The hour of a file's name.
fn hour_of(name: &str) -> Option<i64> {
    let begin = format!("{}:00", name.strip_suffix(ENDING)?);
    let begin: jiff::civil::DateTime = begin.parse().ok()?;
    Some(begin.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond().div_euclid(HOUR))
}

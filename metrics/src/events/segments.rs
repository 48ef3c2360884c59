//! Files of an hour each, `2026-01-31T12.jsonl`, with a line an occurrence.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::PathBuf,
};

use jiff::{Timestamp, tz::TimeZone};
use parking_lot::Mutex;

use super::table::Occurred;
use crate::{append::Lines, late::Late};

const HOUR: i64 = 3_600_000_000;
const KEPT_HOURS: i64 = 7 * 24;
/// A list at a start brings Events of up to an hour ago, and clocks differ.
const LATE_HOURS: i64 = 2;
const ENDING: &str = ".jsonl";

/// All segments.
pub struct Segments {
    folder: PathBuf,
    most_bytes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By hours since the Unix epoch: bytes.
    sizes: BTreeMap<i64, u64>,
    open: Option<(i64, Lines)>,
    /// The newest version of an Event that was written.
    newest: u64,
    /// How late it is for hours that are too old.
    late: Late,
}

impl Segments {
    /// # Errors
    /// The folder can't be made or read.
    pub fn open(folder: PathBuf, most_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut state = State::default();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if let Some(hour) = entry.file_name().to_str().and_then(hour_of) {
                state.sizes.insert(hour, entry.metadata()?.len());
            }
        }
        let segments = Self { folder, most_bytes, state: Mutex::default() };
        // What was written last is among the last hours, whatever order it came in.
        for hour in state.sizes.keys().rev().take(2) {
            segments.read(*hour, &mut |occurred| state.newest = state.newest.max(occurred.version))?;
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
        if occurred.version <= state.newest {
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
        state.newest = occurred.version;
        *state.sizes.entry(hour).or_default() += line.len() as u64;
        if state.sizes.values().sum::<u64>() > self.most_bytes {
            self.forget(&mut state, now)?;
        }
        Ok(())
    }

    /// Removes what is too old, and the oldest of what is too much; never the hour that is written.
    fn forget(&self, state: &mut State, now: Timestamp) -> io::Result<()> {
        let now = now.as_microsecond();
        let (hour, late) = (now.div_euclid(HOUR), state.late.is(now).div_euclid(HOUR));
        while let Some((&oldest, &bytes)) = state.sizes.first_key_value() {
            let too_much = state.sizes.values().sum::<u64>() > self.most_bytes;
            if oldest >= hour || (oldest >= late - KEPT_HOURS && !too_much) {
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

    /// Reads an hour; a line that a kill cut off is left out.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, hour: i64, each: &mut dyn FnMut(Occurred)) -> io::Result<()> {
        let file = match File::open(self.path(hour)) {
            // Forgotten since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        for line in BufReader::new(file).split(b'\n') {
            match serde_json::from_slice(&line?) {
                Ok(occurred) => each(occurred),
                Err(error) => tracing::debug!(%error, hour, "a line of events can't be read"),
            }
        }
        Ok(())
    }

    fn path(&self, hour: i64) -> PathBuf {
        let begin = Timestamp::from_microsecond(hour.saturating_mul(HOUR)).unwrap_or(Timestamp::UNIX_EPOCH);
        self.folder.join(format!("{}{ENDING}", begin.strftime("%Y-%m-%dT%H")))
    }
}

/// The hour of a file's name.
fn hour_of(name: &str) -> Option<i64> {
    let begin = format!("{}:00", name.strip_suffix(ENDING)?);
    let begin: jiff::civil::DateTime = begin.parse().ok()?;
    Some(begin.to_zoned(TimeZone::UTC).ok()?.timestamp().as_microsecond().div_euclid(HOUR))
}

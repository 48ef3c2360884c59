//! The log's file: appended to, set aside when it is large, and old ones removed.
//!
//! A file that is set aside gets the time into its name, as others who rotate
//! such logs do: `audit-2026-01-02T03-04-05.678.log`. That time is later than every
//! other one's, whatever the clock says: by the names it is known which are old, and
//! a name that was given before could be one that still holds records.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::{ToSpan, civil::DateTime, tz::TimeZone};

use super::Rotation;

const DEFAULT_MEGABYTES: u64 = 100;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const TIME: &str = "%Y-%m-%dT%H-%M-%S%.3f";

pub struct Log {
    /// `None` is the standard output.
    place: Option<Place>,
    rotation: Rotation,
}

struct Place {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self { place: None, rotation });
        }
        let file = open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { place: Some(Place { path: path.to_owned(), file, size }), rotation })
    }

    /// Writes lines and takes those that are written out of the list.
    pub fn write(&mut self, lines: &mut Vec<Vec<u8>>) -> io::Result<()> {
        let limit = match self.rotation.max_megabytes {
            0 => DEFAULT_MEGABYTES << 20,
            megabytes => megabytes << 20,
        };
        let Some(place) = &mut self.place else {
            io::stdout().lock().write_all(&lines.concat())?;
            lines.clear();
            return Ok(());
        };
        while !lines.is_empty() {
            if place.size > 0 && place.size + lines[0].len() as u64 > limit {
                place.set_aside()?;
                remove_old(&place.path, self.rotation)?;
            }
            let (mut count, mut bytes) = (0, Vec::new());
            for line in lines.iter() {
                if count > 0 && place.size + (bytes.len() + line.len()) as u64 > limit {
                    break;
                }
                bytes.extend_from_slice(line);
                count += 1;
            }
            place.append(&bytes)?;
            lines.drain(..count);
        }
        Ok(())
    }
}

impl Place {
    /// All of it or nothing: half a line must not stay.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            self.file.set_len(self.size)?;
            return Err(error);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        match aside(&self.path, jiff::Timestamp::now()).and_then(|name| fs::rename(&self.path, name)) {
            // Somebody else has set it aside, or we have and could not open the next one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    fs::create_dir_all(folder(path))?;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// A name that is newer than all that are there: `now`, or a millisecond after the newest.
fn aside(path: &Path, now: jiff::Timestamp) -> io::Result<PathBuf> {
    let now = now.to_zoned(TimeZone::UTC).datetime();
    let time = match set_aside(path)?.first() {
        Some((newest, _)) => now.max(newest.checked_add(1.millisecond()).map_err(io::Error::other)?),
        None => now,
    };
    let (stem, ending) = parts(path);
    Ok(path.with_file_name(format!("{stem}-{}{ending}", time.strftime(TIME))))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn parts(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let ending = path.extension().map_or_else(String::new, |ending| format!(".{}", ending.to_string_lossy()));
    (text(path.file_stem()), ending)
}

/// Files set aside, the newest first.
fn set_aside(path: &Path) -> io::Result<Vec<(DateTime, PathBuf)>> {
    let (stem, ending) = parts(path);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&ending));
        if let Some(Ok(time)) = time.map(|time| DateTime::strptime(TIME, time)) {
            found.push((time, path.with_file_name(name)));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

fn remove_old(path: &Path, rotation: Rotation) -> io::Result<()> {
    let oldest = SystemTime::now() - DAY * rotation.max_age_days;
    for (index, (_, old)) in set_aside(path)?.into_iter().enumerate() {
        let too_many = rotation.max_backups > 0 && index >= rotation.max_backups;
        let too_old = rotation.max_age_days > 0 && fs::metadata(&old)?.modified()? < oldest;
        if too_many || too_old {
            fs::remove_file(old)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/audit.log");
        let rotation = Rotation { max_megabytes: 1, max_backups: 2, max_age_days: 0 };
        let line = |letter: u8| [vec![letter; 400_000], vec![b'\n']].concat();
        let mut log = Log::open(&path, rotation).unwrap();
        let mut lines: Vec<Vec<u8>> = (0..9).map(|n| line(b'a' + n)).collect();
        log.write(&mut lines).unwrap();
        assert!(lines.is_empty());
        // Two lines fit into a file: four were set aside, of which two stay.
        let aside = set_aside(&path).unwrap();
        assert_eq!(aside.len(), 2);
        assert_eq!(fs::read(&path).unwrap()[0], b'i');
        assert_eq!(fs::read(&aside[0].1).unwrap()[0], b'g');
        assert_eq!(fs::read(&aside[1].1).unwrap()[0], b'e');
        assert!(fs::read(&aside[1].1).unwrap().ends_with(b"f\n"));
        drop(log);
        let mut again = Log::open(&path, rotation).unwrap();
        again.write(&mut vec![line(b'j')]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 800_002);
    }

    /// The clock stands, or is set back: a new name sorts last all the same, and is nobody else's.
    #[test]
    fn a_name_is_later_than_all_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(folder.path().join("audit-mine-alone-it-has-no-T-time.log"), "").unwrap();
        let noon: jiff::Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        let mut names = Vec::new();
        for (now, expected) in [
            (noon, "audit-2026-01-02T12-00-00.000.log"),
            (noon, "audit-2026-01-02T12-00-00.001.log"),
            (noon, "audit-2026-01-02T12-00-00.002.log"),
            (noon, "audit-2026-01-02T12-00-00.003.log"),
            (noon - 1.hour(), "audit-2026-01-02T12-00-00.004.log"),
            (noon + 1.hour(), "audit-2026-01-02T13-00-00.000.log"),
        ] {
            let name = aside(&path, now).unwrap();
            assert_eq!(name, folder.path().join(expected));
            fs::write(&name, "").unwrap();
            // The oldest go meanwhile: their names are not given again.
            names.push(name);
            if names.len() > 2 {
                fs::remove_file(names.remove(0)).unwrap();
            }
        }
        fs::write(folder.path().join("audit-9999-12-31T23-59-59.999.log"), "").unwrap();
        aside(&path, noon).unwrap_err();
    }

    #[test]
    fn a_file_that_somebody_took_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/audit.log");
        let rotation = Rotation { max_megabytes: 1, ..Rotation::default() };
        let mut log = Log::open(&path, rotation).unwrap();
        for taken in [path.as_path(), path.parent().unwrap()] {
            log.write(&mut vec![vec![b'a'; 700_000]]).unwrap();
            if taken.is_dir() {
                fs::remove_dir_all(taken).unwrap()
            } else {
                fs::remove_file(taken).unwrap()
            }
            log.write(&mut vec![vec![b'b'; 700_000]]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), [b'b'; 700_000]);
        }
    }
}

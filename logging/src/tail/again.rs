//! What is there and can't be opened: it is tried again until it can be, and told of once.
//!
//! That descriptors have run out, or that a security module keeps the collector from a file,
//! says nothing of what there is to read: taken for the end of a file, it would lose lines.

use std::{
    collections::{HashMap, HashSet},
    io,
    time::{Duration, Instant},
};

use nix::libc;

use super::Place;

/// A cause that wasn't met for so long is told of again. What lasts is met each second.
const SILENCE: Duration = Duration::from_secs(60);

/// What it means that something can't be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It isn't there any more, or no log is under that name.
    Gone,
    /// Nothing can be opened now.
    Exhausted,
    /// This can't, and something else may.
    Denied,
}

impl Refusal {
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN | libc::EINTR) => Self::Exhausted,
            // A link or a socket is never a log; what has no number was found out here, and says the same.
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EXDEV | libc::ENXIO | libc::ENODEV)
            | None => Self::Gone,
            Some(_) => Self::Denied,
        }
    }
}

/// The same error once more.
pub fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Causes that were told of.
#[derive(Debug, Default)]
pub struct Told(HashMap<Option<i32>, Instant>);

impl Told {
    /// Whether it is to be told: not, as long as it is met again and again.
    pub fn is_new(&mut self, cause: &io::Error) -> bool {
        self.is_new_at(cause, Instant::now())
    }

    fn is_new_at(&mut self, cause: &io::Error, now: Instant) -> bool {
        let last = self.0.insert(cause.raw_os_error(), now);
        last.is_none_or(|last| now.saturating_duration_since(last) > SILENCE)
    }
}

/// Where something couldn't be opened.
#[derive(Debug, Default)]
pub struct Again {
    places: HashSet<Place>,
    /// One of them because nothing could be opened at all.
    is_exhausted: bool,
    told: Told,
    /// Since they were asked for.
    failures: u64,
}

impl Again {
    /// The place is to be looked at again for the sake of a file in it, or of itself.
    pub fn add(&mut self, place: Place, file: &str, error: &io::Error) {
        self.failures += 1;
        self.is_exhausted |= Refusal::of(error) == Refusal::Exhausted;
        if self.told.is_new(error) {
            match Refusal::of(error) {
                Refusal::Exhausted => tracing::warn!(
                    ?place,
                    file,
                    %error,
                    "log files can't be opened and wait, they are tried again each second: give the collector a higher limit of open files (LimitNOFILE of the container runtime) or more memory"
                ),
                Refusal::Denied | Refusal::Gone => tracing::warn!(
                    ?place,
                    file,
                    %error,
                    "log file or folder can't be read and waits, it is tried again each second: look at its permissions and at its disk, and where SELinux is on, whether the collector runs as spc_t"
                ),
            }
        }
        self.places.insert(place);
    }

    /// Whether something is to be tried again.
    pub fn is_wanted(&self) -> bool {
        !self.places.is_empty()
    }

    /// What is to be tried again.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter()
    }

    /// Whether nothing can be opened, so that what is there isn't known.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    pub fn take(&mut self) -> HashSet<Place> {
        self.is_exhausted = false;
        std::mem::take(&mut self.places)
    }

    /// Tries that failed, since the last call.
    pub fn take_failures(&mut self) -> u64 {
        std::mem::take(&mut self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_means_that_something_can_not_be_opened() {
        let check = |error: io::Error, expected| assert_eq!(Refusal::of(&error), expected, "{error}");
        let code = io::Error::from_raw_os_error;
        for exhausted in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN] {
            check(code(exhausted), Refusal::Exhausted);
        }
        for denied in [libc::EACCES, libc::EPERM, libc::EIO, libc::ESTALE] {
            check(code(denied), Refusal::Denied);
            assert_eq!(copy(&code(denied)).raw_os_error(), Some(denied));
        }
        for gone in [libc::ENOENT, libc::ELOOP, libc::ENOTDIR, libc::EXDEV, libc::ENXIO] {
            check(code(gone), Refusal::Gone);
        }
        check(io::Error::new(io::ErrorKind::NotFound, "another file has the name now"), Refusal::Gone);
        check(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"), Refusal::Gone);
        assert_eq!(copy(&io::ErrorKind::NotFound.into()).kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_cause_is_told_of_once_and_again_when_it_comes_back() {
        let (mut told, begin) = (Told::default(), Instant::now());
        let (full, denied) =
            (io::Error::from_raw_os_error(libc::EMFILE), io::Error::from_raw_os_error(libc::EACCES));
        let second = Duration::from_secs(1);
        assert!(told.is_new_at(&full, begin));
        for number in 1..200 {
            assert!(!told.is_new_at(&full, begin + second * number), "{number}");
        }
        assert!(told.is_new_at(&denied, begin + second * 200), "another cause");
        assert!(told.is_new_at(&full, begin + second * 199 + SILENCE + second));
    }

    #[test]
    fn a_place_is_tried_once_however_many_files_it_has() {
        let mut again = Again::default();
        assert!(!again.is_wanted());
        let place = Place::Pod("a_b_c".into());
        for file in ["0.log", "1.log"] {
            again.add(place.clone(), file, &io::Error::from_raw_os_error(libc::EACCES));
        }
        assert!(again.is_wanted());
        assert_eq!(again.take(), HashSet::from([place]));
        assert!(!again.is_wanted());
        assert_eq!((again.take_failures(), again.take_failures()), (2, 0));
    }
}

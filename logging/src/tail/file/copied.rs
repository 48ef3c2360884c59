//! A log that is set aside by a copy, and then emptied: logrotate's `copytruncate`.
//!
//! The copy is another file with the same text. As long as the text is in the log too, it is
//! read there, and the copy isn't; when the log has another text, reading goes on in the copy,
//! where it stood in the log. Which file has which text is told by its bytes.

use std::{fs::File, io, os::unix::fs::FileExt};

use super::{LogFile, take_back};
use crate::tail::checkpoint::{FINGERPRINT, FileCheckpoint, Fingerprint};

/// Places at which two files are compared, beside the begin.
const SAMPLES: u64 = 16;

impl LogFile {
    /// A file of a log that may be copied.
    pub fn keeping_end(self) -> Self {
        Self { keeps_end: true, ..self }
    }

    /// The inode of the file that it is a copy of.
    pub fn copy_of(&self) -> Option<u64> {
        self.copy_of
    }

    pub fn is_copy(&self) -> bool {
        self.copy_of.is_some()
    }

    /// Whether an open file has another text than the one of which so much was read.
    pub fn has_other_text(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        if self.packed.as_ref().is_some_and(|packed| !packed.has_original) {
            return Ok(false);
        }
        let is_shorter = file.metadata()?.len() < self.offset;
        Ok(is_shorter || !self.fingerprint.fits(file) || !self.end.fits_before(file, self.offset))
    }

    /// Reads an open file from its begin. Gives how far its former text was read.
    pub fn begin_anew(&mut self) -> FileCheckpoint {
        tracing::info!(file = %self.name, offset = self.offset, "log file was truncated, it is read from its begin");
        let former = self.former();
        (self.offset, self.skipping, self.acked, self.format) = (0, None, None, None);
        (self.fingerprint, self.end) = (Fingerprint::default(), Fingerprint::default());
        self.dirty = true;
        if let Some(file) = &self.file {
            take_back(file, &self.name);
        }
        former
    }

    /// Whether an open file has the text of which so much was read.
    pub fn has_text_of(&self, read: &FileCheckpoint) -> bool {
        self.file.as_ref().is_some_and(|file| read.is_of(file))
    }

    /// Whether all that another open file has is in this one, as far as samples tell. It may still
    /// be being written.
    pub fn is_copied_to(&self, copy: &Self) -> bool {
        let (Some(own), Some(copied)) = (&self.file, &copy.file) else { return false };
        let length = copy.size();
        let width = length.min(FINGERPRINT);
        let last = length - width;
        let mut places = (0..=SAMPLES).map(|sample| last / SAMPLES * sample).chain([last]);
        length <= self.size() && places.all(|place| is_same(own, copied, place, width as usize))
    }

    /// It isn't read before the file with this inode has another text.
    pub fn become_copy(&mut self, original: u64) {
        (self.copy_of, self.dirty) = (Some(original), false);
    }

    /// It is the only file with a text of which so much was read.
    pub fn go_on(&mut self, read: &FileCheckpoint) {
        (self.offset, self.skipping) = (read.offset, read.skipping);
        (self.fingerprint, self.end) = (read.fingerprint, read.end);
        self.be_read();
    }

    /// It is read from where its reading stands.
    pub fn be_read(&mut self) {
        (self.copy_of, self.dirty) = (None, true);
    }

    /// All of it was read elsewhere.
    pub fn pass(&mut self) {
        let read = self.checkpoint_of_copy(None);
        self.go_on(&read);
        // A deleted one is let go when it was read.
        self.dirty = self.gone;
    }

    /// What was a copy, after the other file's text is another: so much of the former was read.
    /// Whether this one has all of that.
    pub fn succeed(&mut self, read: &FileCheckpoint) -> bool {
        let has_all = self.has_text_of(read);
        if has_all {
            self.go_on(read);
        } else if self.size() < read.offset {
            // It broke off, or what came behind it was read before the other file was emptied.
            self.pass();
        } else {
            self.be_read();
        }
        has_all
    }

    /// What is read of a copy: what was read of the other file, which is gone if all of it was.
    pub fn checkpoint_of_copy(&self, original: Option<&Self>) -> FileCheckpoint {
        let size = self.size();
        let offset = original.map_or(size, |original| original.offset.min(size));
        let skipping =
            original.filter(|original| original.offset == offset).and_then(|original| original.skipping);
        let known = self.file.as_deref().and_then(|file| {
            Some((Fingerprint::of(file, offset).ok()?, Fingerprint::before(file, offset).ok()?))
        });
        let (fingerprint, end) = known.unwrap_or_default();
        FileCheckpoint { offset, fingerprint, end, skipping, ..self.checkpoint() }
    }
}

fn is_same(one: &File, other: &File, place: u64, width: usize) -> bool {
    let [mut left, mut right] = [[0; FINGERPRINT as usize]; 2];
    let (left, right) = (&mut left[..width], &mut right[..width]);
    one.read_exact_at(left, place).is_ok() && other.read_exact_at(right, place).is_ok() && left == right
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tail::{dir::Dir, room::Room};

    #[test]
    fn a_copy_has_the_same_bytes_as_far_as_it_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let directory = Dir::open(folder.path()).expect("a folder");
        let open = |name: &str, text: &[u8]| {
            use std::os::unix::fs::MetadataExt;
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            let mut file = LogFile::new(name.into(), fs::metadata(path).expect("there").ino(), None);
            file.open(&directory, &Room::new(9)).expect("open");
            file
        };
        let lines: String = (0..2000).map(|number| format!("line {number}\n")).collect();
        let text = lines.as_bytes();
        let own = open("own", text);
        for length in [0, 1, 255, 256, 257, 5000, text.len()] {
            assert!(own.is_copied_to(&open("copy", &text[..length])), "{length}");
        }
        assert!(!own.is_copied_to(&open("longer", &[text, b"more"].concat())));
        for changed in [0, 100, text.len() - 1] {
            let mut other = text.to_vec();
            other[changed] ^= 1;
            assert!(!own.is_copied_to(&open("other", &other)), "{changed}");
        }
        assert!(!own.is_copied_to(&open("rest", &text[1000..])));
        assert!(!own.is_copied_to(&LogFile::new("closed".into(), 1, None)));
    }
}

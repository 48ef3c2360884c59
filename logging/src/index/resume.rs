//! What a split carries, so that the manifest can be put together again when it and its
//! copy are lost.
//!
//! ```text
//! <split>/resume   tiphys-logs-resume 1 <CRC-32 of the rest, hex>
//!                  zstd of JSON: the split's entry, the manifest without its splits
//! of a later one   tiphys-logs-resume <version> <CRC-32 of the version and of the rest, hex>
//!                  the rest
//! ```
//!
//! A split gets it last, so one without it is not whole. A commit's has the state that the
//! commit leads to; a merge takes over the latest of what it merges, which covers the same
//! records. Where reading stands after a loss is what the latest of all splits that are
//! sound says: records of later ones are read again, because their splits don't count. What
//! comes without a split (an order to delete, the begin of a line) goes to the newest split.
//! Where one of those that are merged has nothing that can be read, the merge gets the present
//! state: an older one would have the records of that one read again.
//!
//! What a later version carries is no damage: its split stays as it is, and answers name it. While
//! there is a manifest, the split is searched like any other. Put together without it, the manifest
//! lists it as one that is left alone: which records it has isn't known, so those that their sources
//! still have are read again. With the later version it counts again. What a later version wrote is
//! told by a checksum that its number is part of; what has this version's checksum is of this one,
//! whatever became of the number.
//!
//! Of splits that have records in common (what was merged and its merge, or a merge that
//! failed in its last step) the one with the highest number has all that the others have.

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    IndexError, Split, Store,
    commit::numbered,
    manifest::{Loaded, Manifest, SplitEntry, replace},
};
use crate::time;

const NAME: &str = "resume";
const KIND: &[u8] = b"tiphys-logs-resume ";
const VERSION: u64 = 1;
/// Bytes that have the version for sure.
const HEAD: u64 = KIND.len() as u64 + 21;
/// Bytes when unpacked: a guard, not a target.
const MAX_BYTES: usize = 256 << 20;
/// After a loss so many numbers are left out: splits that are gone may have had them, and the
/// archive knows splits by their numbers.
const LEFT_OUT: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Resume {
    entry: SplitEntry,
    /// Its splits are left out.
    manifest: Manifest,
}

/// What a split's folder has of it.
enum Carried {
    Nothing,
    Damaged,
    /// Of this version.
    Later(u64),
    Sound(Box<Resume>),
}

impl Resume {
    fn new(entry: &SplitEntry, manifest: &Manifest) -> Self {
        let manifest = Manifest {
            splits: Vec::new(),
            streams: manifest.streams.clone(),
            journal: manifest.journal.clone(),
            store: manifest.store.clone(),
            deletions: manifest.deletions.clone(),
            ..*manifest
        };
        Self { entry: entry.clone(), manifest }
    }

    fn store(&self, split: &Path) -> Result<(), IndexError> {
        let json = serde_json::to_vec(self).map_err(IndexError::Manifest)?;
        let packed = zstd::bulk::compress(&json, 1).map_err(IndexError::io("can't write", split))?;
        let mut bytes = KIND.to_vec();
        bytes.extend_from_slice(format!("{VERSION} {:08x}\n", crc32fast::hash(&packed)).as_bytes());
        bytes.extend_from_slice(&packed);
        replace(split, NAME, &bytes)
    }

    fn load(split: &Path) -> Carried {
        match fs::read(split.join(NAME)) {
            Ok(bytes) => match (Self::read(&bytes), later_version(&bytes)) {
                (Some(resume), _) => Carried::Sound(Box::new(resume)),
                (None, Some(version)) => Carried::Later(version),
                (None, None) => Carried::Damaged,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Carried::Nothing,
            Err(error) => {
                tracing::error!(path = %split.display(), %error, "what a split carries of the manifest can't be read");
                Carried::Damaged
            }
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let Parts { sum, rest: packed, .. } = Parts::of(bytes)?;
        if sum != spelled(crc32fast::hash(packed)) {
            return None;
        }
        let size = zstd::zstd_safe::get_frame_content_size(packed).ok()??;
        let size = usize::try_from(size).ok().filter(|size| *size <= MAX_BYTES)?;
        serde_json::from_slice(&zstd::bulk::decompress(packed, size).ok()?).ok()
    }
}

/// What every version has.
struct Parts<'a> {
    version: &'a [u8],
    /// As it is written, with its end of line.
    sum: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(KIND)?;
        let (version, bytes) = bytes.split_at(bytes.iter().position(|byte| *byte == b' ')?);
        let (sum, rest) = bytes.strip_prefix(b" ")?.split_at_checked(9)?;
        Some(Self { version, sum, rest })
    }
}

/// The text, not the number: another spelling of it was not written.
fn spelled(sum: u32) -> Vec<u8> {
    format!("{sum:08x}\n").into_bytes()
}

/// What a later version's checksum is.
fn sum_of_later(version: &[u8], rest: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(version);
    sum.update(rest);
    sum.finalize()
}

/// The version by its digits, if it is a later one.
fn later_number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let version: u64 = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
    (version > VERSION).then_some(version)
}

/// The version of what a split carries, if it is a later one.
fn later_version(bytes: &[u8]) -> Option<u64> {
    let Parts { version, sum, rest } = Parts::of(bytes)?;
    later_number(version).filter(|_| sum == spelled(sum_of_later(version, rest)))
}

/// Whether the first bytes name a later version. Of the others no more is read.
fn names_later(split: &Path) -> bool {
    let mut head = Vec::new();
    let read = fs::File::open(split.join(NAME)).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let digits = head.strip_prefix(KIND).and_then(|rest| rest.split(|byte| *byte == b' ').next());
    read.is_ok() && digits.is_some_and(|digits| later_number(digits).is_some())
}

/// Why a split stays as it is: what it carries is of a later version.
pub(super) fn is_later(id: u64, split: &Path) -> Option<IndexError> {
    if !names_later(split) {
        return None;
    }
    let version = later_version(&fs::read(split.join(NAME)).ok()?)?;
    Some(IndexError::Newer { split: id, what: format!("`{NAME}` of version {version}") })
}

/// What a split carries that a later version wrote.
#[cfg(test)]
pub(super) fn of_later(version: u64, rest: &[u8]) -> Vec<u8> {
    let version = version.to_string();
    let sum = spelled(sum_of_later(version.as_bytes(), rest));
    [KIND, version.as_bytes(), &b" "[..], sum.as_slice(), rest].concat()
}

impl Store {
    /// Lets splits carry what the next manifest says, before it counts.
    pub(super) fn carry(&self, manifest: &Manifest, next: &Manifest) -> Result<(), IndexError> {
        let is_in = |manifest: &Manifest, id: u64| manifest.splits.iter().any(|entry| entry.id == id);
        let mut fresh = next.splits.iter().filter(|entry| !is_in(manifest, entry.id)).peekable();
        if fresh.peek().is_none() {
            // One that is about to be set aside may have no folder; one that is not open is not written.
            let unopened = self.state.read().unopened.clone();
            let newest = next.splits.iter().filter(|entry| !unopened.contains(&entry.id));
            let newest = newest.filter(|entry| self.split_path(entry.id).is_dir());
            // What a later version wrote there stays: it says all but what came without a split since.
            return newest
                .max_by_key(|entry| entry.id)
                .filter(|entry| is_later(entry.id, &self.split_path(entry.id)).is_none())
                .map_or(Ok(()), |entry| Resume::new(entry, next).store(&self.split_path(entry.id)));
        }
        for entry in fresh {
            let of = |id: u64| entry.ancestors.iter().any(|(first, last)| (*first..=*last).contains(&id));
            let mut latest: Option<Manifest> = None;
            let mut is_known = true;
            for gone in manifest.splits.iter().filter(|gone| of(gone.id)) {
                let Carried::Sound(resume) = Resume::load(&self.split_path(gone.id)) else {
                    is_known = false;
                    continue;
                };
                if latest.as_ref().is_none_or(|latest| latest.generation < resume.manifest.generation) {
                    latest = Some(resume.manifest);
                }
            }
            let state = latest.as_ref().filter(|_| is_known).unwrap_or(next);
            Resume::new(entry, state).store(&self.split_path(entry.id))?;
        }
        Ok(())
    }
}

/// Splits that are listed and must be set aside, and why.
type Broken = Vec<(u64, IndexError)>;

/// The manifest of a directory, as whole as it can be had, and durable.
pub fn manifest(directory: &Path) -> Result<(Manifest, Broken), IndexError> {
    let (mut manifest, mut written, broken) = match Manifest::load(directory)? {
        Loaded::Whole(manifest) => (manifest, Written::Twice, Vec::new()),
        Loaded::Half(manifest) => (manifest, Written::Once, Vec::new()),
        Loaded::Lost => {
            let (manifest, broken) = derive(&directory.join("splits"))?;
            tracing::error!(
                splits = manifest.splits.len(),
                "manifest of the logs is lost and was put together from what the splits carry"
            );
            (manifest, Written::Not, broken)
        }
    };
    if manifest.store.is_empty() {
        manifest.store = format!("{:016x}", RandomState::new().build_hasher().finish());
        written = Written::Not;
    }
    match written {
        Written::Twice => {}
        Written::Once => later(manifest.store(directory)),
        Written::Not => manifest.store(directory)?,
    }
    // Of versions whose splits carried nothing.
    for entry in &manifest.splits {
        let path = directory.join("splits").join(entry.id.to_string());
        if path.is_dir() && !path.join(NAME).exists() {
            later(Resume::new(entry, &manifest).store(&path));
        }
    }
    Ok((manifest, broken))
}

/// How the manifest stands on the disk.
enum Written {
    Twice,
    Once,
    Not,
}

/// What a full disk has no room for now is written with the next commit; a start needs no room.
fn later(written: Result<(), IndexError>) {
    if let Err(error) = written {
        tracing::warn!(%error, "what the manifest of the logs is put together from can't be written, the next commit tries again");
    }
}

/// Puts the manifest together.
fn derive(splits: &Path) -> Result<(Manifest, Broken), IndexError> {
    let (mut found, mut damaged, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let mut later = Vec::new();
    for id in numbered(splits)? {
        match Resume::load(&splits.join(id.to_string())) {
            Carried::Sound(resume) if resume.entry.id == id => found.push(*resume),
            Carried::Sound(_) | Carried::Damaged => damaged.push(id),
            Carried::Later(version) => {
                later.push(id);
                tracing::error!(
                    split = id,
                    version,
                    path = %splits.join(id.to_string()).display(),
                    "split stays where it is and is not searched: the manifest is lost, and a later tiphys wrote what this split carries of it; start that tiphys to have its records again, until then those that the log files still have are read again"
                );
            }
            Carried::Nothing => bare.push(id),
        }
    }
    if found.is_empty() {
        bare.extend(damaged);
        let mut manifest = adopt(splits, bare);
        leave_alone(&mut manifest, splits, later);
        return Ok((manifest, Vec::new()));
    }
    let mut broken = Vec::new();
    let mut manifest = choose(found, |id| match Split::open(id, &splits.join(id.to_string())) {
        Err(error @ IndexError::Damaged { .. }) => {
            broken.push((id, error));
            false
        }
        // One that can't be read now, or here, was whole when it got what it carries.
        Ok(_) | Err(_) => true,
    });
    for id in damaged {
        let what = "the manifest is lost, and what this split carries of it is damaged".into();
        broken.push((id, IndexError::Damaged { split: id, what }));
    }
    // Listed, so that they can be set aside.
    manifest.splits.extend(broken.iter().map(|(id, _)| SplitEntry { id: *id, ..SplitEntry::default() }));
    leave_alone(&mut manifest, splits, later);
    let last = manifest.splits.iter().flat_map(SplitEntry::family).map(|(_, last)| last).max();
    manifest.next = manifest.next.max(last.map_or(0, |last| last + 1)) + LEFT_OUT;
    Ok((manifest, broken))
}

/// The splits that count and where reading stands. `is_sound` is asked of each that would count.
fn choose(mut found: Vec<Resume>, mut is_sound: impl FnMut(u64) -> bool) -> Manifest {
    found.sort_by_key(|resume| std::cmp::Reverse(resume.entry.id));
    let latest = found.iter().map(|resume| &resume.manifest).max_by_key(|manifest| manifest.generation);
    // Names and orders are right also when the split that has them isn't.
    let mut manifest = latest.cloned().unwrap_or_default();
    (manifest.streams, manifest.wal, manifest.journal) = Default::default();
    let mut stands = None;
    let mut taken: Vec<(u64, u64)> = Vec::new();
    for Resume { entry, manifest: state } in found {
        let has_part =
            |(first, last): (u64, u64)| taken.iter().any(|taken| taken.0 <= last && first <= taken.1);
        if entry.family().any(has_part) || !is_sound(entry.id) {
            continue;
        }
        taken.extend(entry.family());
        manifest.splits.push(entry);
        if stands.is_none_or(|generation| generation < state.generation) {
            stands = Some(state.generation);
            (manifest.streams, manifest.wal) = (state.streams, state.wal);
            manifest.journal = state.journal;
        }
    }
    manifest.splits.reverse();
    manifest
}

/// Splits of a version that carried nothing: all there are, and reading begins anew.
fn adopt(splits: &Path, ids: Vec<u64>) -> Manifest {
    let next = ids.iter().max().map_or(0, |id| id + 1);
    let splits = ids.into_iter().map(|id| counted(splits, id)).collect();
    Manifest { next, splits, ..Manifest::default() }
}

/// What a split says of itself.
fn counted(splits: &Path, id: u64) -> SplitEntry {
    let path = splits.join(id.to_string());
    let mut entry = SplitEntry { id, created: time::now(), ..SplitEntry::default() };
    if let Ok(split) = Split::open(id, &path) {
        entry.records = split.blocks().iter().map(|block| u64::from(block.head.count)).sum();
        entry.raw_bytes = split.blocks().iter().map(|block| block.head.raw_bytes).sum();
        entry.disk_bytes = bytes_below(&path).unwrap_or(0);
    }
    entry
}

/// Lists splits of which nothing counts but that they are there.
fn leave_alone(manifest: &mut Manifest, splits: &Path, ids: Vec<u64>) {
    for id in ids {
        manifest.splits.push(SplitEntry { later: true, ..counted(splits, id) });
        manifest.next = manifest.next.max(id + 1);
    }
    manifest.splits.sort_by_key(|entry| entry.id);
}

fn bytes_below(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        bytes +=
            if entry.file_type()?.is_dir() { bytes_below(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::Mark;

    fn resume(id: u64, ancestors: &[(u64, u64)], generation: u64) -> Resume {
        let entry = SplitEntry { id, ancestors: ancestors.to_vec(), ..SplitEntry::default() };
        let wal = Mark { number: generation, next_seq: 0 };
        Resume { entry, manifest: Manifest { generation, wal, next: id + 1, ..Manifest::default() } }
    }

    #[test]
    fn records_count_once_and_reading_stands_where_sound_splits_say() {
        let check = |found: &[Resume], broken: &[u64], expected: &[u64], stands: u64| {
            let chosen = choose(found.to_vec(), |id| !broken.contains(&id));
            let ids: Vec<u64> = chosen.splits.iter().map(|entry| entry.id).collect();
            assert_eq!((ids.as_slice(), chosen.wal.number), (expected, stands));
        };
        let (one, two, three) = (resume(1, &[], 10), resume(2, &[], 20), resume(3, &[], 30));
        let all = [one.clone(), two.clone(), three.clone()];
        check(&[], &[], &[], 0);
        check(&all, &[], &[1, 2, 3], 30);
        check(&all, &[3], &[1, 2], 20);
        check(&all, &[1], &[2, 3], 30);
        check(&all, &[1, 2, 3], &[], 0);
        // A merge, with what it was made of still there.
        let merged = resume(4, &[(1, 2)], 20);
        check(&[merged.clone(), one.clone(), two.clone(), three.clone()], &[], &[3, 4], 30);
        check(&[merged.clone(), one, two, three], &[4], &[1, 2, 3], 30);
        // A merge that didn't count and one after it.
        check(&[resume(5, &[(1, 1), (3, 3)], 30), merged, resume(2, &[], 20)], &[], &[2, 5], 30);
    }

    #[test]
    fn what_was_carried_is_read_again_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let given = resume(7, &[(1, 3)], 9);
        given.store(folder.path()).expect("written");
        let bytes = fs::read(folder.path().join(NAME)).expect("read");
        assert_eq!(Resume::read(&bytes).as_ref(), Some(&given));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let expected = (at == KIND.len()).then_some(&given);
                assert_eq!(Resume::read(&changed).as_ref(), expected, "byte {at}, bit {bit}");
                assert_eq!(later_version(&changed), None, "byte {at}, bit {bit}");
            }
            assert_eq!(Resume::read(&bytes[..at]), None, "cut at {at}");
        }
        assert_eq!(later_version(&bytes), None);
    }

    #[test]
    fn a_later_version_is_one_by_its_checksum() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |bytes: &[u8], expected: Option<u64>| {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(later_version(bytes), expected, "{text}");
            assert_eq!(Resume::read(bytes), None, "{text}");
            fs::write(folder.path().join(NAME), bytes).expect("written");
            let why = is_later(7, folder.path()).map(|why| why.to_string());
            let said = expected.map(|version| format!("`resume` of version {version}, "));
            assert_eq!(why.is_some(), said.is_some(), "{text}");
            assert!(why.unwrap_or_default().contains(&said.unwrap_or_default()), "{text}");
        };
        let versions = [(0, None), (1, None), (2, Some(2)), (10, Some(10)), (u64::MAX, Some(u64::MAX))];
        for (version, expected) in versions {
            check(&of_later(version, b"of another form"), expected);
        }
        let later = of_later(2, b"of another form");
        for at in 0..later.len() {
            for bit in 0..8 {
                let mut changed = later.clone();
                changed[at] ^= 1 << bit;
                check(&changed, None);
            }
            check(&later[..at], None);
        }
        check(b"tiphys-logs-resume 99999999999999999999 00000000\nx", None);
        check(b"tiphys-logs-resume 2 of another form", None);
    }
}

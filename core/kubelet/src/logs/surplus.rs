//! Which log files go that are beyond their turn: rotated ones that are too many, those of old
//! instances, folders of Pods that are gone. Pure.
//!
//! ```text
//! a collector has all of it      it goes
//! a node with a collector        it waits, whatever its age; beyond MAX_BYTES and MAX_COUNT of the
//!                                node the oldest go
//! a node without, or a full disk beside that: it goes after KEEP
//! a file system that keeps no marks           as on a node without
//! ```
//!
//! How long something is beyond its turn is measured from when the kubelet first saw it so, by a
//! clock that nobody sets: by a wall clock that leaps ahead all would be old at once.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

/// Bytes of a node that wait for a collector.
pub(super) const MAX_BYTES: u64 = 1 << 30;
/// Files and folders that wait: each is looked at every few seconds.
const MAX_COUNT: usize = 4_000;
/// What nobody takes over is kept this long.
pub(super) const KEEP: Duration = Duration::from_secs(600);
/// What is of a Pod that is gone stays at least this long: the runtime writes a container's last line a
/// moment after it has told that the container ended.
pub(super) const SETTLED: Duration = Duration::from_secs(10);

/// A file that is beyond its turn, or the folder of a Pod that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Surplus {
    pub path: PathBuf,
    pub is_folder: bool,
    /// Of a Pod that is gone: the runtime may not be done with it yet.
    pub is_gone: bool,
    /// The Pod's folder, by its name.
    pub pod: String,
    /// Bytes that no collector has.
    pub missing: u64,
    /// Bytes on the disk.
    pub size: u64,
    /// Bytes that a collector said it has, if it said anything.
    pub marked: Option<u64>,
    /// Whether a collector can say so: it has no way on some file systems.
    pub is_markable: bool,
    /// Of the newest file in it.
    pub modified: SystemTime,
}

/// How the node fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fares {
    /// Somebody takes lines over, or is to: see [`super::collected`].
    pub is_collected: bool,
    pub is_short_of_disk: bool,
}

/// What waits, and since when.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    since: HashMap<PathBuf, Instant>,
    bytes: u64,
}

impl Waiting {
    /// Which of all that is beyond its turn goes now.
    pub(super) fn judge(&mut self, all: Vec<Surplus>, fares: Fares, now: Instant) -> Vec<Surplus> {
        {
            let there: HashSet<&PathBuf> = all.iter().map(|one| &one.path).collect();
            self.since.retain(|path, _| there.contains(path));
        }
        let by_age = fares.is_short_of_disk || !fares.is_collected;
        let (mut go, mut stay) = (Vec::new(), Vec::new());
        for one in all {
            let since = *self.since.entry(one.path.clone()).or_insert(now);
            let age = now.saturating_duration_since(since);
            if one.is_gone && age < SETTLED {
                continue;
            }
            let is_by_age = by_age || !one.is_markable;
            if one.missing == 0 || (is_by_age && age > KEEP) {
                go.push(one);
            } else {
                stay.push((since, one));
            }
        }
        // What was there at the kubelet's start goes by the times of the files.
        stay.sort_by(|(a_since, a), (b_since, b)| {
            (a_since, a.modified, &a.path).cmp(&(b_since, b.modified, &b.path))
        });
        self.bytes = stay.iter().map(|(_, one)| one.missing).sum();
        let mut held: u64 = stay.iter().map(|(_, one)| one.size).sum();
        let mut oldest = stay.into_iter();
        while held > MAX_BYTES || oldest.len() > MAX_COUNT {
            let Some((_, one)) = oldest.next() else { break };
            (held, self.bytes) = (held - one.size, self.bytes - one.missing);
            go.push(one);
        }
        go
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Fares = Fares { is_collected: true, is_short_of_disk: false };

    fn file(name: &str, missing: u64) -> Surplus {
        Surplus {
            path: name.into(),
            is_folder: false,
            is_gone: false,
            pod: "ns_web_1".into(),
            missing,
            size: missing,
            marked: None,
            is_markable: true,
            // Old by any clock.
            modified: SystemTime::UNIX_EPOCH,
        }
    }

    fn folder(name: &str, missing: u64) -> Surplus {
        Surplus { is_folder: true, is_gone: true, ..file(name, missing) }
    }

    #[track_caller]
    fn check(waiting: &mut Waiting, all: &[Surplus], fares: Fares, now: Instant, expected: &[&str]) {
        let go = waiting.judge(all.to_vec(), fares, now);
        let names: Vec<_> = go.iter().map(|one| one.path.to_str().expect("text")).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn what_a_collector_is_to_take_waits_and_what_it_has_goes() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let all = [file("a", 5), file("b", 0), folder("c", 0), folder("d", 7)];
        check(&mut waiting, &all, WELL, start, &["b"]);
        check(&mut waiting, &all[2..], WELL, start + SETTLED / 2, &[]);
        check(&mut waiting, &all, WELL, start + SETTLED, &["b", "c"]);
        assert_eq!(waiting.bytes(), 12);
        check(&mut waiting, &all, WELL, start + 1000 * KEEP, &["b", "c"]);
    }

    #[test]
    fn without_a_collector_or_with_a_full_disk_age_counts_since_it_was_seen() {
        for fares in
            [Fares { is_collected: false, ..WELL }, Fares { is_collected: true, is_short_of_disk: true }]
        {
            let (mut waiting, start) = (Waiting::default(), Instant::now());
            check(&mut waiting, &[file("a", 5)], fares, start, &[]);
            let both = [file("a", 5), file("b", 5)];
            check(&mut waiting, &both, fares, start + KEEP, &[]);
            check(&mut waiting, &both, fares, start + KEEP + SETTLED, &["a"]);
            // One that was needed again meanwhile begins anew.
            check(&mut waiting, &[], fares, start + KEEP + SETTLED, &[]);
            check(&mut waiting, &both, fares, start + 3 * KEEP, &[]);
        }
    }

    #[test]
    fn what_no_collector_can_speak_of_goes_by_its_age_beside_what_waits() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let all = [file("a", 5), Surplus { is_markable: false, ..file("b", 5) }];
        check(&mut waiting, &all, WELL, start, &[]);
        check(&mut waiting, &all, WELL, start + KEEP, &[]);
        check(&mut waiting, &all, WELL, start + KEEP + SETTLED, &["b"]);
    }

    #[test]
    fn the_last_line_of_a_pod_that_is_gone_comes_before_its_files_go() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let all = [Surplus { is_gone: true, ..file("a", 0) }];
        check(&mut waiting, &all, WELL, start + SETTLED / 2, &[]);
        check(&mut waiting, &all, WELL, start + 2 * SETTLED, &["a"]);
    }

    #[test]
    fn beyond_the_bounds_the_oldest_go_first() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let older = Surplus { modified: SystemTime::UNIX_EPOCH, ..file("z", MAX_BYTES / 2) };
        let newer = Surplus { modified: SystemTime::now(), ..file("a", MAX_BYTES / 2) };
        check(&mut waiting, &[newer.clone(), older.clone()], WELL, start, &[]);
        let all = [newer, older, file("b", 1)];
        check(&mut waiting, &all, WELL, start + SETTLED, &["z"]);
        assert_eq!(waiting.bytes(), MAX_BYTES / 2 + 1);

        // What a collector has of a folder takes the disk, too.
        let large = Surplus { size: MAX_BYTES, ..folder("large", 1) };
        let mut waiting = Waiting::default();
        check(&mut waiting, std::slice::from_ref(&large), WELL, start, &[]);
        check(&mut waiting, std::slice::from_ref(&large), WELL, start + SETTLED, &[]);
        check(&mut waiting, &[large, file("c", 1)], WELL, start + SETTLED, &["large"]);

        let many: Vec<Surplus> = (0..=MAX_COUNT).map(|at| file(&format!("{at:05}"), 1)).collect();
        check(&mut Waiting::default(), &many, WELL, start, &["00000"]);
    }
}

//! What a group has done on each disk.
//!
//! ```text
//! the group's counters, by disk ─┐
//!                                ├─> shares, by disk: their sum is the whole
//! the whole, see [`super::disk`] ┘
//! ```
//!
//! Version 1 of control groups does not say on which disk buffered writes ended, so what the
//! whole has more than the counters is given to the disk that Pods write to. What turns out later
//! to have been another's stays where it was told: a counter must not fall.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{
    Disk, DiskNumber,
    stacked::{self, Stand},
};

/// Some disk, nobody knows which.
const UNKNOWN: DiskNumber = (0, 0);

/// Counters of a group, by disk; those of a device stay when the kernel no longer lists it.
#[derive(Default)]
pub(super) struct DiskCounts {
    /// As the kernel counts, by device.
    counts: Vec<(DiskNumber, Disk)>,
    /// What each of them is. Looked up again for all when one has come, as numbers are used again.
    stands: Vec<Stand>,
    /// What is told, by disk.
    told: Vec<(DiskNumber, Disk)>,
}

impl DiskCounts {
    pub(super) fn of(&mut self, number: DiskNumber) -> &mut Disk {
        of(&mut self.counts, number)
    }

    /// Tells what was counted, through whichever devices it went, once. `look` says what a device is.
    pub(super) fn tell(&mut self, look: impl Fn(DiskNumber) -> Stand) {
        if self.stands.len() != self.counts.len() {
            self.stands = self.counts.iter().map(|(number, _)| look(*number)).collect();
        }
        stacked::once(&self.counts, &self.stands, &mut self.told);
    }

    /// What was told last.
    pub(super) fn each(&self) -> impl Iterator<Item = (DiskNumber, Disk)> {
        self.told.iter().copied()
    }

    pub(super) fn sum(&self) -> Disk {
        self.each().fold(Disk::default(), |sum, (_, disk)| sum.plus(disk))
    }
}

fn of(counts: &mut Vec<(DiskNumber, Disk)>, number: DiskNumber) -> &mut Disk {
    let at = counts.iter().position(|(known, _)| *known == number).unwrap_or_else(|| {
        counts.push((number, Disk::default()));
        counts.len() - 1
    });
    &mut counts[at].1
}

/// Shares of the disks in a whole that never fall.
#[derive(Default)]
pub(super) struct Shares(Vec<(DiskNumber, Disk)>);

impl Shares {
    /// `home` is the disk that gets what no counter tells of `whole`.
    pub(super) fn update(&mut self, counts: Option<&DiskCounts>, whole: Disk, home: Option<DiskNumber>) {
        let home = home.unwrap_or(UNKNOWN);
        let mut unassigned = whole;
        for (number, disk) in counts.into_iter().flat_map(DiskCounts::each) {
            if number != home {
                let share = of(&mut self.0, number);
                *share = share.max(disk);
                unassigned = unassigned.minus(*share);
            }
        }
        if unassigned != Disk::default() {
            let share = of(&mut self.0, home);
            *share = share.max(unassigned);
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (DiskNumber, Disk)> {
        self.0.iter().copied()
    }
}

/// The disk that holds a path; of a partition, the whole of it, of a device that stands on disks the first of
/// them. Absent where it is no disk's.
pub(super) fn disk_of(path: &Path) -> Option<DiskNumber> {
    let device = fs::metadata(path).ok()?.dev();
    let number = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    stacked::whole(Path::new("/sys"), number).map(stacked::first_disk)
}

/// What the kernel calls a disk, such as `sda`; its number where that is gone, and nothing for one
/// that isn't known.
pub(super) fn name_of(number: DiskNumber) -> String {
    if number == UNKNOWN {
        return String::new();
    }
    let (major, minor) = number;
    let link = fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok();
    let name = link.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().replace('!', "/"));
    name.unwrap_or_else(|| format!("{major}:{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: u64) -> Disk {
        Disk { write_bytes: bytes, ..Disk::default() }
    }

    fn counts(each: &[(DiskNumber, u64)]) -> DiskCounts {
        let mut counts = DiskCounts::default();
        for (number, bytes) in each {
            *counts.of(*number) = written(*bytes);
        }
        counts.tell(|_| Stand::Disk);
        counts
    }

    #[test]
    fn shares_add_up_to_the_whole_and_never_fall() {
        let (root, data) = ((8, 0), (8, 16));
        let mut shares = Shares::default();
        let mut told = |root_told, data_told, whole| {
            let counts = counts(&[(data, data_told), (root, root_told)]);
            shares.update(Some(&counts), written(whole), Some(root));
            shares.each().map(|(number, disk)| (number, disk.write_bytes)).collect::<Vec<_>>()
        };
        assert_eq!(told(10, 0, 10), [(data, 0), (root, 10)]);
        assert_eq!(told(10, 5, 100), [(data, 5), (root, 95)], "buffered writes are the root's");
        assert_eq!(told(10, 50, 100), [(data, 50), (root, 95)], "it was told before that it wasn't");
    }

    #[test]
    fn without_a_home_the_rest_is_of_no_known_disk() {
        let mut shares = Shares::default();
        shares.update(Some(&counts(&[((8, 0), 3)])), written(9), None);
        assert_eq!(shares.each().collect::<Vec<_>>(), [((8, 0), written(3)), (UNKNOWN, written(6))]);
        assert_eq!(name_of(UNKNOWN), "");
    }

    #[test]
    fn a_device_that_comes_has_all_looked_at_again() {
        let (dm, sda) = ((253, 0), (8, 0));
        let mut counts = counts(&[(dm, 20)]);
        let look = |number: DiskNumber| match number == dm {
            true => Stand::On { disks: vec![sda], level: 1 },
            false => Stand::Disk,
        };
        counts.tell(look);
        assert_eq!(counts.each().collect::<Vec<_>>(), [(dm, written(20))], "what is known isn't looked at");
        *counts.of(sda) = written(20);
        counts.tell(look);
        assert_eq!(counts.each().collect::<Vec<_>>(), [(sda, written(20))]);
        assert_eq!(counts.sum(), written(20));
    }

    #[test]
    fn who_did_nothing_has_no_disk() {
        let mut shares = Shares::default();
        shares.update(None, Disk::default(), Some((8, 0)));
        assert_eq!(shares.each().count(), 0);
    }
}

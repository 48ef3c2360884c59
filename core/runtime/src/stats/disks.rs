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

use super::{Disk, DiskNumber, parse};

/// Some disk, nobody knows which.
const UNKNOWN: DiskNumber = (0, 0);

/// Counters of a group, by disk; those of a disk stay when the kernel no longer lists it.
#[derive(Default)]
pub(super) struct DiskCounts(Vec<(DiskNumber, Disk)>);

impl DiskCounts {
    pub(super) fn of(&mut self, number: DiskNumber) -> &mut Disk {
        let at = self.0.iter().position(|(known, _)| *known == number).unwrap_or_else(|| {
            self.0.push((number, Disk::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (DiskNumber, Disk)> {
        self.0.iter().copied()
    }

    pub(super) fn sum(&self) -> Disk {
        self.each().fold(Disk::default(), |sum, (_, disk)| sum.plus(disk))
    }
}

/// Shares of the disks in a whole that never fall.
#[derive(Default)]
pub(super) struct Shares(DiskCounts);

impl Shares {
    /// `home` is the disk that gets what no counter tells of `whole`.
    pub(super) fn update(&mut self, counts: Option<&DiskCounts>, whole: Disk, home: Option<DiskNumber>) {
        let home = home.unwrap_or(UNKNOWN);
        let mut unassigned = whole;
        for (number, disk) in counts.into_iter().flat_map(DiskCounts::each) {
            if number != home {
                let share = self.0.of(number);
                *share = share.max(disk);
                unassigned = unassigned.minus(*share);
            }
        }
        if unassigned != Disk::default() {
            let share = self.0.of(home);
            *share = share.max(unassigned);
        }
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (DiskNumber, Disk)> {
        self.0.each()
    }
}

/// The disk that holds a path; of a partition, the whole of it. Absent where it is no disk's.
pub(super) fn disk_of(path: &Path) -> Option<DiskNumber> {
    let device = fs::metadata(path).ok()?.dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let folder = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let whole = match folder.join("partition").exists() {
        true => folder.parent()?,
        false => &folder,
    };
    parse::disk_number(&fs::read_to_string(whole.join("dev")).ok()?)
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
        DiskCounts(each.iter().map(|(number, bytes)| (*number, written(*bytes))).collect())
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
    fn who_did_nothing_has_no_disk() {
        let mut shares = Shares::default();
        shares.update(None, Disk::default(), Some((8, 0)));
        assert_eq!(shares.each().count(), 0);
    }
}

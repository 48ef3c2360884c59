//! Devices that stand on others, so that what passes through several of them counts once.
//!
//! ```text
//! LVM, LUKS, RAID   dm-1 ── dm-0 ─┐             level 2, level 1
//! a file as a disk         loop1 ─┤             level 1
//! what is a disk                  └─ sda ── sdb level 0, together as dm-1 has parts on both
//! ```
//!
//! The kernel counts a group's IO at each level that it passes, and not at all of them: LUKS writes from a
//! thread of the kernel's own, so below it nothing stands against the group. Which level missed something
//! isn't told, so of each stack, and of each figure, that level counts which has the most; that never falls,
//! as no level's sum does. What a level above has more is given to the first disk below.
//!
//! A stack of which nobody knows where it stands (a loop device on a file in memory, in btrfs, or out of
//! sight) may stand on all the others: it counts for what it has more than they together.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use super::{Disk, DiskNumber, parse};

/// More levels than there are anywhere.
const MOST_LEVELS: usize = 16;

/// What a block device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    Disk,
    /// Memory, which is no disk.
    Memory,
    /// It stands on these disks, in order, so many levels above; on none where that isn't known.
    On {
        disks: Vec<DiskNumber>,
        level: usize,
    },
}

/// Whether a device is a disk by the kernel's name of it.
pub(super) fn is_disk_by_name(name: &str) -> bool {
    !is_memory(name) && !["loop", "dm-", "md"].iter().any(|prefix| name.starts_with(prefix))
}

fn is_memory(name: &str) -> bool {
    ["ram", "zram"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a device, by its folder in `/sys`, stands on others that it names.
pub(super) fn has_slaves(folder: &Path) -> bool {
    fs::read_dir(folder.join("slaves")).is_ok_and(|mut slaves| slaves.next().is_some())
}

/// What `/sys` says of a device. One that is gone counts as a disk.
pub(super) fn look(number: DiskNumber) -> Stand {
    stand(Path::new("/sys"), number, MOST_LEVELS)
}

/// The first disk that a device stands on, or itself.
pub(super) fn first_disk(number: DiskNumber) -> DiskNumber {
    match look(number) {
        Stand::On { disks, .. } => disks.first().copied().unwrap_or(number),
        Stand::Disk | Stand::Memory => number,
    }
}

/// The whole disk that a device number is of or is a part of.
pub(super) fn whole(sys: &Path, (major, minor): DiskNumber) -> Option<DiskNumber> {
    let folder = fs::canonicalize(sys.join(format!("dev/block/{major}:{minor}"))).ok()?;
    let whole = match folder.join("partition").exists() {
        true => folder.parent()?,
        false => &folder,
    };
    parse::disk_number(&fs::read_to_string(whole.join("dev")).ok()?)
}

fn stand(sys: &Path, number: DiskNumber, levels: usize) -> Stand {
    let (major, minor) = number;
    let Ok(folder) = fs::canonicalize(sys.join(format!("dev/block/{major}:{minor}"))) else {
        return Stand::Disk;
    };
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if is_memory(&name) {
        return Stand::Memory;
    }
    let mut below = slaves(&folder);
    below.extend(backing(&folder));
    if (below.is_empty() && !name.starts_with("loop")) || levels == 0 {
        return Stand::Disk;
    }
    let (mut disks, mut deepest) = (Vec::new(), 0);
    for one in below.into_iter().filter_map(|one| whole(sys, one)) {
        match stand(sys, one, levels - 1) {
            Stand::On { disks: more, level } => {
                disks.extend(more);
                deepest = deepest.max(level);
            }
            Stand::Disk | Stand::Memory => disks.push(one),
        }
    }
    disks.sort_unstable();
    disks.dedup();
    Stand::On { disks, level: deepest + 1 }
}

/// What the device mapper and RAID stand on: disks, or parts of them.
fn slaves(folder: &Path) -> Vec<DiskNumber> {
    let entries = fs::read_dir(folder.join("slaves")).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| fs::read_to_string(entry.path().join("dev")).ok());
    numbers.filter_map(|number| parse::disk_number(&number)).collect()
}

/// What the file of a loop device is on. A file may be a device itself.
fn backing(folder: &Path) -> Option<DiskNumber> {
    let path = fs::read_to_string(folder.join("loop/backing_file")).ok()?;
    let file = fs::metadata(path.trim_end_matches('\n')).ok()?;
    let device = if file.file_type().is_block_device() { file.rdev() } else { file.dev() };
    Some((nix::sys::stat::major(device), nix::sys::stat::minor(device)))
}

/// Stacks that share a disk.
struct Stack {
    disks: Vec<DiskNumber>,
    /// What was counted at each level above the disks.
    levels: Vec<Disk>,
    /// One of its devices.
    device: DiskNumber,
}

impl Stack {
    fn meets(&self, disks: &[DiskNumber]) -> bool {
        (self.disks.is_empty() && disks.is_empty()) || self.disks.iter().any(|disk| disks.contains(disk))
    }

    fn add(&mut self, level: usize, disk: Disk) {
        if self.levels.len() <= level {
            self.levels.resize(level + 1, Disk::default());
        }
        self.levels[level] = self.levels[level].plus(disk);
    }

    fn join(&mut self, other: Self) {
        self.disks.extend(other.disks);
        self.disks.sort_unstable();
        self.disks.dedup();
        for (level, disk) in other.levels.into_iter().enumerate() {
            self.add(level, disk);
        }
    }
}

/// What counts of `counts`, by disk, into `told`. `stands` says of each what it is.
pub(super) fn once(counts: &[(DiskNumber, Disk)], stands: &[Stand], told: &mut Vec<(DiskNumber, Disk)>) {
    told.clear();
    let mut stacks: Vec<Stack> = Vec::new();
    for ((device, disk), stand) in counts.iter().copied().zip(stands) {
        match stand {
            Stand::Disk => told.push((device, disk)),
            Stand::Memory => {}
            Stand::On { disks, level } => {
                let mut stack = Stack { disks: disks.clone(), levels: Vec::new(), device };
                stack.add(*level, disk);
                for other in stacks.extract_if(.., |other| other.meets(disks)) {
                    stack.join(other);
                }
                stacks.push(stack);
            }
        }
    }
    // What may stand on all the others comes last.
    stacks.sort_by_key(|stack| stack.disks.is_empty());
    for stack in stacks {
        let is_below = |number: &DiskNumber| stack.disks.is_empty() || stack.disks.contains(number);
        let below = told.iter().filter(|(number, _)| is_below(number));
        let below = below.fold(Disk::default(), |sum, (_, disk)| sum.plus(*disk));
        let most = stack.levels.iter().fold(Disk::default(), |most, level| most.max(*level));
        let more = most.minus(below);
        if more == Disk::default() {
            continue;
        }
        let number = stack.disks.first().copied().unwrap_or(stack.device);
        match told.iter_mut().find(|(known, _)| *known == number) {
            Some((_, disk)) => *disk = disk.plus(more),
            None => told.push((number, more)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const SDA: DiskNumber = (8, 0);
    const SDB: DiskNumber = (8, 16);
    const LOOP: DiskNumber = (7, 1);
    const DM: DiskNumber = (253, 0);
    const DM_1: DiskNumber = (253, 1);

    fn did(reads: u64, write_bytes: u64) -> Disk {
        Disk { reads, write_bytes, ..Disk::default() }
    }

    fn on(disks: &[DiskNumber], level: usize) -> Stand {
        Stand::On { disks: disks.to_vec(), level }
    }

    fn counted(devices: &[(DiskNumber, Disk, Stand)]) -> Vec<(DiskNumber, Disk)> {
        let counts: Vec<_> = devices.iter().map(|(number, disk, _)| (*number, *disk)).collect();
        let stands: Vec<_> = devices.iter().map(|(.., stand)| stand.clone()).collect();
        let mut told = vec![(SDB, did(9, 9))];
        once(&counts, &stands, &mut told);
        told
    }

    #[test]
    fn what_passes_through_several_devices_counts_once() {
        // 20 written to a dm on a loop device, as the kernel tells it.
        let devices = [
            (DM, did(0, 20), on(&[SDA], 2)),
            (LOOP, did(0, 20), on(&[SDA], 1)),
            (SDA, did(1, 14), Stand::Disk),
        ];
        assert_eq!(counted(&devices), [(SDA, did(1, 20))]);
        assert_eq!(counted(&devices[..2]), [(SDA, did(0, 20))], "nothing stands against the group below");
        // Of reads the disk tells, of writes only the level above (LUKS).
        let luks = [(DM, did(5, 20), on(&[SDA], 1)), (SDA, did(5, 0), Stand::Disk)];
        assert_eq!(counted(&luks), [(SDA, did(5, 20))]);
        let memory = [((252, 0), did(5, 20), Stand::Memory), (SDB, did(1, 2), Stand::Disk)];
        assert_eq!(counted(&memory), [(SDB, did(1, 2))]);
    }

    #[test]
    fn devices_beside_each_other_add_up() {
        let two = [
            (DM, did(0, 10), on(&[SDA], 1)),
            (DM_1, did(0, 10), on(&[SDA], 1)),
            (SDA, did(0, 0), Stand::Disk),
            (SDB, did(0, 7), Stand::Disk),
        ];
        assert_eq!(counted(&two), [(SDA, did(0, 20)), (SDB, did(0, 7))]);
        // A volume on two disks, and one on the second alone: what all of them did is 40.
        let spread = [
            (SDA, did(0, 15), Stand::Disk),
            (SDB, did(0, 25), Stand::Disk),
            (DM_1, did(0, 10), on(&[SDB], 1)),
            (DM, did(0, 30), on(&[SDA, SDB], 1)),
        ];
        assert_eq!(counted(&spread), [(SDA, did(0, 15)), (SDB, did(0, 25))]);
    }

    #[test]
    fn what_stands_on_nothing_known_counts_for_what_it_has_more() {
        let of = |written| [(LOOP, did(0, written), on(&[], 1)), (SDA, did(0, 8), Stand::Disk)];
        assert_eq!(counted(&of(8)), [(SDA, did(0, 8))]);
        assert_eq!(counted(&of(10)), [(SDA, did(0, 8)), (LOOP, did(0, 2))]);
        assert_eq!(counted(&of(10)[..1]), [(LOOP, did(0, 10))]);
    }

    #[test]
    fn sys_says_what_devices_stand_on() {
        let root = tempfile::tempdir().expect("a folder");
        let sys = root.path();
        fs::create_dir_all(sys.join("dev/block")).expect("made");
        let device = |place: &str, number: &str, slaves: &[&str]| {
            let folder = sys.join("devices").join(place);
            fs::create_dir_all(folder.join("slaves")).expect("made");
            fs::write(folder.join("dev"), format!("{number}\n")).expect("written");
            symlink(&folder, sys.join("dev/block").join(number)).expect("linked");
            for slave in slaves {
                let name = slave.rsplit('/').next().expect("a name");
                symlink(sys.join("devices").join(slave), folder.join("slaves").join(name)).expect("linked");
            }
            folder
        };
        device("sda", "8:0", &[]);
        let part = device("sda/sda5", "8:5", &[]);
        fs::write(part.join("partition"), "5\n").expect("written");
        device("sdb", "8:16", &[]);
        device("dm-0", "253:0", &["sda/sda5"]);
        device("dm-1", "253:1", &["dm-0", "sdb"]);
        device("zram0", "252:0", &[]);
        let look = |number| stand(sys, number, MOST_LEVELS);
        assert_eq!(look(SDA), Stand::Disk);
        assert_eq!(look(DM), on(&[SDA], 1));
        assert_eq!(look(DM_1), on(&[SDA, SDB], 2));
        assert_eq!(look((252, 0)), Stand::Memory);
        assert_eq!(look((9, 9)), Stand::Disk, "it is gone");
        let has = |place: &str| has_slaves(&sys.join("devices").join(place));
        assert_eq!([has("dm-0"), has("sda"), has("none")], [true, false, false]);
    }

    #[test]
    fn a_loop_device_stands_on_the_disk_of_its_file() {
        let root = tempfile::tempdir().expect("a folder");
        let sys = root.path();
        let (place, by_number) = (sys.join("devices/loop1"), sys.join("dev/block"));
        fs::create_dir_all(place.join("loop")).expect("made");
        fs::create_dir_all(&by_number).expect("made");
        // A number that no disk of this machine has.
        let number = (7, 999_999);
        symlink(&place, by_number.join("7:999999")).expect("linked");
        let look = || stand(sys, number, MOST_LEVELS);
        assert_eq!(look(), on(&[], 1), "it has no file");
        let file = sys.join("image");
        fs::write(&file, "").expect("written");
        fs::write(place.join("loop/backing_file"), format!("{}\n", file.display())).expect("written");
        assert_eq!(look(), on(&[], 1), "its file is on no disk");
        let device = fs::metadata(&file).expect("it is there").dev();
        let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
        let disk = sys.join("devices/disk");
        fs::create_dir_all(&disk).expect("made");
        fs::write(disk.join("dev"), format!("{major}:{minor}\n")).expect("written");
        symlink(&disk, by_number.join(format!("{major}:{minor}"))).expect("linked");
        assert_eq!(look(), on(&[(major, minor)], 1));
    }
}

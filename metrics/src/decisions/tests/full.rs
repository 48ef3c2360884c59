//! A disk that takes nothing: rows stay in memory and are answered, nothing is half written, and
//! all goes on when there is room.

use super::*;
use crate::append::tests::small_disk;

const NAME_OF_TEST: &str = "decisions::tests::full::a_full_disk_loses_only_what_is_too_much_for_memory";
const FILE: usize = 50;
const MEMORY: i64 = 2000;

#[test]
fn a_full_disk_loses_only_what_is_too_much_for_memory() {
    let Some(disk) = small_disk::enter(NAME_OF_TEST) else { return };
    let folder = disk.data.join("decisions");
    let load = || load(&folder, FILE, MEMORY as usize);
    let keeper = load();
    let begin = now();
    let mut end = begin;
    let mut record = |count: i64| {
        (end..end + count).for_each(|time| keeper.decisions.record(decision(time)));
        end += count;
        end
    };
    record(30);
    keeper.write().expect("there is room");
    disk.leave(1);
    // More than one page, so that a part of it is written.
    let full = record(500);
    assert!(keeper.write().is_err() && keeper.write().is_err());
    assert_eq!(all(&keeper), (begin..full).collect::<Vec<_>>());
    disk.free();
    keeper.write().expect("there is room again");
    // What is full can't be sealed, and is answered all the same.
    disk.leave(0);
    assert!(keeper.settle().is_err());
    assert_eq!(all(&keeper), (begin..full).collect::<Vec<_>>());
    let files = small_disk::files(&folder);
    assert!(files.iter().all(|path| path.extension().is_some_and(|it| it == "jsonl")), "{files:?}");
    // So it is after a start on such a disk.
    assert_eq!(all(&load()), (begin..full).collect::<Vec<_>>());
    // What is too much for memory goes, the oldest first; what a file has is there again later.
    let last = record(MEMORY + 100);
    assert!(keeper.write().is_err());
    assert_eq!(all(&keeper), (last - MEMORY..last).collect::<Vec<_>>());
    disk.free();
    keeper.write().expect("there is room again");
    keeper.settle().expect("sealed");
    let expected: Vec<_> = (begin..full).chain(last - MEMORY..last).collect();
    assert_eq!(all(&keeper), expected);
    drop(keeper);
    assert_eq!(all(&load()), expected);
}

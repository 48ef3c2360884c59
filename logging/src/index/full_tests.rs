//! The store on a disk that is full at each of its writes: what fails leaves all answers as
//! they were and no file, also over a restart, and succeeds when there is room.

use super::{
    IndexError, Retention, Store,
    tests::{batch, find},
};
use crate::small_disk::{self, SmallDisk};

fn open(disk: &SmallDisk, bytes: u64) -> Store {
    let retention = Retention { bytes, ..Retention::default() };
    Store::open(&disk.data, retention).expect("a store, also on a full disk").0
}

fn commit(store: &Store) -> Result<(), IndexError> {
    let pending = store.begin_commit(vec![]).expect("begun");
    store.finish_commit(&pending)
}

fn count(store: &Store) -> usize {
    let answer = find(store, "record");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    answer.records.len()
}

/// Takes the step with page after page of room until it succeeds. Until then nothing changes.
fn with_little_room(
    disk: &SmallDisk,
    what: &str,
    store: &Store,
    step: impl Fn(&Store) -> Result<(), IndexError>,
) {
    let before = find(store, "record").records;
    for pages in 0.. {
        disk.leave(pages);
        let room = disk.room();
        let Err(error) = step(store) else {
            disk.free();
            assert!(pages > 0, "{what} never met the full disk");
            return;
        };
        let text = format!("{error:?}");
        let is_full = text.contains("StorageFull") || text.contains("No space left");
        assert!(is_full, "{what} with {pages} pages: {error:?}");
        let answer = find(store, "record");
        assert!(answer.partial.is_empty() && answer.records == before, "{what} with {pages} pages");
        assert_eq!(disk.room(), room, "{what} with {pages} pages left {:?}", small_disk::files(&disk.data));
    }
}

#[test]
fn each_write_may_meet_a_full_disk() {
    const NAME: &str = "index::full_tests::each_write_may_meet_a_full_disk";
    let Some(disk) = small_disk::enter(NAME) else { return };
    let store = open(&disk, u64::MAX);
    for round in 0..8 {
        store.append(batch("web", round * 300, (round + 1) * 300)).expect("appended");
        commit(&store).expect("durable");
    }
    store.append(batch("db", 0, 300)).expect("appended");
    with_little_room(&disk, "a commit", &store, commit);
    drop(store);
    let store = open(&disk, u64::MAX);
    assert_eq!((count(&store), store.sizes().2), (2700, 9));

    with_little_room(&disk, "a merge", &store, |store| store.merge().map(|merged| assert!(merged)));
    assert_eq!((count(&store), store.sizes().2), (2700, 2));
    with_little_room(&disk, "an order to delete", &store, |store| store.delete_records("shop", 10_000));
    assert_eq!(count(&store), 2680);
    with_little_room(&disk, "a purge", &store, |store| store.purge().map(|purged| assert!(purged)));
    // What is read when it starts was written before the disk was full.
    disk.leave(0);
    drop(store);
    let store = open(&disk, 1);
    disk.free();
    assert_eq!(count(&store), 2680);
    with_little_room(&disk, "retention", &store, Store::expire);
    assert_eq!(count(&store), 0);
}

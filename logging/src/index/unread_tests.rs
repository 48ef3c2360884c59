//! A disk or a system that doesn't give a split's bytes for a while: answers name the split, nothing
//! of it is set aside or forgotten, and it is there again when it can be read.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{
    Store,
    loss_tests::folder,
    tests::{batch, commit, find, store},
};

/// Puts a link that leads to itself in the place of a file, which can't be opened then, and is not
/// missing either; what it gives puts the file back.
fn withhold(path: &Path) -> impl FnOnce() + use<> {
    let (path, aside) = (path.to_owned(), path.with_extension("aside"));
    fs::rename(&path, &aside).expect("moved");
    symlink(&path, &path).expect("a link");
    move || {
        fs::remove_file(&path).expect("removed");
        fs::rename(&aside, &path).expect("moved back");
    }
}

fn blocks(folder: &Path, split: u64) -> PathBuf {
    folder.join(format!("splits/{split}/blocks"))
}

/// The file of a split's words that has the words themselves.
fn words(folder: &Path, split: u64) -> PathBuf {
    let listed = fs::read_dir(folder.join(format!("splits/{split}/words"))).expect("a folder");
    let mut paths = listed.map(|entry| entry.expect("listed").path());
    paths.find(|path| path.extension().is_some_and(|kind| kind == "term")).expect("words")
}

/// Commits so many splits of five records.
fn fill(store: &Store, splits: std::ops::Range<u64>) {
    for number in splits {
        store.append(batch("web", number * 5, number * 5 + 5)).expect("appended");
        commit(store);
    }
}

/// So many records are found, and of so many splits it is said that they can't be read.
fn check(store: &Store, query: &str, records: usize, unread: usize) {
    let found = find(store, query);
    let is_said = found.partial.iter().all(|error| error.error.contains("can't be read now"));
    assert!(is_said, "{:?}", found.partial);
    assert_eq!((found.records.len(), found.partial.len()), (records, unread), "{:?}", found.partial);
}

fn ids(store: &Store) -> Vec<u64> {
    store.manifest.lock().splits.iter().map(|split| split.id).collect()
}

fn set_aside(folder: &Path) -> usize {
    fs::read_dir(folder.join("broken")).expect("listed").count()
}

#[test]
fn a_split_that_is_withheld_at_the_start_is_named_and_there_again_later() {
    for file in [blocks, words] {
        let folder = folder();
        fill(&store(folder.path()), 0..3);
        let give_back = withhold(&file(folder.path(), 1));
        let store = self::store(folder.path());
        check(&store, "*", 10, 1);
        assert_eq!(*store.holds().splits, [(0, 0), (2, 2)], "the archive may have the other");
        let version = *store.changes().borrow();
        store.append(batch("db", 0, 5)).expect("appended");
        commit(&store);
        store.upkeep(&[]).expect("kept up");
        check(&store, "*", 15, 1);
        assert_eq!(ids(&store), [0, 1, 2, 3], "it stays listed");
        assert_eq!(*store.changes().borrow(), version + 1, "of the commit");

        give_back();
        store.upkeep(&[]).expect("kept up");
        check(&store, "*", 20, 0);
        assert_eq!(*store.holds().splits, [(0, 3)]);
        assert_eq!(*store.changes().borrow(), version + 2, "the archive is told of it");
        drop(store);
        check(&self::store(folder.path()), "*", 20, 0);
        assert_eq!(set_aside(folder.path()), 0);
    }
}

#[test]
fn a_split_that_is_withheld_when_the_manifest_is_lost_is_kept() {
    let folder = folder();
    fill(&store(folder.path()), 0..3);
    let give_back = withhold(&blocks(folder.path(), 1));
    for name in ["MANIFEST", "MANIFEST.copy"] {
        fs::remove_file(folder.path().join(name)).expect("removed");
    }
    let store = self::store(folder.path());
    check(&store, "*", 10, 1);
    give_back();
    store.upkeep(&[]).expect("kept up");
    check(&store, "*", 15, 0);
    assert_eq!(set_aside(folder.path()), 0);
}

#[test]
fn a_split_that_turns_out_damaged_later_is_set_aside_then() {
    let folder = folder();
    fill(&store(folder.path()), 0..2);
    let give_back = withhold(&blocks(folder.path(), 0));
    let store = self::store(folder.path());
    check(&store, "*", 5, 1);
    give_back();
    fs::write(blocks(folder.path(), 0), "nothing of a split").expect("written");
    store.upkeep(&[]).expect("kept up");
    let found = find(&store, "*");
    assert_eq!((found.records.len(), found.partial.len()), (5, 1), "{:?}", found.partial);
    assert!(found.partial[0].error.contains("was set aside"), "{:?}", found.partial);
    assert_eq!((ids(&store), set_aside(folder.path())), (vec![1], 1));
}

#[test]
fn words_that_are_withheld_for_a_while_are_no_damage_and_missing_ones_are() {
    let folder = folder();
    fill(&store(folder.path()), 0..2);
    // Opened again: nobody has looked at the words yet.
    let store = self::store(folder.path());
    let give_back = withhold(&words(folder.path(), 0));
    check(&store, "record", 5, 1);
    check(&store, "record", 5, 1);
    check(&store, "*", 10, 0);
    let is_news = [0, 1].map(|split| store.is_unread_now(split));
    assert_eq!(is_news, [false, true], "the first search has told the log");
    give_back();
    check(&store, "record", 10, 0);
    assert_eq!((ids(&store), set_aside(folder.path())), (vec![0, 1], 0));
    drop(store);

    let store = self::store(folder.path());
    fs::remove_file(words(folder.path(), 0)).expect("removed");
    let found = find(&store, "record");
    assert_eq!((found.records.len(), found.partial.len()), (5, 1), "{:?}", found.partial);
    assert_eq!((ids(&store), set_aside(folder.path())), (vec![1], 1));
}

#[test]
fn splits_that_the_log_told_of_are_kept_in_mind_as_long_as_they_are_there() {
    let folder = folder();
    fill(&store(folder.path()), 0..9);
    let store = self::store(folder.path());
    for split in [0, 7, 8] {
        assert!(store.is_unread_now(split) && !store.is_unread_now(split), "{split}");
    }
    fill(&store, 9..10);
    assert_eq!(store.state.read().told.len(), 3, "all are there");
    while store.merge().expect("merged") {}
    assert!(!ids(&store).contains(&7), "{:?}", ids(&store));
    assert_eq!(store.state.read().told.iter().copied().collect::<Vec<u64>>(), [8]);
}

#[test]
fn a_merge_leaves_alone_for_a_while_what_it_could_not_read() {
    let folder = folder();
    {
        let store = self::store(folder.path());
        // More than half a block: it is taken over with its words.
        store.append(batch("big", 0, 3000)).expect("appended");
        commit(&store);
        fill(&store, 0..7);
        // The heaviest: those before it are to be merged first.
        store.append(batch("big", 3000, 7000)).expect("appended");
        commit(&store);
    }
    let store = self::store(folder.path());
    let give_back = withhold(&words(folder.path(), 0));
    store.upkeep(&[]).expect("kept up");
    assert_eq!(ids(&store), [0, 10], "the others are merged");
    give_back();
    fill(&store, 8..14);
    store.upkeep(&[]).expect("kept up");
    assert_eq!(ids(&store).len(), 8, "it still rests");
    store.state.write().resting.clear();
    store.upkeep(&[]).expect("kept up");
    assert_eq!(ids(&store).len(), 1);
    check(&store, "record", 7065, 0);
    assert_eq!(set_aside(folder.path()), 0);
}

#[test]
fn an_order_to_delete_holds_until_the_split_with_its_records_can_be_written_again() {
    let folder = folder();
    {
        let store = self::store(folder.path());
        // Two blocks, of which the second is taken over with its words.
        store.append(batch("big", 0, 8192)).expect("appended");
        commit(&store);
    }
    let store = self::store(folder.path());
    let give_back = withhold(&words(folder.path(), 0));
    store.delete_records("shop", 10_000).expect("ordered");
    store.upkeep(&[]).expect("kept up");
    check(&store, "*", 8182, 0);
    let orders = store.manifest.lock().deletions.clone();
    store.forget_orders(&orders, i64::MAX).expect("looked");
    assert_eq!(store.manifest.lock().deletions, orders);
    assert_eq!(ids(&store), [0]);

    give_back();
    store.state.write().resting.clear();
    store.upkeep(&[]).expect("kept up");
    store.forget_orders(&orders, i64::MAX).expect("looked");
    assert!(store.manifest.lock().deletions.is_empty());
    check(&store, "*", 8182, 0);
    assert_eq!(set_aside(folder.path()), 0);
}

//! What a later version wrote, after a return to this one: splits are named, stay where they
//! are, and are there again with that version; so are those that carry something of it, where
//! that is needed. Where it wrote the manifest, nothing is touched.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    IndexError, Retention, Store,
    loss_tests::folder,
    resume::of_later,
    sealed::Form,
    tests::{batch, commit, find, store},
};
use crate::wal::Mark;

/// What a later version may have done to a directory.
const CHANGES: [fn(&mut Value); 3] = [
    |directory| directory["version"] = json!(2),
    |directory| *directory = json!({ "version": 2, "blocks": "of another form" }),
    |directory| directory["blocks"][0]["version"] = json!(9),
];
/// Bytes of a split's footer, and those at its end that say what it is.
const FOOTER: usize = 24;
const END: usize = 8;

/// Changes a split's directory, with its checksum; gives the bytes of before.
fn rewrite(split: &Path, change: fn(&mut Value)) -> Vec<u8> {
    let path = split.join("blocks");
    let before = fs::read(&path).expect("read");
    let (body, footer) = before.split_at(before.len() - FOOTER);
    let at = u64::from_le_bytes(footer[..8].try_into().expect("eight bytes"));
    let (blocks, packed) = body.split_at(at as usize);
    let mut directory: Value =
        serde_json::from_slice(&zstd::decode_all(packed).expect("unpacked")).expect("JSON");
    change(&mut directory);
    let packed = zstd::bulk::compress(directory.to_string().as_bytes(), 3).expect("packed");
    let mut after = blocks.to_vec();
    after.extend_from_slice(&packed);
    after.extend_from_slice(&at.to_le_bytes());
    after.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    after.extend_from_slice(&crc32fast::hash(&packed).to_le_bytes());
    after.extend_from_slice(&footer[FOOTER - END..]);
    fs::write(&path, after).expect("written");
    before
}

fn fill(folder: &Path, splits: u64) {
    let store = store(folder);
    for number in 0..splits {
        store.append(batch("web", number * 5, number * 5 + 5)).expect("appended");
        commit(&store);
    }
}

/// So many records are found, and of so many splits it is said that they are newer.
fn check(store: &Store, records: usize, newer: usize) {
    let found = find(store, "*");
    let is_said = found.partial.iter().all(|error| error.error.contains("newer than this tiphys"));
    assert!(is_said, "{:?}", found.partial);
    assert_eq!((found.records.len(), found.partial.len()), (records, newer), "{:?}", found.partial);
}

#[test]
fn a_newer_split_is_named_and_nobody_touches_it() {
    for change in CHANGES {
        let folder = folder();
        fill(folder.path(), 12);
        let path = |id: u64, name: &str| folder.path().join("splits").join(id.to_string()).join(name);
        let newer = [0, 11].map(|id| (id, rewrite(&path(id, ""), change)));
        let files = |id| ["blocks", "resume"].map(|name| fs::read(path(id, name)).expect("it stays"));
        let before = newer.clone().map(|(id, _)| files(id));
        let store = self::store(folder.path());
        check(&store, 50, 2);
        assert_eq!(*store.holds().splits, [(1, 10)], "the archive may have the others");
        let listed = store.listing().expect("listed").splits;
        assert!(listed.iter().all(|split| (1..=10).contains(&split.id)), "{listed:?}");

        // A commit of nothing, which the newest split carries; one of records; merges; an order.
        commit(&store);
        store.append(batch("db", 0, 5)).expect("appended");
        commit(&store);
        while store.merge().expect("merged") {}
        check(&store, 55, 2);
        store.delete_records("shop", -1).expect("ordered");
        let orders = store.manifest.lock().deletions.clone();
        store.forget_orders(&orders, i64::MAX).expect("looked");
        assert_eq!(store.manifest.lock().deletions, orders, "it isn't carried out in all splits");
        assert_eq!(newer.clone().map(|(id, _)| files(id)), before);
        assert_eq!(fs::read_dir(folder.path().join("broken")).expect("listed").count(), 0);
        drop(store);

        newer.into_iter().for_each(|(id, bytes)| fs::write(path(id, "blocks"), bytes).expect("written"));
        let store = self::store(folder.path());
        check(&store, 65, 0);
        store.forget_orders(&orders, i64::MAX).expect("looked");
        assert!(store.manifest.lock().deletions.is_empty());
    }
}

/// All files of a folder.
fn all(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for path in fs::read_dir(folder).expect("listed").map(|entry| entry.expect("listed").path()) {
        match path.is_dir() {
            true => all(&path, found),
            false => drop(found.insert(path.clone(), fs::read(&path).expect("read"))),
        }
    }
}

#[test]
fn where_a_newer_manifest_is_nothing_is_touched() {
    const NAMES: [&str; 2] = ["MANIFEST", "MANIFEST.copy"];
    let folder = folder();
    fill(folder.path(), 3);
    let paths = NAMES.map(|name| folder.path().join(name));
    let before = paths.clone().map(|path| fs::read(path).expect("read"));
    let newer = Form { kind: "tiphys-logs", version: 7 }.write(&json!({"of": "another form"})).expect("JSON");
    let mut same = before[0].clone();
    same[b"tiphys-logs ".len()] = b'7';
    // Beside a copy of the same, one of this version, a damaged one, and none.
    for (at, other) in [Some(&newer), Some(&before[0]), Some(&b"x".to_vec()), None].into_iter().enumerate() {
        for (newer_path, other_path) in [(&paths[0], &paths[1]), (&paths[1], &paths[0])] {
            fs::write(newer_path, &newer).expect("written");
            match other {
                Some(other) => fs::write(other_path, other).expect("written"),
                None => fs::remove_file(other_path).expect("removed"),
            }
            let (mut there, mut after) = (BTreeMap::new(), BTreeMap::new());
            all(folder.path(), &mut there);
            let Err(error) = Store::open(folder.path(), Retention::default()) else {
                panic!("{at}: it was opened")
            };
            assert!(matches!(error, IndexError::NewerManifest { version: 7, known: 1, .. }), "{at}: {error}");
            assert!(error.to_string().contains("MANIFEST") && error.to_string().contains("start the later"));
            all(folder.path(), &mut after);
            assert!(there == after, "{at}");
        }
    }
    // What says the same in two versions was written by this one.
    for changed in [0, 1] {
        fs::write(&paths[changed], &same).expect("written");
        fs::write(&paths[1 - changed], &before[0]).expect("written");
        check(&store(folder.path()), 15, 0);
        assert!(folder.path().join(format!("{}.damaged", NAMES[changed])).exists());
    }
}

/// As a later version may write what a split carries; gives the bytes of before.
fn carry_later(split: &Path) -> Vec<u8> {
    let path = split.join("resume");
    let before = fs::read(&path).expect("read");
    fs::write(&path, of_later(2, b"of another form")).expect("written");
    before
}

#[test]
fn what_a_later_version_lets_a_split_carry_stays_while_the_manifest_says_all() {
    let folder = folder();
    fill(folder.path(), 3);
    let split = folder.path().join("splits/2");
    carry_later(&split);
    let carried = fs::read(split.join("resume")).expect("read");
    let store = self::store(folder.path());
    check(&store, 15, 0);
    // Of nothing: the newest split would carry it.
    commit(&store);
    assert_eq!(fs::read(split.join("resume")).expect("read"), carried);
    store.append(batch("db", 0, 5)).expect("appended");
    commit(&store);
    check(&store, 20, 0);
    assert_eq!(fs::read(split.join("resume")).expect("read"), carried);
}

#[test]
fn a_split_that_carries_what_a_later_version_wrote_is_left_alone_when_the_manifest_is_lost() {
    // With others, and with none, that this version could put the manifest together from.
    for later in [vec![1], vec![0, 1, 2]] {
        let folder = folder();
        fill(folder.path(), 3);
        let split = |id: u64| folder.path().join(format!("splits/{id}"));
        let before: Vec<Vec<u8>> = later.iter().map(|id| carry_later(&split(*id))).collect();
        let files = || {
            let mut found = BTreeMap::new();
            later.iter().for_each(|id| all(&split(*id), &mut found));
            found
        };
        let untouched = files();
        lose_manifest(folder.path());
        let sound = 15 - 5 * later.len();
        for added in [5, 10] {
            // The second time there is a manifest.
            let store = self::store(folder.path());
            store.append(batch("db", added - 5, added)).expect("appended");
            commit(&store);
            store.upkeep(&[]).expect("kept up");
            while store.merge().expect("merged") {}
            check(&store, sound + added as usize, later.len());
            assert!(files() == untouched, "{later:?}");
            let holds = store.holds().splits;
            let has = |id: &u64| holds.iter().any(|(first, last)| (first..=last).contains(&id));
            assert!(!later.iter().any(has), "the archive may have them: {holds:?}");
        }
        assert_eq!(fs::read_dir(folder.path().join("broken")).expect("listed").count(), 0);
        // As the later version reads it.
        for (id, bytes) in later.iter().zip(before) {
            fs::write(split(*id).join("resume"), bytes).expect("written");
        }
        check(&self::store(folder.path()), 25, 0);
    }
}

fn lose_manifest(folder: &Path) {
    for name in ["MANIFEST", "MANIFEST.copy"] {
        fs::remove_file(folder.join(name)).expect("removed");
    }
}

#[test]
fn a_split_whose_version_is_damaged_is_none_of_a_later_one() {
    // One bit is another in each, and some are versions.
    for digit in [b'0', b'3', b'5', b'9', b'q'] {
        let folder = folder();
        fill(folder.path(), 3);
        let path = folder.path().join("splits/1/resume");
        let mut bytes = fs::read(&path).expect("read");
        bytes[b"tiphys-logs-resume ".len()] = digit;
        fs::write(&path, bytes).expect("written");
        lose_manifest(folder.path());
        check(&self::store(folder.path()), 15, 0);
    }
}

#[test]
fn a_merge_of_what_carries_nothing_that_can_be_read_has_no_records_read_again() {
    let later = of_later(2, b"of another form");
    for unread in [vec![7], vec![0], (0..8).collect()] {
        for carried in [later.as_slice(), &b"damaged"[..]] {
            let folder = folder();
            let store = self::store(folder.path());
            for number in 0..8 {
                store.append(batch("web", number * 5, number * 5 + 5)).expect("appended");
                store.appended(Mark { number: number + 1, next_seq: number * 5 + 5 });
                commit(&store);
            }
            for id in &unread {
                let path = folder.path().join(format!("splits/{id}/resume"));
                fs::write(path, carried).expect("written");
            }
            assert!(store.merge().expect("merged"));
            drop(store);
            lose_manifest(folder.path());
            let store = self::store(folder.path());
            check(&store, 40, 0);
            assert_eq!(store.mark().number, 8, "{unread:?}");
        }
    }
}

#[test]
fn a_newer_split_is_kept_also_when_the_manifest_is_lost() {
    for change in CHANGES {
        let folder = folder();
        fill(folder.path(), 3);
        let split = folder.path().join("splits/1");
        let bytes = rewrite(&split, change);
        lose_manifest(folder.path());
        check(&self::store(folder.path()), 10, 1);
        fs::write(split.join("blocks"), bytes).expect("written");
        check(&self::store(folder.path()), 15, 0);
    }
}

//! Several stores in one archive, and what goes from it.

use std::{path::Path, sync::atomic::AtomicI64};

use object_store::memory::InMemory;

use super::{failing::Failing, *};

fn filled(folder: &Path, objects: Objects) -> (StoreConfig, Store) {
    let config = archived(folder, objects);
    let store = Store::recover(&config).expect("opened");
    fill(&store);
    (config, store)
}

fn files(folder: &Path) -> usize {
    let stores = std::fs::read_dir(folder.join("archive")).expect("a folder");
    let of = |store: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_dir(store.expect("listed").path()).map_or(0, Iterator::count)
    };
    stores.map(of).sum()
}

#[tokio::test]
async fn a_store_answers_the_days_that_only_another_one_archived() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = in_folder(folder.path());
    let (_, gone) = filled(&folder.path().join("gone"), objects.clone());
    let (samples, _) = told(&gone, 0..i64::MAX).await;
    round(&gone, NOW).await.expect("archived");
    drop(gone);
    let config = archived(&folder.path().join("new"), objects.clone());
    let store = Store::recover(&config).expect("opened");
    // It has begun within the second day, with samples of its own, also such as the other has.
    let series = store.resolve(&up("a")).expect("made");
    let own = [START + DAY + 5 * HOUR, START + DAY + 5 * HOUR + MINUTE, START + DAY + 6 * HOUR];
    store.append(&own.map(|time| number(series, time, 29.0)));
    round(&store, NOW).await.expect("read");
    let (found, missing) = told(&store, 0..START + 3 * DAY).await;
    assert_eq!(missing, [""; 0]);
    let older = |line: &&String| {
        let time: i64 = line.split(' ').rev().nth(1).expect("a time").parse().expect("a number");
        time < 3 * DAY
    };
    let mut both: Vec<String> = samples.iter().filter(older).cloned().collect();
    let value = format!("{:x}", 29f64.to_bits());
    both.extend([5 * HOUR, 6 * HOUR].map(|time| format!("{} {} {value}", up("a"), DAY + time)));
    let mut sorted = found.clone();
    both.sort();
    sorted.sort();
    assert_eq!(sorted, both);
    let found: Vec<i64> = all(&store, &[Matcher::equal("instance", "a")], 0..i64::MAX).await[0]
        .1
        .iter()
        .map(|(time, _)| *time)
        .collect();
    assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");

    // What the other has is too old one day, and nobody but this one sees to it.
    let mut config = config;
    if let Some(archive) = &mut config.archive {
        archive.keep = Duration::from_secs(10 * 24 * 3600);
    }
    drop(store);
    let store = Store::recover(&config).expect("opened again");
    assert_eq!(files(folder.path()), 5, "three days and two indexes");
    round(&store, START + 12 * DAY).await.expect("kept");
    assert_eq!(files(folder.path()), 3, "a day and two indexes");
    round(&store, START + 20 * DAY).await.expect("kept");
    assert_eq!(files(folder.path()), 1, "its own index");
    round(&store, START + 20 * DAY).await.expect("kept");
    assert_eq!(told(&store, 0..START + DAY).await, (vec![], vec![]));
}

#[tokio::test]
async fn the_oldest_day_goes_where_bytes_are_too_many() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut config, store) = filled(&folder.path().join("one"), in_folder(folder.path()));
    round(&store, NOW).await.expect("archived");
    let bytes = store.archive_counts().expect("an archive").bytes.get();
    drop(store);
    if let Some(archive) = &mut config.archive {
        archive.keep_bytes = bytes as u64 - 1;
    }
    let store = Store::recover(&config).expect("opened again");
    round(&store, NOW).await.expect("kept");
    assert_eq!(store.archive_counts().expect("an archive").blocks.get(), 2);
    assert_eq!(files(folder.path()), 3);
    let (found, missing) = told(&store, 0..START + 2 * DAY).await;
    assert_eq!((found.len(), missing), (3 * 24, vec![]));
}

/// As if it were killed at each operation in turn: with an index that names what is whole and
/// nothing else, and a next one that goes on.
#[tokio::test]
async fn a_crash_at_any_operation_leaves_an_archive_that_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = folder.path().join("origin");
    let (_, store) = filled(&origin, in_folder(folder.path()));
    let (samples, _) = told(&store, 0..START + 3 * DAY).await;
    drop(store);
    let mut crashes = 0;
    for operations in 0.. {
        let copy = folder.path().join(operations.to_string());
        std::fs::create_dir_all(copy.join("blocks")).expect("made");
        for file in std::fs::read_dir(origin.join("blocks")).expect("a folder") {
            let file = file.expect("listed");
            std::fs::copy(file.path(), copy.join("blocks").join(file.file_name())).expect("copied");
        }
        let failing = Arc::new(Failing { inner: InMemory::new(), left: AtomicI64::new(operations) });
        let config = archived(&copy, Objects::new(failing.clone()));
        let dying = Store::recover(&config).expect("opened");
        let lived = round(&dying, NOW).await.is_ok();
        failing.left.store(i64::MAX, std::sync::atomic::Ordering::SeqCst);
        drop(dying);
        let store = Store::recover(&config).expect("opened again");
        round(&store, NOW).await.expect("goes on");
        assert_eq!(days_here(&copy), 0);
        let found = told(&store, 0..START + 3 * DAY).await;
        assert_eq!(found, (samples.clone(), vec![]), "after {operations} operations");
        let listed =
            Objects::new(failing).below(&super::super::super::keeping::own_name(&copy).expect("named"));
        assert_eq!(listed.list().await.expect("listed").len(), 4, "after {operations} operations");
        if lived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 10, "{crashes}");
}

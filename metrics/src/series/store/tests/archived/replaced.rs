//! What becomes of days of the archive while one of them is made coarser: who reads the one before reads
//! on, and those that can't be read keep no other from it.

use std::{path::PathBuf, time::Instant};

use super::{
    super::{super::keeping::own_name, coarse::after_a_week},
    coarse::{LATE, archived_coarser, fill_minutes},
    *,
};
use crate::series::archive::{AGAIN, Archive, Entry, KEPT};

fn config_in(folder: &Path) -> StoreConfig {
    StoreConfig { downsampling: after_a_week(), ..archived(folder, in_folder(folder)) }
}

/// A store whose three days are in the archive and no more here.
async fn filled(config: &StoreConfig) -> Store {
    let store = Store::recover(config).expect("opened");
    fill_minutes(&store);
    store.flush_log().expect("flushed");
    round(&store, NOW).await.expect("archived");
    assert_eq!(days_here(&config.folder), 0);
    store
}

fn archive(store: &Store) -> &Arc<Archive> {
    store.archive.as_ref().expect("one")
}

/// What a question about the first day has to read.
fn first_day(store: &Store) -> Entry {
    let entries = archive(store).chosen(&[], &(START..START + DAY), &[], None, &Missing::default());
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    entry.clone()
}

/// Whether a block can be opened.
async fn opens(store: &Store, entry: &Entry) -> bool {
    let (archive, entry) = (archive(store).clone(), entry.clone());
    tokio::task::spawn_blocking(move || archive.open(&entry).is_ok()).await.expect("run")
}

#[tokio::test]
async fn a_day_that_was_replaced_stays_for_who_reads_it_over_a_restart_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path());
    let store = filled(&config).await;
    let fine = first_day(&store);
    assert!(archived_coarser(&store, &config, LATE).await.expect("made"));
    assert_ne!(first_day(&store), fine, "who asks now reads the coarse one");
    for _ in 0..3 {
        round(&store, LATE).await.expect("looked");
    }
    assert!(opens(&store, &fine).await);
    drop(store);
    let store = Store::recover(&config).expect("opened again");
    round(&store, LATE).await.expect("read");
    assert!(opens(&store, &fine).await, "it was not forgotten what it is there for");
    archive(&store).hasten(KEPT);
    round(&store, LATE).await.expect("deleted");
    assert!(!opens(&store, &fine).await);
    let own = in_folder(folder.path()).below(&own_name(folder.path()).expect("named"));
    assert_eq!(own.list().await.expect("listed").len(), 4, "three days and the index");
    assert_eq!(told(&store, START..START + DAY).await.0.len(), 289);
}

/// The file of the first day.
fn file(folder: &Path) -> PathBuf {
    let own = folder.join("archive").join(own_name(folder).expect("named"));
    let mut files = std::fs::read_dir(own).expect("a folder").map(|entry| entry.expect("listed").path());
    let is_first = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        name.starts_with(&format!("{START}-"))
    };
    files.find(is_first).expect("the day")
}

#[tokio::test]
async fn a_day_that_can_not_be_read_keeps_no_other_from_being_made_coarser() {
    for is_damaged in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config_in(folder.path());
        let store = filled(&config).await;
        let (first, path) = (first_day(&store), file(folder.path()));
        let bytes = std::fs::read(&path).expect("a day");
        if is_damaged {
            let mut damaged = bytes.clone();
            damaged[40] ^= 0x55;
            std::fs::write(&path, damaged).expect("damaged");
        } else {
            std::fs::remove_file(&path).expect("lost");
        }
        let counts = || {
            let counts = store.archive_counts().expect("an archive");
            (counts.copied.get(), counts.put_off.get())
        };
        // The first is put off, and the others follow.
        for _ in 0..3 {
            assert!(archived_coarser(&store, &config, LATE).await.expect("went on"));
        }
        assert!(!archived_coarser(&store, &config, LATE).await.expect("looked"));
        assert_eq!(counts(), (3 + 2, 1), "damaged: {is_damaged}");
        // As it is whole again, it has its turn later.
        std::fs::write(&path, bytes).expect("whole");
        round(&store, LATE).await.expect("looked");
        let finer = |now| archive(&store).finer(300_000, LATE, now);
        let now = Instant::now();
        assert_eq!(finer(now), None, "damaged: {is_damaged}");
        assert_eq!(finer(now + AGAIN), Some(first.clone()), "damaged: {is_damaged}");
        // Where it fails once more, that is not told again.
        let error = ArchiveError::Changed("it".to_owned());
        archive(&store).put_off(&first, &error, now + AGAIN);
        assert_eq!((finer(now + AGAIN), counts().1), (None, 1));
        // It was read well after all, and is forgotten.
        assert_eq!(archive(&store).put_off_count(), 1);
        archive(&store).hasten(2 * AGAIN);
        assert!(archived_coarser(&store, &config, LATE).await.expect("made"));
        assert_eq!((counts(), archive(&store).put_off_count()), ((3 + 3, 1), 0), "damaged: {is_damaged}");
    }
}

#[tokio::test]
async fn a_day_that_is_gone_is_put_off_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config_in(folder.path());
    config.archive.as_mut().expect("one").keep = Duration::from_secs(10 * 24 * 3600);
    let store = filled(&config).await;
    let error = ArchiveError::Changed("it".to_owned());
    archive(&store).put_off(&first_day(&store), &error, Instant::now());
    round(&store, NOW + DAY).await.expect("looked");
    assert_eq!(archive(&store).put_off_count(), 1, "it is still there");
    round(&store, NOW + 30 * DAY).await.expect("deleted");
    assert_eq!(archive(&store).put_off_count(), 0);
}

#[tokio::test]
async fn a_day_that_is_coarse_already_is_put_off_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = filled(&config_in(folder.path())).await;
    let (first, error) = (first_day(&store), ArchiveError::Changed("it".to_owned()));
    archive(&store).put_off(&first, &error, Instant::now());
    archive(&store).note(&first, 300_000).await.expect("noted");
    assert_eq!(archive(&store).put_off_count(), 0);
}

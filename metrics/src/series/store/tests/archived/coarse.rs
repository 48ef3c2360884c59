//! A day is archived as it came, and then made coarser here; what is archived is made coarser when it is
//! old, whole at any moment.

use std::sync::atomic::{AtomicI64, Ordering};

use object_store::memory::InMemory;

use super::{
    super::{
        super::keeping::{make_archived_coarser, own_name},
        coarse::after_a_week,
    },
    failing::Failing,
    *,
};
use crate::series::archive::KEPT;

pub const LATE: i64 = NOW + 30 * DAY;

/// A sample each minute of three days and a bit.
pub fn fill_minutes(store: &Store) {
    let series = store.resolve(&up("a")).expect("made");
    let samples: Vec<_> = (0..(NOW - START) / MINUTE)
        .map(|minute| number(series, START + minute * MINUTE, minute as f64))
        .collect();
    assert_eq!(store.append(&samples).taken, samples.len() as u64);
    store.keep(&config(Path::new("")), NOW, true).expect("written out");
}

/// Whether a day of the archive was made coarser.
pub async fn archived_coarser(store: &Store, config: &StoreConfig, now: i64) -> Result<bool, ArchiveError> {
    let (archive, blocks) = (store.archive.as_ref().expect("one"), store.blocks.as_ref().expect("on disk"));
    make_archived_coarser(archive, blocks, config, now).await
}

/// How long what is archived stays here.
fn stay_here(config: &mut StoreConfig, local: Duration) {
    if let Some(archive) = &mut config.archive {
        archive.local = local;
    }
}

fn made_coarser(store: &Store, config: &StoreConfig) -> usize {
    (0..).take_while(|_| store.make_coarser(config, LATE).expect("made")).count()
}

#[tokio::test]
async fn a_day_is_archived_before_it_is_made_coarser() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = archived(folder.path(), in_folder(folder.path()));
    config.downsampling = after_a_week();
    stay_here(&mut config, Duration::from_secs(1000 * 24 * 3600));
    let store = Store::recover(&config).expect("opened");
    fill_minutes(&store);
    store.flush_log().expect("flushed");
    let (samples, _) = told(&store, START..START + 3 * DAY).await;
    assert_eq!(samples.len(), 3 * 1440);
    // It is not known yet what is archived.
    assert_eq!(made_coarser(&store, &config), 0);
    round(&store, NOW).await.expect("archived");
    let counts = || {
        let counts = store.archive_counts().expect("an archive");
        (counts.copied.get(), counts.blocks.get(), counts.bytes.get())
    };
    let before = counts();
    assert_eq!((before.0, before.1, made_coarser(&store, &config)), (3, 3, 3));
    assert_eq!(told(&store, START..START + 3 * DAY).await.0.len(), 3 * 289);
    round(&store, NOW).await.expect("looked");
    assert_eq!(counts(), before, "what is coarse is not copied over what is not");
    // When they are here no more, the archive answers with all of it.
    drop(store);
    stay_here(&mut config, Duration::ZERO);
    let store = Store::recover(&config).expect("opened again");
    round(&store, LATE).await.expect("looked");
    assert_eq!(days_here(folder.path()), 0);
    assert_eq!(told(&store, START..START + 3 * DAY).await, (samples, vec![]));
}

#[tokio::test]
async fn an_archived_day_is_made_coarser_when_it_is_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = in_folder(folder.path());
    let mut config = archived(folder.path(), objects.clone());
    config.downsampling = after_a_week();
    stay_here(&mut config, Duration::from_secs(1000 * 24 * 3600));
    let store = Store::recover(&config).expect("opened");
    fill_minutes(&store);
    store.flush_log().expect("flushed");
    assert!(!archived_coarser(&store, &config, LATE).await.expect("looked"), "nothing is archived yet");
    round(&store, NOW).await.expect("archived");
    let counts = |store: &Store| {
        let counts = store.archive_counts().expect("an archive");
        (counts.copied.get(), counts.blocks.get(), counts.bytes.get())
    };
    let bytes = counts(&store).2;
    assert!(!archived_coarser(&store, &config, NOW).await.expect("looked"), "no day is old");
    let never = StoreConfig { downsampling: None, ..config.clone() };
    assert!(!archived_coarser(&store, &never, LATE).await.expect("looked"));
    for _ in 0..3 {
        assert!(archived_coarser(&store, &config, LATE).await.expect("made"));
    }
    assert!(!archived_coarser(&store, &config, LATE).await.expect("looked"), "once is enough");
    // What is here as it came is not copied over it, and answers.
    round(&store, LATE).await.expect("looked");
    let (copied, blocks, left) = counts(&store);
    assert_eq!((copied, blocks), (6, 3));
    assert_ne!(left, bytes, "they are those of the days that are there now");
    assert_eq!(told(&store, START..START + 3 * DAY).await.0.len(), 3 * 1440);
    // Three days and the index, when the fine ones have stayed for who may still read them.
    let own = objects.below(&own_name(folder.path()).expect("named"));
    assert_eq!(own.list().await.expect("listed").len(), 7);
    store.archive.as_ref().expect("one").hasten(KEPT);
    round(&store, LATE).await.expect("looked");
    assert_eq!(own.list().await.expect("listed").len(), 4);
    drop(store);
    stay_here(&mut config, Duration::ZERO);
    let store = Store::recover(&config).expect("opened again");
    round(&store, LATE).await.expect("looked");
    assert_eq!(days_here(folder.path()), 0);
    let (found, missing) = told(&store, START..START + 3 * DAY).await;
    assert_eq!((found.len(), missing), (3 * 289, vec![]));
    assert!(!archived_coarser(&store, &config, LATE).await.expect("looked"), "the index knows it");
    drop(store);
    // An index that is lost is made again, and learns it from the days.
    own.delete_one("index").await.expect("lost");
    let store = Store::recover(&config).expect("opened again");
    round(&store, LATE).await.expect("made again");
    for _ in 0..3 {
        assert!(archived_coarser(&store, &config, LATE).await.expect("looked"));
    }
    assert!(!archived_coarser(&store, &config, LATE).await.expect("looked"));
    assert_eq!(counts(&store).0, 0, "nothing was copied");
    assert_eq!(told(&store, START..START + 3 * DAY).await.0, found);
}

/// As if it were killed at each operation in turn.
#[tokio::test]
async fn a_crash_at_any_operation_leaves_a_day_as_it_came_or_coarse() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = folder.path().join("origin");
    let store = Store::recover(&config(&origin)).expect("opened");
    fill_minutes(&store);
    drop(store);
    let mut crashes = 0;
    for operations in 0.. {
        let copy = folder.path().join(operations.to_string());
        std::fs::create_dir_all(copy.join("blocks")).expect("made");
        for file in std::fs::read_dir(origin.join("blocks")).expect("a folder") {
            let file = file.expect("listed");
            std::fs::copy(file.path(), copy.join("blocks").join(file.file_name())).expect("copied");
        }
        let failing = Arc::new(Failing { inner: InMemory::new(), left: AtomicI64::new(i64::MAX) });
        let mut config = archived(&copy, Objects::new(failing.clone()));
        config.downsampling = after_a_week();
        let dying = Store::recover(&config).expect("opened");
        round(&dying, NOW).await.expect("archived");
        assert_eq!(days_here(&copy), 0);
        failing.left.store(operations, Ordering::SeqCst);
        // A day that can't be read is put off, which is no failure.
        let made = archived_coarser(&dying, &config, LATE).await.is_ok();
        let lived = made && dying.archive_counts().expect("an archive").put_off.get() == 0;
        failing.left.store(i64::MAX, Ordering::SeqCst);
        drop(dying);
        let store = Store::recover(&config).expect("opened again");
        round(&store, LATE).await.expect("goes on");
        let (found, missing) = told(&store, START..START + 3 * DAY).await;
        assert_eq!(missing, [""; 0], "after {operations} operations");
        let expected: &[usize] = if lived { &[2 * 1440 + 289] } else { &[3 * 1440, 2 * 1440 + 289] };
        assert!(expected.contains(&found.len()), "{} samples after {operations} operations", found.len());
        let own = Objects::new(failing).below(&own_name(&copy).expect("named"));
        store.archive.as_ref().expect("one").hasten(KEPT);
        round(&store, LATE).await.expect("goes on");
        assert_eq!(own.list().await.expect("listed").len(), 4, "after {operations} operations");
        if lived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 2, "{crashes}");
}

//! A day is archived as it came; only then it is made coarser here, which the archive doesn't take.

use super::{super::coarse::after_a_week, *};

const LATE: i64 = NOW + 30 * DAY;

/// A sample each minute of three days and a bit.
fn fill_minutes(store: &Store) {
    let series = store.resolve(&up("a")).expect("made");
    let samples: Vec<_> = (0..(NOW - START) / MINUTE)
        .map(|minute| number(series, START + minute * MINUTE, minute as f64))
        .collect();
    assert_eq!(store.append(&samples).taken, samples.len() as u64);
    store.keep(&config(Path::new("")), NOW, true).expect("written out");
}

fn made_coarser(store: &Store, config: &StoreConfig) -> usize {
    (0..).take_while(|_| store.make_coarser(config, LATE).expect("made")).count()
}

#[tokio::test]
async fn a_day_is_archived_before_it_is_made_coarser() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = archived(folder.path(), in_folder(folder.path()));
    config.downsampling = after_a_week();
    let stay_here = |config: &mut StoreConfig, local| {
        if let Some(archive) = &mut config.archive {
            archive.local = local;
        }
    };
    stay_here(&mut config, Duration::from_secs(1000 * 24 * 3600));
    let store = Store::recover(&config).expect("opened");
    fill_minutes(&store);
    store.flush_log(true).expect("flushed");
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

//! A disk that takes nothing: samples stay in memory and are answered, nothing is half
//! written, what is too old goes, and all goes on when there is room.

use super::*;
use crate::append::tests::small_disk;

const NAME_OF_TEST: &str = "series::store::tests::full::a_full_disk_loses_nothing_while_the_process_lives";
const NAME_OF_OLD: &str = "series::store::tests::full::what_is_too_old_goes_from_a_full_disk_too";

#[test]
fn a_full_disk_loses_nothing_while_the_process_lives() {
    let Some(disk) = small_disk::enter(NAME_OF_TEST) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("threads");
    let config = config(&disk.data);
    let store = Store::recover(&config).expect("opened");
    let series = store.resolve(&up("a")).expect("made");
    let mut minutes = 0;
    let mut take = |store: &Store, count: i64| {
        for _ in 0..count {
            let sample = number(series, START + minutes * MINUTE, (minutes as f64).sin());
            assert_eq!(store.append(&[sample]).taken, 1);
            minutes += 1;
        }
    };
    let times = |store: &Store| -> Vec<i64> {
        let found = runtime.block_on(all(store, &[], i64::MIN..i64::MAX));
        found[0].1.iter().map(|(time, _)| (time - START) / MINUTE).collect()
    };
    take(&store, 30);
    store.flush_log().expect("there is room");
    disk.leave(1);
    take(&store, 1000);
    assert!(store.flush_log().is_err() && disk.room() <= 4096);
    assert!(store.keep(&config, START + 1000 * MINUTE, true).is_err());
    assert_eq!(times(&store), (0..1030).collect::<Vec<_>>());
    let left: Vec<_> = small_disk::files(&disk.data)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // What the disk had taken is whole.
    assert!(times(&Store::recover(&config).expect("opened beside")).len() >= 30);
    disk.free();
    store.flush_log().expect("there is room again");
    take(&store, 30);
    store.keep(&config, START + 1000 * MINUTE, true).expect("written out");
    store.flush_log().expect("there is room");
    drop(store);
    assert_eq!(times(&Store::recover(&config).expect("opened again")), (0..1060).collect::<Vec<_>>());
}

#[test]
fn what_is_too_old_goes_from_a_full_disk_too() {
    let Some(disk) = small_disk::enter(NAME_OF_OLD) else { return };
    let config = StoreConfig { keep: Duration::from_secs(30 * 3600), ..config(&disk.data) };
    let store = Store::recover(&config).expect("opened");
    let take = |time: i64| {
        let series = store.resolve(&up("a")).expect("made");
        assert_eq!(store.append(&[number(series, time, 1.0)]).taken, 1);
    };
    let blocks = || store.blocks.as_ref().expect("on disk").meeting(&(i64::MIN..i64::MAX)).0.len();
    take(START);
    store.keep(&config, START + 2 * HOUR, true).expect("written out");
    assert_eq!(blocks(), 1);
    let later = START + 48 * HOUR;
    take(later);
    disk.leave(0);
    assert!(store.keep(&config, later + 2 * HOUR, true).is_err());
    assert_eq!(blocks(), 0, "nothing would make room else");
    disk.free();
    store.keep(&config, later + 2 * HOUR, true).expect("written out");
    assert_eq!(blocks(), 1);
}

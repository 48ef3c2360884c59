//! Snapshots: taken while the store serves, moved between the two stores, refused
//! where something is already.

use std::time::Duration;

use bytes::Bytes;
use tiphys_lifecycle::Tasks;
use tiphys_store::{AHEAD, Embedded, Range, Snapshot, SnapshotError, Store, StoreError, Txn};

use super::testbed::{Bed, LIMIT, delete, events_until, keys, put, shorts, value};

/// A store with a past, a lease, and writes that go on while it is taken.
async fn filled(store: &dyn Store) -> Snapshot {
    for n in 0..120 {
        put(store, &format!("/pods/{n:03}"), &n.to_string()).await;
    }
    put(store, "/pods/000", "changed").await;
    delete(store, "/pods/001").await;
    let lease = store.grant(Duration::from_secs(3600)).await.unwrap();
    store.transact(Txn::create("/events/a", "short-lived", Some(lease))).await.unwrap();
    let writing = async {
        for n in 0..40 {
            put(store, "/storm/a", &n.to_string()).await;
            put(store, "/storm/b", &n.to_string()).await;
        }
    };
    let (taken, ()) = tokio::join!(Snapshot::take(store), writing);
    let taken = taken.unwrap();
    let read = |key: &str| {
        let found = taken.records.iter().find(|record| record.key == key);
        found.map_or(-1, |record| String::from_utf8_lossy(&record.value).parse::<i64>().unwrap())
    };
    // One revision: b was never ahead of a, and at most one behind.
    assert!((0..=1).contains(&(read("/storm/a") - read("/storm/b"))));
    let bytes: Vec<u8> = taken.encode().flatten().collect();
    let mut decoded = Snapshot::decode(&Bytes::from(bytes)).unwrap();
    // It ends when the snapshot is restored, however long a busy machine took until here.
    let [(_, left)] = &mut decoded.leases[..] else { panic!("one lease was granted") };
    assert!(*left > Duration::from_secs(1800), "{left:?} are left of an hour");
    *left = Duration::from_secs(1);
    decoded
}

async fn check(store: &dyn Store, revision: u64) {
    assert_eq!(value(store, "/pods/000", None).await.as_deref(), Some("changed"));
    assert_eq!(value(store, "/pods/001", None).await, None);
    assert_eq!(keys(store, "/pods/", None).await.len(), 119);
    let mut watch = store.watch("/events/", revision + 1).await.unwrap();
    let events = events_until(&mut watch, revision + 1).await.unwrap();
    assert_eq!(shorts(&events), [format!("-/events/a@{}=short-lived", revision + 1)]);
    assert_eq!(put(store, "/pods/new", "x").await, revision + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_moves_between_the_stores() {
    for (from, to_folder) in [(Bed::embedded().await, false), (Bed::etcd().await, true)] {
        let snapshot = filled(&*from.store).await;
        from.close().await;
        if to_folder {
            let folder = tempfile::tempdir().unwrap();
            let revision = snapshot.restore_folder(folder.path()).unwrap();
            let tasks = Tasks::new();
            let store = Embedded::open(folder.path(), &tasks).await.unwrap();
            check(&*store, revision).await;
            assert_eq!(tasks.shutdown(LIMIT).await, Vec::<String>::new());
        } else {
            let bed = Bed::etcd().await;
            let revision = snapshot.restore_into(&*bed.store).await.unwrap();
            check(&*bed.store, revision).await;
            bed.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_folder_keeps_its_revisions_and_no_client_is_misled() {
    let bed = Bed::embedded().await;
    let snapshot = filled(&*bed.store).await;
    let record = bed.store.get("/pods/000", None).await.unwrap();
    let known = bed.store.revision().await.unwrap();
    bed.close().await;

    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("server").join("store");
    std::fs::create_dir(folder.path().join("server")).unwrap();
    assert_eq!(snapshot.restore_folder(&target).unwrap(), snapshot.revision + AHEAD);
    for _ in 0..2 {
        let tasks = Tasks::new();
        let store = Embedded::open(&target, &tasks).await.unwrap();
        assert_eq!(store.get("/pods/000", None).await.unwrap(), record);
        // Given after the snapshot was taken: gone, not somebody else's.
        assert!(matches!(store.watch("/", known + 1).await, Err(StoreError::Compacted { .. })));
        assert_eq!(tasks.shutdown(LIMIT).await, Vec::<String>::new());
    }
    let again = snapshot.restore_folder(&target);
    assert!(matches!(again, Err(SnapshotError::NotEmpty(path)) if path.contains("store")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_holds_something_is_not_restored_into() {
    let bed = Bed::etcd().await;
    put(&*bed.store, "/a", "mine").await;
    let snapshot = Snapshot::take(&*bed.store).await.unwrap();
    let refused = snapshot.restore_into(&*bed.store).await;
    assert!(matches!(refused, Err(SnapshotError::NotEmpty(_))), "{refused:?}");
    assert_eq!(bed.store.range(Range::prefix("/")).await.unwrap().records.len(), 1);
    bed.close().await;
}

//! What outlives a restart of the embedded store, and what the bounds of either do.

use std::time::Duration;

use tiphys_store::{LeasePool, Options, Range, StoreError, Txn};

use tiphys_tests::EtcdCluster;

use super::testbed::{Bed, delete, events_until, keys, put, shorts, value, within};

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_again() {
    let bed = Bed::embedded().await;
    put(&*bed.store, "/a", "1").await;
    put(&*bed.store, "/b", "1").await;
    put(&*bed.store, "/a", "2").await;
    delete(&*bed.store, "/b").await;
    let bed = bed.reopen(Options::default()).await;
    let store = &*bed.store;
    assert_eq!(store.revision().await.unwrap(), 5);
    assert_eq!(value(store, "/a", None).await.as_deref(), Some("2"));
    assert_eq!(keys(store, "/", Some(3)).await, ["/a", "/b"]);
    let record = store.get("/a", None).await.unwrap().unwrap();
    assert_eq!((record.create_revision, record.version), (2, 2));
    let mut watch = store.watch("/", 2).await.unwrap();
    let events = events_until(&mut watch, 5).await.unwrap();
    assert_eq!(shorts(&events), ["+/a@2=1", "+/b@3=1", "~/a@4=2", "-/b@5=1"]);
    assert_eq!(put(store, "/b", "3").await, 6);
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_store_keeps_its_revision() {
    let bed = Bed::embedded().await;
    put(&*bed.store, "/a", "1").await;
    delete(&*bed.store, "/a").await;
    bed.store.compact(3).await.unwrap();
    let bed = bed.reopen(Options::default()).await;
    assert_eq!(bed.store.revision().await.unwrap(), 3);
    assert!(matches!(bed.store.watch("/", 3).await, Err(StoreError::Compacted { .. })));
    assert_eq!(put(&*bed.store, "/a", "2").await, 4);
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_expires_after_a_restart() {
    let mut ttl = Duration::from_millis(700);
    let (bed, forever) = loop {
        let bed = Bed::embedded().await;
        let lease = bed.store.grant(ttl).await.unwrap();
        let forever = bed.store.grant(Duration::from_secs(3600)).await.unwrap();
        bed.store.transact(Txn::create("/long", "x", Some(forever))).await.unwrap();
        match bed.store.transact(Txn::create("/short", "x", Some(lease))).await {
            // The machine stood still, and the lease ended before it had a key.
            Err(StoreError::LeaseNotFound(_)) => drop(bed.close().await),
            made => {
                made.unwrap();
                break (bed, forever);
            }
        }
        ttl *= 3;
    };
    let bed = bed.reopen(Options::default()).await;
    let mut watch = bed.store.watch("/", 4).await.unwrap();
    assert_eq!(shorts(&events_until(&mut watch, 4).await.unwrap()), ["-/short@4=x"]);
    assert_eq!(keys(&*bed.store, "/", None).await, ["/long"]);
    assert!(bed.store.grant(Duration::from_secs(1)).await.unwrap() > forever);
    bed.store.revoke(forever).await.unwrap();
    assert!(keys(&*bed.store, "/", None).await.is_empty());
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_with_many_keys_ends_in_parts() {
    let bed = Bed::embedded().await;
    let store = bed.store.clone();
    let lease = store.grant(Duration::from_secs(3600)).await.unwrap();
    let puts = (0..1200).map(|n| store.transact(Txn::create(format!("/{n}"), "x", Some(lease))));
    futures::future::try_join_all(puts).await.unwrap();
    let before = store.revision().await.unwrap();
    store.revoke(lease).await.unwrap();
    assert_eq!(store.revision().await.unwrap(), before + 3);
    assert!(keys(&*store, "/", None).await.is_empty());
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_of_the_same_moment_share_a_lease() {
    for bed in [Bed::embedded().await, Bed::etcd().await] {
        share_a_lease(bed).await;
    }
}

async fn share_a_lease(bed: Bed) {
    let pool = LeasePool::new(bed.store.clone());
    let hour = Duration::from_secs(3600);
    let first = pool.lease(hour).await.unwrap();
    assert_eq!(pool.lease(hour).await.unwrap(), first);
    assert_ne!(pool.lease(2 * hour).await.unwrap(), first);
    assert_ne!(pool.lease(Duration::ZERO).await.unwrap(), first);
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abuse_33_a_watcher_that_does_not_read_is_cut_off() {
    cut_off_the_slow(Bed::with(Options { watch_events: 50, ..Options::default() }).await).await;
    cut_off_the_slow(Bed::on(EtcdCluster::start(1), &|options| options.watch_events = 50).await).await;
}

async fn cut_off_the_slow(bed: Bed) {
    let mut slow = bed.store.watch("/", 2).await.unwrap();
    let mut fast = bed.store.watch("/", 2).await.unwrap();
    assert!(events_until(&mut slow, 1).await.unwrap().is_empty());
    for n in 0..60 {
        let revision = put(&*bed.store, "/a", &n.to_string()).await;
        assert!(!events_until(&mut fast, revision).await.unwrap().is_empty());
    }
    let cut = within(slow.next()).await.unwrap();
    assert!(matches!(cut, Err(StoreError::SlowWatcher { events: 50, .. })), "{cut:?}");
    assert!(within(slow.next()).await.is_none());
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_the_past_is_not_cut_off() {
    let bed = Bed::with(Options { watch_events: 50, ..Options::default() }).await;
    let puts = (0..2500).map(|n| bed.store.transact(Txn::put(format!("/{n}"), "x")));
    futures::future::try_join_all(puts).await.unwrap();
    let mut watch = bed.store.watch("/", 2).await.unwrap();
    let first = within(watch.next()).await.unwrap().unwrap();
    assert!(first.events.len() < 2500);
    for n in 0..100 {
        put(&*bed.store, "/late", &n.to_string()).await;
    }
    let rest = events_until(&mut watch, 2601).await.unwrap();
    let revisions = first.events.iter().chain(&rest).map(|event| event.revision);
    assert_eq!(revisions.collect::<Vec<_>>(), (2..=2601).collect::<Vec<_>>());
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_compacted_by_itself() {
    let options =
        Options { history_revisions: 10, compact_every: Duration::from_millis(20), ..Options::default() };
    let bed = Bed::with(options).await;
    for n in 0..50 {
        put(&*bed.store, "/a", &n.to_string()).await;
    }
    within(async {
        while bed.store.get("/a", Some(40)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(value(&*bed.store, "/a", Some(42)).await.as_deref(), Some("40"));
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_frees_the_disk() {
    let bed = Bed::embedded().await;
    let value = vec![0_u8; 512 << 10];
    for n in 0..200_usize {
        let mut value = value.clone();
        for (at, byte) in value.iter_mut().enumerate() {
            *byte = (at.wrapping_mul(2_654_435_761).wrapping_add(n * 97) >> 7) as u8;
        }
        bed.store.transact(Txn::put("/churn", value)).await.unwrap();
    }
    bed.store.compact(bed.store.revision().await.unwrap()).await.unwrap();
    // The last reader of a table takes it away.
    within(async {
        while tables(bed.path()) >= 10 << 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(bed.store.range(Range::prefix("/")).await.unwrap().records.len(), 1);
    bed.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_watches_and_refuses_writes() {
    let bed = Bed::embedded().await;
    let store = bed.store.clone();
    let mut watch = store.watch("/", 2).await.unwrap();
    assert!(events_until(&mut watch, 1).await.unwrap().is_empty());
    bed.close().await;
    assert!(within(watch.next()).await.is_none());
    assert_eq!(store.transact(Txn::put("/a", "1")).await, Err(StoreError::Closed));
}

/// Bytes of the engine's tables.
fn tables(folder: &std::path::Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![folder.join("db").join("keyspaces")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            // One may go meanwhile.
            let Ok((entry, metadata)) = entry.and_then(|it| it.metadata().map(|about| (it, about))) else {
                continue;
            };
            if metadata.is_dir() { folders.push(entry.path()) } else { bytes += metadata.len() }
        }
    }
    bytes
}

//! The contract: what every implementation of the store must do, over
//! `Arc<dyn Store>`. A test here is a function of a fresh store; the list at the
//! end runs each on each implementation.

use std::{sync::Arc, time::Duration};

use tiphys_store::{Compare, Op, OpResult, Range, Store, StoreError, Txn};

use super::testbed::{Bed, delete, events_until, keys, put, shorts, text, value, within};

type Dyn = Arc<dyn Store>;

async fn an_empty_store_is_at_revision_one(store: Dyn) {
    assert_eq!(store.revision().await.unwrap(), 1);
    assert_eq!(store.get("/a", None).await.unwrap(), None);
    let page = store.range(Range::prefix("/")).await.unwrap();
    assert!(page.records.is_empty() && !page.more && page.revision == 1);
}

async fn a_put_counts_revisions_and_versions(store: Dyn) {
    assert_eq!(put(&*store, "/a", "1").await, 2);
    assert_eq!(put(&*store, "/b", "1").await, 3);
    assert_eq!(put(&*store, "/a", "2").await, 4);
    let record = store.get("/a", None).await.unwrap().unwrap();
    assert_eq!((record.create_revision, record.mod_revision, record.version), (2, 4, 2));
    assert_eq!(text(&record), "2");
    delete(&*store, "/a").await;
    put(&*store, "/a", "3").await;
    let record = store.get("/a", None).await.unwrap().unwrap();
    assert_eq!((record.create_revision, record.mod_revision, record.version), (6, 6, 1));
}

async fn a_comparison_that_fails_is_an_answer(store: Dyn) {
    let created = store.transact(Txn::create("/a", "1", None)).await.unwrap();
    assert!(created.succeeded && created.revision == 2);
    let again = store.transact(Txn::create("/a", "2", None)).await.unwrap();
    assert!(!again.succeeded && again.revision == 2);
    assert_eq!(again.record().map(text).as_deref(), Some("1"));
    let stale = store.transact(Txn::put_at("/a", 1, "2", None)).await.unwrap();
    assert!(!stale.succeeded);
    assert!(store.transact(Txn::put_at("/a", 2, "2", None)).await.unwrap().succeeded);
    assert!(!store.transact(Txn::delete_at("/a", 2)).await.unwrap().succeeded);
    let deleted = store.transact(Txn::delete_at("/a", 3)).await.unwrap();
    assert_eq!((deleted.succeeded, deleted.record().map(text).as_deref()), (true, Some("2")));
}

async fn a_transaction_is_one_revision(store: Dyn) {
    put(&*store, "/old", "x").await;
    let txn = Txn {
        compare: vec![
            Compare { key: "/old".into(), mod_revision: 2 },
            Compare { key: "/new".into(), mod_revision: 0 },
        ],
        success: vec![
            Op::Get { key: "/old".into() },
            Op::Put { key: "/new".into(), value: "y".into(), lease: None },
            Op::Delete { key: "/old".into() },
            Op::Delete { key: "/absent".into() },
        ],
        failure: Vec::new(),
    };
    let result = store.transact(txn).await.unwrap();
    assert!(result.succeeded && result.revision == 3);
    assert!(matches!(&result.results[0], OpResult::Get(Some(record)) if text(record) == "x"));
    assert!(matches!(&result.results[3], OpResult::Delete(None)));
    assert_eq!(keys(&*store, "/", None).await, ["/new"]);
    assert_eq!(keys(&*store, "/", Some(2)).await, ["/old"]);
}

async fn a_transaction_that_changes_nothing_takes_no_revision(store: Dyn) {
    put(&*store, "/a", "1").await;
    assert_eq!(delete(&*store, "/absent").await, 2);
    assert_eq!(store.transact(Txn::default()).await.unwrap().revision, 2);
    assert_eq!(store.revision().await.unwrap(), 2);
}

async fn invalid_transactions_change_nothing(store: Dyn) {
    let twice = Txn {
        success: vec![
            Op::Put { key: "/a".into(), value: "1".into(), lease: None },
            Op::Delete { key: "/a".into() },
        ],
        ..Txn::default()
    };
    let lease = Txn {
        success: vec![Op::Put { key: "/a".into(), value: "1".into(), lease: Some(99) }],
        ..Txn::default()
    };
    assert!(matches!(store.transact(twice).await, Err(StoreError::InvalidTxn(_))));
    assert!(matches!(store.transact(Txn::put("", "1")).await, Err(StoreError::InvalidTxn(_))));
    assert!(matches!(store.transact(lease).await, Err(StoreError::LeaseNotFound(99))));
    assert_eq!(store.revision().await.unwrap(), 1);
}

async fn a_range_is_paged_at_one_revision(store: Dyn) {
    for name in ["a", "b", "c", "d"] {
        put(&*store, &format!("/pods/{name}"), name).await;
    }
    put(&*store, "/podsets/x", "x").await;
    let first = store.range(Range { limit: Some(2), ..Range::prefix("/pods/") }).await.unwrap();
    assert_eq!((first.records.len(), first.more, first.revision), (2, true, 6));
    let none = store.range(Range { limit: Some(0), ..Range::prefix("/pods/") }).await.unwrap();
    assert_eq!((none.records.len(), none.more), (0, true));
    delete(&*store, "/pods/c").await;
    put(&*store, "/pods/bb", "new").await;
    let rest = Range {
        start_after: Some(first.records[1].key.clone()),
        revision: Some(first.revision),
        limit: Some(2),
        ..Range::prefix("/pods/")
    };
    let rest = store.range(rest).await.unwrap();
    let names: Vec<_> = rest.records.iter().map(|record| &*record.key).collect();
    assert_eq!((names, rest.more, rest.revision), (vec!["/pods/c", "/pods/d"], false, 6));
    assert_eq!(keys(&*store, "/pods/", None).await, ["/pods/a", "/pods/b", "/pods/bb", "/pods/d"]);
}

async fn reads_of_the_past_and_of_the_future(store: Dyn) {
    put(&*store, "/a", "1").await;
    put(&*store, "/a", "2").await;
    assert_eq!(value(&*store, "/a", Some(2)).await.as_deref(), Some("1"));
    assert_eq!(value(&*store, "/a", Some(1)).await, None);
    let future = StoreError::FutureRevision { requested: 9, current: 3 };
    assert_eq!(store.get("/a", Some(9)).await, Err(future));
}

async fn a_watch_replays_and_goes_on(store: Dyn) {
    put(&*store, "/a/1", "x").await;
    put(&*store, "/b/1", "other").await;
    put(&*store, "/a/1", "y").await;
    let mut watch = store.watch("/a/", 2).await.unwrap();
    assert_eq!(shorts(&events_until(&mut watch, 4).await.unwrap()), ["+/a/1@2=x", "~/a/1@4=y"]);
    delete(&*store, "/a/1").await;
    put(&*store, "/a/2", "z").await;
    assert_eq!(shorts(&events_until(&mut watch, 6).await.unwrap()), ["-/a/1@5=y", "+/a/2@6=z"]);
    let mut late = store.watch("/a/", 5).await.unwrap();
    let events = events_until(&mut late, 6).await.unwrap();
    assert_eq!(shorts(&events), ["-/a/1@5=y", "+/a/2@6=z"]);
    assert_eq!(events[0].previous.as_ref().map(|record| record.mod_revision), Some(4));
}

async fn a_watch_of_the_future_begins_there(store: Dyn) {
    let mut watch = store.watch("/", 4).await.unwrap();
    for n in 2..=5 {
        put(&*store, "/a", &n.to_string()).await;
    }
    assert_eq!(shorts(&events_until(&mut watch, 5).await.unwrap()), ["~/a@4=4", "~/a@5=5"]);
}

async fn a_watch_never_splits_a_revision(store: Dyn) {
    let mut watch = store.watch("/", 2).await.unwrap();
    let put = |key: &str| Op::Put { key: key.into(), value: "v".into(), lease: None };
    let txn = Txn { success: vec![put("/b"), put("/a")], ..Txn::default() };
    store.transact(txn).await.unwrap();
    loop {
        let batch = within(watch.next()).await.unwrap().unwrap();
        if batch.revision == 2 {
            assert_eq!(shorts(&batch.events), ["+/b@2=v", "+/a@2=v"]);
            return;
        }
        assert!(batch.events.is_empty());
    }
}

async fn writers_at_once_are_seen_once_and_in_order(store: Dyn) {
    let mut watch = store.watch("/", 2).await.unwrap();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        async move {
            for n in 0..25 {
                put(&*store, &format!("/{writer}"), &n.to_string()).await;
            }
        }
    });
    futures::future::join_all(writers).await;
    let events = events_until(&mut watch, 201).await.unwrap();
    let revisions: Vec<_> = events.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, (2..=201).collect::<Vec<_>>());
    let mut replay = store.watch("/", 2).await.unwrap();
    assert_eq!(events_until(&mut replay, 201).await.unwrap(), events);
}

async fn of_writers_with_the_same_comparison_one_wins(store: Dyn) {
    let writers = (0..16).map(|n: u32| store.transact(Txn::create("/leader", n.to_string(), None)));
    let results = futures::future::join_all(writers).await;
    assert_eq!(results.into_iter().filter(|result| result.as_ref().unwrap().succeeded).count(), 1);
    assert_eq!(store.revision().await.unwrap(), 2);
}

async fn progress_is_told_on_request(store: Dyn) {
    let mut watch = store.watch("/quiet/", 2).await.unwrap();
    assert!(events_until(&mut watch, 1).await.unwrap().is_empty());
    for n in 0..5 {
        put(&*store, "/loud/a", &n.to_string()).await;
    }
    watch.progress().request();
    assert!(events_until(&mut watch, 6).await.unwrap().is_empty());
}

async fn compaction_gives_up_the_past(store: Dyn) {
    for n in 0..4 {
        put(&*store, "/a", &n.to_string()).await;
    }
    put(&*store, "/gone", "x").await;
    delete(&*store, "/gone").await;
    store.compact(7).await.unwrap();
    assert_eq!(value(&*store, "/a", Some(7)).await.as_deref(), Some("3"));
    assert!(matches!(store.get("/a", Some(4)).await, Err(StoreError::Compacted { .. })));
    let range = Range { revision: Some(4), ..Range::prefix("/") };
    assert!(matches!(store.range(range).await, Err(StoreError::Compacted { .. })));
    assert!(matches!(store.watch("/", 4).await, Err(StoreError::Compacted { .. })));
    assert!(matches!(store.compact(5).await, Err(StoreError::Compacted { .. })));
    assert!(matches!(store.compact(50).await, Err(StoreError::FutureRevision { .. })));
    let mut watch = store.watch("/", 8).await.unwrap();
    put(&*store, "/a", "new").await;
    let events = events_until(&mut watch, 8).await.unwrap();
    assert_eq!(events[0].previous.as_ref().map(text).as_deref(), Some("3"));
    assert_eq!(keys(&*store, "/", None).await, ["/a"]);
}

async fn a_lease_takes_its_keys_along(store: Dyn) {
    let mut ttl = Duration::from_millis(300);
    let (lease, folder, freed) = loop {
        let (lease, folder) = (store.grant(ttl).await.unwrap(), format!("/{}/", ttl.as_millis()));
        let put = |name: &str| Op::Put {
            key: format!("{folder}{name}"),
            value: name.to_owned().into(),
            lease: Some(lease),
        };
        let both = Txn { success: vec![put("a"), put("b")], ..Txn::default() };
        match store.transact(both).await {
            Err(StoreError::LeaseNotFound(_)) => {}
            made => {
                made.unwrap();
                let freed = store.transact(Txn::put(format!("{folder}b"), "kept")).await.unwrap().revision;
                let kept = store.get(&format!("{folder}b"), None).await.unwrap().unwrap();
                if kept.version == 2 {
                    break (lease, folder, freed);
                }
            }
        }
        // The machine stood still, and the lease ended before the second key was freed.
        ttl *= 3;
    };
    let mut watch = store.watch(&folder, freed + 1).await.unwrap();
    let events = events_until(&mut watch, freed + 1).await.unwrap();
    assert_eq!(shorts(&events), [format!("-{folder}a@{}=a", freed + 1)]);
    assert_eq!(keys(&*store, &folder, None).await, [format!("{folder}b")]);
    let late = store.transact(Txn::create(format!("{folder}c"), "c", Some(lease))).await;
    assert_eq!(late, Err(StoreError::LeaseNotFound(lease)));
    assert_eq!(store.keep_alive(lease).await, Err(StoreError::LeaseNotFound(lease)));
}

async fn a_lease_is_kept_alive_and_revoked(store: Dyn) {
    let lease = store.grant(Duration::from_secs(3600)).await.unwrap();
    for n in 0..3 {
        store.transact(Txn::create(format!("/{n}"), "x", Some(lease))).await.unwrap();
    }
    store.keep_alive(lease).await.unwrap();
    let left = store.time_to_live(lease).await.unwrap();
    assert!(left > Duration::from_secs(3500) && left <= Duration::from_secs(3600), "{left:?}");
    assert_eq!(keys(&*store, "/", None).await.len(), 3);
    store.revoke(lease).await.unwrap();
    assert_eq!(keys(&*store, "/", None).await.len(), 0);
    assert_eq!(store.revoke(lease).await, Err(StoreError::LeaseNotFound(lease)));
    assert_eq!(store.time_to_live(lease).await, Err(StoreError::LeaseNotFound(lease)));
}

/// Runs every test of the contract on each implementation.
macro_rules! contract {
    ($($test:ident)*) => {
        contract! { @on embedded $($test)* }
        contract! { @on etcd $($test)* }
    };
    (@on $implementation:ident $($test:ident)*) => {
        mod $implementation {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let bed = super::Bed::$implementation().await;
                super::$test(bed.store.clone()).await;
                bed.close().await;
            })*
        }
    };
}

async fn every_part_is_well(store: Dyn) {
    let parts = store.parts();
    assert!(!parts.is_empty());
    let revision = put(&*store, "/a", "1").await;
    for part in 0..parts.len() {
        store.probe(part).await.unwrap();
    }
    // To ask is no write.
    assert_eq!(store.revision().await.unwrap(), revision);
}

contract! {
    every_part_is_well
    an_empty_store_is_at_revision_one
    a_put_counts_revisions_and_versions
    a_comparison_that_fails_is_an_answer
    a_transaction_is_one_revision
    a_transaction_that_changes_nothing_takes_no_revision
    invalid_transactions_change_nothing
    a_range_is_paged_at_one_revision
    reads_of_the_past_and_of_the_future
    a_watch_replays_and_goes_on
    a_watch_of_the_future_begins_there
    a_watch_never_splits_a_revision
    writers_at_once_are_seen_once_and_in_order
    of_writers_with_the_same_comparison_one_wins
    progress_is_told_on_request
    compaction_gives_up_the_past
    a_lease_takes_its_keys_along
    a_lease_is_kept_alive_and_revoked
}

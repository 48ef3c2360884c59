//! Watches.

use super::*;

const INITIAL: WatchStart = WatchStart::InitialEvents { bookmark: true, freshness: Freshness::MostRecent };

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_replays_from_its_revision_and_goes_on() {
    let bed = Bed::new().await;
    bed.list(ListQuery::default()).await;
    bed.put("default/a", "", "n").await;
    bed.put("default/b", "", "n").await;
    bed.put("default/a", "", "m").await;
    bed.list(ListQuery::default()).await;
    let mut watch = bed.watch(WatchStart::FromRevision(2), Selector::default()).await.unwrap();
    assert_eq!(shorts(&mut watch, 2).await, ["+b@3", "~a@4"]);
    bed.delete("default/a").await;
    bed.put("default/c", "", "n").await;
    let deleted = next(&mut watch).await;
    assert_eq!(short(&deleted), "-a@5");
    let object = object(&deleted);
    assert_eq!(
        (&object["metadata"]["resourceVersion"], &object["spec"]["nodeName"]),
        (&"5".into(), &"m".into())
    );
    assert_eq!(shorts(&mut watch, 1).await, ["+c@6"]);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_begins_anew_tells_what_was_before_it() {
    let bed = Bed::new().await;
    bed.put("default/a", "", "n").await;
    bed.put("default/b", "", "n").await;
    bed.put("default/a", "", "m").await;
    bed.delete("default/b").await;
    let bed = bed.anew(patient());
    // Where nothing happened after.
    bed.store.transact(Txn::put("/registry/other", "x")).await.unwrap();
    let mut both = [
        bed.watch(WatchStart::FromRevision(2), Selector::default()).await.unwrap(),
        bed.watch(WatchStart::FromRevision(3), Selector::default()).await.unwrap(),
    ];
    bed.put("default/c", "", "n").await;
    assert_eq!(shorts(&mut both[0], 4).await, ["+b@3", "~a@4", "-b@5", "+c@7"]);
    assert_eq!(shorts(&mut both[1], 3).await, ["~a@4", "-b@5", "+c@7"]);
    // More than a ring may hold is gone, and so is what the store has given up.
    let bed = bed.anew(Limits { ring_events: 3, ..patient() });
    let expired = bed.watch(WatchStart::FromRevision(2), Selector::default()).await;
    assert!(matches!(expired, Err(CacheError::Expired { requested: 2, .. })));
    bed.store.compact(5).await.unwrap();
    let bed = bed.anew(patient());
    let expired = bed.watch(WatchStart::FromRevision(3), Selector::default()).await;
    assert!(matches!(expired, Err(CacheError::Expired { requested: 3, .. })));
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_ones_own_write_misses_nothing_and_repeats_nothing() {
    let bed = Bed::new().await;
    bed.list(ListQuery::default()).await;
    for _ in 0..20 {
        let revision = bed.put("default/a", "", "n").await;
        let mut watch = bed.watch(WatchStart::FromRevision(revision), Selector::default()).await.unwrap();
        let later = bed.put("default/a", "", "n").await;
        assert_eq!(shorts(&mut watch, 1).await, [format!("~a@{later}")]);
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn initial_events_come_first_then_their_bookmark() {
    let bed = Bed::new().await;
    bed.put("default/b", "app=web", "n").await;
    bed.put("default/a", "app=web", "n").await;
    bed.put("default/c", "app=db", "n").await;
    let mut watch = bed.watch(INITIAL, labels("app=web")).await.unwrap();
    assert_eq!(shorts(&mut watch, 3).await, ["+a@3", "+b@2", "==4"]);
    bed.put("default/a", "app=web", "m").await;
    assert_eq!(shorts(&mut watch, 1).await, ["~a@5"]);
    let mut empty = bed.watch(INITIAL, labels("app=none")).await.unwrap();
    assert_eq!(shorts(&mut empty, 1).await, ["==5"]);
    let mut now = bed.watch(WatchStart::Now, labels("app=db")).await.unwrap();
    assert_eq!(shorts(&mut now, 1).await, ["+c@4"]);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_stops_matching_is_deleted_in_its_old_state() {
    let bed = Bed::new().await;
    bed.put("default/a", "app=web", "n").await;
    let mut watch = bed.watch(WatchStart::Now, labels("app=web")).await.unwrap();
    assert_eq!(shorts(&mut watch, 1).await, ["+a@2"]);
    bed.put("default/a", "app=db", "n").await;
    let gone = next(&mut watch).await;
    assert_eq!(short(&gone), "-a@3");
    let object = object(&gone);
    let metadata = &object["metadata"];
    assert_eq!((&metadata["labels"]["app"], &metadata["resourceVersion"]), (&"web".into(), &"3".into()));
    bed.put("default/a", "app=db", "m").await;
    bed.put("default/a", "app=web", "m").await;
    let back = next(&mut watch).await;
    assert_eq!(short(&back), "+a@5");
    assert!(back.line().unwrap().starts_with(br#"{"type":"ADDED","object":{"#));
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_by_field_name_and_namespace_see_theirs() {
    let bed = Bed::new().await;
    bed.list(ListQuery::default()).await;
    let mut on_m = bed.watch(WatchStart::Now, fields("spec.nodeName=m")).await.unwrap();
    let mut on_n = bed.watch(WatchStart::Now, fields("spec.nodeName=n")).await.unwrap();
    let mut named = bed.watch(WatchStart::Now, fields("metadata.name=b")).await.unwrap();
    let mut not_m = bed.watch(WatchStart::Now, fields("spec.nodeName!=m")).await.unwrap();
    let query = WatchQuery {
        start: WatchStart::Now,
        namespace: Some("kube".into()),
        selector: Selector::default(),
        bookmarks: false,
    };
    let mut kube = bed.cache.watch(query).await.unwrap();
    bed.put("default/a", "", "n").await;
    bed.put("default/a", "", "m").await;
    bed.put("kube/b", "", "x").await;
    bed.delete("default/a").await;
    assert_eq!(shorts(&mut on_m, 2).await, ["+a@3", "-a@5"]);
    assert_eq!(shorts(&mut on_n, 2).await, ["+a@2", "-a@3"]);
    assert_eq!(shorts(&mut named, 1).await, ["+b@4"]);
    assert_eq!(shorts(&mut not_m, 3).await, ["+a@2", "-a@3", "+b@4"]);
    assert_eq!(shorts(&mut kube, 1).await, ["+b@4"]);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_encoded_once_for_all_watchers() {
    let bed = Bed::new().await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(bed.watch(WatchStart::Now, labels("app=web")).await.unwrap());
    }
    bed.put("default/a", "app=web", "n").await;
    bed.put("default/a", "app=web", "m").await;
    bed.put("default/a", "app=db", "m").await;
    bed.put("default/a", "app=web", "m").await;
    for kind in ["ADDED", "MODIFIED", "DELETED", "ADDED"] {
        let mut lines = Vec::new();
        for watch in &mut watches {
            lines.push(next(watch).await.line().unwrap());
        }
        assert!(lines[0].starts_with(format!(r#"{{"type":"{kind}","object":{{"#).as_bytes()));
        assert!(lines[0].ends_with(b"}\n"));
        assert!(lines.iter().all(|line| line.as_ptr() == lines[0].as_ptr()), "{kind}");
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_too_old_a_revision_is_refused() {
    let bed = Bed::with(Limits { ring_events: 2, ..patient() }, Options::default()).await;
    bed.list(ListQuery::default()).await;
    for _ in 0..5 {
        bed.put("default/a", "", "n").await;
    }
    bed.list(ListQuery::default()).await;
    let refused = bed.watch(WatchStart::FromRevision(3), Selector::default()).await.err();
    assert_eq!(refused, Some(CacheError::Expired { requested: 3, oldest: 4 }));
    let mut watch = bed.watch(WatchStart::FromRevision(4), Selector::default()).await.unwrap();
    assert_eq!(shorts(&mut watch, 2).await, ["~a@5", "~a@6"]);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abuse_33_a_watcher_that_does_not_read_is_ended_alone() {
    let bed = Bed::with(Limits { watcher_events: 10, ..patient() }, Options::default()).await;
    let mut slow = bed.watch(WatchStart::Now, Selector::default()).await.unwrap();
    let mut fast = bed.watch(WatchStart::Now, Selector::default()).await.unwrap();
    for _ in 0..20 {
        let revision = bed.put("default/a", "", "n").await;
        assert_eq!(next(&mut fast).await.revision, revision);
    }
    assert_eq!(within(slow.next()).await.unwrap().unwrap_err(), CacheError::SlowWatcher);
    assert!(within(slow.next()).await.is_none());
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bookmarks_come_now_and_then() {
    let limits = Limits { bookmark_every: Duration::from_millis(30), ..patient() };
    let bed = Bed::with(limits, Options::default()).await;
    bed.put("default/a", "", "n").await;
    let query =
        WatchQuery { start: WatchStart::Now, namespace: None, selector: labels("app=none"), bookmarks: true };
    let mut watch = bed.cache.watch(query).await.unwrap();
    assert_eq!(shorts(&mut watch, 1).await, ["=2"]);
    bed.put("default/a", "", "m").await;
    within(async { while next(&mut watch).await.revision < 3 {} }).await;
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_the_store_cut_off_begins_anew() {
    let bed = Bed::with(patient(), Options { watch_events: 1, ..Options::default() }).await;
    bed.put("default/a", "", "n").await;
    let mut watch = bed.watch(WatchStart::Now, Selector::default()).await.unwrap();
    assert_eq!(shorts(&mut watch, 1).await, ["+a@2"]);
    let put = |pod: &str| tiphys_store::Op::Put {
        key: format!("{PREFIX}{pod}"),
        value: pod_json(pod, "", "n").into(),
        lease: None,
    };
    // A watch that still reads the past isn't cut off: the cache may take a pair or two.
    loop {
        let both = Txn { success: vec![put("default/b"), put("default/c")], ..Txn::default() };
        bed.store.transact(both).await.unwrap();
        assert_eq!(names(&bed.list(ListQuery::default()).await), ["a", "b", "c"]);
        if within(watch.next()).await.is_none() {
            break;
        }
    }
    // What was before it is in the store still.
    let mut again = bed.watch(WatchStart::FromRevision(2), Selector::default()).await.unwrap();
    assert_eq!(shorts(&mut again, 2).await, ["+b@3", "+c@3"]);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_watches_and_dropping_them_leaves_nothing() {
    let bed = Bed::new().await;
    let mut watch = bed.watch(WatchStart::Now, Selector::default()).await.unwrap();
    drop(bed.watch(WatchStart::Now, fields("spec.nodeName=n")).await.unwrap());
    bed.put("default/a", "", "n").await;
    assert_eq!(shorts(&mut watch, 1).await, ["+a@2"]);
    bed.cache.close();
    assert!(within(watch.next()).await.is_none());
    bed.end().await;
}

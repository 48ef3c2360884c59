//! GET and LIST.

use std::collections::BTreeMap;

use futures::FutureExt;
use proptest::{collection::vec, prelude::*};
use tiphys_store::Op;

use super::*;
use crate::cache::{ContinueToken, Items, ListChunks, ListHead};

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_read_back_with_its_revision() {
    let bed = Bed::new().await;
    for _ in 0..20 {
        let revision = bed.put("default/web", "app=web", "a").await;
        let pod = bed.cache.get(Some("default"), "web", Freshness::MostRecent).await.unwrap().unwrap();
        assert_eq!(pod.revision, revision);
        let json: serde_json::Value = serde_json::from_slice(&pod.json).unwrap();
        assert_eq!(json["metadata"]["resourceVersion"], revision.to_string());
    }
    bed.delete("default/web").await;
    assert!(bed.cache.get(Some("default"), "web", Freshness::MostRecent).await.unwrap().is_none());
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_as_new_as_the_store_also_when_others_write() {
    let bed = Bed::new().await;
    bed.put("default/web", "", "a").await;
    for n in 0..20 {
        let other = Txn::put(format!("/registry/leases/{n}"), "{}");
        let revision = bed.store.transact(other).await.unwrap().revision;
        assert_eq!(bed.list(ListQuery::default()).await.revision, revision);
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_and_selectors_choose() {
    let bed = Bed::new().await;
    bed.put("default/a", "app=web,tier=1", "n1").await;
    bed.put("default/b", "app=web,tier=2", "n2").await;
    bed.put("kube/a", "app=db", "n1").await;
    let query = |namespace: Option<&str>, selector| ListQuery {
        namespace: namespace.map(String::from),
        selector,
        ..ListQuery::default()
    };
    for (namespace, selector, expected) in [
        (None, Selector::default(), &["a", "b", "a"][..]),
        (Some("default"), Selector::default(), &["a", "b"]),
        (Some("def"), Selector::default(), &[]),
        (None, labels("app=web,tier!=1"), &["b"]),
        (None, fields("spec.nodeName=n1"), &["a", "a"]),
        (None, fields("spec.nodeName!=n1"), &["b"]),
        (None, fields("metadata.name=a"), &["a", "a"]),
        (Some("kube"), fields("metadata.name=a,spec.nodeName=n1"), &["a"]),
        (Some("kube"), fields("metadata.name=a,spec.nodeName=n2"), &[]),
        (None, fields("metadata.namespace=kube"), &["a"]),
        (Some("kube"), fields("metadata.name=zzz"), &[]),
    ] {
        let result = bed.list(query(namespace, selector.clone())).await;
        assert_eq!(names(&result), expected, "{namespace:?} {selector:?}");
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_one_revision() {
    let bed = Bed::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        bed.put(&format!("default/{name}"), "x=y", "n").await;
    }
    let first = bed.list(ListQuery { limit: Some(2), ..ListQuery::default() }).await;
    assert_eq!((names(&first), first.remaining), (vec!["a", "b"], Some(3)));
    let token = ContinueToken::decode(&first.next.as_ref().unwrap().encode()).unwrap();
    bed.delete("default/c").await;
    bed.put("default/bb", "", "n").await;
    bed.put("default/d", "x=changed", "n").await;
    let next = ListQuery {
        limit: Some(2),
        start_after: Some(token.start_after),
        freshness: token.revision.map_or(Freshness::MostRecent, Freshness::Exact),
        ..ListQuery::default()
    };
    let second = bed.list(next.clone()).await;
    assert_eq!((names(&second), second.remaining), (vec!["c", "d"], Some(1)));
    assert_eq!((second.revision, second.objects[1].labels.get("x")), (first.revision, Some("y")));
    let token = second.next.unwrap();
    let last = bed.list(ListQuery { start_after: Some(token.start_after), ..next }).await;
    assert_eq!((names(&last), last.remaining, &last.next), (vec!["e"], None, &None));
    let chosen = ListQuery { limit: Some(1), selector: labels("x=y"), ..ListQuery::default() };
    let chosen = bed.list(chosen).await;
    assert_eq!((names(&chosen), chosen.remaining), (vec!["a"], None));
    assert!(chosen.next.is_some());
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fell_off_the_ring_has_expired() {
    let bed = Bed::with(Limits { ring_events: 3, ..patient() }, Options::default()).await;
    bed.list(ListQuery::default()).await;
    for n in 0..5 {
        bed.put(&format!("default/{n}"), "", "n").await;
    }
    bed.list(ListQuery::default()).await;
    let at = |revision| ListQuery { freshness: Freshness::Exact(revision), ..ListQuery::default() };
    assert_eq!(bed.list(at(3)).await.objects.len(), 2);
    let expired = bed.cache.list(&at(2)).await.unwrap_err();
    assert_eq!(expired, CacheError::Expired { requested: 2, oldest: 3 });
    assert_eq!(expired.to_string(), "too old resource version: 2 (3)");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_of_the_future_is_waited_for_and_then_refused() {
    let bed = Bed::new().await;
    bed.put("default/a", "", "n").await;
    let bed = bed.anew(Limits { wait: Duration::from_millis(50), ..patient() });
    within(bed.cache.loaded()).await.unwrap();
    let query = ListQuery { freshness: Freshness::NotOlderThan(9), ..ListQuery::default() };
    let refused = bed.cache.list(&query).await.unwrap_err();
    assert_eq!(refused, CacheError::TooLarge { requested: 9, current: 2 });
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_json_in_chunks() {
    let bed = Bed::new().await;
    let puts = (0..600).map(|n| async move { (n, ()) });
    for (n, ()) in futures::future::join_all(puts).await {
        let key = format!("{PREFIX}default/{n:04}");
        bed.store.transact(Txn::put(key, pod_json(&format!("default/{n:04}"), "a=b", "n"))).await.unwrap();
    }
    let result = bed.list(ListQuery { limit: Some(599), ..ListQuery::default() }).await;
    let chunks: Vec<_> =
        ListChunks::new(ListHead { api_version: "v1", kind: "PodList", items: Items::Whole }, result)
            .collect();
    assert!(chunks.len() > 1 && chunks.iter().all(|chunk| chunk.len() < 80 << 10));
    let list: serde_json::Value = serde_json::from_slice(&chunks.concat()).unwrap();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&"PodList".into(), &"v1".into()));
    assert_eq!(list["items"].as_array().unwrap().len(), 599);
    assert_eq!(list["items"][7]["metadata"]["name"], "0007");
    assert_eq!(
        (&list["metadata"]["resourceVersion"], &list["metadata"]["remainingItemCount"]),
        (&"601".into(), &1.into())
    );
    assert!(list["metadata"]["continue"].is_string());
    let empty = ListResult { objects: Vec::new(), revision: 1, next: None, remaining: None };
    let chunks = ListChunks::new(ListHead { api_version: "v1", kind: "PodList", items: Items::Whole }, empty)
        .collect::<Vec<_>>();
    assert_eq!(chunks.concat(), b"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}\n");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_costs_references_and_two_chunks() {
    let bed = Bed::new().await;
    let puts = (0..1000).map(|n| {
        let store = bed.store.clone();
        let (key, mut pod) = (format!("{PREFIX}default/{n:04}"), pod_json("default/x", "a=b", "n"));
        pod.resize(4096, b' ');
        async move { store.transact(Txn::put(key, pod)).await.unwrap().revision }
    });
    let last = futures::future::join_all(puts).await.into_iter().max().unwrap();
    let query = ListQuery { freshness: Freshness::NotOlderThan(last), ..ListQuery::default() };
    assert_eq!(bed.list(query.clone()).await.objects.len(), 1000);
    let mut bytes = 0;
    let cost = allocation_counter::measure(|| {
        let result = bed.cache.list(&query).now_or_never().expect("it is that far").unwrap();
        let head = ListHead { api_version: "v1", kind: "PodList", items: Items::Whole };
        bytes = ListChunks::new(head, result).map(|chunk| chunk.len()).sum();
    });
    assert!(bytes > 4_000_000, "{bytes}");
    assert!(cost.bytes_total < 300_000, "{cost:?}");
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_as_long_as_reading_takes() {
    let bed = Bed::new().await;
    // Many take longer to read than no time at all.
    let many: Vec<String> = (0..5000).map(|number| format!("default/p{number:04}")).collect();
    for part in many.chunks(1000) {
        let mut txn = Txn::default();
        txn.success.extend(part.iter().map(|pod| Op::Put {
            key: format!("{PREFIX}{pod}"),
            value: pod_json(pod, "", "n").into(),
            lease: None,
        }));
        bed.store.transact(txn).await.unwrap();
    }
    let bed = bed.anew(Limits { wait: Duration::ZERO, ..patient() });
    within(bed.cache.loaded()).await.unwrap();
    let query = ListQuery { freshness: Freshness::Any, ..ListQuery::default() };
    assert_eq!(bed.list(query).await.objects.len(), many.len());
    bed.cache.close();
    assert_eq!(bed.cache.loaded().await, Err(CacheError::Closed));
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_cache_says_so() {
    let bed = Bed::new().await;
    bed.put("default/a", "", "n").await;
    assert_eq!(bed.list(ListQuery::default()).await.objects.len(), 1);
    bed.cache.close();
    assert_eq!(bed.cache.list(&ListQuery::default()).await.unwrap_err(), CacheError::Closed);
    bed.end().await;
}

/// Puts and deletes of a few Pods; afterwards every revision of the ring lists as it was, in pages of any size.
async fn past_states(writes: Vec<(u8, bool)>, limit: usize) {
    let bed = Bed::with(Limits { ring_events: 12, ..patient() }, Options::default()).await;
    bed.list(ListQuery::default()).await;
    let mut states = BTreeMap::from([(1, BTreeMap::new())]);
    let mut state = BTreeMap::new();
    for (key, put) in writes {
        let pod = format!("{}/{key}", ["x", "y"][usize::from(key % 2)]);
        let revision = if put { bed.put(&pod, "", "n").await } else { bed.delete(&pod).await };
        if put {
            state.insert(pod, revision);
        } else {
            state.remove(&pod);
        }
        states.insert(revision, state.clone());
    }
    bed.list(ListQuery::default()).await;
    for (revision, expected) in states.iter().rev().take(12) {
        let mut query =
            ListQuery { limit: Some(limit), freshness: Freshness::Exact(*revision), ..ListQuery::default() };
        let mut listed = BTreeMap::new();
        loop {
            let page = bed.list(query.clone()).await;
            assert!(page.objects.len() <= limit);
            listed.extend(
                page.objects.iter().map(|pod| (format!("{}/{}", pod.namespace(), pod.name()), pod.revision)),
            );
            let Some(next) = page.next else { break };
            query.start_after = Some(next.start_after);
        }
        assert_eq!(&listed, expected, "revision {revision}");
    }
    bed.end().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_past_is_listed_as_it_was(writes in vec((0..8_u8, proptest::bool::weighted(0.7)), 1..40), limit in 1..5_usize) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(past_states(writes, limit));
    }
}

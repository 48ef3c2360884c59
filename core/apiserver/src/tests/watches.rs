//! watch: what is sent, in which order, and how it ends.

use serde_json::json;

use super::harness::{Harness, MAPS, Watching, event};

#[tokio::test]
async fn changes_are_sent_in_order() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({})).await;
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&format!("{MAPS}?watch=true&resourceVersion={version}")).await;
    api.patch(&format!("{MAPS}/a"), "merge", &json!({"data": {"k": "1"}})).await.expect(200);
    api.config_map("b", json!({}), json!({})).await;
    api.delete(&format!("{MAPS}/a")).await.expect(200);
    assert_eq!(watch.event().await, event("MODIFIED", "a"));
    assert_eq!(watch.event().await, event("ADDED", "b"));
    let deleted = watch.next().await.expect("an event");
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["data"]["k"], "1");
}

#[tokio::test]
async fn without_a_version_the_state_comes_first() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({})).await;
    api.config_map("b", json!({}), json!({})).await;
    let mut watch =
        api.watch(&format!("{MAPS}?watch=1&fieldSelector=metadata.name%21%3Dkube-root-ca.crt")).await;
    assert_eq!(watch.event().await, event("ADDED", "a"));
    assert_eq!(watch.event().await, event("ADDED", "b"));
    api.config_map("c", json!({}), json!({})).await;
    assert_eq!(watch.event().await, event("ADDED", "c"));
}

#[tokio::test]
async fn initial_events_end_with_their_bookmark() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({})).await;
    let path = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut watch = api.watch(&path).await;
    assert_eq!(watch.event().await, event("ADDED", "a"));
    let bookmark = watch.next().await.expect("a bookmark");
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(bookmark["object"]["metadata"]["resourceVersion"].is_string());
    api.config_map("b", json!({}), json!({})).await;
    assert_eq!(watch.event().await, event("ADDED", "b"));
    let wrong = api.get(&format!("{MAPS}?watch=1&sendInitialEvents=true")).await;
    wrong.refused(422, "Invalid");
}

#[tokio::test]
async fn an_object_that_leaves_the_selector_is_deleted_for_the_watcher() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({"app": "web"}), json!({})).await;
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch =
        api.watch(&format!("{MAPS}?watch=1&labelSelector=app%3Dweb&resourceVersion={version}")).await;
    let path = format!("{MAPS}/a");
    api.patch(&path, "merge", &json!({"metadata": {"labels": {"app": "db"}}})).await.expect(200);
    api.patch(&path, "merge", &json!({"data": {"unseen": "1"}})).await.expect(200);
    api.patch(&path, "merge", &json!({"metadata": {"labels": {"app": "web"}}})).await.expect(200);
    let left = watch.next().await.expect("an event");
    assert_eq!(
        (&left["type"], &left["object"]["metadata"]["labels"]["app"]),
        (&json!("DELETED"), &json!("web"))
    );
    assert_eq!(watch.event().await, event("ADDED", "a"));
}

#[tokio::test]
async fn a_watch_ends_at_its_time() {
    let api = Harness::start().await;
    let now = api.get(&format!("{MAPS}?limit=1")).await.expect(200);
    let version = now["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = api.watch(&format!("{MAPS}?watch=1&timeoutSeconds=1&resourceVersion={version}")).await;
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn history_that_is_gone_is_an_error_event() {
    let api = Harness::start().await;
    for n in 0..3 {
        api.config_map(&format!("m{n}"), json!({}), json!({})).await;
    }
    let newest = api.store.revision().await.expect("a revision");
    api.store.compact(newest).await.expect("compacted");
    let api = api.restart().await;
    let mut watch = api.watch(&format!("{MAPS}?watch=1&resourceVersion=2")).await;
    let gone = watch.next().await.expect("an event");
    assert_eq!((&gone["type"], &gone["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(gone["object"]["reason"], "Expired");
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn a_table_watch_sends_rows() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({"k": "1"})).await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let mut watch = api.watch_as(&format!("{MAPS}?watch=1"), accept).await;
    let first = watch.next().await.expect("an event");
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    assert!(first["object"]["columnDefinitions"].is_array());
    api.config_map("b", json!({}), json!({})).await;
    let second = watch.next().await.expect("an event");
    assert_eq!(second["object"]["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert!(second["object"]["columnDefinitions"].is_null());
}

#[tokio::test]
async fn metadata_alone_can_be_watched() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({"k": "1"})).await;
    let accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let mut watch = api.watch_as(&format!("{MAPS}?watch=1"), accept).await;
    let first = watch.next().await.expect("an event");
    assert_eq!(first["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(first["object"].get("data"), None);
}

/// The revisions of the next events.
async fn versions(watch: &mut Watching, number: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < number {
        let event = watch.next().await.expect("an event");
        seen.push(event["object"]["metadata"]["resourceVersion"].as_str().expect("a version").to_owned());
    }
    seen
}

#[tokio::test]
async fn watches_that_begin_at_any_moment_bring_the_same_order() {
    const WRITES: usize = 60;
    let api = Harness::start().await;
    let now = api.get(&format!("{MAPS}?limit=1")).await.expect(200)["metadata"].take();
    let since = |version: &str| format!("{MAPS}?watch=1&resourceVersion={version}");
    let mut first = api.watch(&since(now["resourceVersion"].as_str().unwrap())).await;
    let writes = async {
        for number in 0..WRITES / 3 {
            let path = format!("{MAPS}/m{number}");
            api.config_map(&format!("m{number}"), json!({}), json!({})).await;
            api.patch(&path, "merge", &json!({"data": {"k": "1"}})).await.expect(200);
            api.delete(&path).await.expect(200);
        }
    };
    // Each event opens a watch that begins after it, while the writes go on.
    let reads = async {
        let (mut all, mut later) = (Vec::new(), Vec::new());
        while all.len() < WRITES {
            let version = versions(&mut first, 1).await.remove(0);
            later.push(api.watch(&since(&version)).await);
            all.push(version);
        }
        (all, later)
    };
    let (_, (all, later)) = tokio::join!(writes, reads);
    for (begin, mut watch) in later.into_iter().enumerate() {
        let expected = &all[begin + 1..];
        assert_eq!(versions(&mut watch, expected.len()).await, expected, "from the event {begin} on");
    }
}

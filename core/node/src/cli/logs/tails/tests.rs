//! Tails against a server that counts, searches and lists Pods.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing,
};
use http::StatusCode;
use serde_json::json;
use tiphys_logging::{
    query,
    wire::{SearchAnswer, SearchRequest},
};

use super::*;
use crate::cli::logs::{signalled, tests::parsed};

fn series(pod: &str, count: u64) -> StatsSeries {
    let group = [("namespace", "shop"), ("pod", pod), ("container", "app")];
    let group = group.map(|(key, value)| (key.to_owned(), value.to_owned()));
    StatsSeries { group: group.into(), count, ..StatsSeries::default() }
}

fn answer(pods: &[&str]) -> StatsAnswer {
    StatsAnswer { series: pods.iter().map(|pod| series(pod, 1)).collect(), ..StatsAnswer::default() }
}

fn pods(chosen: &Chosen) -> Vec<&str> {
    chosen.containers.iter().map(|container| container.pod.as_str()).collect()
}

#[test]
fn a_container_is_named_to_the_letter_within_the_query() {
    let container = Container { namespace: "shop".into(), pod: "web-1".into(), name: "app".into() };
    let check = |text: &str, expected: &str| {
        let narrowed = container.query(&query::parse(text).expect("a query"));
        assert_eq!(narrowed.to_string(), expected, "{text}");
        assert_eq!(query::parse(expected).as_ref(), Ok(&narrowed), "{text}");
    };
    let own = r#"ns:="shop" AND pod:="web-1" AND container:="app""#;
    check("", own);
    check("a b", &format!("a AND b AND {own}"));
    check("a OR b", &format!("(a OR b) AND {own}"));
}

#[test]
fn the_living_are_shown_and_the_gone_where_none_lives() {
    let living = |names: &[&str]| -> Living {
        let named = |name: &&str| (("shop".to_owned(), (*name).to_owned()), Lives::default());
        names.iter().map(named).collect()
    };
    let three = answer(&["a", "b", "c"]);
    let chosen = choose(&three, Some(&living(&["b", "z"])));
    assert_eq!(pods(&chosen), ["b"]);
    assert!(chosen.told.len() == 1 && chosen.told[0].contains("2 others"), "{:?}", chosen.told);
    for (known, why) in [(Some(living(&["z"])), "all are gone"), (None, "nobody knows")] {
        let chosen = choose(&three, known.as_ref());
        assert_eq!((pods(&chosen), chosen.told.len()), (vec!["a", "b", "c"], 0), "{why}");
    }
    // A Pod of the same name in another namespace is another.
    let elsewhere: Living = [(("prod".to_owned(), "a".to_owned()), Lives::default())].into();
    assert_eq!(pods(&choose(&three, Some(&elsewhere))), ["a", "b", "c"]);
}

#[test]
fn who_lives_longer_and_is_not_found_may_have_been_quiet() {
    let found = found(&answer(&["a", "b"]));
    let check = |living: &[(&str, Option<i64>, &[&str])], expected: Option<i64>| {
        let lives = |(name, since, containers): &(&str, Option<i64>, &[&str])| {
            let containers = containers.iter().map(|name| (*name).to_owned()).collect();
            (("shop".to_owned(), (*name).to_owned()), Lives { since: *since, containers })
        };
        let known: Living = living.iter().map(lives).collect();
        assert_eq!(quiet_since(&found, &known, 100), expected, "{living:?}");
    };
    check(&[], None);
    check(&[("a", Some(5), &["app"]), ("b", Some(7), &["app"])], None);
    check(&[("a", Some(5), &["app"]), ("b", Some(7), &["app", "proxy"])], Some(7));
    check(&[("c", Some(9), &["app"]), ("d", Some(8), &["app"])], Some(8));
    check(&[("c", Some(100), &["app"]), ("d", None, &["app"])], None);
}

#[test]
fn what_is_beyond_the_bound_is_told() {
    let names: Vec<String> = (0..=MOST).map(|at| format!("web-{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let chosen = choose(&answer(&names), None);
    assert_eq!(pods(&chosen), names[..MOST]);
    assert!(chosen.told[0].contains("100 containers"), "{:?}", chosen.told);
    assert!(choose(&answer(&names[..MOST]), None).told.is_empty());
    let more = StatsAnswer { other: Some(StatsSeries::default()), ..answer(&["a"]) };
    assert!(choose(&more, None).told[0].contains("there may be more"));
}

/// A namespace with Pods, the seconds of their records, and who of them lives.
#[derive(Clone, Default)]
struct Server {
    records: Vec<(&'static str, Vec<u32>)>,
    /// `None`: the user may not list Pods.
    living: Option<Vec<&'static str>>,
    /// All records are older than what is looked through first.
    old: bool,
    /// Pods without records in what is looked through first.
    quiet: Vec<&'static str>,
    /// When the Pods were made.
    created: Option<String>,
    /// The namespace whose Pods the user may not list.
    refused: Option<&'static str>,
    /// The begins of the counts that were asked for.
    since: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn client(&self) -> Client {
        let (counts, searched, listed, other) = (self.clone(), self.clone(), self.clone(), self.clone());
        let stats = move |Json(request): Json<StatsRequest>| async move { Json(counts.stats(request)) };
        let search = move |Json(request): Json<SearchRequest>| async move { Json(searched.search(&request)) };
        let list = move || async move { listed.list("shop") };
        let list_other = move || async move { other.list("prod") };
        let router = Router::new()
            .route("/api/v1/namespaces/shop/pods", routing::get(list))
            .route("/api/v1/namespaces/prod/pods", routing::get(list_other))
            .route("/tiphys/v1/logs/stats", routing::post(stats))
            .route("/tiphys/v1/logs/search", routing::post(search));
        signalled::client(router)
    }

    fn stats(&self, request: StatsRequest) -> StatsAnswer {
        let since = request.since.expect("a begin: without one the last hour is counted");
        let is_found = !self.old || since == EVER;
        self.since.lock().expect("a lock").push(since);
        assert_eq!(request.by, ["namespace", "pod", "container"]);
        // No test names an end: this is the second look.
        let is_second = request.until.is_some();
        let is_counted = |pod: &&'static str| is_found && (is_second || !self.quiet.contains(pod));
        let found = self.records.iter().filter(|(pod, _)| is_counted(pod));
        let series = found.map(|(pod, seconds)| series(pod, seconds.len() as u64)).collect();
        StatsAnswer { series, ..StatsAnswer::default() }
    }

    /// The newest first, of the one container that a query is about.
    fn search(&self, request: &SearchRequest) -> SearchAnswer {
        let is_asked = |pod: &str| request.query.contains(&format!("pod:=\"{pod}\""));
        let (pod, seconds) =
            self.records.iter().find(|(pod, _)| is_asked(pod)).expect("a search in one container");
        let record = |second: &u32| LogRecord {
            time: format!("2026-01-31T12:00:{second:02}.000000000Z"),
            pod: (*pod).to_owned(),
            ..LogRecord::default()
        };
        let newest = seconds.iter().rev().take(request.limit.expect("a limit"));
        SearchAnswer { records: newest.map(record).collect(), ..SearchAnswer::default() }
    }

    fn list(&self, namespace: &str) -> Response {
        let Some(living) = self.living.as_ref().filter(|_| self.refused != Some(namespace)) else {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "not yours", "reason": "Forbidden", "code": 403,
            });
            return (StatusCode::FORBIDDEN, Json(status)).into_response();
        };
        let pod = |name: &&str| {
            let metadata = json!({"namespace": namespace, "name": name, "creationTimestamp": self.created});
            json!({"metadata": metadata, "spec": {"containers": [{"name": "app"}]}})
        };
        let items: Vec<_> = living.iter().map(pod).collect();
        Json(json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})).into_response()
    }

    /// The Pods and seconds that are shown.
    async fn shown(&self, arguments: &[&str]) -> Vec<(String, u32)> {
        let (logs, client) = (parsed(arguments), self.client());
        let query = query::parse("error").expect("a query");
        let mut pages = logs.pages(&client, &query, Some(100)).await.expect("pages");
        let records = pages.next(NEXT).await.expect("an answer").expect("a page");
        assert!(pages.next(NEXT).await.expect("an end").is_none());
        let second = |record: &LogRecord| record.time[17..19].parse().expect("a second");
        records.iter().map(|record| (record.pod.clone(), second(record))).collect()
    }
}

fn shown(records: &[(&str, u32)]) -> Vec<(String, u32)> {
    records.iter().map(|(pod, second)| ((*pod).to_owned(), *second)).collect()
}

#[tokio::test]
async fn each_container_has_its_last_records_in_the_order_of_time() {
    let records = vec![("noisy", (1..10).collect()), ("quiet", vec![2, 8]), ("gone", vec![5])];
    let server = Server { records, living: Some(vec!["quiet", "noisy"]), ..Server::default() };
    let expected = shown(&[("quiet", 2), ("noisy", 8), ("quiet", 8), ("noisy", 9)]);
    assert_eq!(server.shown(&["error", "--tail", "2"]).await, expected);
    assert_eq!(server.shown(&["error", "--tail", "1"]).await, shown(&[("quiet", 8), ("noisy", 9)]));
    let unknown = Server { living: None, ..server.clone() };
    let expected = shown(&[("gone", 5), ("quiet", 8), ("noisy", 9)]);
    assert_eq!(unknown.shown(&["error", "--tail", "1"]).await, expected);
    assert!(server.shown(&["error", "--tail", "0"]).await.is_empty());
}

#[tokio::test]
async fn containers_are_looked_for_near_and_then_in_all_time() {
    let begins = |server: &Server| server.since.lock().expect("a lock").clone();
    let old = || Server { records: vec![("web", vec![1, 2])], old: true, ..Server::default() };
    let server = old();
    assert_eq!(server.shown(&["error", "--tail", "1"]).await, shown(&[("web", 2)]));
    let asked = begins(&server);
    assert!(asked.len() == 2 && asked[0].as_str() > EVER && asked[1] == EVER, "{asked:?}");
    // Who names a begin is asked for nothing before it.
    let server = old();
    assert!(server.shown(&["error", "--tail", "1", "--since", "1h"]).await.is_empty());
    assert_eq!(begins(&server), ["1h"]);
    let near = Server { old: false, ..old() };
    assert_eq!(near.shown(&["error", "--tail", "1"]).await, shown(&[("web", 2)]));
    assert_eq!(begins(&near).len(), 1);
}

#[tokio::test]
async fn a_living_container_that_was_quiet_for_days_has_its_tail() {
    let made = |created: String| Server {
        records: vec![("noisy", vec![3, 4]), ("quiet", vec![1, 2]), ("gone", vec![5])],
        living: Some(vec!["noisy", "quiet"]),
        quiet: vec!["quiet", "gone"],
        created: Some(created),
        ..Server::default()
    };
    let begins = |server: &Server| server.since.lock().expect("a lock").clone();
    let old = || made("2020-01-01T00:00:00Z".to_owned());
    let server = old();
    let expected = shown(&[("quiet", 2), ("noisy", 4)]);
    assert_eq!(server.shown(&["error", "--tail", "1"]).await, expected);
    let asked = begins(&server);
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(time::parse(&asked[1]), time::parse("2020-01-01T00:00:00Z"));
    // Who names a begin is asked for nothing before it, and no young Pod wrote so long ago.
    let server = old();
    assert_eq!(server.shown(&["error", "--tail", "1", "--since", "1h"]).await, shown(&[("noisy", 4)]));
    assert_eq!(begins(&server), ["1h"]);
    let young = made(time::format(time::now()));
    assert_eq!(young.shown(&["error", "--tail", "1"]).await, shown(&[("noisy", 4)]));
    assert_eq!(begins(&young).len(), 1);
}

#[tokio::test]
async fn pods_of_several_namespaces_are_listed_in_each() {
    // The server lists those of all to nobody.
    let server = Server { living: Some(vec!["web"]), ..Server::default() };
    let namespaces = BTreeSet::from(["prod", "shop"]);
    let found = living(&server.client(), &namespaces).await.expect("an answer").expect("allowed");
    let mut names: Vec<_> = found.into_keys().collect();
    names.sort_unstable();
    let web = |namespace: &str| (namespace.to_owned(), "web".to_owned());
    assert_eq!(names, [web("prod"), web("shop")]);
    let refused = Server { refused: Some("shop"), ..server };
    let found = living(&refused.client(), &namespaces).await.expect("an answer");
    assert!(found.is_none(), "{found:?}");
}

//! Lines whose times are at the edges of what a record can have, among others: found by the
//! times that users write, from memory and from disk. And a secret at the edge of a record.

use super::*;

/// Times as the runtime writes them, and bodies; two name a time far from their own.
const LINES: [(&str, &str); 6] = [
    ("2026-01-31T12:00:00Z", "noon of 2026"),
    ("1970-01-01T00:00:00Z", "first of 1970, not 9999-12-31T23:59:59.999"),
    ("9999-12-31T23:59:59.999999999Z", "last of 9999"),
    ("1969-12-31T23:59:59.999999999Z", "last of 1969"),
    ("9999-01-01T00:00:00Z", "first of 9999, not 1970-01-01T00:00:00.000"),
    ("0001-01-01T00:00:00Z", "first of 1"),
];
/// By time, the newest first. Both of 9999 are at the last time there is, so the later line is the newer.
static NEWEST: [&str; 6] = [LINES[4].1, LINES[2].1, LINES[0].1, LINES[1].1, LINES[3].1, LINES[5].1];

/// The root over one node.
fn root(running: &Running) -> LogRoot {
    let collector =
        Collector { node: "n1".into(), address: Some(running.address), access: Access::Token(TOKEN.into()) };
    LogRoot::new(Arc::new(Nodes(vec![collector])), Arc::new(ByName)).with_deadline(Duration::from_secs(120))
}

async fn finds(root: &LogRoot, query: &str, since: Option<&str>, until: Option<&str>, expected: &[&str]) {
    let (since, until) = (since.map(str::to_owned), until.map(str::to_owned));
    let request = SearchRequest { query: query.into(), since, until, ..SearchRequest::default() };
    let answer = root.search(&UserInfo::master("admin"), &request).await.expect("an answer");
    assert!(answer.partial.is_empty(), "{request:?}: {:?}", answer.partial);
    assert_eq!(bodies(&answer.records), expected, "{request:?}");
}

/// All records, one a page.
async fn paged(root: &LogRoot, oldest_first: bool) -> Vec<String> {
    let mut request = SearchRequest { limit: Some(1), oldest_first, ..SearchRequest::default() };
    let mut all = Vec::new();
    loop {
        let answer = root.search(&UserInfo::master("admin"), &request).await.expect("an answer");
        all.extend(answer.records.into_iter().map(|record| record.body));
        assert!(all.len() <= LINES.len(), "{all:?}");
        request.cursor = answer.cursor;
        if request.cursor.is_none() {
            return all;
        }
    }
}

/// How many records stand in the bars of a range.
async fn in_bars(root: &LogRoot, since: &str, until: &str) -> u64 {
    let request = HistogramRequest {
        since: Some(since.into()),
        until: Some(until.into()),
        buckets: Some(10),
        ..HistogramRequest::default()
    };
    let answer = root.histogram(&UserInfo::master("admin"), &request).await.expect("an answer");
    assert!(answer.partial.is_empty(), "{:?}", answer.partial);
    answer.buckets.iter().map(|bucket| bucket.count).sum()
}

async fn check(running: &Running) {
    let root = root(running);
    let (of_9999, rest) = NEWEST.split_at(2);
    let (first_of_1970, before_1970) = (&NEWEST[3..4], &NEWEST[4..]);
    let epoch = Some("1970-01-01T00:00:00Z");
    finds(&root, "", None, None, &NEWEST).await;
    finds(&root, "", epoch, Some("1970-01-02T00:00:00Z"), first_of_1970).await;
    finds(&root, "", None, epoch, before_1970).await;
    finds(&root, "", Some("9999-01-01T00:00:00Z"), None, of_9999).await;
    finds(&root, "", Some("1h"), None, of_9999).await;
    finds(&root, "", Some("0001-01-01T00:00:00Z"), Some("2200-01-01T00:00:00Z"), rest).await;
    finds(&root, "time:>=9999-12-31", None, None, of_9999).await;
    finds(&root, "time:<1970-01-01", None, None, before_1970).await;
    finds(&root, "time:[1970-01-01 TO 1970-01-02]", None, None, first_of_1970).await;
    finds(&root, "last", None, None, &[NEWEST[1], NEWEST[4]]).await;

    assert_eq!(paged(&root, false).await, NEWEST);
    let mut oldest = paged(&root, true).await;
    oldest.reverse();
    assert_eq!(oldest, NEWEST);
    assert_eq!(in_bars(&root, "1960-01-01T00:00:00Z", "2200-01-01T00:00:00Z").await, 3);
    // The end of a range is not in it, and both of 9999 are there.
    assert_eq!(in_bars(&root, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z").await, 4);
    let facets = root.facets(&UserInfo::master("admin"), &FacetsRequest::default()).await;
    assert_eq!(facets.expect("an answer").count, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_1970_and_of_9999_are_found_in_memory_and_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let config = Config { commit_after: Duration::from_secs(3600), ..config(folder.path(), "n1") };
    let running = run(config, None, &tasks).await.expect("started");
    // The first commit comes by itself; what is written after it stays in memory.
    let first_commit = async {
        while running.metrics.commits.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), first_commit).await.expect("in time");
    let text: String = LINES.iter().map(|(time, body)| format!("{time} stdout F {body}\n")).collect();
    write(&log_file(folder.path(), "shop_web-1"), &text);
    until_found(&running, "*", LINES.len()).await;
    assert_eq!(running.store.snapshot().open().count(), 1);
    check(&running).await;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    drop(running);

    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    assert_eq!(running.store.sizes().0, LINES.len() as u64);
    check(&running).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_over_the_cut_of_a_long_line_is_hidden_also_by_a_collector_that_ends_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let running = run(config(folder.path(), "n1"), None, &tasks).await.expect("started");
    let annotations = [("redact".to_owned(), "/pin=\\d+/".to_owned())].into();
    let meta = crate::index::NamespaceMeta { annotations, gone: false };
    running.store.namespace_table().update("shop", meta);
    // Of a namespace without a record nothing stays known.
    write(&log_file(folder.path(), "shop_web-2"), &line(1, "other"));
    until_found(&running, "pod:web-2", 1).await;
    let path = log_file(folder.path(), "shop_web-1");
    // More than one reading of a line whose end is still to come.
    let begin = format!("{}pin=12345678 {}", "x".repeat(crate::parse::MAX_BODY - 4), "y".repeat(4000));
    write(&path, line(1, &begin).trim_end());
    let first_part = async {
        while running.metrics.records.get() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), first_part).await.expect("in time");
    assert!(find(&running.store, "pod:web-1").is_empty(), "it waits for what comes after it");
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, Vec::<String>::new());
    drop(running);

    let tasks = Tasks::new();
    let running = again(folder.path(), &tasks).await;
    assert!(find(&running.store, "pod:web-1").is_empty());
    write(&path, " end\n");
    until_found(&running, "pod:web-1", 2).await;
    // The newest first.
    let found = find(&running.store, "pod:web-1");
    let (end, part) = (&found[0], &found[1]);
    assert!(part.starts_with("xxx") && part.contains("x[redacted] "));
    assert!(end.starts_with(" yyy") && end.ends_with("y end") && end.len() == 4005, "{}", end.len());
    tasks.shutdown(Duration::from_secs(120)).await;
}

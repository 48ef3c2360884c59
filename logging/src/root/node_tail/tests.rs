//! One node's stream: what it says of the node, and of a gap that is too large.

use async_trait::async_trait;
use axum::{Router, body::Body, routing::post};
use http_body_util::BodyExt;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::{OnError, Tasks};

use super::*;
use crate::{
    follow::{BACK, HELD, MOST},
    record::{Level, Position},
    root::{Access, Collectors, ndjson_alive, tests::TestCluster},
    wire::{Bucket, LogRecord},
};

/// A test that hangs ends.
const LIMIT: Duration = Duration::from_secs(60);

struct One(Collector);

#[async_trait]
impl Collectors for One {
    async fn list(&self) -> Vec<Collector> {
        vec![self.0.clone()]
    }
}

struct All;

impl Authorizer for All {
    fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn a_node_that_says_nothing_more_is_named() {
    let tasks = Tasks::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let silent = post(async || {
        let opening = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"\n")) });
        Body::from_stream(futures::StreamExt::chain(opening, stream::pending()))
    });
    let router = Router::new().route("/v1/tail", silent);
    tasks.spawn("node", OnError::Log, async move { axum::serve(listener, router).await });
    let collector =
        Collector { node: "n7".into(), address: Some(address), access: Access::Token("t".into()) };
    let root = LogRoot::new(Arc::new(One(collector.clone())), Arc::new(All));
    let progress = Progress::from(time::now());
    let mut node = NodeTail::new(root, collector, NodeRequest::default(), progress, false);
    node.silence = Duration::from_millis(200);
    let line = tokio::time::timeout(Duration::from_secs(60), node.next()).await.expect("in time");
    let TailLine::Partial { partial } = line else { panic!("{line:?}") };
    assert!(partial.node == "n7" && partial.error.contains("said nothing"), "{partial:?}");
    assert!(partial.error.starts_with(LOST) && partial.error.contains("when it is back"), "{partial:?}");
    tasks.shutdown(Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_has_nothing_to_say_says_so() {
    let mut body = ndjson_alive(stream::pending()).into_body();
    for _ in 0..3 {
        let frame = body.frame().await.expect("a frame").expect("whole");
        assert_eq!(frame.into_data().expect("bytes"), "\n");
    }
}

/// The lines of a node that has so many of its gap, of which `most` are shown.
async fn caught_up(lines: i64, most: usize) -> Vec<TailLine> {
    let cluster = TestCluster::start(1, 0).await;
    let base = time::now() - 1_000_000;
    for number in 0..lines {
        cluster.nodes[0].write("shop/web-1", base + number, number as u64, Level::Info, &number.to_string());
    }
    let collector = cluster.root.collectors.list().await.remove(0);
    let progress = Progress::from(base);
    let mut node = NodeTail::new(cluster.root.clone(), collector, NodeRequest::default(), progress, true);
    node.most = most;
    let mut found = Vec::new();
    let all = async {
        // What was searched for is there before what came by the connection.
        while node.gap.is_some() || node.behind || !node.lines.is_empty() {
            match node.lines.pop_front() {
                Some(line) => found.extend(node.is_handed_on(&line).then_some(line)),
                None => node.advance().await.expect("it goes on"),
            }
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("in time");
    drop(node);
    cluster.stop().await;
    found
}

#[tokio::test]
async fn a_gap_is_shown_in_order_and_one_that_is_too_large_is_told_with_its_count() {
    let body = |line: &TailLine| match line {
        TailLine::Record(record) => record.body.clone(),
        other => panic!("{other:?}"),
    };
    let numbers = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let whole = caught_up(2_500, MOST).await;
    assert_eq!(whole.iter().map(body).collect::<Vec<_>>(), numbers(2_500));
    // Pages are whole, and grow: two are shown before it is seen that there are too many.
    let cut = caught_up(5_000, 10).await;
    let (shown, told) = cut.split_at(4_100);
    assert_eq!(shown.iter().map(body).collect::<Vec<_>>(), numbers(4_100));
    let [TailLine::Dropped { dropped: 900, node, .. }, TailLine::Partial { partial }] = told else {
        panic!("{told:?}")
    };
    assert!(node == "n1" && partial.error.contains("too many"), "{partial:?}");
}

#[test]
fn a_gap_goes_back_to_when_it_was_known_which_namespaces_the_node_has() {
    let progress = Progress::among(10 * BACK);
    let mut progress = progress.lock();
    progress.reach(20 * BACK, false);
    assert_eq!(progress.gap(), 10 * BACK, "it hasn't said so since the begin");
    progress.asks();
    progress.says(15 * BACK);
    assert_eq!(progress.gap(), 10 * BACK, "what it said is to be searched for first");
    progress.reach(21 * BACK, false);
    assert_eq!(progress.gap(), 14 * BACK);
    progress.asks();
    progress.reach(39 * BACK, false);
    progress.says(30 * BACK);
    progress.reach(40 * BACK, false);
    assert_eq!(progress.gap(), 20 * BACK, "what was in its backlog when it was asked, it didn't know of");
    progress.says(i64::MAX);
    progress.reach(41 * BACK, false);
    assert_eq!(progress.gap(), 40 * BACK, "all namespaces are followed");
    let progress = Progress::from(10 * BACK);
    progress.lock().reach(20 * BACK, false);
    assert_eq!(progress.lock().gap(), 19 * BACK);
    progress.lock().reach(15 * BACK, false);
    assert_eq!(progress.lock().gap(), 19 * BACK, "what came once has come");
}

#[tokio::test]
async fn a_watermark_counts_once_what_stands_before_it_is_handed_on_and_nothing_is_searched_for() {
    let cluster = TestCluster::start(1, 0).await;
    let (base, collector) = (time::now() - 100 * BACK, cluster.root.collectors.list().await.remove(0));
    let progress = Progress::from(base);
    let node = |behind| {
        let (root, request) = (cluster.root.clone(), NodeRequest::default());
        NodeTail::new(root, collector.clone(), request, progress.clone(), behind)
    };
    let reached = |time: i64| {
        let line = TailLine::Watermark { watermark: time::format(time), node: "n1".into() };
        Bytes::from(serde_json::to_string(&line).expect("a line") + "\n")
    };
    let gap = || progress.lock().gap();
    let mut first = node(false);
    first.take_in(&live(base + BACK)).expect("lines");
    first.take_in(&reached(base + 5 * BACK)).expect("lines");
    assert_eq!(gap(), base, "it waits");
    // Another connection takes this one's place: what waited is searched for.
    drop(first);
    let mut second = node(true);
    second.open();
    second.take_in(&reached(base + 6 * BACK)).expect("lines");
    assert!(second.gap.is_some() && second.lines.is_empty());
    second.take_page(SearchAnswer::default());
    assert!(second.gap.is_none() && second.lines.is_empty(), "it spoke of what wasn't searched yet");
    second.take_in(&live(base + 2 * BACK)).expect("lines");
    second.take_in(&reached(base + 7 * BACK)).expect("lines");
    assert!(matches!(second.next().await, TailLine::Record(_)));
    assert_eq!(gap(), base);
    assert!(matches!(second.next().await, TailLine::Watermark { .. }));
    assert_eq!(gap(), base + 6 * BACK);
    // From there on it is searched, and no late line is let go in silence.
    second.open();
    assert!(second.gap.is_none(), "nothing was missed");
    let old = TailLine::Dropped { dropped: 3, node: "n1".into(), since: Some(base) };
    assert_eq!(second.take_dropped(old.clone(), Some(base)), Some(old));
    drop(second);
    cluster.stop().await;
}

/// A live line of this time, as it comes by the connection.
fn live(time: i64) -> Bytes {
    let id = Position { time, stream: "live".into(), seq: time.cast_unsigned() }.to_string();
    let line = TailLine::Record(Box::new(LogRecord { id, ..LogRecord::default() }));
    let mut line = serde_json::to_vec(&line).expect("a line");
    line.push(b'\n');
    line.into()
}

/// A node at whose gap's end more lines came than may wait, while it was counted for the given time:
/// what it says, unless it asks once more and up to when.
async fn counted(cluster: &TestCluster, base: i64, times: u32) -> Result<Vec<TailLine>, i64> {
    let collector = cluster.root.collectors.list().await.remove(0);
    let progress = Progress::from(base);
    let mut node = NodeTail::new(cluster.root.clone(), collector, NodeRequest::default(), progress, false);
    node.gap = Some(Gap::new(base, base, Some(base + 5), base, 10));
    for at in 0..HELD as i64 + 2 {
        node.take_in(&live(base + 10 + at)).expect("lines");
    }
    let buckets = vec![Bucket { count: 5, ..Bucket::default() }];
    let counts = Ok(HistogramAnswer { buckets, ..HistogramAnswer::default() });
    node.take_answer(Asked::Over(Over { counts, from: base, to: base + 5, times }));
    let Some(asked) = node.asked.take() else { return Ok(node.lines.into()) };
    assert!(node.lines.is_empty() && node.gap.is_some(), "nothing is told before it is counted");
    let Asked::Over(Over { counts, to, .. }) = asked.await else { panic!("no count") };
    let count: u64 = counts.expect("an answer").buckets.iter().map(|bar| bar.count).sum();
    assert_eq!(count, 7, "all that was written");
    Err(to)
}

#[tokio::test]
async fn lines_let_go_while_the_rest_is_counted_belong_to_it() {
    let cluster = TestCluster::start(1, 0).await;
    let base = time::now() - 1_000_000;
    for number in 0..7 {
        cluster.nodes[0].write("shop/web-1", base + 2 * number, number as u64, Level::Info, "line");
    }
    // The one line behind those that were let go waits.
    let end = base + 10 + HELD as i64 + 1;
    assert_eq!(counted(&cluster, base, 1).await, Err(end));
    let told = counted(&cluster, base, COUNTS).await.expect("it is not counted for ever");
    let [TailLine::Dropped { dropped: 5, .. }, TailLine::Partial { partial }, TailLine::Record(_)] = &*told
    else {
        panic!("{told:?}")
    };
    let range = format!("at least 5 lines from {} to {}", time::format(base), time::format(end));
    assert!(partial.error.starts_with(&range), "{partial:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn late_lines_that_were_let_go_are_told_with_what_is_passed_over() {
    let cluster = TestCluster::start(1, 0).await;
    let (base, collector) = (time::now() - 1_000_000, cluster.root.collectors.list().await.remove(0));
    let progress = Progress::from(base);
    let mut node = NodeTail::new(cluster.root.clone(), collector, NodeRequest::default(), progress, false);
    let mut gap = Gap::new(base, base - 10, Some(base + 5), base, 10);
    assert_eq!(gap.hold(TailLine::Dropped { dropped: 3, node: "n1".into(), since: Some(base - 7) }), None);
    node.gap = Some(gap);
    let buckets = vec![Bucket { count: 5, ..Bucket::default() }];
    let counts = Ok(HistogramAnswer { buckets, ..HistogramAnswer::default() });
    node.take_answer(Asked::Over(Over { counts, from: base, to: base + 5, times: COUNTS }));
    let told: Vec<TailLine> = node.lines.into();
    let [TailLine::Dropped { dropped: 5, .. }, TailLine::Partial { partial }] = &*told else {
        panic!("{told:?}")
    };
    let range = format!("at least 5 lines from {} to ", time::format(base - 7));
    assert!(partial.error.starts_with(&range), "{partial:?}");
    cluster.stop().await;
}

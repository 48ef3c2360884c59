//! Readers of the live tail that stop reading, by each of its doors: what waits for one of them
//! is bounded, it gets what it missed or is told how much that is, and who goes on reading gets every line.

use std::pin::{Pin, pin};

use axum::{Extension, body::Body};
use futures::{Stream, stream};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::ServiceExt;

use super::*;
use crate::{handover::STALLED, time};

/// Lines that are written while one reader takes nothing.
const LINES: u64 = 1000;
/// Those that it may get when it is told of the rest: the hub's, the queue before its connection, those
/// of a message of Loki's, what the kernel holds of two connections, and two pages of what it missed.
const MOST: u64 = 850;
/// Lines of what a slow reader missed that it is shown, in pages.
pub(crate) const FEW: usize = 10;
/// Bytes of a line.
const LENGTH: usize = 100 << 10;
/// Readers that a node has at once.
const READERS: usize = 64;
/// Nodes that are not there, each of them a line: more than wait for a client.
pub(crate) const MISSING: usize = 100;
/// A test that hangs ends.
const LIMIT: Duration = Duration::from_secs(60);

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// The line of this number.
    Line(u64),
    /// So many lines were passed over.
    Missed(u64),
}

/// Said of the time of what was passed over.
pub(crate) fn is_of_missed(said: &str) -> bool {
    said.contains("too many to show")
}

/// The number that a line begins with.
pub(crate) fn number(body: &str) -> u64 {
    let digits = body.split(' ').next().unwrap_or(body);
    digits.parse().expect("a line begins with its number")
}

/// Both read the lines of the Pod `shop/web-1` of this node, where nobody else writes. The slow one,
/// which is not shown all that it missed, is told of the rest.
pub(crate) async fn one_stops_and_another_reads(
    node: &TestNode,
    slow: impl Stream<Item = Got> + Unpin,
    quick: impl Stream<Item = Got> + Unpin,
) {
    let (lines, missed) = read_after_all_is_written(node, slow, quick).await;
    assert!((1..=MOST).contains(&lines), "{lines} lines waited for a reader, {missed} were passed over");
}

/// How many lines the slow one gets, in order, and of how many others it is told.
async fn read_after_all_is_written(
    node: &TestNode,
    mut slow: impl Stream<Item = Got> + Unpin,
    mut quick: impl Stream<Item = Got> + Unpin,
) -> (u64, u64) {
    let (filler, begin) = ("x".repeat(LENGTH), time::now());
    for number in 0..LINES {
        let at = begin + number.cast_signed();
        node.write("shop/web-1", at, number, Level::Info, &format!("{number} {filler}"));
        let got = tokio::time::timeout(LIMIT, quick.next()).await.expect("nobody waits for the slow one");
        assert_eq!(got, Some(Got::Line(number)));
    }
    let (mut lines, mut missed, mut last) = (0, 0, None);
    while lines + missed < LINES {
        match tokio::time::timeout(LIMIT, slow.next()).await.expect("in time").expect("it goes on") {
            Got::Line(number) => {
                assert!(last < Some(number), "{number} comes after {last:?}");
                (lines, last) = (lines + 1, Some(number));
            }
            Got::Missed(count) => missed += count,
        }
    }
    assert_eq!((lines + missed, last), (LINES, Some(LINES - 1)), "every line is shown or counted");
    (lines, missed)
}

/// The root over a socket.
async fn serve(cluster: &TestCluster) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = cluster.root.router().layer(Extension(admin()));
    let served = async move { axum::serve(listener, router).await };
    cluster.tasks.spawn("root", tiphys_lifecycle::OnError::Log, served);
    address
}

/// The JSON tail; nothing is read of it before it is asked for.
async fn json_lines(address: SocketAddr) -> impl Stream<Item = Got> + Unpin + use<> {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{PREFIX}/tail?query=pod:web-1").parse().expect("an address");
    let mut body = client.get(uri).await.expect("an answer").into_body();
    let opening = body.frame().await.expect("a frame").expect("whole");
    assert_eq!(opening.into_data().expect("bytes"), "\n");
    Box::pin(stream::unfold((client, body, Vec::<u8>::new()), |(client, mut body, mut buffer)| async move {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &buffer) {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let line = serde_json::from_slice(&line).expect("a line of the tail");
                let Some(got) = got(line) else { continue };
                return Some((got, (client, body, buffer)));
            }
            let frame = body.frame().await?.expect("whole");
            buffer.extend_from_slice(&frame.into_data().expect("bytes"));
        }
    }))
}

fn got(line: TailLine) -> Option<Got> {
    match line {
        TailLine::Record(record) => Some(Got::Line(number(&record.body))),
        TailLine::Dropped { dropped, node, .. } => {
            assert_eq!(node, "n1");
            Some(Got::Missed(dropped))
        }
        TailLine::Partial { partial } if is_of_missed(&partial.error) => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_33_a_reader_of_json_lines_that_stops_is_told_what_it_missed() {
    let mut cluster = TestCluster::start(1, 0).await;
    cluster.shows(FEW);
    let address = serve(&cluster).await;
    let (slow, quick) = (json_lines(address).await, json_lines(address).await);
    one_stops_and_another_reads(&cluster.nodes[0], slow, quick).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_for_a_while_gets_every_line_in_order() {
    let cluster = TestCluster::start(1, 0).await;
    let address = serve(&cluster).await;
    let (slow, quick) = (json_lines(address).await, json_lines(address).await);
    let (lines, missed) = read_after_all_is_written(&cluster.nodes[0], slow, quick).await;
    assert_eq!((lines, missed), (LINES, 0));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_33_a_reader_too_many_is_refused_and_the_others_read_on() {
    let cluster = TestCluster::start(1, 0).await;
    let (user, request) = (admin(), SearchRequest::default());
    let mut readers: Vec<Pin<Box<dyn Stream<Item = TailLine> + Send>>> = Vec::new();
    for _ in 0..READERS {
        readers.push(Box::pin(cluster.root.tail(&user, &request).await.expect("a tail")));
    }
    let mut refused = pin!(cluster.root.tail(&user, &request).await.expect("a tail"));
    let told = tokio::time::timeout(LIMIT, refused.next()).await.expect("in time");
    let Some(TailLine::Partial { partial }) = told else { panic!("{told:?}") };
    assert!(partial.node == "n1" && partial.error.contains("429"), "{partial:?}");
    assert_eq!(cluster.nodes[0].hub.followers(), READERS);
    cluster.nodes[0].write("shop/web-1", time::now(), 7, Level::Info, "7");
    for reader in &mut readers {
        let line = tokio::time::timeout(LIMIT, reader.next()).await.expect("in time").expect("it goes on");
        assert_eq!(got(line), Some(Got::Line(7)));
    }
    drop(readers);
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn abuse_33_a_reader_of_json_lines_that_takes_nothing_is_cut_off() {
    let cluster = TestCluster::start(0, MISSING).await;
    let request = axum::http::Request::get(format!("{PREFIX}/tail")).body(Body::empty()).expect("a request");
    let router = cluster.root.router().layer(Extension(admin()));
    let body = router.oneshot(request).await.expect("an answer").into_body();
    // The pace is what is tested.
    tokio::time::sleep(2 * STALLED).await;
    let text = tokio::time::timeout(LIMIT, body.collect()).await.expect("it ends").expect("whole").to_bytes();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut lines: Vec<TailLine> =
        lines.map(|line| serde_json::from_slice(line).expect("a line of the tail")).collect();
    let Some(TailLine::Ended { ended }) = lines.pop() else { panic!("it isn't told: {lines:?}") };
    assert!(ended.contains("60 s"), "{ended}");
    assert!((1..MISSING).contains(&lines.len()), "{} lines waited", lines.len());
    assert!(lines.iter().all(|line| matches!(line, TailLine::Partial { .. })), "{lines:?}");
    cluster.stop().await;
}

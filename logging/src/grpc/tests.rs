//! The service with its own client over a socket, HTTP/2 without TLS; with TLS and the
//! API server before it in core/node.

use axum::Extension;
use tokio::net::TcpListener;
use tonic::Code;

use super::{
    proto::{logs_client::LogsClient, tail_line::Line, *},
    *,
};
use crate::{
    handover::STALLED,
    record::Level,
    root::tests::{
        TestCluster, admin, reader,
        slow::{FEW, Got, MISSING, is_of_missed, number, one_stops_and_another_reads},
    },
};

async fn client(cluster: &TestCluster, user: Option<UserInfo>) -> LogsClient<tonic::transport::Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut router = router(cluster.root.clone());
    if let Some(user) = user {
        router = router.layer(Extension(user));
    }
    cluster
        .tasks
        .spawn("grpc", tiphys_lifecycle::OnError::Log, async move { axum::serve(listener, router).await });
    LogsClient::connect(format!("http://{address}")).await.expect("connected")
}

async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(2, 1).await;
    for at in 0..6 {
        let node = &cluster.nodes[(at % 2) as usize];
        node.write("shop/web-1", at, at as u64, Level::Info, &format!("call {at} took={at}ms"));
    }
    cluster.nodes[0].write("ops/db-1", 3, 0, Level::Error, "secret");
    cluster
}

#[tokio::test]
async fn all_methods_answer_what_the_root_answers() {
    let cluster = cluster().await;
    let mut client = client(&cluster, Some(admin())).await;
    let request = SearchRequest { query: "call".into(), limit: Some(2), ..SearchRequest::default() };
    let page = client.search(request).await.expect("an answer").into_inner();
    let bodies: Vec<_> = page.records.iter().map(|record| record.body.as_str()).collect();
    assert_eq!((bodies, page.partial[0].node.as_str()), (vec!["call 5 took=5ms", "call 4 took=4ms"], "n3"));
    assert_eq!((page.records[0].labels["app"].as_str(), page.cursor.is_some()), ("web", true));
    assert_eq!(page.records[0].restart, 0);

    let id = page.records[1].id.clone();
    let around = ContextRequest {
        id,
        scope: Some("pod".into()),
        before: Some(1),
        within: Some("30s".into()),
        ..ContextRequest::default()
    };
    let around = client.context(around).await.expect("an answer").into_inner();
    assert_eq!((around.before[0].body.as_str(), around.after.len()), ("call 3 took=3ms", 1));

    let range = |since: &str| Some(format!("1970-01-01T00:00:{since}Z"));
    let bars = HistogramRequest {
        since: range("00"),
        until: range("01"),
        buckets: Some(1),
        ..HistogramRequest::default()
    };
    let by_took = HistogramRequest { by: Some("took".into()), top: Some(2), ..bars.clone() };
    let bars = client.histogram(bars).await.expect("an answer").into_inner();
    assert_eq!(bars.buckets[0].by_level["error"], 1);
    let bars = client.histogram(by_took).await.expect("an answer").into_inner();
    let bar = &bars.buckets[0];
    assert_eq!((bar.by_value.len(), bar.others, bar.without, bars.values.len()), (2, 4, 1, 2));

    let facets = FacetsRequest { query: "call".into(), patterns: true, ..FacetsRequest::default() };
    let facets = client.facets(facets).await.expect("an answer").into_inner();
    let pattern = &facets.facets["pattern"].values[0];
    assert_eq!((pattern.value.as_str(), pattern.count), ("call <*> took=<*>ms", 6));

    let stats = StatsRequest {
        field: Some("took".into()),
        since: range("00"),
        until: range("01"),
        quantiles: vec![1.0],
        ..StatsRequest::default()
    };
    let stats = client.stats(stats).await.expect("an answer").into_inner();
    let point = &stats.series[0].points[0];
    assert_eq!((stats.count, point.numbers, point.max), (7, 6, Some(0.005)));
    assert!((point.quantiles[0] - 0.005).abs() < 1e-4);
    cluster.stop().await;
}

#[tokio::test]
async fn lines_are_streamed_as_they_come() {
    let cluster = cluster().await;
    let mut client = client(&cluster, Some(reader("shop"))).await;
    let request = SearchRequest { query: "fresh".into(), ..SearchRequest::default() };
    let mut lines = client.tail(request).await.expect("a stream").into_inner();
    cluster.nodes[0].write("ops/db-1", 100, 9, Level::Info, "fresh secret");
    cluster.nodes[0].write("shop/web-1", 101, 9, Level::Info, "fresh");
    let next = async {
        loop {
            match lines.message().await.expect("sound").expect("a line").line {
                Some(Line::Record(record)) => return record.body,
                Some(Line::Partial(partial)) => assert_eq!(partial.node, "n3"),
                other => panic!("{other:?}"),
            }
        }
    };
    assert_eq!(
        tokio::time::timeout(std::time::Duration::from_secs(120), next).await.expect("in time"),
        "fresh"
    );
    cluster.stop().await;
}

/// The lines of a Pod, as far as they are asked for.
async fn lines_of_web(cluster: &TestCluster) -> impl Stream<Item = Got> + Unpin + use<> {
    let mut client = client(cluster, Some(admin())).await;
    let request = SearchRequest { query: "pod:web-1".into(), ..SearchRequest::default() };
    let lines = client.tail(request).await.expect("a stream").into_inner();
    Box::pin(lines.filter_map(move |message| {
        // The connection lives as long as its lines.
        let _connection = &client;
        let got = match message.expect("sound").line {
            Some(Line::Record(record)) => Some(Got::Line(number(&record.body))),
            Some(Line::Dropped(dropped)) => Some(Got::Missed(dropped.dropped)),
            Some(Line::Partial(partial)) if is_of_missed(&partial.error) => None,
            other => panic!("{other:?}"),
        };
        std::future::ready(got)
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_33_a_reader_that_stops_is_told_what_it_missed() {
    let mut cluster = TestCluster::start(1, 0).await;
    cluster.shows(FEW);
    let (slow, quick) = (lines_of_web(&cluster).await, lines_of_web(&cluster).await);
    one_stops_and_another_reads(&cluster.nodes[0], slow, quick).await;
    cluster.stop().await;
}

#[tokio::test(start_paused = true)]
async fn abuse_33_a_reader_that_takes_nothing_is_cut_off() {
    let cluster = TestCluster::start(0, MISSING).await;
    let mut request = Request::new(SearchRequest::default());
    request.extensions_mut().insert(admin());
    let service = Service { root: cluster.root.clone() };
    let lines = service.tail(request).await.expect("a stream").into_inner();
    // The pace is what is tested.
    tokio::time::sleep(2 * STALLED).await;
    let lines: Vec<_> = tokio::time::timeout(STALLED, lines.collect()).await.expect("it ends");
    let Some(Ok(TailLine { line: Some(Line::Ended(ended)) })) = lines.last() else { panic!("{lines:?}") };
    assert!(ended.contains("60 s") && lines.len() < MISSING, "{ended} after {} lines", lines.len());
    cluster.stop().await;
}

#[tokio::test]
async fn abuse_30_errors_have_their_codes_and_nothing_foreign_is_shown() {
    let cluster = cluster().await;
    let mut shop = client(&cluster, Some(reader("shop"))).await;
    let all = shop.search(SearchRequest::default()).await.expect("an answer").into_inner();
    assert!(all.restricted && all.records.len() == 6 && !format!("{all:?}").contains("secret"));
    let foreign = SearchRequest { namespace: Some("ops".into()), ..SearchRequest::default() };
    assert_eq!(shop.search(foreign.clone()).await.expect_err("refused").code(), Code::PermissionDenied);
    assert_eq!(shop.tail(foreign).await.expect_err("refused").code(), Code::PermissionDenied);
    let wrong = SearchRequest { query: "(".into(), ..SearchRequest::default() };
    let refused = shop.search(wrong).await.expect_err("refused");
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains('^'), "{refused}");
    let wrong = SearchRequest { within: Some("soon".into()), ..SearchRequest::default() };
    let refused = shop.search(wrong).await.expect_err("refused");
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains("`soon`"), "{refused}");
    let scope = ContextRequest {
        id: "3.0.uid-db-1/app/0".into(),
        scope: Some("pot".into()),
        ..ContextRequest::default()
    };
    assert_eq!(shop.context(scope.clone()).await.expect_err("refused").code(), Code::InvalidArgument);
    let foreign = ContextRequest { scope: None, ..scope };
    assert_eq!(shop.context(foreign).await.expect_err("refused").code(), Code::NotFound);
    let mut nobody = client(&cluster, None).await;
    let refused = nobody.search(SearchRequest::default()).await.expect_err("refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
    cluster.stop().await;
}

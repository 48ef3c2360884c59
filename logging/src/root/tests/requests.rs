//! Requests: over HTTP a body that isn't called JSON is refused, and it is said what to do; the time
//! that a query may take.

use axum::{Extension, body::Body};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

#[tokio::test]
async fn abuse_24_what_a_form_can_send_is_no_request() {
    let cluster = TestCluster::start(1, 0).await;
    let post = async |kind: Option<&str>| {
        let mut request = ::http::Request::post(format!("{PREFIX}/search"));
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        let request = request.body(Body::from("{}")).expect("a request");
        let router = cluster.root.router().layer(Extension(admin()));
        let response = router.oneshot(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice::<serde_json::Value>(&body).expect("JSON"))
    };
    let (status, answer) = post(Some("application/json")).await;
    assert_eq!(status, 200, "{answer}");
    let forms = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
    for kind in forms.map(Some).into_iter().chain([None]) {
        let (status, answer) = post(kind).await;
        let message = answer["message"].as_str().expect("a message");
        assert!(status == 415 && message.contains("Content-Type: application/json"), "{kind:?}: {answer}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn more_time_is_asked_for_up_to_what_the_server_gives() {
    let cluster = TestCluster::start(1, 0).await;
    let id = cluster.nodes[0].write("shop/web-1", 5, 0, Level::Info, "here");
    let ask = async |root: &LogRoot, within: &str| {
        let request = SearchRequest { within: Some(within.into()), ..SearchRequest::default() };
        root.search(&admin(), &request).await
    };
    let given = ask(&cluster.root, "30s").await.expect("an answer");
    assert_eq!((bodies(&given.records), given.partial.len()), (vec!["here"], 0));
    // Of a server that gives nothing there is nothing to be had, whatever is asked for.
    let hasty = cluster.another_root().with_longest_query(Duration::ZERO);
    let cut = ask(&hasty, "30s").await.expect("an answer");
    let [missing] = cut.partial.as_slice() else { panic!("{cut:?}") };
    assert_eq!((missing.node.as_str(), cut.records.len()), ("n1", 0));
    assert!(missing.error.contains("time was up") && missing.error.contains("`within`"), "{missing:?}");

    let within = Some("soon".to_owned());
    let root = &cluster.root;
    let histogram = HistogramRequest { within: within.clone(), ..HistogramRequest::default() };
    let facets = FacetsRequest { within: within.clone(), ..FacetsRequest::default() };
    let stats = StatsRequest { within: within.clone(), ..StatsRequest::default() };
    let context = ContextRequest { id, within, ..ContextRequest::default() };
    let refused = [
        ask(root, "soon").await.map(drop),
        root.histogram(&admin(), &histogram).await.map(drop),
        root.facets(&admin(), &facets).await.map(drop),
        root.stats(&admin(), &stats).await.map(drop),
        root.context(&admin(), &context).await.map(drop),
    ];
    for refused in refused {
        let Err(RootError::Invalid(message)) = refused else { panic!("{refused:?}") };
        assert!(message.starts_with("`soon` is no time that a query may take"), "{message}");
    }
    cluster.stop().await;
}

//! The time that a query is given, by the collector's own door.

use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::{
    index::{Retention, tests::info},
    record::{Level, Record, Source},
    tail::Batch,
    wire::SearchAnswer,
};

const TOKEN: &str = "t0ken";

/// What a node of one record answers, whose queries may take so long.
async fn answer(longest: Duration, within_ms: Option<u64>) -> SearchAnswer {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
    let body = "here".into();
    let record = Record { time: 5, seq: 0, level: Level::Info, source: Source::Stdout, body };
    store.append(Batch { info: info("web"), records: vec![record] }).expect("appended");
    let mut config = Config::new("n1", ([127, 0, 0, 1], 0).into(), TOKEN);
    config.query_timeout = longest;
    let service = Service::new(Arc::new(store), Arc::default(), Metrics::new(), &config, &Tasks::new());
    let asked = NodeRequest { query: "here".into(), within_ms, ..NodeRequest::default() };
    let request = Request::post("/v1/search")
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(serde_json::to_vec(&asked).expect("JSON")))
        .expect("a request");
    let Ok(response) = service.router().oneshot(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("an answer")
}

#[tokio::test]
async fn a_time_that_is_up_leaves_a_partial_answer_that_names_the_node() {
    // Nothing can be looked at in no time: asked for, or all that the collector gives.
    for (longest, within_ms) in [(60, Some(0)), (0, None), (0, Some(30_000))] {
        let answer = answer(Duration::from_secs(longest), within_ms).await;
        let [missing] = answer.partial.as_slice() else { panic!("{answer:?}") };
        assert_eq!((missing.node.as_str(), answer.records.len()), ("n1", 0));
        assert!(missing.error.contains("time was up") && missing.error.contains("`within`"), "{missing:?}");
    }
    for within_ms in [None, Some(30_000), Some(u64::MAX)] {
        let answer = answer(Duration::from_secs(60), within_ms).await;
        assert_eq!((answer.partial.len(), answer.records.len()), (0, 1), "{within_ms:?}");
    }
}

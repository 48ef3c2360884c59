//! Requests over HTTP: a body that isn't called JSON is refused, and it is said what to do.

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

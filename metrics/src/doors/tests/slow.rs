//! Senders that are slow, at a node's doors.

use futures::{FutureExt, stream};

use super::*;

/// A request by OTLP whose body comes when it likes.
fn request(token: Option<&str>, body: Body) -> Request<Body> {
    let request = Request::post("/v1/metrics").header(header::CONTENT_TYPE, ONE);
    let request = match token {
        Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    };
    request.body(body).expect("a request")
}

fn never() -> Body {
    Body::from_stream(stream::pending::<Result<Vec<u8>, axum::Error>>())
}

#[tokio::test]
async fn abuse_33_slow_senders_hold_up_nobody() {
    let (bench, now) = (bench(), now());
    let node = bench.node();
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut sending = Box::pin(node.clone().oneshot(request(Some("t0ken"), never())));
            assert!(sending.as_mut().now_or_never().is_none(), "it is not complete");
            sending
        })
        .collect();
    let body = export(vec![metric("load", "", sum(1.0, now, 2))]).encode_to_vec();
    let sending = node.clone().oneshot(request(Some("t0ken"), Body::from(body)));
    let answer = tokio::time::timeout(Duration::from_secs(120), sending).await;
    let answer = answer.expect("slow senders have taken the turns").expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(bench.series().await[0].starts_with("load_total{"));
    drop(slow);
}

#[tokio::test]
async fn abuse_33_who_shows_no_token_is_not_read() {
    let answer = bench().node().oneshot(request(None, never())).now_or_never();
    let answer = answer.expect("the body was waited for").expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

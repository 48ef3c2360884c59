//! How long a node's doors wait for a turn and for the server, and what senders hear of it.

use futures::{
    FutureExt,
    future::{join_all, pending},
};
use tokio::time::{Instant, sleep};

use super::*;

/// A node before a server that answers each request after so many seconds, and the others as the
/// last.
fn node(seconds: &'static [u64]) -> Router {
    let mut asked = 0;
    let service = tower::service_fn(move |_: Request<kube::client::Body>| {
        let wait = seconds[asked.min(seconds.len() - 1)];
        asked += 1;
        async move {
            sleep(Duration::from_secs(wait)).await;
            Ok::<_, std::convert::Infallible>(StatusCode::OK.into_response())
        }
    });
    crate::doors::forward(kube::Client::new(service, "default"))
}

/// The status and the words of five requests at once, the last of which has no turn at first, and
/// the seconds until it was answered.
async fn fifth(node: Router) -> (StatusCode, String, u64) {
    let send = || {
        let request = Request::post("/v1/traces").header(header::AUTHORIZATION, "Bearer t0ken");
        node.clone().oneshot(request.body(Body::from("spans")).expect("a request"))
    };
    let mut others = Box::pin(join_all((0..4).map(|_| send())));
    assert!(others.as_mut().now_or_never().is_none(), "they were to wait for the server");
    let begun = Instant::now();
    // The others go on meanwhile.
    let answer = tokio::select! {
        answer = send() => answer.expect("an answer"),
        () = others.then(|_| pending()) => unreachable!("it never ends"),
    };
    let took = begun.elapsed().as_secs();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (head.status, String::from_utf8_lossy(&body).into_owned(), took)
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_turn_is_not_passed_on() {
    let (status, said, took) = fifth(node(&[50])).await;
    assert_eq!((status, took), (StatusCode::SERVICE_UNAVAILABLE, 30), "{said}");
    assert!(said.contains("too much at once"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_turn_shortens_no_answer() {
    let (status, said, took) = fifth(node(&[25, 25, 25, 25, 50])).await;
    assert_eq!((status, took), (StatusCode::OK, 75), "{said}");
    let (status, said, took) = fifth(node(&[25, 25, 25, 25, 500])).await;
    assert_eq!((status, took), (StatusCode::GATEWAY_TIMEOUT, 85), "{said}");
    assert!(said.contains("may have taken it"), "{said}");
}

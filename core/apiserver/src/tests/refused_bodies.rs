//! Who is refused before its body has come gets the answer all the same: over HTTP/2 the body is
//! passed over first, over HTTP/1.1 the answer comes at once.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Bytes, Frame},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tiphys_lifecycle::OnError;

use super::{
    connections::{connect, raw},
    harness::MAPS,
    tls::serve,
};

type Chunks = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// So many chunks of so many bytes, and whether the last of them has been taken. The server, which
/// runs on the same thread, has its turn between any two: one that answers too early has done so long
/// before the end.
fn body(chunks: usize, bytes: usize) -> (Chunks, Arc<AtomicBool>) {
    let ended = Arc::new(AtomicBool::new(false));
    let (ends, chunk) = (ended.clone(), Bytes::from(vec![b' '; bytes]));
    let sent = stream::unfold(0, move |sent| {
        let (ends, chunk) = (ends.clone(), chunk.clone());
        async move {
            tokio::task::yield_now().await;
            if sent == chunks {
                ends.store(true, Ordering::Relaxed);
                return None;
            }
            Some((Ok(Frame::data(chunk)), sent + 1))
        }
    });
    (StreamBody::new(sent.boxed()), ended)
}

#[tokio::test]
async fn over_http_2_the_body_is_passed_over_before_the_answer() {
    let served = serve().await;
    let stream = TokioIo::new(connect(&served, "h2").await);
    let handshake = http2::handshake::<_, _, Chunks>(TokioExecutor::new(), stream);
    let (mut client, connection) = handshake.await.expect("HTTP/2");
    served.api.tasks.spawn("client of a test", OnError::Log, connection);
    let small = (400, 1_280);
    for (method, path, token, (chunks, bytes), code) in [
        (Method::POST, MAPS, "", small, 403_u16),
        (Method::POST, MAPS, "wrong", small, 401),
        (Method::PUT, MAPS, "secret", small, 405),
        (Method::POST, MAPS, "secret", (896, 4_096), 413),
    ] {
        let (body, ended) = body(chunks, bytes);
        let mut request = Request::builder().method(&method).uri(format!("{}{path}", served.url));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(body).expect("a request");
        client.ready().await.expect("the connection goes on");
        let response = client.send_request(request).await.expect("an answer");
        assert!(ended.load(Ordering::Relaxed), "{code} came before the body's end");
        assert_eq!(response.status(), code, "{method} {path}");
        let text = response.into_body().collect().await.expect("it is whole").to_bytes();
        let status: Value = serde_json::from_slice(&text).expect("a Status");
        assert_eq!(status["code"], code, "{status}");
    }
}

#[tokio::test]
async fn over_http_1_nobody_is_asked_for_a_body_that_is_not_wanted() {
    let served = serve().await;
    let head = format!(
        "POST {MAPS} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n\
         content-length: 300000\r\n\r\n"
    );
    let answer = raw(&served, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    // A small one that is there already costs no connection.
    let small = format!(
        "PUT {MAPS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\
         content-length: 2\r\n\r\n{{}}"
    );
    let last = "GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = raw(&served, format!("{small}{last}").as_bytes()).await;
    assert!(answers.starts_with("HTTP/1.1 405") && answers.contains("HTTP/1.1 200"), "{answers}");
}

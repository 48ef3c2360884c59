//! What one client may do to the server over its HTTPS entrance: long URLs, garbage, thousands of
//! watches that nobody reads.

use std::sync::Arc;

use futures::{
    StreamExt,
    future::{join_all, poll_immediate},
};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::SendRequest,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tiphys_lifecycle::OnError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    harness::{Harness, LIMIT, MAPS},
    tls::{Served, serve},
};

/// More than a thousand a connection: descriptors are few.
const WATCHES: usize = 10_000;
const CONNECTIONS: usize = 4;
/// Every watch selects one group of objects.
const GROUPS: usize = 10;

pub(super) async fn connect(served: &Served, protocol: &str) -> TlsStream<TcpStream> {
    let mut config =
        (*crate::pki::client_tls(served.api.pki.ca_pem(), None).expect("a TLS configuration")).clone();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let address = served.url.strip_prefix("https://").expect("a URL");
    let stream = TcpStream::connect(address).await.expect("a connection");
    let server = rustls_pki_types::ServerName::try_from("127.0.0.1").expect("an address");
    TlsConnector::from(Arc::new(config)).connect(server, stream).await.expect("a session")
}

/// A client of a single connection, which ends with it.
async fn http2(served: &Served) -> SendRequest<Empty<Bytes>> {
    let stream = TokioIo::new(connect(served, "h2").await);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (client, connection) = handshake.await.expect("HTTP/2");
    served.api.tasks.spawn("client of a test", OnError::Log, connection);
    client
}

fn get(served: &Served, path: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(format!("{}{path}", served.url)).header("authorization", "Bearer secret");
    request.body(Empty::new()).expect("a request")
}

/// The answer to bytes that are sent as they stand, up to the end of the connection.
pub(super) async fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = connect(served, "http/1.1").await;
    // The server may have had enough before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.flush().await;
    let mut answer = Vec::new();
    // However it ends, what was read counts.
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await;
    read.expect("the server ends the connection").map(drop).unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_selector_of_a_mebibyte_is_turned_away_and_the_server_goes_on() {
    let served = serve().await;
    for (length, codes) in [(100_000, &["414"][..]), (1 << 20, &["414", "431", ""])] {
        let path = format!("{MAPS}?labelSelector={}", "a".repeat(length));
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer secret\r\n\r\n");
        let answer = raw(&served, request.as_bytes()).await;
        // The refusal may be lost where the rest of the request meets the closed connection.
        assert!(codes.contains(&answer.split(' ').nth(1).unwrap_or_default()), "{answer}");
    }
    let mut client = http2(&served).await;
    // One of 60 kilobytes is a URL like any other.
    let names: Vec<String> = (0..6_000).map(|n| format!("name{n}")).collect();
    let fits = format!("{MAPS}?labelSelector=a+in+({})", names.join(","));
    let list = client.send_request(get(&served, &fits)).await.expect("an answer");
    assert_eq!(list.status(), 200);
    // Anything longer no client can write: the header stands for it.
    let mut request = get(&served, MAPS);
    request.headers_mut().insert("x-long", "a".repeat(2 << 20).parse().expect("a value"));
    let answer = client.send_request(request).await;
    assert!(answer.as_ref().is_ok_and(|answer| answer.status() == 431) || answer.is_err(), "{answer:?}");
    served.api.config_map("a", json!({}), json!({})).await;
    let mut client = http2(&served).await;
    let again = client.send_request(get(&served, MAPS)).await.expect("an answer");
    assert_eq!(again.status(), 200);
}

#[tokio::test]
async fn garbage_is_a_bad_request_and_the_server_goes_on() {
    let served = serve().await;
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for bytes in [
        b"\0\0\0\0\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /api HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\nZZZ\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame of HTTP/2",
        many.as_bytes(),
    ] {
        let answer = raw(&served, bytes).await;
        let refused = answer.starts_with("HTTP/1.1 4") || !answer.starts_with("HTTP/1.");
        assert!(refused, "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    let mut client = http2(&served).await;
    assert_eq!(client.send_request(get(&served, MAPS)).await.expect("an answer").status(), 200);
}

/// A figure of the server's own.
fn figure(api: &Harness, name: &str) -> usize {
    let text = api.server.component().render();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("a figure").parse().expect("a number")
}

fn alive() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn ten_thousand_idle_watches_get_what_they_select_and_leave_nothing() {
    let served = serve().await;
    let before = alive();
    let clients = join_all((0..CONNECTIONS).map(|_| http2(&served))).await;
    let opening = (0..WATCHES).map(|n| {
        let path = format!("{MAPS}?watch=1&labelSelector=group%3D{}", n % GROUPS);
        let (mut client, request) = (clients[n % CONNECTIONS].clone(), get(&served, &path));
        async move {
            client.ready().await.expect("room for a stream");
            client.send_request(request).await.expect("an answer")
        }
    });
    let mut watches: Vec<Response<Incoming>> = futures::stream::iter(opening).buffered(500).collect().await;
    assert!(watches.iter().all(|watch| watch.status() == 200));
    assert_eq!(figure(&served.api, "apiserver_watches"), WATCHES);
    let reading = r#"apiserver_current_inflight_requests{request_kind="readOnly"}"#;
    served.api.eventually(|| async { figure(&served.api, reading) == 0 }).await;

    // A write is told to those that select it, and nobody else; the server answers meanwhile.
    for group in [3, 7] {
        let name = format!("of-{group}");
        served.api.config_map(&name, json!({"group": group.to_string()}), json!({})).await;
        let told = watches.iter_mut().skip(group).step_by(GROUPS).map(next);
        for event in tokio::time::timeout(LIMIT * 3, join_all(told)).await.expect("told in time") {
            assert_eq!(
                (&event["type"], &event["object"]["metadata"]["name"]),
                (&json!("ADDED"), &json!(name))
            );
        }
        served.api.get(&format!("{MAPS}/{name}")).await.expect(200);
    }
    for watch in &mut watches {
        assert!(poll_immediate(watch.frame()).await.is_none(), "a watch was told what it doesn't select");
    }
    assert_eq!(figure(&served.api, "apiserver_watches"), WATCHES);

    // Some take leave of a watch, the others go with their connections.
    watches.truncate(WATCHES / 2);
    served.api.eventually(|| async { figure(&served.api, "apiserver_watches") == WATCHES / 2 }).await;
    drop((watches, clients));
    served.api.eventually(|| async { figure(&served.api, "apiserver_watches") == 0 }).await;
    served.api.eventually(|| async { alive() <= before }).await;
    served.api.config_map("after", json!({}), json!({})).await;
}

async fn next(watch: &mut Response<Incoming>) -> Value {
    let frame = watch.frame().await.expect("the watch goes on").expect("a whole stream");
    serde_json::from_slice(frame.data_ref().expect("an event")).expect("a line of JSON")
}

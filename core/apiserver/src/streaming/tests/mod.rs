//! Streams from end to end: a client, the API server's side over a real HTTP
//! connection, and a kubelet behind TLS that speaks SPDY.

#![allow(clippy::disallowed_methods, reason = "a test ends its tasks with its runtime")]

mod kubelet;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tiphys_api::serve::{Body, boxed, empty, full};
use tiphys_lifecycle::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};
use tokio_util::codec::Framed;

use super::{
    Streaming, close,
    spdy::{
        frame::{Codec, Frame},
        headers::HeaderCompressor,
    },
};
use crate::{
    audit::{self, Audit, Policy, Rotation},
    authz::{Refusal, fixture::Fixture},
    pki::{ClusterPki, client_tls},
    request::info::{RequestInfo, Target},
};
use kubelet::Kubelet;

/// The API server's streams over a cluster of one node, whose kubelet is running.
struct Cluster {
    streaming: Arc<Streaming>,
    kubelet: Kubelet,
    audit: Option<Arc<Audit>>,
}

async fn cluster() -> Cluster {
    let pki = new_pki();
    cluster_with(&pki, &pki).await
}

/// `kubelet_pki` issues what the kubelet serves with.
async fn cluster_with(pki: &ClusterPki, kubelet_pki: &ClusterPki) -> Cluster {
    let kubelet = Kubelet::start(kubelet_pki).await;
    let objects = Fixture::new([
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" }, "status": {
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": kubelet.port } },
        }}),
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "ns", "name": "web" },
                "spec": { "nodeName": "n1", "containers": [{ "name": "c" }] } }),
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "ns", "name": "pending" },
                "spec": { "containers": [{ "name": "c" }] } }),
    ]);
    let identity = pki.client("kube-apiserver-kubelet-client", None).unwrap();
    let tls = client_tls(pki.ca_pem(), Some(&identity)).unwrap();
    let mut streaming = Streaming::new(Arc::new(objects), tls, Tasks::new());
    streaming.reachable = |_| true;
    Cluster { streaming: Arc::new(streaming), kubelet, audit: None }
}

fn new_pki() -> ClusterPki {
    ClusterPki::load_or_create(tempfile::tempdir().unwrap().path()).unwrap()
}

impl Cluster {
    /// A client's connection to the API server, whose answers are those of the front.
    fn connection(&self) -> DuplexStream {
        let (client, server) = duplex(64 << 10);
        let (streaming, audit) = (self.streaming.clone(), self.audit.clone());
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (streaming, audit) = (streaming.clone(), audit.clone());
            async move {
                let target = Target::Resource(RequestInfo {
                    subresource: request.uri().path().split('/').nth(1).unwrap_or_default().into(),
                    verb: "create",
                    ..RequestInfo::default()
                });
                let work = |request| answer(&streaming, request);
                let response = audit::around(audit.as_ref(), Some(&target), request.map(boxed), work).await;
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            connection.serve_connection(TokioIo::new(server), service).with_upgrades().await
        });
        client
    }

    async fn websocket(&self, path: &str, protocol: &str) -> Result<WebSocketStream<DuplexStream>, u16> {
        let mut request = format!("ws://api/{path}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        match tokio_tungstenite::client_async(request, self.connection()).await {
            Ok((socket, response)) => {
                assert_eq!(response.headers()["sec-websocket-protocol"], protocol);
                Ok(socket)
            }
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// `/exec?...` of the Pod web; `/exec/POD?...` of another.
async fn answer(streaming: &Streaming, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let (subresource, pod) = path.split_once('/').unwrap_or((&path, "web"));
    let result = match subresource {
        "log" => streaming.log("ns", pod, request.uri().query().unwrap_or_default()).await,
        "proxy" => streaming.proxy("nodes", "", "n1", pod, request).await,
        _ => streaming.connect(subresource, "ns", pod, request).await,
    };
    result.unwrap_or_else(|refusal: Refusal| {
        let mut response = Response::new(full(refusal.status().to_string()));
        *response.status_mut() = refusal.code.try_into().unwrap();
        close(&mut response);
        response
    })
}

async fn get(streaming: &Streaming, path: &str) -> (u16, String) {
    let response = answer(streaming, Request::get(path).body(empty()).unwrap()).await;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// All messages until the close, by channel.
async fn rest(socket: &mut WebSocketStream<DuplexStream>) -> Vec<(u8, String)> {
    let mut found: Vec<(u8, String)> = Vec::new();
    loop {
        match limited(socket.next()).await {
            Some(Ok(Message::Binary(bytes))) if bytes.len() > 1 => {
                let text = String::from_utf8_lossy(&bytes[1..]).into_owned();
                match found.last_mut().filter(|(channel, _)| *channel == bytes[0]) {
                    Some((_, last)) => last.push_str(&text),
                    None => found.push((bytes[0], text)),
                }
            }
            Some(Ok(Message::Close(frame))) => {
                assert_eq!(u16::from(frame.unwrap().code), 1000);
                return found;
            }
            Some(Ok(_)) => {}
            other => panic!("closed without a goodbye: {other:?}"),
        }
    }
}

async fn limited<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("in time")
}

#[tokio::test]
async fn a_log_is_streamed_with_its_parameters() {
    let cluster = cluster().await;
    let (status, body) = get(&cluster.streaming, "/log?follow=true&tailLines=5").await;
    assert_eq!((status, body.as_str()), (200, "line of /containerLogs/ns/web/c?follow=true&tailLines=5\n"));
    assert_eq!(get(&cluster.streaming, "/log/pending").await.0, 204);
    assert_eq!(get(&cluster.streaming, "/log/gone").await.0, 404);
    let (status, body) = get(&cluster.streaming, "/log?previous=true").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 400);
    assert_eq!(body["message"], "previous terminated container \"c\" not found");
    assert_eq!(body["reason"], "BadRequest");
}

#[tokio::test]
async fn a_command_over_websocket_has_all_its_streams() {
    let cluster = cluster().await;
    let mut socket = cluster.websocket("exec?command=cat&stdin=true", "v5.channel.k8s.io").await.unwrap();
    assert_eq!(limited(socket.next()).await.unwrap().unwrap(), Message::binary(vec![1]));
    socket.send(Message::binary(b"\x00hello ".to_vec())).await.unwrap();
    socket.send(Message::binary(b"\x00world".to_vec())).await.unwrap();
    socket.send(Message::binary(vec![255, 0])).await.unwrap();
    let messages = limited(rest(&mut socket)).await;
    assert_eq!(messages[0], (1, "hello world".to_owned()));
    assert_eq!(messages[1], (2, "end of input".to_owned()));
    let status: Value = serde_json::from_str(&messages[2].1).unwrap();
    assert_eq!((messages[2].0, &status["status"]), (3, &json!("Success")));
    let seen = cluster.kubelet.seen();
    assert_eq!(seen, ["POST /exec/ns/web/c?input=1&output=1&error=1&command=cat v4.channel.k8s.io"]);
    assert!(cluster.kubelet.was_answered());
}

#[tokio::test]
async fn a_command_is_recorded_from_its_beginning_to_its_end() {
    let (folder, tasks) = (tempfile::tempdir().unwrap(), Tasks::new());
    let path = folder.path().join("audit.log");
    let config =
        audit::Config { path: path.clone(), policy: Policy::default(), rotation: Rotation::default() };
    let audit = Some(Audit::start(config, &tasks).unwrap());
    let cluster = Cluster { audit, ..cluster().await };
    let mut socket = cluster.websocket("exec?command=cat&stdin=true", "v5.channel.k8s.io").await.unwrap();
    limited(socket.next()).await.unwrap().unwrap();
    // What is answered meanwhile stands between the two.
    assert_eq!(cluster.websocket("exec/gone", "v5.channel.k8s.io").await.unwrap_err(), 404);
    socket.send(Message::binary(vec![255, 0])).await.unwrap();
    limited(rest(&mut socket)).await;
    assert_eq!(tasks.shutdown(Duration::from_secs(120)).await, [""; 0]);
    let text = std::fs::read_to_string(path).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let about = |record: &Value| json!([record["stage"], record["responseStatus"]["code"]]);
    let expected =
        [json!(["ResponseStarted", 101]), json!(["ResponseComplete", 404]), json!(["ResponseComplete", 101])];
    assert_eq!(records.iter().map(about).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn much_data_passes_both_ways_at_once() {
    let cluster = cluster().await;
    let socket = cluster.websocket("exec?command=cat&stdin=true", "v5.channel.k8s.io").await.unwrap();
    let (mut sink, mut source) = socket.split();
    const PIECES: usize = 200;
    let send = async {
        for n in 0..PIECES {
            let mut message = vec![n as u8; 16 << 10];
            message[0] = 0;
            sink.send(Message::binary(message)).await.unwrap();
        }
        sink.send(Message::binary(vec![255, 0])).await.unwrap();
    };
    let receive = async {
        let mut output = Vec::new();
        while let Some(Ok(Message::Binary(message))) = source.next().await {
            if message[0] == 1 {
                output.extend_from_slice(&message[1..]);
            }
        }
        output
    };
    let (_, output) = limited(futures::future::join(send, receive)).await;
    let expected: Vec<u8> = (0..PIECES).flat_map(|n| vec![n as u8; (16 << 10) - 1]).collect();
    assert!(output == expected, "{} bytes of {}", output.len(), expected.len());
}

#[tokio::test]
async fn a_kubelet_that_breaks_off_is_told_to_the_client() {
    let cluster = cluster().await;
    let mut socket = cluster.websocket("exec?command=break", "v4.channel.k8s.io").await.unwrap();
    let messages = limited(rest(&mut socket)).await;
    let status: Value = serde_json::from_str(&messages.last().unwrap().1).unwrap();
    assert_eq!(status["status"], "Failure");
    assert!(status["message"].as_str().unwrap().contains("ended before the command did"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_command() {
    let cluster = cluster().await;
    let mut socket = cluster.websocket("attach?stdin=true", "v5.channel.k8s.io").await.unwrap();
    limited(socket.next()).await.unwrap().unwrap();
    socket.close(None).await.unwrap();
    drop(socket);
    limited(cluster.kubelet.all_streams_ended()).await;
}

#[tokio::test]
async fn a_terminal_is_resized() {
    let cluster = cluster().await;
    let mut socket =
        cluster.websocket("exec?command=size&tty=true&stdin=true", "v5.channel.k8s.io").await.unwrap();
    socket.send(Message::binary(b"\x04{\"Width\":80,\"Height\":24}".to_vec())).await.unwrap();
    socket.send(Message::binary(vec![255, 0])).await.unwrap();
    let messages = limited(rest(&mut socket)).await;
    assert_eq!(messages[0], (1, "{\"Width\":80,\"Height\":24}".to_owned()));
    let seen = cluster.kubelet.seen();
    assert_eq!(seen, ["POST /exec/ns/web/c?input=1&output=1&tty=1&command=size v4.channel.k8s.io"]);
}

#[tokio::test]
async fn spdy_is_tunnelled_as_it_is() {
    let cluster = cluster().await;
    let mut connection = cluster.connection();
    let request = "POST /exec?command=cat&stdin=1 HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                   X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n\r\n";
    connection.write_all(request.as_bytes()).await.unwrap();
    let head = limited(read_head(&mut connection)).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.contains("upgrade: SPDY/3.1") && head.contains("x-stream-protocol-version: v4.channel.k8s.io")
    );

    let mut framed = Framed::new(connection, Codec);
    let mut compressor = HeaderCompressor::new().unwrap();
    for (stream, kind) in [(1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")] {
        let headers = compressor.block(&[("streamtype", kind)]).unwrap();
        framed.send(Frame::SynStream { stream, fin: false, headers }).await.unwrap();
    }
    framed.send(Frame::Data { stream: 3, fin: true, data: Bytes::from_static(b"raw") }).await.unwrap();
    let mut output = BytesMut::new();
    while let Some(Ok(frame)) = limited(framed.next()).await {
        if let Frame::Data { stream: 5, data, .. } = frame {
            output.extend_from_slice(&data);
        }
    }
    assert_eq!(&output[..], b"raw");
    let seen = cluster.kubelet.seen();
    assert!(seen[0].ends_with(" v4.channel.k8s.io,v3.channel.k8s.io"), "{seen:?}");
}

#[tokio::test]
async fn ports_are_forwarded_over_websocket() {
    let cluster = cluster().await;
    let mut socket = cluster.websocket("portforward", "SPDY/3.1+portforward.k8s.io").await.unwrap();
    for part in ["any ", "bytes"] {
        socket.send(Message::binary(part.as_bytes().to_vec())).await.unwrap();
    }
    let mut echoed = Vec::new();
    while echoed.len() < 9 {
        let message = limited(socket.next()).await.unwrap().unwrap();
        echoed.extend_from_slice(&message.into_data());
    }
    assert_eq!(echoed, b"any bytes");
    assert_eq!(cluster.kubelet.seen(), ["POST /portForward/ns/web portforward.k8s.io"]);
}

#[tokio::test]
async fn abuse_08_after_a_failed_upgrade_the_connection_is_closed() {
    let cluster = cluster().await;
    let mut connection = cluster.connection();
    let upgrade =
        "POST /exec?command=refuse HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";
    let smuggled = "GET /containerLogs/kube-system/secret/c HTTP/1.1\r\nHost: kubelet\r\n\r\n";
    connection.write_all(format!("{upgrade}{smuggled}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    limited(connection.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("connection: close") && answer.contains("no such container here"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(cluster.kubelet.seen().len(), 1, "nothing else reached the kubelet");
    assert_eq!(cluster.websocket("exec?command=refuse", "v5.channel.k8s.io").await.err(), Some(400));
    assert_eq!(cluster.websocket("exec?command=ls", "v9.channel.k8s.io").await.err(), Some(400));
    assert_eq!(get(&cluster.streaming, "/exec?command=ls").await.0, 400);
    assert_eq!(cluster.websocket("exec/pending?command=ls", "v5.channel.k8s.io").await.err(), Some(400));
}

#[tokio::test]
async fn abuse_10_a_node_on_loopback_is_not_dialled() {
    let mut cluster = cluster().await;
    let streaming = Arc::get_mut(&mut cluster.streaming).unwrap();
    streaming.reachable = super::destination::may_be_dialled;
    assert_eq!(get(&cluster.streaming, "/log").await.0, 400);
    assert_eq!(get(&cluster.streaming, "/proxy/metrics").await.0, 400);
    assert!(cluster.kubelet.seen().is_empty());
}

#[tokio::test]
async fn abuse_12_a_kubelet_with_a_wrong_certificate_is_502() {
    let cluster = cluster_with(&new_pki(), &new_pki()).await;
    let (status, body) = get(&cluster.streaming, "/log").await;
    assert_eq!(status, 502, "{body}");
    assert!(cluster.kubelet.seen().is_empty());
}

#[tokio::test]
async fn abuse_07_a_proxy_does_not_upgrade() {
    let cluster = cluster().await;
    let (status, body) = get(&cluster.streaming, "/proxy/metrics?a=b").await;
    assert_eq!((status, body.as_str()), (200, "line of /metrics?a=b\n"));
    let request = Request::get("/proxy/exec/ns/web/c?command=sh")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .body(empty())
        .unwrap();
    assert_eq!(answer(&cluster.streaming, request).await.status(), 403);
    assert_eq!(cluster.kubelet.seen().len(), 1);
}

/// The head of an answer, up to the empty line.
async fn read_head(connection: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

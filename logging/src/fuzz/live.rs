//! Live tails by chance, by each door that has one: the JSON API, gRPC, Loki's WebSocket. Each is
//! opened or refused with a reason, and of lines that are written then it shows none of a
//! namespace that is not its reader's.

use std::time::Duration;

use axum::{Extension, Router, body::Body};
use futures::{FutureExt, SinkExt, StreamExt};
use http::Request;
use http_body_util::BodyExt;
use prost::Message as _;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message},
};
use tonic::Status;
use url::form_urlencoded::Serializer;

use super::{
    Dice, corpus, grammar, messages, mutate,
    questions::{self, BEGIN, NUMBERS, PATHS, SECONDS, SECRET},
    seeds,
};
use crate::{
    grpc, loki,
    record::Level,
    root::{
        PREFIX,
        tests::{TestCluster, reader},
    },
    time::SECOND,
};

/// Tails of each of the two tests, and how many are open at once beside the one that is waited for.
const TAILS: u64 = 120;
const TOGETHER: usize = 6;
/// How long a line that must come is waited for.
const WITHIN: Duration = Duration::from_secs(120);
/// What the lines have that the reader may see.
const SEEN: &str = "error timeout";

/// The last line that is written while a batch of tails is open.
fn mark(batch: usize) -> String {
    format!("whitethroat{batch}x")
}

/// Writes lines that the reader may not see, and lines that he may, the mark last.
fn write(cluster: &TestCluster, batch: usize) {
    let time = BEGIN + 1000 * SECOND + batch as i64;
    let own = format!(r#"{{"status":503,"took":"5ms","msg":"{SEEN}"}}"#);
    let foreign = format!("key={SECRET} {SEEN} took=5ms");
    for node in &cluster.nodes {
        for (at, (pod, body)) in
            [("ops/vault-1", &foreign), ("shop/web-1", &own), ("shop/web-1", &mark(batch))].iter().enumerate()
        {
            node.write(pod, time, (1000 + batch * 3 + at) as u64, Level::Error, body);
        }
    }
}

/// A query that some lines match more often than by chance.
fn query(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => grammar::query(dice, 2),
        at => ["", "error", "status:>=500", "NOT pod:db-1", "level:error took:5ms"][at - 1].to_owned(),
    }
}

/// Damaged now and then, and all the same a part of an address.
fn damaged(dice: &mut Dice, parameters: String) -> String {
    if dice.below(4) > 0 {
        return parameters;
    }
    let bytes = mutate::bytes(dice, parameters.as_bytes(), &corpus::queries());
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"=&%+-_.~".contains(&byte);
    let spelt = |byte: &u8| match legal(*byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    bytes.iter().map(spelt).collect()
}

/// An open tail of the JSON API.
async fn by_json(api: &Router, dice: &mut Dice, name: &str) -> Option<(String, Body)> {
    let mut all = Serializer::new(String::new());
    all.append_pair("query", &query(dice));
    for (member, kind) in PATHS[0].1.iter().filter(|(member, _)| *member != "query") {
        if dice.below(5) == 0 {
            let value = questions::value(dice, *kind);
            all.append_pair(member, &serde_json::from_str::<String>(&value).unwrap_or(value));
        }
    }
    let parameters = damaged(dice, all.finish());
    let name = format!("{name}: {parameters}");
    let request = Request::get(format!("{PREFIX}/tail?{parameters}")).body(Body::empty()).expect(&name);
    let response = questions::asked(api, request).await;
    let (status, body) = (response.status(), response.into_body());
    if status.is_success() {
        return Some((name, body));
    }
    let text = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&text);
    assert!(status.is_client_error() && text.contains("\"message\":\""), "{name}: {status} {text}");
    questions::look(&text, &name);
    None
}

/// An open tail of gRPC.
async fn by_grpc(api: &Router, dice: &mut Dice, name: &str) -> Option<(String, Body)> {
    let mut message = messages::search(dice);
    message.query = query(dice);
    let name = format!("{name}: {message:?}");
    let mut message = message.encode_to_vec();
    if dice.below(4) == 0 {
        message = mutate::bytes(dice, &message, &corpus::queries());
    }
    let response = questions::asked(api, messages::request("Tail", &message)).await;
    match Status::from_header_map(response.headers()) {
        Some(status) => {
            assert!(!messages::is_answered(&status, &name), "{name}: it ended at once");
            None
        }
        None => Some((name, response.into_body())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_any_live_tail_is_opened_or_refused_and_shows_nothing_foreign() {
    let cluster = questions::cluster().await;
    let (json, grpc) = (cluster.root.router(), grpc::router(cluster.root.clone()));
    let (mut opened, mut shown) = (0, 0);
    let mut all: Vec<(Dice, String)> = seeds(TAILS).collect();
    for (batch, tails) in all.chunks_mut(TOGETHER).enumerate() {
        let mut open = Vec::new();
        for (dice, name) in tails {
            open.extend(match dice.below(2) {
                0 => by_json(&json, dice, name).await,
                _ => by_grpc(&grpc, dice, name).await,
            });
        }
        opened += open.len();
        let mark = mark(batch);
        let request = Request::get(format!("{PREFIX}/tail?query={mark}")).body(Body::empty());
        let mut last = questions::asked(&json, request.expect("a request")).await.into_body();
        write(&cluster, batch);
        let mut text = String::new();
        while text.matches(&mark).count() < cluster.nodes.len() {
            let frame = timeout(WITHIN, last.frame()).await.expect("in time").expect("it goes on");
            take(frame.expect("sound"), &mut text);
        }
        for (name, mut body) in open {
            let mut text = String::new();
            while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
                take(frame, &mut text);
            }
            questions::look(&text, &name);
            shown += text.matches(SEEN).count();
        }
    }
    assert!(
        opened > TAILS as usize / 4 && shown > 0,
        "hardly anything is shown: {opened} tails, {shown} lines"
    );
    cluster.stop().await;
}

fn take(frame: hyper::body::Frame<bytes::Bytes>, text: &mut String) {
    if let Ok(data) = frame.into_data() {
        text.push_str(&String::from_utf8_lossy(&data));
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open tail of Loki's API.
async fn by_loki(server: &str, parameters: &str, name: &str) -> Option<Socket> {
    let uri = format!("ws://{server}{}/loki/api/v1/tail?{parameters}", loki::PREFIX);
    match tokio_tungstenite::connect_async(uri).await {
        Ok((socket, _)) => Some(socket),
        Err(Error::Http(response)) => {
            let text = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
            assert!(response.status().is_client_error(), "{name}: {} {text}", response.status());
            questions::look(&text, name);
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

fn loki_parameters(dice: &mut Dice) -> String {
    let query = match dice.below(3) {
        0 => grammar::logql(dice, 0),
        1 => r#"{pod=~".+"} |= "error""#.to_owned(),
        _ => r#"{namespace!=""} | json | drop __error__"#.to_owned(),
    };
    let mut all = Serializer::new(String::new());
    all.append_pair("query", &query);
    for (name, values) in [("start", &SECONDS[..]), ("limit", &NUMBERS[..]), ("delay_for", &NUMBERS[..])] {
        if dice.below(3) == 0 {
            all.append_pair(name, dice.pick::<&str>(values));
        }
    }
    damaged(dice, all.finish())
}

/// The texts up to the end, which the client asks for.
async fn rest(mut socket: Socket) -> String {
    // It may have been ended by the server.
    let _ = socket.close(None).await;
    let mut text = String::new();
    while let Some(Ok(message)) = timeout(WITHIN, socket.next()).await.expect("it ends") {
        if let Message::Text(more) = message {
            text.push_str(&more);
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_35_any_tail_of_loki_is_opened_or_refused_and_shows_nothing_foreign() {
    let cluster = questions::cluster().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = listener.local_addr().expect("an address").to_string();
    let router = loki::router(cluster.root.clone()).layer(Extension(reader("shop")));
    let serve = async move { axum::serve(listener, router).await };
    cluster.tasks.spawn("loki", tiphys_lifecycle::OnError::Log, serve);
    let (mut opened, mut shown) = (0, 0);
    let mut all: Vec<(Dice, String)> = seeds(TAILS).collect();
    for (batch, tails) in all.chunks_mut(TOGETHER).enumerate() {
        let mut open = Vec::new();
        for (dice, name) in tails {
            let parameters = loki_parameters(dice);
            let name = format!("{name}: {parameters}");
            open.extend(by_loki(&server, &parameters, &name).await.map(|socket| (name, socket)));
        }
        opened += open.len();
        let mark = mark(batch);
        let parameters = format!("query=%7Bapp%3D%22web%22%7D%7C%3D%22{mark}%22");
        let mut last = by_loki(&server, &parameters, "the last").await.expect("open");
        write(&cluster, batch);
        let mut text = String::new();
        while text.matches(&mark).count() < cluster.nodes.len() {
            let message = timeout(WITHIN, last.next()).await.expect("in time").expect("it goes on");
            if let Message::Text(more) = message.expect("sound") {
                text.push_str(&more);
            }
        }
        questions::look(&text, "the last");
        for (name, socket) in open {
            let text = rest(socket).await;
            questions::look(&text, &name);
            shown += text.matches(SEEN).count();
        }
        last.send(Message::Close(None)).await.expect("sent");
    }
    assert!(
        opened > TAILS as usize / 4 && shown > 0,
        "hardly anything is shown: {opened} tails, {shown} lines"
    );
    cluster.stop().await;
}

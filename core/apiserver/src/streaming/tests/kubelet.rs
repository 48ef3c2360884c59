//! A kubelet to test against: TLS, logs, remote commands and port-forward by SPDY.
//!
//! Its commands: `cat` (and attach) sends its input back, `size` what it is told of
//! the terminal, `break` hangs up, `refuse` is refused.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tiphys_api::serve::{Body, empty, full};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::codec::Framed;

use super::super::spdy::{
    frame::{Codec, Frame},
    headers::{HeaderCompressor, tests::HeaderDecompressor},
};
use crate::pki::{ClusterPki, server_tls};

const SUCCESS: &str = r#"{"metadata":{},"status":"Success"}"#;

pub struct Kubelet {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    ponged: Arc<AtomicBool>,
    /// How many upgraded connections there are, and were.
    streams: watch::Sender<(usize, usize)>,
}

#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Vec<String>>>,
    ponged: Arc<AtomicBool>,
    streams: watch::Sender<(usize, usize)>,
}

impl Kubelet {
    pub async fn start(pki: &ClusterPki) -> Self {
        let identity = pki.kubelet_serving("n1", &["127.0.0.1".into()]).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(server_tls(&identity, Some(pki.ca_pem())).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Shared { seen: Arc::default(), ponged: Arc::default(), streams: watch::channel((0, 0)).0 };
        let kubelet = Self {
            port,
            seen: shared.seen.clone(),
            ponged: shared.ponged.clone(),
            streams: shared.streams.clone(),
        };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(socket).await else { return };
                    assert!(
                        tls.get_ref().1.peer_certificates().is_some(),
                        "the API server shows its certificate"
                    );
                    let service = hyper::service::service_fn(move |request| {
                        let shared = shared.clone();
                        async move { Ok::<_, std::convert::Infallible>(answer(&shared, request)) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(tls), service).with_upgrades().await;
                });
            }
        });
        kubelet
    }

    /// `METHOD path?query stream,protocols` of every request.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Whether a ping of a command's connection was answered.
    pub fn was_answered(&self) -> bool {
        self.ponged.load(Ordering::SeqCst)
    }

    /// Resolves when there was a stream and none is left.
    pub async fn all_streams_ended(&self) {
        let mut streams = self.streams.subscribe();
        streams.wait_for(|(open, ever)| *open == 0 && *ever > 0).await.unwrap();
    }
}

fn answer(shared: &Shared, mut request: Request<Incoming>) -> Response<Body> {
    let uri = request.uri().clone();
    let protocols: Vec<String> = request
        .headers()
        .get_all("x-stream-protocol-version")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    let line = format!("{} {uri} {}", request.method(), protocols.join(","));
    shared.seen.lock().unwrap().push(line.trim_end().to_owned());
    let query = uri.query().unwrap_or_default().to_owned();
    if !request.headers().contains_key("upgrade") {
        return match query.contains("previous=true") {
            true => refuse("previous terminated container \"c\" not found"),
            false => Response::new(full(format!("line of {uri}\n"))),
        };
    }
    if query.contains("command=refuse") {
        return refuse("no such container here");
    }
    let client = hyper::upgrade::on(&mut request);
    let (streams, ponged) = (shared.streams.clone(), shared.ponged.clone());
    let is_port_forward = uri.path().starts_with("/portForward/");
    tokio::spawn(async move {
        streams.send_modify(|(open, ever)| (*open, *ever) = (*open + 1, *ever + 1));
        if is_port_forward {
            echo(client).await
        } else {
            command(client, &query, &ponged).await
        }
        streams.send_modify(|(open, _)| *open -= 1);
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "SPDY/3.1")
        .header("x-stream-protocol-version", protocols.first().cloned().unwrap_or_default())
        .body(empty())
        .unwrap()
}

fn refuse(why: &str) -> Response<Body> {
    Response::builder().status(StatusCode::BAD_REQUEST).body(full(why.to_owned())).unwrap()
}

async fn echo(client: OnUpgrade) {
    let client = TokioIo::new(client.await.unwrap());
    let (mut reader, mut writer) = tokio::io::split(client);
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
}

async fn command(client: OnUpgrade, query: &str, ponged: &AtomicBool) {
    let mut framed = Framed::new(TokioIo::new(client.await.unwrap()), Codec);
    let mut decompressor = HeaderDecompressor::new();
    let mut compressor = HeaderCompressor::new().unwrap();
    let mut streams: HashMap<String, u32> = HashMap::new();
    let wanted =
        1 + ["input=1", "output=1", "error=1", "tty=1"].iter().filter(|part| query.contains(**part)).count();
    framed.send(Frame::Ping(2)).await.unwrap();
    while let Some(Ok(frame)) = framed.next().await {
        match frame {
            Frame::SynStream { stream, headers, .. } => {
                let headers = decompressor.headers(&headers);
                assert_eq!(headers[0].0, "streamtype");
                streams.insert(headers[0].1.clone(), stream);
                let headers = compressor.block(&[]).unwrap();
                framed.send(Frame::SynReply { stream, fin: false, headers }).await.unwrap();
                if streams.len() == wanted && query.contains("command=break") {
                    return;
                }
            }
            Frame::Data { stream, fin, data } => {
                let input = streams.get("stdin") == Some(&stream);
                let echoed = if query.contains("command=size") { "resize" } else { "stdin" };
                if streams.get(echoed) == Some(&stream) && !data.is_empty() {
                    let stream = streams["stdout"];
                    if framed.send(Frame::Data { stream, fin: false, data }).await.is_err() {
                        return;
                    }
                }
                if fin && input {
                    finish(&mut framed, &streams).await;
                    return;
                }
            }
            Frame::Ping(2) => ponged.store(true, Ordering::SeqCst),
            _ => {}
        }
    }
}

/// The command's last words, and its Status.
async fn finish<T>(framed: &mut Framed<T, Codec>, streams: &HashMap<String, u32>)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut say = async |name: &str, text: &'static str| {
        let Some(stream) = streams.get(name) else { return };
        let data = Bytes::from_static(text.as_bytes());
        framed.send(Frame::Data { stream: *stream, fin: true, data }).await.unwrap();
    };
    say("stdout", "").await;
    say("stderr", "end of input").await;
    say("error", SUCCESS).await;
}

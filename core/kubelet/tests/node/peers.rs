//! A server of the gRPC health protocol, over real HTTP/2.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Frame, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinHandle};

pub struct Health {
    pub port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    serving: AtomicBool,
    services: Mutex<BTreeSet<String>>,
}

impl Health {
    /// Not serving at first.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| answer(shared.clone(), request));
                let served = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(served.serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { port, state, task }
    }

    pub fn set(&self, serving: bool) {
        self.state.serving.store(serving, Ordering::SeqCst);
    }

    /// Which services were asked for.
    pub fn services(&self) -> Vec<String> {
        self.state.services.lock().expect("no panic").iter().cloned().collect()
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Frames = StreamBody<futures::stream::Iter<std::array::IntoIter<Result<Frame<Bytes>, Infallible>, 2>>>;

async fn answer(
    state: Arc<State>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Frames>, hyper::Error> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    let message = request.into_body().collect().await?.to_bytes();
    // Five bytes of prefix; then tag, length and text of the first field.
    let service = message.get(7..).map(|text| String::from_utf8_lossy(text).into_owned());
    state.services.lock().expect("no panic").extend(service);
    let status = if state.serving.load(Ordering::SeqCst) { 1 } else { 2 };
    let trailers =
        HeaderMap::from_iter([("grpc-status".parse().expect("a name"), "0".parse().expect("a value"))]);
    let frames =
        [Ok(Frame::data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]))), Ok(Frame::trailers(trailers))];
    let response = http::Response::builder().header("content-type", "application/grpc");
    Ok(response.body(StreamBody::new(futures::stream::iter(frames))).expect("a response"))
}

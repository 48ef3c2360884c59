//! A webhook: an HTTPS server that answers as it is told, and remembers what it was asked.

use std::{convert::Infallible, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use parking_lot::Mutex;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a webhook makes of a review.
pub enum Reply {
    /// A `response`, without its uid.
    Response(Value),
    /// Status, Location and body.
    Http(u16, String, String),
    /// The same, so much later.
    After(Duration, Box<Reply>),
    Never,
}

type Judge = dyn Fn(&Value) -> Reply + Send + Sync;

pub struct Reviewer {
    pub port: u16,
    /// Its certificate: PEM in base64.
    pub ca: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Reviewer {
    pub async fn start(tasks: &Tasks, judge: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let names = ["127.0.0.1", "localhost", "hook.default.svc"].map(String::from).to_vec();
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let tls = rustls::ServerConfig::builder().with_no_client_auth();
        let tls = tls.with_single_cert(vec![own.cert.der().clone()], key).expect("a TLS configuration");
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (judge, seen): (Arc<Judge>, _) = (Arc::new(judge), asked.clone());
        let connections = tasks.clone();
        tasks.spawn("webhook", OnError::Log, async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serve(acceptor.clone(), stream, judge.clone(), seen.clone());
                connections.spawn("connection of a webhook", OnError::Log, async {
                    serving.await;
                    Ok::<_, Infallible>(())
                });
            }
            Ok::<_, Infallible>(())
        });
        Self { port, ca: BASE64_STANDARD.encode(own.cert.pem()), asked }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/review", self.port)
    }

    /// The reviews, oldest first.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().clone()
    }

    /// A webhook of a configuration that asks this one about ConfigMaps.
    pub fn hook(&self, more: Value) -> Value {
        hook(json!({ "url": self.url(), "caBundle": self.ca }), more)
    }
}

/// A webhook about ConfigMaps that are written.
pub fn hook(client: Value, more: Value) -> Value {
    let mut hook = json!({
        "name": "hook.team.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": client,
        "rules": [{ "operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["configmaps"] }],
    });
    hook.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
    hook
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, judge: Arc<Judge>, asked: Arc<Mutex<Vec<Value>>>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let (judge, asked) = (judge.clone(), asked.clone());
        async move { Ok::<_, Infallible>(answer(request, &*judge, &asked).await) }
    });
    // A client that leaves is no matter.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    judge: &Judge,
    asked: &Mutex<Vec<Value>>,
) -> Response<Full<Bytes>> {
    let path = request.uri().to_string();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut review: Value = serde_json::from_slice(&body).unwrap_or_default();
    review["path"] = path.into();
    asked.lock().push(review.clone());
    let mut reply = judge(&review["request"]);
    while let Reply::After(wait, then) = reply {
        tokio::time::sleep(wait).await;
        reply = *then;
    }
    match reply {
        Reply::Response(mut response) => {
            response["uid"] = review["request"]["uid"].clone();
            let answer = json!({ "kind": "AdmissionReview", "apiVersion": review["apiVersion"], "response": response });
            Response::new(Full::from(answer.to_string()))
        }
        Reply::Http(status, location, body) => {
            let response = Response::builder().status(status).header("location", location);
            response.body(Full::from(body)).expect("a response")
        }
        Reply::Never | Reply::After(..) => std::future::pending().await,
    }
}

pub fn allow() -> Reply {
    Reply::Response(json!({ "allowed": true }))
}

/// Allowed, with a JSON patch.
pub fn patch(operations: Value) -> Reply {
    let patch = BASE64_STANDARD.encode(operations.to_string());
    Reply::Response(json!({ "allowed": true, "patchType": "JSONPatch", "patch": patch }))
}

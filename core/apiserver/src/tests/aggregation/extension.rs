//! An extension server for the group `wares.example`: TLS, a few paths, and a memory of what it
//! was asked and by whom.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_api::serve::{Body, boxed, empty, full};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    pki::{ClusterPki, server_tls},
    tests::harness::Harness,
};

pub const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
pub const GROUP_VERSION: &str = "/apis/wares.example/v1";
pub const WARES: &str = "/apis/wares.example/v1/namespaces/default/wares";
pub const NAME: &str = "v1.wares.example";

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub uri: String,
    pub headers: HeaderMap,
    pub body: String,
    /// The common name of the client's certificate.
    pub certified: Option<String>,
}

impl Asked {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    /// Whether the API server asks for itself, and not for a client.
    fn is_servers_own(&self) -> bool {
        self.all("user-agent").contains(&"kube-aggregator")
    }
}

pub struct Extension {
    pub port: u16,
    /// Its authority's certificate: PEM in base64.
    pub ca: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    asked: Mutex<Vec<Asked>>,
    broken: AtomicBool,
    /// How many kinds it serves.
    kinds: AtomicUsize,
}

impl Extension {
    /// Trusts the front proxies whom the cluster's ConfigMap names.
    pub async fn start(api: &Harness) -> Self {
        let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
        let trust = api.get(path).await.expect(200);
        let proxies =
            trust["data"]["requestheader-client-ca-file"].as_str().expect("an authority").to_owned();
        Self::start_for(&api.pki, &proxies, &api.tasks).await
    }

    async fn start_for(pki: &ClusterPki, proxies: &str, tasks: &Tasks) -> Self {
        let identity = pki.server("wares", &["wares.default.svc".into()]).expect("a certificate");
        let acceptor = TlsAcceptor::from(server_tls(&identity, Some(proxies)).expect("a configuration"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let inner = Arc::new(Inner::default());
        let (serving, connections) = (inner.clone(), tasks.clone());
        tasks.spawn("extension server", OnError::Log, async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = connection(acceptor.clone(), stream, serving.clone(), connections.clone());
                connections.spawn("connection of an extension server", OnError::Log, async move {
                    connection.await;
                    Ok::<_, Infallible>(())
                });
            }
            Ok::<_, Infallible>(())
        });
        Self { port, ca: BASE64_STANDARD.encode(pki.ca_pem()), inner }
    }

    /// What clients asked for below its group, oldest first; not what the API server looks at itself.
    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().iter().filter(|asked| !asked.is_servers_own()).cloned().collect()
    }

    /// What the API server looked at itself.
    pub fn looked_at(&self) -> Vec<Asked> {
        self.inner.asked.lock().iter().filter(|asked| asked.is_servers_own()).cloned().collect()
    }

    /// Answers its discovery with 500 from now on, or no longer.
    pub fn set_broken(&self, broken: bool) {
        self.inner.broken.store(broken, Ordering::SeqCst);
    }

    /// The spec of its APIService.
    pub fn spec(&self) -> Value {
        json!({
            "group": "wares.example", "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 10,
            "caBundle": self.ca, "service": { "namespace": "default", "name": "wares", "port": 443 },
        })
    }

    /// Makes its Service, with an endpoint, and its APIService; waits until that is available, and
    /// requests come through, which is a moment later: of those that tried it nothing is left.
    pub async fn register(&self, api: &Harness) {
        service(api).await;
        endpoint(api, "127.0.0.1", self.port).await;
        self.announce(api).await;
        becomes(api, "True", "Passed").await;
        api.eventually(|| async { api.get(WARES).await.code == 200 }).await;
        self.inner.asked.lock().retain(Asked::is_servers_own);
    }

    pub async fn announce(&self, api: &Harness) {
        let object = json!({ "metadata": { "name": NAME }, "spec": self.spec() });
        api.post(SERVICES, &object).await.expect(201);
    }
}

pub async fn service(api: &Harness) {
    let service = json!({ "metadata": { "name": "wares" }, "spec": { "ports": [{ "port": 443 }] } });
    api.post("/api/v1/namespaces/default/services", &service).await.expect(201);
}

pub async fn endpoint(api: &Harness, address: &str, port: u16) {
    endpoint_that(api, address, port, true).await;
}

pub async fn endpoint_that(api: &Harness, address: &str, port: u16, is_ready: bool) {
    let slice = json!({
        "metadata": { "name": "wares-1", "labels": { "kubernetes.io/service-name": "wares" } },
        "addressType": "IPv4", "ports": [{ "name": "", "port": port }],
        "endpoints": [{ "addresses": [address], "conditions": { "ready": is_ready } }],
    });
    api.store_slice(slice).await;
}

/// Waits until the condition says so; gives its message.
pub async fn becomes(api: &Harness, status: &str, reason: &str) -> String {
    let mut events = api.watch(&format!("{SERVICES}?watch=1&fieldSelector=metadata.name%3D{NAME}")).await;
    loop {
        let event = events.next().await.expect("an event");
        let condition = &event["object"]["status"]["conditions"][0];
        if condition["status"] == status && condition["reason"] == reason {
            return condition["message"].as_str().expect("a message").to_owned();
        }
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, inner: Arc<Inner>, tasks: Tasks) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let certified = stream.get_ref().1.peer_certificates().map(|chain| {
        let (_, parsed) = x509_parser::parse_x509_certificate(&chain[0]).expect("a certificate");
        let name = parsed.subject().iter_common_name().next().expect("a name");
        name.as_str().expect("text").to_owned()
    });
    let service = service_fn(move |request: Request<Incoming>| {
        let (inner, certified, tasks) = (inner.clone(), certified.clone(), tasks.clone());
        async move { Ok::<_, Infallible>(answer(request, &inner, certified, &tasks).await) }
    });
    // A client that leaves is no matter.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

async fn answer(
    mut request: Request<Incoming>,
    inner: &Inner,
    certified: Option<String>,
    tasks: &Tasks,
) -> Response<Body> {
    let upgrade = request.headers().contains_key(header::UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let body = if upgrade.is_some() {
        Bytes::new()
    } else {
        body.collect().await.map(|body| body.to_bytes()).unwrap_or_default()
    };
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    inner.asked.lock().push(Asked {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        certified,
    });
    if let (true, Some(upgrade)) = (path.ends_with("/shell"), upgrade) {
        return shell(upgrade, tasks);
    }
    match (parts.method.as_str(), path.as_str()) {
        (_, GROUP_VERSION) if inner.broken.load(Ordering::SeqCst) => plain(500, &json!({})),
        (_, GROUP_VERSION) => plain(200, &resources(inner.kinds.load(Ordering::SeqCst))),
        (_, "/openapi/v3") => plain(
            200,
            &json!({ "paths": { "apis/wares.example/v1": {
                "serverRelativeURL": "/openapi/v3/apis/wares.example/v1?hash=W1" } } }),
        ),
        (_, "/openapi/v3/apis/wares.example/v1") => {
            plain(200, &json!({ "openapi": "3.0.0", "mark": "wares" }))
        }
        (_, "/openapi/v2") => plain(200, &swagger()),
        ("GET", WARES) if query.contains("watch") => watch(),
        ("GET", WARES) => {
            plain(200, &json!({ "kind": "WareList", "items": [{ "metadata": { "name": "a" } }] }))
        }
        ("POST", WARES) => Response::builder()
            .status(201)
            .header("content-type", "application/json")
            .body(full(body))
            .expect("a response"),
        (_, path) if path.ends_with("/elsewhere") => Response::builder()
            .status(302)
            .header("location", "https://127.0.0.1:6443/api/v1/secrets")
            .body(full("the secret body"))
            .expect("a response"),
        _ => plain(
            404,
            &json!({ "kind": "Status", "reason": "NotFound", "code": 404, "message": "no such ware" }),
        ),
    }
}

fn plain(code: u16, value: &Value) -> Response<Body> {
    let response = Response::builder().status(code).header("content-type", "application/json");
    response.body(full(value.to_string())).expect("a response")
}

fn resources(more: usize) -> Value {
    let mut resources = vec![json!({
        "name": "wares", "singularName": "ware", "namespaced": true, "kind": "Ware", "shortNames": ["wa"],
        "verbs": ["create", "get", "list", "watch"],
    })];
    resources
        .extend((0..more).map(|n| json!({ "name": format!("more{n}"), "kind": "More", "verbs": ["get"] })));
    json!({ "kind": "APIResourceList", "groupVersion": "wares.example/v1", "resources": resources })
}

fn swagger() -> Value {
    json!({
        "swagger": "2.0",
        "paths": { WARES: { "get": { "responses": { "200": { "schema": { "$ref": "#/definitions/example.Ware" } } } } },
                   "/healthz": {} },
        "definitions": { "example.Ware": { "type": "object" }, "example.Other": {} },
    })
}

/// One event, and no end.
fn watch() -> Response<Body> {
    let event = json!({ "type": "ADDED", "object": { "kind": "Ware", "metadata": { "name": "a" } } });
    let first = futures::stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from(format!("{event}\n"))))]);
    Response::new(boxed(StreamBody::new(first.chain(futures::stream::pending()))))
}

/// Sends back what comes in, in capitals.
fn shell(upgrade: hyper::upgrade::OnUpgrade, tasks: &Tasks) -> Response<Body> {
    tasks.spawn("shell", OnError::Log, async move {
        let mut stream = TokioIo::new(upgrade.await?);
        let mut bytes = [0; 16];
        while let Ok(count) = stream.read(&mut bytes).await {
            if count == 0 {
                break;
            }
            stream.write_all(&bytes[..count].to_ascii_uppercase()).await?;
        }
        Ok::<_, tiphys_lifecycle::BoxError>(())
    });
    let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    response
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "shell/1")
        .body(empty())
        .expect("a response")
}

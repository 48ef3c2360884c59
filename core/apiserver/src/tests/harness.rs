//! An API server in a temporary folder, and the few words in which scenarios
//! talk to it.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, empty, full},
};
use tiphys_lifecycle::Tasks;
use tiphys_store::{Store, Txn};
use tower::ServiceExt;

use super::backing::Backing;
use crate::{
    ApiServer, Config,
    authn::Anonymous,
    encryption::{Encrypted, Keyring},
    pki::{ClusterPki, FrontProxy},
};

/// Long enough for a slow machine; a test that waits for it fails.
pub const LIMIT: Duration = Duration::from_secs(120);

pub struct Harness {
    pub server: ApiServer,
    pub pki: ClusterPki,
    pub tasks: Tasks,
    /// The store below the server, where Secrets may be encrypted.
    pub store: Arc<dyn Store>,
    pub folder: TempDir,
    pub backing: Backing,
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub bytes: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    #[track_caller]
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        self.json()
    }

    #[track_caller]
    pub fn refused(self, code: u16, reason: &str) -> String {
        assert_eq!(self.code, code, "{}", self.text);
        let status = self.json();
        // A reason that says nothing is left out.
        assert_eq!(status["reason"].as_str().unwrap_or_default(), reason, "{status}");
        assert_ne!(status["reason"], "");
        status["message"].as_str().unwrap_or_default().to_owned()
    }
}

impl Harness {
    pub async fn start() -> Self {
        Self::start_encrypted(Keyring::default()).await
    }

    /// With encryption at rest.
    pub async fn start_encrypted(keyring: Keyring) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let api = Self::start_in(folder, Backing::chosen(), keyring, |_, _| ()).await;
        // A controller's work in a whole cluster: no Pod is admitted without it.
        let account = json!({"metadata": {"name": "default"}});
        api.post("/api/v1/namespaces/default/serviceaccounts", &account).await.expect(201);
        api
    }

    /// With another configuration than the usual one; it may use the folder.
    pub async fn start_with(change: impl FnOnce(&mut Config, &Path)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, Backing::chosen(), Keyring::default(), change).await
    }

    async fn start_in(
        folder: TempDir,
        backing: Backing,
        keyring: Keyring,
        change: impl FnOnce(&mut Config, &Path),
    ) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tasks = Tasks::new();
        let store = backing.open(folder.path(), &tasks).await;
        let encrypted = Encrypted::open(store.clone(), keyring, &tasks).await.expect("keys that fit");
        let pki = ClusterPki::load_or_create(&folder.path().join("pki")).expect("an authority");
        let front_proxy = FrontProxy::load_or_create(&folder.path().join("pki")).expect("an authority");
        let mut config = Config::standard(&pki, front_proxy).expect("a configuration");
        config.authn.static_tokens = vec![("secret".into(), UserInfo::master("admin"))];
        config.authn.anonymous = Anonymous::Always;
        config.advertise = Some(("172.30.0.1".parse().expect("an address"), 6443));
        change(&mut config, folder.path());
        let server = ApiServer::start(config, encrypted, &tasks).await.expect("a server");
        Self { server, pki, tasks, store, folder, backing }
    }

    /// Stops the server and starts another one on its data.
    pub async fn restart(self) -> Self {
        self.restart_with(Keyring::default()).await
    }

    /// Likewise, with other keys.
    pub async fn restart_with(self, keyring: Keyring) -> Self {
        let (folder, backing) = self.stop().await;
        Self::start_in(folder, backing, keyring, |_, _| ()).await
    }

    /// Stops the server and leaves its data.
    pub async fn stop(self) -> (TempDir, Backing) {
        let Self { server, tasks, store, folder, backing, .. } = self;
        let left = tasks.shutdown(LIMIT).await;
        assert!(left.is_empty(), "{left:?}");
        drop((server, store));
        (folder, backing)
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.send_as(UserInfo::master("tester"), request).await
    }

    pub async fn send_as(&self, user: UserInfo, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(user);
        let Ok(response) = self.server.handler().oneshot(request).await;
        response
    }

    /// A request with a body of a type, and an Accept header; empty texts leave them out.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        media: &str,
        accept: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("user-agent", "tester/1.0");
        if !media.is_empty() {
            request = request.header("content-type", media);
        }
        if !accept.is_empty() {
            request = request.header("accept", accept);
        }
        let body = body.into();
        let body = if body.is_empty() { empty() } else { full(body) };
        read(self.send(request.body(body).expect("a request")).await).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "", "", "").await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.call(Method::GET, path, "", accept, "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, "application/json", "", body.to_string()).await
    }

    pub async fn post_as(&self, user: UserInfo, path: &str, body: &Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        let request = request.body(full(body.to_string())).expect("a request");
        read(self.send_as(user, request).await).await
    }

    /// An EndpointSlice past the API, which refuses addresses of the machine itself.
    pub async fn store_slice(&self, mut slice: Value) {
        let name = slice["metadata"]["name"].as_str().expect("a name").to_owned();
        slice["apiVersion"] = "discovery.k8s.io/v1".into();
        slice["kind"] = "EndpointSlice".into();
        slice["metadata"]["namespace"] = "default".into();
        slice["metadata"]["uid"] = uuid::Uuid::new_v4().to_string().into();
        let key = format!("/registry/discovery.k8s.io/endpointslices/default/{name}");
        self.store.transact(Txn::put(key, slice.to_string())).await.expect("written");
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, "application/json", "", body.to_string()).await
    }

    /// `kind` is `json`, `merge` or `strategic-merge`.
    pub async fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        let media = format!("application/{kind}-patch+json");
        self.call(Method::PATCH, path, &media, "", body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, "", "", "").await
    }

    pub async fn watch(&self, path: &str) -> Watching {
        self.watch_as(path, "").await
    }

    pub async fn watch_as(&self, path: &str, accept: &str) -> Watching {
        let mut request = Request::get(path);
        if !accept.is_empty() {
            request = request.header("accept", accept);
        }
        let response = self.send(request.body(empty()).expect("a request")).await;
        assert_eq!(response.status(), 200);
        Watching { body: response.into_body(), read: BytesMut::new() }
    }

    /// Asks again until something is so; what brings it about has no watch of its own.
    pub async fn eventually<F: Future<Output = bool>>(&self, holds: impl Fn() -> F) {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("it becomes so in time");
    }

    /// Waits until a path answers 404.
    pub async fn gone(&self, path: &str) {
        self.eventually(|| async { self.get(path).await.code == 404 }).await;
    }

    /// Creates a ConfigMap in `default`.
    pub async fn config_map(&self, name: &str, labels: Value, data: Value) -> Value {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "labels": labels }, "data": data,
        });
        self.post(MAPS, &object).await.expect(201)
    }
}

pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const PODS: &str = "/api/v1/namespaces/default/pods";

pub async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { code: parts.status.as_u16(), headers: parts.headers, text, bytes }
}

/// An open watch.
pub struct Watching {
    body: Body,
    read: BytesMut,
}

impl Watching {
    /// The next event; None when the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            self.more().await?;
        }
    }

    /// The next frame of a watch in protobuf, without its length.
    pub async fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some((length, rest)) = self.read.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if rest.len() >= length {
                    self.read.advance(4);
                    return Some(self.read.split_to(length).freeze());
                }
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Option<()> {
        let frame = tokio::time::timeout(LIMIT, self.body.frame()).await.expect("an event in time")?;
        if let Ok(data) = frame.expect("a whole stream").into_data() {
            self.read.extend_from_slice(&data);
        }
        Some(())
    }

    /// The next event as type and object's name.
    pub async fn event(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

/// An event as tests compare it.
pub fn event(kind: &str, name: &str) -> (String, String) {
    (kind.into(), name.into())
}

/// A Pod as `kubectl run` makes it.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "run": name } },
        "spec": { "containers": [{ "name": "main", "image": "web:1" }] },
    })
}

/// A Deployment as `kubectl create deployment` makes it.
pub fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "web:1" }] },
            },
        },
    })
}

pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

//! One request: a connection of its own, TLS verified, HTTP/1.1.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::Value;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{Target, target::Place};
use crate::{authz::Objects, pki, streaming};

/// The largest answer.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Why there is no answer. Never holds what the other side sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("clientConfig: {0}")]
    Config(String),
    #[error("Post \"{url}\": {why}")]
    Unreachable { url: String, why: String },
    #[error("Post \"{url}\": the server responded with the status code {code}")]
    Refused { url: String, code: StatusCode },
    #[error("Post \"{url}\": context deadline exceeded")]
    TimedOut { url: String },
    #[error("Post \"{url}\": the answer can't be read: {why}")]
    Unreadable { url: String, why: String },
}

/// Calls webhooks.
pub struct Webhooks {
    objects: Arc<dyn Objects>,
    tasks: Tasks,
}

impl Webhooks {
    pub fn new(objects: Arc<dyn Objects>, tasks: Tasks) -> Self {
        Self { objects, tasks }
    }

    /// Posts a document and gives the answer, which has to be 200 and JSON, within `limit`.
    ///
    /// # Errors
    /// There is no such answer.
    pub async fn post(&self, target: &Target, body: &Value, limit: Duration) -> Result<Value, WebhookError> {
        let url = shown(target);
        let exchange = self.exchange(target, body, &url);
        timeout(limit, Box::pin(exchange)).await.unwrap_or(Err(WebhookError::TimedOut { url: url.clone() }))
    }

    async fn exchange(&self, target: &Target, body: &Value, url: &str) -> Result<Value, WebhookError> {
        let unreachable = |why: String| WebhookError::Unreachable { url: url.to_owned(), why };
        let tls = tls(target).map_err(WebhookError::Config)?;
        let name =
            ServerName::try_from(target.server_name()).map_err(|error| unreachable(error.to_string()))?;
        let stream = self.dial(target).await.map_err(unreachable)?;
        let stream = TlsConnector::from(tls).connect(name, stream).await;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(error.to_string()))?;
        self.tasks.spawn("webhook connection", OnError::Log, async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a webhook broke");
            }
            Ok::<(), std::convert::Infallible>(())
        });
        let answer = sender.send_request(request(target, body)?).await;
        read(answer.map_err(|error| unreachable(error.to_string()))?, url).await
    }

    async fn dial(&self, target: &Target) -> Result<TcpStream, String> {
        let stream = match &target.place {
            Place::Url { host, port } => TcpStream::connect((host.as_str(), *port)).await,
            Place::Service { namespace, name, port } => {
                let address = self.endpoint(namespace, name, *port).await?;
                TcpStream::connect(address).await
            }
        };
        stream.map_err(|error| error.to_string())
    }

    async fn endpoint(&self, namespace: &str, name: &str, port: u16) -> Result<SocketAddr, String> {
        let found = streaming::service_endpoint(&*self.objects, namespace, name, &port.to_string()).await;
        let address = found.map_err(|refusal| refusal.message)?;
        if !streaming::may_be_dialled(address.ip()) {
            return Err(format!("address {} not allowed", address.ip()));
        }
        Ok(address)
    }
}

fn shown(target: &Target) -> String {
    let (host, port) = (
        target.server_name(),
        match &target.place {
            Place::Url { port, .. } | Place::Service { port, .. } => *port,
        },
    );
    format!("https://{host}:{port}{}", target.path)
}

fn request(target: &Target, body: &Value) -> Result<Request<Full<Bytes>>, WebhookError> {
    let config = |why: &dyn std::fmt::Display| WebhookError::Config(why.to_string());
    let bytes = serde_json::to_vec(body).map_err(|error| config(&error))?;
    Request::post(target.path.as_str())
        .header(header::HOST, target.server_name())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "tiphys-apiserver")
        .body(Full::new(bytes.into()))
        .map_err(|error| config(&error))
}

async fn read(answer: Response<Incoming>, url: &str) -> Result<Value, WebhookError> {
    if answer.status() != StatusCode::OK {
        return Err(WebhookError::Refused { url: url.to_owned(), code: answer.status() });
    }
    let unreadable = |why: String| WebhookError::Unreadable { url: url.to_owned(), why };
    let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
    let bytes = body.map_err(|error| unreadable(error.to_string()))?.to_bytes();
    // Where the fault is, not what stands there.
    serde_json::from_slice(&bytes)
        .map_err(|error| unreadable(format!("no JSON at line {}, column {}", error.line(), error.column())))
}

/// Who is trusted: the authority that the webhook's owner names, or those of the machine.
fn tls(target: &Target) -> Result<Arc<ClientConfig>, String> {
    match &target.ca_bundle {
        Some(pem) => pki::client_tls(pem, None).map_err(|error| error.to_string()),
        None => machine_tls(),
    }
}

fn machine_tls() -> Result<Arc<ClientConfig>, String> {
    static MACHINE: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let make = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    };
    MACHINE.get_or_init(make).clone()
}

//! The way to webhooks: HTTPS/1.1, connections kept for the next question.
//!
//! Nothing is followed and nothing is believed but a body of status 200: an answer that leads
//! elsewhere would make the API server ask, with its own reach, for whatever an attacker names
//! (CVE-2022-3172). Bodies of other answers may hold what such a request found; they are dropped unread.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{Target, WebhookError, target::Place};
use crate::{authz::Objects, pki, streaming};

/// Idle connections that are kept for a webhook, and webhooks they are kept for.
const IDLE_EACH: usize = 8;
const IDLE_LINES: usize = 200;

type Sender = SendRequest<Full<Bytes>>;

/// What a connection is good for: where it leads, the name there, whom it trusts.
type Line = (String, String, Option<String>);

/// How long an answer may take, and how large it may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub time: Duration,
    /// Bytes.
    pub answer: usize,
}

/// Asks webhooks.
pub struct Client {
    objects: Arc<dyn Objects>,
    tasks: Tasks,
    idle: Mutex<HashMap<Line, Vec<Sender>>>,
    /// By whom they trust.
    configs: Mutex<HashMap<Option<String>, Arc<ClientConfig>>>,
}

impl Client {
    pub fn new(objects: Arc<dyn Objects>, tasks: Tasks) -> Self {
        Self { objects, tasks, idle: Mutex::default(), configs: Mutex::default() }
    }

    /// Posts a document and gives the answer, which has to be 200 and JSON.
    ///
    /// # Errors
    /// There is no such answer within the limits.
    pub async fn post(&self, target: &Target, body: &Value, limits: Limits) -> Result<Value, WebhookError> {
        let exchange = self.exchange(target, body, limits.answer);
        let late = || WebhookError::TimedOut { url: target.url() };
        timeout(limits.time, Box::pin(exchange)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(&self, target: &Target, body: &Value, limit: usize) -> Result<Value, WebhookError> {
        let unreachable = |why: String| WebhookError::Unreachable { url: target.url(), why };
        let body: Bytes =
            serde_json::to_vec(body).map_err(|error| WebhookError::Config(error.to_string()))?.into();
        let address = self.address(&target.place).await.map_err(unreachable)?;
        let line = (address, target.server_name(), target.ca_bundle.clone());
        let (mut sender, answer) = loop {
            let Some(mut sender) = self.take_idle(&line) else {
                let sender = self.connect(&line).await.map_err(unreachable)?;
                break (sender, None);
            };
            match sender.try_send_request(request(target, body.clone())?).await {
                Ok(answer) => break (sender, Some(answer)),
                Err(mut error) => {
                    // A connection that was closed meanwhile gives the request back unsent.
                    if error.take_message().is_none() {
                        return Err(unreachable(error.into_error().to_string()));
                    }
                }
            }
        };
        let answer = match answer {
            Some(answer) => answer,
            None => {
                let sent = sender.send_request(request(target, body)?).await;
                sent.map_err(|error| unreachable(error.to_string()))?
            }
        };
        let value = read(answer, limit, target).await?;
        self.keep_idle(line, sender);
        Ok(value)
    }

    /// `host:port` to connect to.
    async fn address(&self, place: &Place) -> Result<String, String> {
        let (namespace, name, port) = match place {
            Place::Url { host, port } => return Ok(host_port(host, *port)),
            Place::Service { namespace, name, port } => (namespace, name, *port),
        };
        if let Some(service) = self.objects.get("", "services", namespace, name)
            && service["spec"]["type"] == "ExternalName"
        {
            return Ok(host_port(service["spec"]["externalName"].as_str().unwrap_or_default(), port));
        }
        let found = streaming::service_endpoint(&*self.objects, namespace, name, &port.to_string()).await;
        let address = found.map_err(|refusal| refusal.message)?;
        // Who may write EndpointSlices must not lead the API server into its own surroundings.
        if !streaming::may_be_dialled(address.ip()) {
            return Err(format!("address {} not allowed", address.ip()));
        }
        Ok(address.to_string())
    }

    async fn connect(&self, (address, name, trusted): &Line) -> Result<Sender, String> {
        let connector = TlsConnector::from(self.config(trusted)?);
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = ServerName::try_from(name.clone()).map_err(|error| error.to_string())?;
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        self.tasks.spawn("webhook connection", OnError::Log, async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a webhook broke");
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(sender)
    }

    /// Who is trusted: the authorities that the webhook's owner names, or those of the machine.
    fn config(&self, trusted: &Option<String>) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.configs.lock().get(trusted) {
            return Ok(config.clone());
        }
        let made = match trusted {
            Some(pem) => pki::client_tls(pem, None),
            None => pki::machine_tls(None),
        };
        let config = made.map_err(|error| error.to_string())?;
        let mut configs = self.configs.lock();
        if configs.len() >= IDLE_LINES {
            configs.clear();
        }
        configs.insert(trusted.clone(), config.clone());
        Ok(config)
    }

    fn take_idle(&self, line: &Line) -> Option<Sender> {
        let mut idle = self.idle.lock();
        let senders = idle.get_mut(line)?;
        senders.retain(|sender| !sender.is_closed());
        senders.pop()
    }

    fn keep_idle(&self, line: Line, sender: Sender) {
        let mut idle = self.idle.lock();
        if idle.len() >= IDLE_LINES && !idle.contains_key(&line) {
            idle.clear();
        }
        let senders = idle.entry(line).or_default();
        if !sender.is_closed() && senders.len() < IDLE_EACH {
            senders.push(sender);
        }
    }
}

fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn request(target: &Target, body: Bytes) -> Result<Request<Full<Bytes>>, WebhookError> {
    let host = match target.port() {
        443 => target.server_name(),
        port => host_port(&target.server_name(), port),
    };
    Request::post(target.path.as_str())
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))
        .map_err(|error| WebhookError::Config(error.to_string()))
}

async fn read(answer: Response<Incoming>, limit: usize, target: &Target) -> Result<Value, WebhookError> {
    if answer.status() != StatusCode::OK {
        return Err(WebhookError::Refused { url: target.url(), code: answer.status() });
    }
    let unreadable = |why: String| WebhookError::Unreadable { url: target.url(), why };
    let body = Limited::new(answer.into_body(), limit).collect().await;
    let bytes = body.map_err(|error| unreadable(error.to_string()))?.to_bytes();
    // Where the fault is, not what stands there.
    serde_json::from_slice(&bytes)
        .map_err(|error| unreadable(format!("no JSON at line {}, column {}", error.line(), error.column())))
}

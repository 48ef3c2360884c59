//! The way to webhooks: HTTPS/1.1, connections kept for the next review.
//!
//! Nothing is followed and nothing is believed but a body of status 200: an answer that leads
//! elsewhere would make the API server ask, with its own reach, for whatever an attacker names
//! (CVE-2022-3172). Bodies of errors may hold what such a request found; they are dropped unread.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tiphys_lifecycle::{OnError, Tasks};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Target;

/// Of an answer, what is read.
const ANSWER_LIMIT: usize = 3 << 20;
/// Idle connections that are kept for a webhook, and webhooks they are kept for.
const IDLE_EACH: usize = 8;
const IDLE_TARGETS: usize = 200;

type Sender = SendRequest<Full<Bytes>>;
/// What a connection is good for: address, name, trust.
type Line = (String, u16, String, Vec<u8>);

pub struct Clients {
    tasks: Tasks,
    idle: Mutex<HashMap<Line, Vec<Sender>>>,
    /// By what they trust.
    configs: Mutex<HashMap<Vec<u8>, Arc<rustls::ClientConfig>>>,
}

impl Clients {
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, idle: Mutex::default(), configs: Mutex::default() }
    }

    /// Posts JSON and gives the body of a good answer.
    ///
    /// # Errors
    /// As a sentence that names the URL.
    pub async fn post(&self, target: &Target, body: Bytes, timeout: Duration) -> Result<Bytes, String> {
        let told = |why: String| format!("Post {:?}: {why}", target.url());
        match tokio::time::timeout(timeout, self.exchange(target, body)).await {
            Ok(answer) => answer.map_err(told),
            Err(_) => Err(told("context deadline exceeded".into())),
        }
    }

    async fn exchange(&self, target: &Target, body: Bytes) -> Result<Bytes, String> {
        let line = line(target);
        while let Some(mut sender) = self.take_idle(&line) {
            // A connection that was closed meanwhile gives the request back unsent.
            match sender.try_send_request(request(target, body.clone())?).await {
                Ok(response) => return self.read(line, sender, response).await,
                Err(mut error) => {
                    if error.take_message().is_none() {
                        return Err(error.into_error().to_string());
                    }
                }
            }
        }
        let mut sender = self.connect(target).await.map_err(|error| error.to_string())?;
        let sent = sender.send_request(request(target, body)?).await;
        self.read(line, sender, sent.map_err(|error| error.to_string())?).await
    }

    async fn read(
        &self,
        line: Line,
        sender: Sender,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Bytes, String> {
        let status = response.status();
        if status != StatusCode::OK {
            let why = if status.is_redirection() { ", which is not followed" } else { "" };
            return Err(format!("the webhook answered with status {}{why}", status.as_u16()));
        }
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
        let bytes = body.map_err(|error| format!("the answer could not be read: {error}"))?.to_bytes();
        self.keep_idle(line, sender);
        Ok(bytes)
    }

    fn take_idle(&self, line: &Line) -> Option<Sender> {
        let mut idle = self.idle.lock();
        let senders = idle.get_mut(line)?;
        senders.retain(|sender| !sender.is_closed());
        senders.pop()
    }

    fn keep_idle(&self, line: Line, sender: Sender) {
        let mut idle = self.idle.lock();
        if idle.len() >= IDLE_TARGETS && !idle.contains_key(&line) {
            idle.clear();
        }
        let senders = idle.entry(line).or_default();
        if !sender.is_closed() && senders.len() < IDLE_EACH {
            senders.push(sender);
        }
    }

    async fn connect(&self, target: &Target) -> io::Result<Sender> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(target.server_name.clone()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(self.config(&target.ca)?);
        let stream = connector.connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        self.tasks.spawn("webhook connection", OnError::Log, async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a webhook broke");
            }
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(sender)
    }

    fn config(&self, ca: &[u8]) -> io::Result<Arc<rustls::ClientConfig>> {
        if let Some(config) = self.configs.lock().get(ca) {
            return Ok(config.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        if ca.is_empty() {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let mut configs = self.configs.lock();
        if configs.len() >= IDLE_TARGETS {
            configs.clear();
        }
        configs.insert(ca.to_vec(), config.clone());
        Ok(config)
    }
}

fn line(target: &Target) -> Line {
    (target.host.clone(), target.port, target.server_name.clone(), target.ca.clone())
}

fn request(target: &Target, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
    let host = match target.port {
        443 => target.server_name.clone(),
        port => format!("{}:{port}", target.server_name),
    };
    Request::builder()
        .method(Method::POST)
        .uri(&target.path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(body))
        .map_err(|error| error.to_string())
}

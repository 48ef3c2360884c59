//! The way to an extension server: an endpoint of its Service, TLS with this server's
//! certificate as a front proxy, HTTP/1.1.
//!
//! Watches live for hours and an upgrade takes its connection along, so connections are not
//! pooled; TLS sessions are resumed.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tiphys_api::serve::Body;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::table::{Remote, Trust};
use crate::{
    authz::{Objects, find},
    pki::{self, Identity},
    streaming,
};

/// For the TCP connection and the TLS handshake together.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// Authorities of past bundles that are kept.
const CONFIGS: usize = 100;

/// Why an extension server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("{0}")]
    NoAddress(String),
    #[error("address {0} not allowed")]
    NotAllowed(IpAddr),
    #[error("its certificates can't be checked: {0}")]
    Trust(String),
    #[error("error dialing {name} at {address}: {why}")]
    Dial { name: String, address: SocketAddr, why: String },
    #[error("the connection to {name} broke: {why}")]
    Broken { name: String, why: String },
}

pub struct Transport {
    objects: Arc<dyn Objects>,
    identity: Identity,
    reachable: fn(IpAddr) -> bool,
    tasks: Tasks,
    configs: Mutex<HashMap<Trust, Arc<ClientConfig>>>,
}

impl Transport {
    pub fn new(
        objects: Arc<dyn Objects>,
        identity: Identity,
        reachable: fn(IpAddr) -> bool,
        tasks: Tasks,
    ) -> Self {
        Self { objects, identity, reachable, tasks, configs: Mutex::default() }
    }

    pub fn objects(&self) -> &dyn Objects {
        &*self.objects
    }

    /// Sends a request, whose path and query are the server's, and gives the head of the answer.
    ///
    /// # Errors
    /// There is no such server, or it isn't the one whom its APIService trusts.
    pub async fn send(
        &self,
        remote: &Remote,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Unreachable> {
        let name = remote.server_name();
        let broken = |error: hyper::Error| Unreachable::Broken { name: name.clone(), why: error.to_string() };
        let host = if remote.port == 443 { name.clone() } else { format!("{name}:{}", remote.port) };
        let host = HeaderValue::from_str(&host).map_err(|_| Unreachable::NoAddress("no host name".into()))?;
        request.headers_mut().insert(header::HOST, host);
        let stream = self.dial(remote).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        self.tasks.spawn("extension server connection", OnError::Log, async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to an extension server broke");
            }
            Ok::<(), std::convert::Infallible>(())
        });
        sender.send_request(request).await.map_err(broken)
    }

    async fn dial(&self, remote: &Remote) -> Result<TlsStream<TcpStream>, Unreachable> {
        let name = remote.server_name();
        let config = self.config(&remote.trust).map_err(Unreachable::Trust)?;
        let address = self.address(remote).await?;
        let failed = |why: String| Unreachable::Dial { name: name.clone(), address, why };
        let server =
            ServerName::try_from(name.clone()).map_err(|error| Unreachable::NoAddress(error.to_string()))?;
        let dial = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(config).connect(server, stream).await
        };
        match timeout(DIAL_LIMIT, dial).await {
            Ok(done) => done.map_err(|error| failed(error.to_string())),
            Err(_) => Err(failed("it took too long".into())),
        }
    }

    /// One of the server's addresses, if it may be dialled: who may write Services or
    /// EndpointSlices must not lead this server into its own surroundings.
    async fn address(&self, remote: &Remote) -> Result<SocketAddr, Unreachable> {
        let Remote { namespace, name, port, .. } = remote;
        let service = find(&*self.objects, "", "services", namespace, name).await;
        let external = service.as_ref().filter(|service| service["spec"]["type"] == "ExternalName");
        let address = match external {
            Some(service) => {
                let host = service["spec"]["externalName"].as_str().unwrap_or_default();
                let found = tokio::net::lookup_host((host, *port)).await;
                let mut found = found.map_err(|error| Unreachable::NoAddress(error.to_string()))?;
                found.next().ok_or_else(|| Unreachable::NoAddress(format!("{host} has no address")))?
            }
            None => {
                let port = port.to_string();
                let found = streaming::service_endpoint(&*self.objects, namespace, name, &port).await;
                found.map_err(|refusal| Unreachable::NoAddress(refusal.message))?
            }
        };
        let ip = address.ip();
        if (self.reachable)(ip) { Ok(address) } else { Err(Unreachable::NotAllowed(ip)) }
    }

    fn config(&self, trust: &Trust) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.configs.lock().get(trust) {
            return Ok(config.clone());
        }
        let own = Some(&self.identity);
        let made = match trust {
            Trust::Machine => pki::machine_tls(own),
            Trust::Bundle(pem) => pki::client_tls(pem, own),
            Trust::Nobody => pki::unverified_tls(own),
        };
        let mut config = Arc::unwrap_or_clone(made.map_err(|error| error.to_string())?);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let mut configs = self.configs.lock();
        if configs.len() >= CONFIGS {
            configs.clear();
        }
        configs.insert(trust.clone(), config.clone());
        Ok(config)
    }
}

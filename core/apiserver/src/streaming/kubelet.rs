//! One request to a kubelet: a connection of its own, TLS, HTTP/1.1.
//!
//! Streams live for hours and an upgrade takes its connection along, so
//! connections are not pooled.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tiphys_api::serve::Body;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::authz::Refusal;

/// For the TCP connection and the TLS handshake together.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// From the request to the head of the answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Of a kubelet's error, what is passed on.
const ERROR_BYTES: usize = 2048;

/// Reaches kubelets as the API server.
pub struct Kubelets {
    connector: TlsConnector,
    tasks: Tasks,
}

impl Kubelets {
    pub fn new(tls: Arc<rustls::ClientConfig>, tasks: Tasks) -> Self {
        let mut tls = Arc::unwrap_or_clone(tls);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { connector: TlsConnector::from(Arc::new(tls)), tasks }
    }

    /// Sends the request and gives the answer, whatever its status. 502 when the
    /// kubelet cannot be reached or shows a wrong certificate.
    pub async fn send(
        &self,
        address: SocketAddr,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Refusal> {
        let stream = within_limit(self.dial(address)).await.map_err(|error| unreachable(address, &error))?;
        self.exchange(stream, address, request).await
    }

    /// The same without TLS, to what is not a kubelet: a Pod.
    pub async fn send_plain(
        &self,
        address: SocketAddr,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Refusal> {
        let stream =
            within_limit(TcpStream::connect(address)).await.map_err(|error| unreachable(address, &error))?;
        self.exchange(stream, address, request).await
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: SocketAddr,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Refusal> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(address, &error))?;
        self.tasks.spawn("backend connection", OnError::Log, async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%address, %error, "connection to backend broke");
            }
            Ok::<(), std::convert::Infallible>(())
        });
        let host = header::HeaderValue::from_str(&address.to_string())
            .map_err(|error| Refusal::internal(error.to_string()))?;
        request.headers_mut().insert(header::HOST, host);
        match timeout(ANSWER_LIMIT, sender.send_request(request)).await {
            Ok(answer) => answer.map_err(|error| unreachable(address, &error)),
            Err(_) => {
                Err(Refusal::new(504, "Timeout", format!("backend at {address} did not answer in time")))
            }
        }
    }

    async fn dial(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        self.connector.connect(ServerName::from(address.ip()), stream).await
    }
}

async fn within_limit<T>(dial: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    timeout(DIAL_LIMIT, dial).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

fn unreachable(address: SocketAddr, error: &dyn std::error::Error) -> Refusal {
    Refusal::new(502, "BadGateway", format!("error dialing backend: {address}: {error}"))
}

/// The refusal that an answer of a kubelet, other than the hoped-for one, amounts to.
pub async fn refusal(response: Response<Incoming>) -> Refusal {
    let status = response.status();
    let body = Limited::new(response.into_body(), ERROR_BYTES * 4).collect().await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text: String = text.trim().chars().take(ERROR_BYTES).collect();
    let text = if text.is_empty() { format!("the kubelet answered {status}") } else { text };
    let (code, reason) = match status.as_u16() {
        400 => (400, "BadRequest"),
        404 => (404, "NotFound"),
        // The kubelet turns down the API server, not its client: that is no fault of the client.
        401 | 403 => (502, "BadGateway"),
        code @ 400..600 => (code, "InternalError"),
        _ => (502, "BadGateway"),
    };
    Refusal::new(code, reason, text)
}

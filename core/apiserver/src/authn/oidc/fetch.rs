//! One GET by HTTPS: small, in a bounded time, and no further than it was sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ConfigError;
use crate::pki;

const LIMIT: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that trusts this authority, or the machine's roots.
pub fn tls(authority: Option<&str>) -> Result<Arc<rustls::ClientConfig>, ConfigError> {
    let made = match authority.filter(|pem| !pem.trim().is_empty()) {
        Some(pem) => pki::client_tls(pem, None),
        None => pki::machine_tls(None),
    };
    made.map_err(|error| ConfigError::Authority(error.to_string()))
}

/// The body of a 200.
pub async fn get(url: &str, tls: &Arc<rustls::ClientConfig>) -> Result<Bytes, String> {
    let uri: Uri = url.parse().map_err(|_| format!("{url:?} is no URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(format!("{url:?} is not https"));
    }
    let answer = tokio::time::timeout(PATIENCE, fetch(&uri, tls.clone())).await;
    answer
        .map_err(|_| format!("{url} has not answered within {PATIENCE:?}"))?
        .map_err(|why| format!("{url}: {why}"))
}

async fn fetch(uri: &Uri, tls: Arc<rustls::ClientConfig>) -> Result<Bytes, String> {
    let host = uri.host().ok_or("there is no host in it")?;
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let text = |error: &dyn std::error::Error| error.to_string();
    let stream =
        TcpStream::connect((name, uri.port_u16().unwrap_or(443))).await.map_err(|error| text(&error))?;
    let server = ServerName::try_from(name.to_owned()).map_err(|error| text(&error))?;
    let stream = TlsConnector::from(tls).connect(server, stream).await.map_err(|error| text(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(|error| text(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| text(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer is {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LIMIT).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| error.to_string())
    };
    // The connection lives as long as the exchange: nothing is left running behind it.
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(text(&error)),
        },
    }
}

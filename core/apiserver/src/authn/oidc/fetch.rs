//! One GET by HTTPS: small, in a bounded time, and no further than it was sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::ConfigError;

const LIMIT: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that trusts this authority, or the machine's roots.
pub fn tls(authority: Option<&str>) -> Result<rustls::ClientConfig, ConfigError> {
    let wrong = |why: String| ConfigError::Authority(why);
    let mut roots = rustls::RootCertStore::empty();
    match authority.filter(|pem| !pem.trim().is_empty()) {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".into()));
            }
        }
        None => {
            // What can't be read of the machine's roots is missed when it is needed.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
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

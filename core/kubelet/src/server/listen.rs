//! The listener: TLS with a client's certificate; without one, figures for a token or nothing.

use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tiphys_lifecycle::{CancellationToken, OnError};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Shared, identity, places::Places, routes, routes_of_tokens};
use crate::{Error, KubeletConfig, ServerIdentity, samples::Seconds, workers::Context};

const HANDSHAKE: Duration = Duration::from_secs(10);
/// So long the head of a request may take.
const HEADERS: Duration = Duration::from_secs(60);
/// How long a connection without a certificate lasts.
const UNNAMED_LASTS: Duration = Duration::from_secs(300);

/// A port that is ours, and the keys to serve on it.
pub(crate) struct Bound {
    listener: TcpListener,
    tls: TlsAcceptor,
}

/// Takes the port.
///
/// # Errors
/// It is taken, or the certificate can't be used.
pub(crate) async fn bind(config: &KubeletConfig) -> Result<Bound, Error> {
    let tls = TlsAcceptor::from(tls_config(&config.identity)?);
    let listener =
        TcpListener::bind(config.listen).await.map_err(Error::io("listen on", config.listen.to_string()))?;
    Ok(Bound { listener, tls })
}

fn tls_config(identity: &ServerIdentity) -> Result<Arc<ServerConfig>, Error> {
    let wrong = |what: &str, why: &dyn std::fmt::Display| Error::Identity(format!("{what}: {why}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(identity.client_ca.as_bytes()) {
        let certificate = certificate.map_err(|why| wrong("client CA", &why))?;
        roots.add(certificate).map_err(|why| wrong("client CA", &why))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|why| wrong("client CA", &why))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes()).collect();
    let chain = chain.map_err(|why| wrong("certificate", &why))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|why| wrong("key", &why))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| wrong("TLS", &why))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(|why| wrong("certificate", &why))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What is answered to whom. Clones share it.
#[derive(Clone)]
struct Routes {
    /// To the API server and masters.
    all: Router,
    /// To who shows a token.
    of_tokens: Router,
    unnamed: Places,
}

/// Serves until the kubelet stops.
pub(crate) fn serve(context: &Arc<Context>, bound: Bound, seconds: Seconds) {
    let shared = Shared { context: context.clone(), seconds };
    let routes = Routes {
        all: routes(shared.clone()),
        of_tokens: routes_of_tokens(shared),
        unnamed: Places::default(),
    };
    context.tasks.spawn_draining("kubelet server", OnError::Stop, move |stop| accept(bound, routes, stop));
}

async fn accept(bound: Bound, routes: Routes, stop: CancellationToken) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = bound.listener.accept() => match accepted {
                Ok((socket, from)) => {
                    connections.spawn(connection(socket, from.ip(), bound.tls.clone(), routes.clone()));
                }
                // Out of file descriptors, or a client that was gone at once.
                Err(error) => {
                    tracing::warn!(%error, "connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn connection(socket: TcpStream, from: IpAddr, tls: TlsAcceptor, routes: Routes) {
    let stream = match timeout(HANDSHAKE, tls.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let Some(certificate) = certificate else { return unnamed(stream, from, routes).await };
    if !identity::may_ask(certificate) {
        tracing::warn!("a client whose certificate does not allow it was turned away");
        return;
    }
    let service = TowerToHyperService::new(routes.all);
    let served = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection broke");
    }
}

/// Who shows no certificate may show a token with each request.
async fn unnamed(stream: TlsStream<TcpStream>, from: IpAddr, routes: Routes) {
    let Some(_place) = routes.unnamed.take(from) else {
        tracing::warn!(%from, "too many connections of clients without a certificate, one was turned away");
        return;
    };
    let service = TowerToHyperService::new(routes.of_tokens);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = match timeout(UNNAMED_LASTS, served.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            // What it asks now is still answered.
            served.as_mut().graceful_shutdown();
            timeout(HANDSHAKE, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broke");
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;

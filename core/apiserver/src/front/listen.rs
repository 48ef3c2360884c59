//! The HTTPS entrance: TLS with optional client certificates, HTTP/1.1 and
//! HTTP/2, authentication. Upgrades pass through, for exec and port-forward.
//! A body that nobody has read is passed over before the answer: see [`unread`].
//!
//! At the end no connection is accepted any more, watches end, requests under
//! way are finished, and what still runs after [`DRAIN`] is cut off.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tiphys_api::{
    auth::UserInfo,
    serve::{Body, boxed},
};
use tiphys_lifecycle::CancellationToken;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{route, unread};
use crate::{
    audit,
    authn::{Authenticated, PeerCertificate, impersonate},
    request::{accept, info, options},
    respond,
    state::Core,
    status::ApiError,
};

const HANDSHAKE: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(5);

/// Windows for bodies that clients send; the answers' are the clients' choice.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// What the lines before a body may hold, as upstream's server takes it: long selectors, tokens that
/// name many groups.
const HEADERS: u32 = 1 << 20;
/// One client multiplexes thousands of watches over a connection.
const STREAMS: u32 = 10_000;

/// Serves until `stop`.
pub async fn serve(
    core: Arc<Core>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    stop: CancellationToken,
) -> std::result::Result<(), std::io::Error> {
    let acceptor = TlsAcceptor::from(tls);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let watcher = graceful.watcher();
                let work = connection(core.clone(), acceptor.clone(), stream, peer, watcher);
                connections.spawn(work);
            }
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::info!(connections = connections.len(), "connections are cut off");
    }
    connections.shutdown().await;
    Ok(())
}

/// Out of descriptors, or a client that went at once: the next one may do better.
fn is_passing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::ConnectionAborted
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::Interrupted
            | std::io::ErrorKind::OutOfMemory
    ) || matches!(error.raw_os_error(), Some(23 | 24))
}

async fn connection(
    core: Arc<Core>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Small answers go at once; an error here only makes them later.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
    };
    let certificate = certificate(&stream);
    let service = service_fn(move |request: Request<Incoming>| {
        let (core, certificate) = (core.clone(), certificate.clone());
        let (request, unread) = unread::lend(request);
        let mut request = request.map(boxed);
        request.extensions_mut().insert(audit::Source(peer.ip()));
        async move {
            let response = answer(core, certificate, request).await;
            unread.pass_over().await;
            Ok::<_, Infallible>(response)
        }
    });
    let server = builder();
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%peer, error = %*error, "connection broke");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(60));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADERS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

fn certificate(stream: &TlsStream<TcpStream>) -> Option<PeerCertificate> {
    let certificates = stream.get_ref().1.peer_certificates()?;
    certificates.first().map(|certificate| PeerCertificate::read(certificate.as_ref()))
}

/// Authenticates, then goes the way of all requests.
pub fn answer(
    core: Arc<Core>,
    certificate: Option<PeerCertificate>,
    mut request: Request<Body>,
) -> BoxFuture<'static, Response<Body>> {
    Box::pin(async move {
        let (user, error) = match authenticate(&core, certificate.as_ref(), &mut request).await {
            Ok(()) => return route::handle(core, request).await,
            Err(refused) => refused,
        };
        let watching = options::is_watch(request.uri().query().unwrap_or_default());
        let target = info::parse(request.method(), request.uri().path(), watching).ok();
        audit::refused(core.audit.as_ref(), target.as_ref(), user, &mut request, &error).await;
        respond::error(&error, accept::format(accept::header(request.headers())))
    })
}

/// Puts the user into the request's extensions. With a refusal: who asked, if that is known.
async fn authenticate(
    core: &Core,
    certificate: Option<&PeerCertificate>,
    request: &mut Request<Body>,
) -> std::result::Result<(), (Option<UserInfo>, ApiError)> {
    let path = request.uri().path().to_owned();
    let headers = request.headers_mut();
    let Authenticated { user: asked_by, notes, password } = core
        .authenticator
        .authenticate(certificate, &path, headers)
        .await
        .map_err(|refusal| (None, refusal.into()))?;
    let user = impersonate(asked_by.clone(), headers, &*core.rbac)
        .map_err(|refusal| (Some(asked_by.clone()), refusal.into()))?;
    if user != asked_by {
        request.extensions_mut().insert(audit::AskedBy(asked_by));
    }
    if !notes.is_empty() {
        request.extensions_mut().insert(audit::Said(notes));
    }
    if let Some(password) = password {
        request.extensions_mut().insert(password);
    }
    request.extensions_mut().insert(user);
    Ok(())
}

//! The door for clients of Postgres: psql, Grafana, drivers of every language.
//!
//! ```text
//! TCP ─> a place of its address ─> TLS ─> startup (token as password, or a certificate)
//!     ─> a place of its user ─> session ─> simple · extended protocol ─> plan ─> run ─> rows
//! ```
//!
//! Who connects is who a token or certificate is of, whatever user name is sent, and it
//! is asked again as time passes. Connections without TLS are refused before a password
//! is sent. Nothing can be written; transactions and settings are taken with thanks,
//! since drivers begin with them.

mod admission;
mod answer;
mod connection;
mod cursors;
mod descriptions;
mod messages;
mod parse;
mod regtype;
mod settings;
mod startup;
mod user;
mod variables;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tiphys_api::auth::SharedAuthorizer;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Credentials, Engine};
use admission::{Admission, Admitted, Bounds};
use connection::Connection;

/// The version of Postgres whose catalog clients may ask for.
const VERSION: &str = "16.6";
/// How clients of the protocol name it in the handshake.
const PROTOCOL: &[u8] = b"postgresql";

/// What the door needs.
pub struct Door {
    pub engine: Engine,
    pub authorizer: SharedAuthorizer,
    pub credentials: Arc<dyn Credentials>,
    pub tls: Arc<rustls::ServerConfig>,
}

/// What connections share.
struct Shared {
    engine: Engine,
    authorizer: SharedAuthorizer,
    credentials: Arc<dyn Credentials>,
    admission: Admission,
    /// What each connection runs at the moment, by what a cancel request names.
    running: Mutex<HashMap<(i32, Vec<u8>), CancellationToken>>,
}

/// Serves connections until `tasks` stops.
pub fn serve(door: Door, listener: TcpListener, tasks: &Tasks) {
    serve_within(Bounds::default(), door, listener, tasks);
}

/// The same, within other bounds.
fn serve_within(bounds: Bounds, door: Door, listener: TcpListener, tasks: &Tasks) {
    let mut tls = (*door.tls).clone();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let Door { engine, authorizer, credentials, .. } = door;
    let admission = Admission::new(bounds);
    let shared = Arc::new(Shared { engine, authorizer, credentials, admission, running: Mutex::default() });
    let connections = tasks.child();
    tasks.spawn("sql for postgres clients", OnError::Log, accept(shared, tls, listener, connections));
}

async fn accept(
    shared: Arc<Shared>,
    tls: TlsAcceptor,
    listener: TcpListener,
    connections: Tasks,
) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((socket, from)) => begin(&shared, &tls, &connections, socket, from),
            Err(error) => {
                tracing::warn!(%error, "a postgres connection could not be accepted");
                // Out of descriptors: trying at once would only spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves a connection, or tells it that there is no place. Beyond so many nobody is told.
fn begin(shared: &Arc<Shared>, tls: &TlsAcceptor, tasks: &Tasks, socket: TcpStream, from: SocketAddr) {
    let Some(admitted) = shared.admission.of_address(&address(from)) else {
        return tracing::debug!(%from, "a postgres connection too many was closed");
    };
    let (shared, tls) = (shared.clone(), tls.clone());
    tasks.spawn("postgres connection", OnError::Log, async move {
        // A client that breaks off is no error of ours.
        if let Err(error) = connected(shared, tls, socket, admitted).await {
            tracing::debug!(%error, "a postgres connection broke off");
        }
        Ok::<(), io::Error>(())
    });
}

/// Whose places a connection takes: of IPv6 a whole network is one client's.
fn address(from: SocketAddr) -> String {
    match from.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

async fn connected(
    shared: Arc<Shared>,
    tls: TlsAcceptor,
    socket: TcpStream,
    admitted: Admitted,
) -> io::Result<()> {
    let socket = socket.into_std()?;
    let watched = TcpStream::from_std(socket.try_clone()?)?;
    let connection = Arc::new(Connection::new(shared, admitted));
    tokio::select! {
        ended = messages::process(TcpStream::from_std(socket)?, tls, connection) => ended,
        // While a statement runs nobody reads the socket: its end is seen from here.
        gone = closed(&watched) => gone,
    }
}

/// Ends when the client has closed its side.
async fn closed(socket: &TcpStream) -> io::Result<()> {
    loop {
        let ready = socket.ready(tokio::io::Interest::READABLE).await?;
        if ready.is_read_closed() {
            return Ok(());
        }
        // Bytes that wait for the connection's own reader keep it ready.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests;

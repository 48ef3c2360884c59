//! The door for clients of Postgres: psql, Grafana, drivers of every language.
//!
//! ```text
//! TCP ─> TLS ─> startup (token as password, or a certificate) ─> session of the user
//!                                                 simple · extended protocol ─> plan ─> run ─> rows
//! ```
//!
//! Who connects is who a token or certificate is of, whatever user name is sent, and it
//! is asked again as time passes. Connections without TLS are refused before a password
//! is sent. Nothing can be written; transactions and settings are taken with thanks,
//! since drivers begin with them.

mod answer;
mod connection;
mod cursors;
mod descriptions;
mod parse;
mod regtype;
mod settings;
mod startup;
mod user;

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use datafusion_postgres::pgwire::tokio::process_socket;
use parking_lot::Mutex;
use tiphys_api::auth::SharedAuthorizer;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Credentials, Engine};
use connection::{Connection, Handlers};

/// Connections at once.
const MOST_CONNECTIONS: usize = 100;
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
    /// What each connection runs at the moment, by what a cancel request names.
    running: Mutex<HashMap<(i32, Vec<u8>), CancellationToken>>,
}

/// Serves connections until `tasks` stops.
pub fn serve(door: Door, listener: TcpListener, tasks: &Tasks) {
    let mut tls = (*door.tls).clone();
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let Door { engine, authorizer, credentials, .. } = door;
    let shared = Arc::new(Shared { engine, authorizer, credentials, running: Mutex::default() });
    let connections = tasks.child();
    tasks.spawn("sql for postgres clients", OnError::Log, async move {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let accepted = listener.accept().await;
            let Ok(place) = places.clone().acquire_owned().await else { return Ok::<(), io::Error>(()) };
            match accepted {
                Ok((socket, _)) => {
                    let (shared, tls) = (shared.clone(), tls.clone());
                    connections.spawn("postgres connection", OnError::Log, async move {
                        let _place = place;
                        // A client that breaks off is no error of ours.
                        if let Err(error) = connected(shared, tls, socket).await {
                            tracing::debug!(%error, "a postgres connection broke off");
                        }
                        Ok::<(), io::Error>(())
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a postgres connection could not be accepted");
                    // Out of descriptors: trying at once would only spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
}

async fn connected(shared: Arc<Shared>, tls: TlsAcceptor, socket: TcpStream) -> io::Result<()> {
    let socket = socket.into_std()?;
    let watched = TcpStream::from_std(socket.try_clone()?)?;
    let connection = Arc::new(Connection::new(shared));
    tokio::select! {
        ended = process_socket(TcpStream::from_std(socket)?, Some(tls), Handlers(connection.clone())) => ended,
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

//! The messages of one connection, one after the other, until it ends, breaks off, or has said
//! nothing for too long.
//!
//! The library's own loop waits for ever on a client that has signed in, and goes on after an
//! error that should end the connection.

use std::{io, sync::Arc};

use async_trait::async_trait;
use datafusion_postgres::pgwire::{
    api::{ClientInfo, NoopHandler, PgWireConnectionState, cancel::CancelHandler},
    error::{ErrorInfo, PgWireError},
    messages::{PgWireFrontendMessage, cancel::CancelRequest},
    tokio::server::{negotiate_tls, process_error, process_message},
};
use futures::StreamExt;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Shared,
    answer::{Prepared, Statements},
    connection::{Connection, IDLE, fatal},
    settings,
    startup::Startup,
};

/// Serves the connection to its end.
///
/// # Errors
/// The socket's.
pub async fn process(socket: TcpStream, tls: TlsAcceptor, connection: Arc<Connection>) -> io::Result<()> {
    let bounds = connection.shared.admission.bounds();
    let started_by = Instant::now() + bounds.startup;
    let negotiated = timeout_at(started_by, negotiate_tls::<Prepared>(socket, Some(tls))).await;
    let Ok(Some(mut socket)) = negotiated.unwrap_or(Ok(None)) else { return Ok(()) };
    let startup = Arc::new(Startup(connection.clone()));
    let statements = Arc::new(Statements::of(connection.clone()));
    let cancel = Arc::new(Cancel(connection.shared.clone()));
    let copy = Arc::new(NoopHandler);
    loop {
        let is_starting = matches!(
            socket.state(),
            PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress
        );
        let until = match is_starting {
            true => started_by,
            false => Instant::now() + settings::idle(&socket, bounds.idle),
        };
        let message = match timeout_at(until, socket.next()).await {
            Ok(Some(Ok(PgWireFrontendMessage::Terminate(_)) | Err(_)) | None) => return Ok(()),
            Ok(Some(Ok(message))) => message,
            Err(_) if is_starting => return Ok(()),
            Err(_) => {
                let why = "terminating connection due to idle-session timeout";
                return process_error(&mut socket, fatal(IDLE, why), true).await;
            }
        };
        let is_extended = message.is_extended_query();
        let done = process_message(
            message,
            &mut socket,
            startup.clone(),
            statements.clone(),
            statements.clone(),
            copy.clone(),
            cancel.clone(),
        );
        if let Err(error) = Box::pin(done).await {
            let info = ErrorInfo::from(error);
            let is_fatal = info.is_fatal();
            let error = PgWireError::UserError(Box::new(info));
            process_error(&mut socket, error, is_extended || is_fatal).await?;
            if is_fatal {
                return Ok(());
            }
        }
    }
}

/// A request to cancel comes on a connection of its own.
struct Cancel(Arc<Shared>);

#[async_trait]
impl CancelHandler for Cancel {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let key = (request.pid, request.secret_key.to_bytes().to_vec());
        if let Some(running) = self.0.running.lock().get(&key) {
            running.cancel();
        }
    }
}

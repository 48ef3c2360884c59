//! A listener with so many connections at once, by TLS or in plain text: who comes
//! later waits before the door. Without it anybody who reaches the port could take
//! memory for nothing, long before a token is asked for.
//!
//! A port speaks both: the first byte of a connection tells TLS from plain text. Where
//! plain text isn't wanted it is answered with a sentence and closed.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::tls::Tls;

/// Connections of one port.
pub const CONNECTIONS: usize = 1_024;
/// Who connected has so long for the first byte and for the handshake.
pub const GREETING: Duration = Duration::from_secs(30);
/// The first byte of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How connections are spoken with.
#[derive(Clone, Default)]
pub struct Speech {
    /// None: plain text only.
    pub tls: Option<Tls>,
    /// No plain text.
    pub tls_only: bool,
}

/// Accepts while there is a place.
pub struct Places {
    listener: TcpListener,
    places: Arc<Semaphore>,
    speech: Speech,
    /// A place for who comes next.
    free: Option<OwnedSemaphorePermit>,
    greeted: JoinSet<Option<(Placed, SocketAddr)>>,
}

impl Places {
    pub fn new(listener: TcpListener, connections: usize, speech: Speech) -> Self {
        let places = Arc::new(Semaphore::new(connections));
        Self { listener, places, speech, free: None, greeted: JoinSet::new() }
    }
}

impl Listener for Places {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        loop {
            let Self { listener, places, speech, free, greeted } = self;
            tokio::select! {
                place = places.clone().acquire_owned(), if free.is_none() => {
                    *free = Some(place.expect("nobody closes the semaphore"));
                }
                // Axum's own, which goes on after an error of one connection.
                (stream, peer) = Listener::accept(listener), if free.is_some() => {
                    let Some(place) = free.take() else { continue };
                    let speech = speech.clone();
                    greeted.spawn(async move {
                        let stream = timeout(GREETING, greet(stream, &speech)).await.ok()??;
                        Some((Placed { stream, _place: place }, peer))
                    });
                }
                Some(done) = greeted.join_next() => if let Ok(Some(connection)) = done {
                    return connection;
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Finds out how the other side speaks; `None`: it is no use to go on.
async fn greet(stream: TcpStream, speech: &Speech) -> Option<Stream> {
    let Some(tls) = &speech.tls else { return Some(Stream::Plain(stream)) };
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0] == HANDSHAKE {
        return Some(Stream::Tls(Box::new(handshake(stream, tls).await?)));
    }
    if speech.tls_only {
        say_tls_only(stream).await;
        return None;
    }
    Some(Stream::Plain(stream))
}

/// What TLS there is to be spoken, if both sides can.
pub async fn handshake(stream: TcpStream, tls: &Tls) -> Option<TlsStream<TcpStream>> {
    let Some(config) = tls.config() else {
        tracing::warn!("a sender speaks TLS, and the doors have no certificate yet");
        return None;
    };
    match TlsAcceptor::from(config).accept(stream).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "TLS handshake of a sender failed");
            None
        }
    }
}

async fn say_tls_only(mut stream: TcpStream) {
    const ANSWER: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
                          this door speaks TLS only: send to https://\n";
    // Who doesn't listen doesn't hear it.
    let _ = stream.write_all(ANSWER.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A connection and its place.
pub struct Placed {
    stream: Stream,
    _place: OwnedSemaphorePermit,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The call on whichever it is.
macro_rules! on_stream {
    ($placed:expr, $call:ident ( $($argument:expr),* )) => {
        match &mut $placed.stream {
            Stream::Plain(stream) => Pin::new(stream).$call($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_stream!(self, poll_read(context, buffer))
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, poll_shutdown(context))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn abuse_33_who_is_one_too_many_waits_until_another_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut places = Places::new(listener, 2, Speech::default());
        let _senders = [
            TcpStream::connect(address).await.expect("connected"),
            TcpStream::connect(address).await.expect("connected"),
            TcpStream::connect(address).await.expect("in the backlog"),
        ];
        let (first, _) = places.accept().await;
        let (_second, _) = places.accept().await;
        let third = tokio::time::timeout(Duration::from_millis(20), places.accept()).await;
        assert!(third.is_err(), "a third one was let in");
        drop(first);
        tokio::time::timeout(Duration::from_secs(120), places.accept()).await.expect("there is a place");
    }
}

//! Questions about names that are not the cluster's go to the upstream resolvers.
//!
//! The client's message is sent on with an id of our own from a port of its own, so
//! that an answer is hard to forge; only one with that id and that question
//! counts. Over UDP first, over TCP when the answer was cut off. Every step has a
//! limit, and the number of questions under way has one.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use hickory_server::proto::op::{Message, Query};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};

use crate::resolvers::Resolvers;

/// How long one resolver may take, before the next is asked.
const LIMIT: Duration = Duration::from_secs(2);
/// Questions under way at once; more get SERVFAIL.
const MOST_UNDER_WAY: usize = 512;
/// What a UDP answer may have: the largest that a client may ask for with EDNS.
const UDP_BYTES: usize = 65_535;

/// Asks upstream.
pub(crate) struct Forwarder {
    resolvers: Resolvers,
    under_way: Semaphore,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    #[error("the machine names no resolver")]
    NoResolver,
    #[error("too many questions are under way")]
    Busy,
    #[error("no resolver answered, last {server}")]
    Unanswered { server: SocketAddr, source: io::Error },
}

impl Forwarder {
    /// Resolvers come from the file `resolv_conf`; `own` is this server.
    pub(crate) fn new(resolv_conf: PathBuf, own: SocketAddr) -> Self {
        Self { resolvers: Resolvers::new(resolv_conf, own), under_way: Semaphore::new(MOST_UNDER_WAY) }
    }

    /// The answer to the message `query`, whose only question is `question`.
    pub(crate) async fn ask(&self, query: &[u8], question: &Query) -> Result<Message, ForwardError> {
        let _place = self.under_way.try_acquire().map_err(|_| ForwardError::Busy)?;
        let mut last = ForwardError::NoResolver;
        for server in self.resolvers.get().iter().copied() {
            match ask_one(server, query, question).await {
                Ok(answer) => return Ok(answer),
                Err(source) => last = ForwardError::Unanswered { server, source },
            }
        }
        Err(last)
    }
}

async fn ask_one(server: SocketAddr, query: &[u8], question: &Query) -> io::Result<Message> {
    let mut query = query.to_vec();
    let id: u16 = rand::random();
    let Some(place) = query.get_mut(..2) else { return Err(io::ErrorKind::InvalidInput.into()) };
    place.copy_from_slice(&id.to_be_bytes());
    let answer = timeout(LIMIT, over_udp(server, &query, id, question)).await??;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    timeout(LIMIT, over_tcp(server, &query, id, question)).await?
}

async fn over_udp(server: SocketAddr, query: &[u8], id: u16, question: &Query) -> io::Result<Message> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; UDP_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything else is not the answer, but perhaps an attempt at one: wait on.
        if let Some(answer) = accept(&buffer[..length], id, question) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8], id: u16, question: &Query) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await?;
    accept(&answer, id, question).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn accept(bytes: &[u8], id: u16, question: &Query) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let same = |asked: &Query| {
        asked.name() == question.name()
            && asked.query_type() == question.query_type()
            && asked.query_class() == question.query_class()
    };
    (message.metadata.id == id && message.queries.iter().all(same)).then_some(message)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use hickory_server::proto::rr::{Name, RecordType};

    use super::*;

    #[test]
    fn without_a_resolver_nothing_is_waited_for() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let forwarder = Forwarder::new(file.path().to_owned(), ([127, 0, 0, 1], 53).into());
        let question = Query::query(Name::from_ascii("www.example.org.").unwrap(), RecordType::A);
        let answer = forwarder.ask(&[0; 12], &question).now_or_never();
        assert!(matches!(answer, Some(Err(ForwardError::NoResolver))), "{answer:?}");
    }
}

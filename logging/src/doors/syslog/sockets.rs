//! The sockets of syslog. Bounds: [`CONNECTIONS`] at once, [`LONG`] bytes of long messages
//! that have not ended, [`QUEUED`] bytes of datagrams that wait.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tiphys_lifecycle::{OnError, Tasks};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{
    SyslogConfig, draft,
    frames::{Frames, MAX_MESSAGE},
    parse::{self, Message},
};
use crate::{
    collector::CollectorError,
    doors::{
        Budget, Door, Doors, Kind, Open,
        connections::{GREETING, handshake},
        refusal::RETRY_AFTER,
        tls::Tls,
    },
    parse::MAX_BODY,
    time,
};

/// Connections at once; more are closed.
const CONNECTIONS: usize = 512;
/// A connection without a byte for so long is closed: its sender may be gone.
const SILENT: Duration = Duration::from_secs(3600);
/// Bytes of messages that have not ended, beyond those of one record, of all connections together.
const LONG: usize = 16 << 20;
/// Bytes of datagrams that wait.
const QUEUED: usize = 4 << 20;
/// Datagrams that are written at once.
const GROUP: usize = 1024;
const READ: usize = 64 << 10;

/// Opens what is configured.
pub async fn open(
    config: &SyslogConfig,
    tls: Option<Tls>,
    doors: &Doors,
    open: &mut Open,
    tasks: &Tasks,
) -> Result<(), CollectorError> {
    let (config, long) = (Arc::new(config.clone()), Budget::new(LONG));
    let listen = async |address, tls| {
        let error = |source| CollectorError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        let senders = Senders { config: config.clone(), doors: doors.clone(), tls, long: long.clone() };
        tasks.spawn("log syslog tcp", OnError::Stop, accept(listener, senders, tasks.clone()));
        Ok::<_, CollectorError>(address)
    };
    if let Some(address) = config.tcp {
        open.syslog_tcp = Some(listen(address, None).await?);
    }
    if let Some(address) = config.tls {
        open.syslog_tls = Some(listen(address, Some(tls.ok_or(CollectorError::NoCertificate)?)).await?);
    }
    if let Some(address) = config.udp {
        let error = |source| CollectorError::Listen { address, source };
        let socket = UdpSocket::bind(address).await.map_err(error)?;
        open.syslog_udp = Some(socket.local_addr().map_err(error)?);
        let (sender, receiver) = mpsc::unbounded_channel();
        tasks.spawn("log syslog udp", OnError::Stop, receive(socket, config.clone(), doors.clone(), sender));
        tasks.spawn("log syslog queue", OnError::Stop, write_queued(receiver, config, doors.clone()));
    }
    Ok(())
}

/// What is the same for all connections of a port.
#[derive(Clone)]
struct Senders {
    config: Arc<SyslogConfig>,
    doors: Doors,
    /// None: plain text.
    tls: Option<Tls>,
    long: Budget,
}

async fn accept(listener: TcpListener, senders: Senders, tasks: Tasks) -> Result<(), Infallible> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of descriptors there may be none for a moment.
                tracing::warn!(%error, "a connection of syslog can't be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let refusal = if senders.config.allows(peer.ip()) { Kind::Busy } else { Kind::Forbidden };
        let place = places.clone().try_acquire_owned().ok().filter(|_| refusal == Kind::Busy);
        let Some(place) = place else {
            senders.doors.refused(Door::Syslog, refusal);
            tracing::debug!(%peer, reason = refusal.reason(), "a connection of syslog is refused");
            continue;
        };
        let senders = senders.clone();
        tasks.spawn("log syslog connection", OnError::Log, async move {
            let _place = place;
            connection(stream, peer, &senders).await
        });
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, senders: &Senders) -> Result<(), Infallible> {
    let Some(tls) = &senders.tls else { return messages(stream, peer, senders).await };
    match tokio::time::timeout(GREETING, handshake(stream, tls)).await {
        Ok(Some(stream)) => messages(stream, peer, senders).await,
        Ok(None) | Err(_) => {
            senders.doors.refused(Door::Syslog, Kind::Unauthenticated);
            Ok(())
        }
    }
}

/// Until the sender ends it. What came is durable before more is read.
async fn messages(
    mut stream: impl AsyncRead + Unpin,
    peer: SocketAddr,
    senders: &Senders,
) -> Result<(), Infallible> {
    let Senders { config, doors, long, .. } = senders;
    let mut frames = Frames::default();
    // Of the message that has not ended.
    let mut hold = long.hold();
    let mut buffer = vec![0; READ];
    loop {
        let read = tokio::time::timeout(SILENT, stream.read(&mut buffer)).await;
        let Ok(Ok(read @ 1..)) = read else { break };
        let now = time::now();
        let mut messages = Vec::new();
        frames.push(&buffer[..read], |frame| messages.push(Message::of(frame, now)));
        write(messages, peer.ip(), config, doors).await;
        let beyond = frames.waiting().saturating_sub(MAX_BODY);
        if beyond == 0 {
            hold = long.hold();
        } else if hold.grow_to(beyond).await.is_err() {
            // Others that don't end either have it all.
            let mut messages = Vec::new();
            frames.cut(|frame| messages.push(Message::of(frame, now)));
            write(messages, peer.ip(), config, doors).await;
            hold = long.hold();
        }
    }
    let mut messages = Vec::new();
    frames.finish(|frame| messages.push(Message::of(frame, time::now())));
    write(messages, peer.ip(), config, doors).await;
    Ok(())
}

/// A datagram and its share of the queue.
type Queued = (Message, IpAddr, OwnedSemaphorePermit);

async fn receive(
    socket: UdpSocket,
    config: Arc<SyslogConfig>,
    doors: Doors,
    sender: mpsc::UnboundedSender<Queued>,
) -> Result<(), Infallible> {
    // The permits bound the channel, by bytes.
    let room = Arc::new(Semaphore::new(QUEUED));
    let mut buffer = vec![0; READ];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // Of a datagram before: somebody closed the port it came from.
            Err(error) => {
                tracing::debug!(%error, "a datagram of syslog can't be received");
                continue;
            }
        };
        if !config.allows(peer.ip()) {
            doors.refused(Door::Syslog, Kind::Forbidden);
            continue;
        }
        // A message takes its names and fields beside its bytes.
        let Ok(permit) = room.clone().try_acquire_many_owned(256 + 2 * length as u32) else {
            doors.refused(Door::Syslog, Kind::Busy);
            continue;
        };
        let message = parse::parse(&buffer[..length], time::now());
        if sender.send((message, peer.ip(), permit)).is_err() {
            return Ok(());
        }
    }
}

async fn write_queued(
    mut receiver: mpsc::UnboundedReceiver<Queued>,
    config: Arc<SyslogConfig>,
    doors: Doors,
) -> Result<(), Infallible> {
    let mut group: Vec<Queued> = Vec::new();
    while receiver.recv_many(&mut group, GROUP).await > 0 {
        let mut queued = group.drain(..).peekable();
        while let Some((message, peer, permit)) = queued.next() {
            let (mut messages, mut permits) = (vec![message], vec![permit]);
            // Those of one sender go together.
            while let Some((message, _, permit)) = queued.next_if(|(_, next, _)| *next == peer) {
                messages.push(message);
                permits.push(permit);
            }
            write(messages, peer, &config, &doors).await;
        }
    }
    Ok(())
}

/// Makes messages durable, however long it takes: nobody can be told to send again.
async fn write(messages: Vec<Message>, peer: IpAddr, config: &SyslogConfig, doors: &Doors) {
    if messages.is_empty() {
        return;
    }
    let bytes = messages.iter().map(|message| message.text.len()).sum::<usize>().min(4 * MAX_MESSAGE);
    loop {
        let draft = draft(messages.iter().cloned(), peer);
        match doors.deliver_from(Door::Syslog, &config.namespace, draft, bytes).await {
            Ok(_) => return,
            Err(refusal) if refusal.kind.is_temporary() => {
                doors.refused(Door::Syslog, refusal.kind);
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(refusal) => {
                tracing::warn!(%refusal, %peer, "messages of syslog are refused");
                return doors.refused(Door::Syslog, refusal.kind);
            }
        }
    }
}

//! A remote command between a WebSocket and a kubelet that speaks SPDY.
//!
//! ```text
//! WebSocket ── messages of channels 0 stdin, 4 resize, 255 close ──> inward  ── DATA frames ──> kubelet
//! WebSocket <─ channels 1 stdout, 2 stderr, 3 error ──────────────── outward <─ DATA frames ─── kubelet
//! ```
//!
//! The two directions never wait for one another: a command that writes while its
//! input is full must not stop. What outward has to say to the kubelet (answers to
//! pings) goes through a small queue to inward, who owns the writing side.
//!
//! The session ends when every stream the kubelet writes has ended, or when the
//! client leaves. If the kubelet's connection breaks before it said how the command
//! ended, the client gets a Status that says so.

use bytes::Bytes;
use futures::{SinkExt, Stream, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tiphys_lifecycle::BoxError;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::codec::{FramedRead, FramedWrite};

use super::{
    channels::{self, Protocol},
    options::ExecOptions,
    spdy::{
        frame::{Codec, Frame},
        headers::HeaderCompressor,
    },
    websocket,
};
use crate::authz::Refusal;

/// Answers to pings that wait to be written; more are dropped, as the peer is then busy anyway.
const PINGS: usize = 8;

/// Of the Status that ends a command; a kubelet's is a fraction of it.
const STATUS_BYTES: usize = 64 << 10;

/// Carries one command, with its [`streams`], from start to end.
pub async fn run(
    client: OnUpgrade,
    kubelet: TokioIo<Upgraded>,
    protocol: Protocol,
    streams: Vec<Channel>,
) -> Result<(), BoxError> {
    let (mut sink, mut source) = websocket::open(client).await?.split();
    let (reader, writer) = tokio::io::split(kubelet);
    let mut to_kubelet = FramedWrite::new(writer, Codec);
    open_streams(&mut to_kubelet, &streams).await?;
    // An empty message tells the client that the command is connected.
    let ready = streams.iter().map(|(channel, _)| *channel).find(|channel| *channel == channels::STDOUT);
    sink.send(protocol.encode(ready.unwrap_or(channels::ERROR), b"")).await?;

    let (pings, pings_to_answer) = mpsc::channel(PINGS);
    let outward = outward(FramedRead::new(reader, Codec), &mut sink, protocol, &streams, pings);
    let inward = inward(&mut source, to_kubelet, protocol, &streams, pings_to_answer);
    tokio::select! {
        ended = outward => ended?,
        () = inward => return Ok(()),
    }
    websocket::finish(sink, source).await
}

/// A channel, and the SPDY stream that carries it.
pub type Channel = (u8, u32);

/// The streams of a command, in the order a kubelet expects them to be opened.
pub fn streams(options: &ExecOptions) -> Vec<Channel> {
    let wanted = [
        (channels::ERROR, true),
        (channels::STDIN, options.stdin),
        (channels::STDOUT, options.stdout),
        (channels::STDERR, options.stderr),
        (channels::RESIZE, options.tty),
    ];
    let channels = wanted.iter().filter(|(_, on)| *on).map(|(channel, _)| *channel);
    channels.zip((1..).step_by(2)).collect()
}

fn stream_type(channel: u8) -> &'static str {
    match channel {
        channels::STDIN => "stdin",
        channels::STDOUT => "stdout",
        channels::STDERR => "stderr",
        channels::RESIZE => "resize",
        _ => "error",
    }
}

async fn open_streams<W: AsyncWrite + Unpin>(
    to_kubelet: &mut FramedWrite<W, Codec>,
    streams: &[Channel],
) -> Result<(), BoxError> {
    let mut compressor = HeaderCompressor::new()?;
    for (channel, stream) in streams {
        let headers = compressor.block(&[("streamtype", stream_type(*channel))])?;
        to_kubelet.feed(Frame::SynStream { stream: *stream, fin: false, headers }).await?;
    }
    Ok(to_kubelet.flush().await?)
}

/// From the client to the kubelet, until the client leaves. When the kubelet takes
/// no more, the client's messages are read on and dropped: outward has the last word.
async fn inward<W: AsyncWrite + Unpin>(
    source: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
    mut to_kubelet: FramedWrite<W, Codec>,
    protocol: Protocol,
    streams: &[Channel],
    mut pings: mpsc::Receiver<u32>,
) {
    let mut open = true;
    loop {
        let frame = tokio::select! {
            message = source.next() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(message)) => frame_of(&message, protocol, streams),
            },
            Some(id) = pings.recv() => Some(Frame::Ping(id)),
        };
        if let (true, Some(frame)) = (open, frame) {
            open = to_kubelet.send(frame).await.is_ok();
        }
    }
}

/// What a client's message is to the kubelet, if anything.
fn frame_of(message: &Message, protocol: Protocol, streams: &[Channel]) -> Option<Frame> {
    let (channel, data) = protocol.decode(message)?;
    let (channel, fin, data) = match channel {
        channels::CLOSE if protocol.version >= 5 => (*data.first()?, true, Bytes::new()),
        channels::STDIN | channels::RESIZE if !data.is_empty() => (channel, false, data),
        _ => return None,
    };
    if !matches!(channel, channels::STDIN | channels::RESIZE) {
        return None;
    }
    let (_, stream) = streams.iter().find(|(known, _)| *known == channel)?;
    Some(Frame::Data { stream: *stream, fin, data })
}

/// From the kubelet to the client, until the kubelet has said all.
async fn outward<R: AsyncRead + Unpin>(
    mut from_kubelet: FramedRead<R, Codec>,
    sink: &mut (impl SinkExt<Message, Error = tungstenite::Error> + Unpin),
    protocol: Protocol,
    streams: &[Channel],
    pings: mpsc::Sender<u32>,
) -> Result<(), BoxError> {
    let written = [channels::ERROR, channels::STDOUT, channels::STDERR];
    let mut open: Vec<Channel> =
        streams.iter().filter(|(channel, _)| written.contains(channel)).copied().collect();
    let mut status = Vec::new();
    while !open.is_empty() {
        let (stream, fin, data) = match from_kubelet.next().await {
            Some(Ok(Frame::Data { stream, fin, data })) => (stream, fin, data),
            Some(Ok(Frame::SynReply { stream, fin, .. } | Frame::Headers { stream, fin, .. })) => {
                (stream, fin, Bytes::new())
            }
            Some(Ok(Frame::Reset { stream, .. })) => (stream, true, Bytes::new()),
            Some(Ok(Frame::Ping(id))) => {
                // A full queue means that the kubelet reads nothing at the moment.
                let _ = pings.try_send(id);
                continue;
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => {
                tracing::debug!(%error, "stream of a remote command broke");
                break;
            }
            None => break,
        };
        let Some((channel, _)) = open.iter().find(|(_, known)| *known == stream).copied() else { continue };
        if channel == channels::ERROR {
            let room = STATUS_BYTES - status.len();
            status.extend_from_slice(&data[..data.len().min(room)]);
        } else if !data.is_empty() {
            sink.send(protocol.encode(channel, &data)).await?;
        }
        if fin {
            open.retain(|(_, known)| *known != stream);
        }
    }
    if let Some(last) = last_word(&status, protocol) {
        sink.send(protocol.encode(channels::ERROR, &last)).await?;
    }
    Ok(())
}

/// What the error channel says at the end: the kubelet's Status, or, for old
/// clients, its message if it is one of failure.
fn last_word(status: &[u8], protocol: Protocol) -> Option<Vec<u8>> {
    let broke = || Refusal::internal("the connection to the kubelet ended before the command did").status();
    let status = if status.is_empty() { broke().to_string().into_bytes() } else { status.to_vec() };
    if protocol.version >= 4 {
        return Some(status);
    }
    match serde_json::from_slice::<serde_json::Value>(&status) {
        Ok(parsed) if parsed["status"] == "Success" => None,
        Ok(parsed) => parsed["message"].as_str().map(|message| message.as_bytes().to_vec()),
        Err(_) => Some(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V5: Protocol = Protocol { version: 5, base64: false };

    fn check(protocol: Protocol, message: &[u8], expected: Option<Frame>) {
        let options = ExecOptions::parse("stdin=1&tty=1&command=sh");
        let frame = frame_of(&Message::binary(message.to_vec()), protocol, &streams(&options));
        assert_eq!(frame, expected, "{message:?}");
    }

    #[test]
    fn streams_are_opened_in_the_order_a_kubelet_expects() {
        let options = ExecOptions::parse("stdin=1&tty=1&command=sh");
        let all = [(channels::ERROR, 1), (channels::STDIN, 3), (channels::STDOUT, 5), (channels::RESIZE, 7)];
        assert_eq!(streams(&options), all);
        let plain = ExecOptions::parse("command=ls");
        assert_eq!(streams(&plain), [(channels::ERROR, 1), (channels::STDOUT, 3), (channels::STDERR, 5)]);
    }

    #[test]
    fn messages_become_frames() {
        let data = |stream, fin, bytes: &'static [u8]| {
            Some(Frame::Data { stream, fin, data: Bytes::from_static(bytes) })
        };
        check(V5, b"\x00ls\n", data(3, false, b"ls\n"));
        check(V5, b"\x04{\"Width\":80,\"Height\":24}", data(7, false, b"{\"Width\":80,\"Height\":24}"));
        check(V5, b"\xff\x00", data(3, true, b""));
        check(V5, b"\x00", None);
        check(V5, b"\x01forged", None);
        check(V5, b"\x03forged", None);
        check(V5, b"\xff\x01", None);
        check(Protocol { version: 4, base64: false }, b"\xff\x00", None);
    }

    #[test]
    fn the_end_is_told_as_the_client_understands_it() {
        let success = br#"{"metadata":{},"status":"Success"}"#;
        let failure = br#"{"status":"Failure","message":"exit 3","reason":"NonZeroExitCode"}"#;
        let v1 = Protocol { version: 1, base64: false };
        assert_eq!(last_word(success, V5).unwrap(), success);
        assert_eq!(last_word(success, v1), None);
        assert_eq!(last_word(failure, v1).unwrap(), b"exit 3");
        let broke = String::from_utf8(last_word(b"", V5).unwrap()).unwrap();
        assert!(broke.contains("\"Failure\"") && broke.contains("ended before the command did"));
    }
}

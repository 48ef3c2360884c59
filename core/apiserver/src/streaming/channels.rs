//! The channels of a WebSocket: a message is a channel's number and its bytes. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;

pub const STDIN: u8 = 0;
pub const STDOUT: u8 = 1;
pub const STDERR: u8 = 2;
pub const ERROR: u8 = 3;
pub const RESIZE: u8 = 4;
/// Version 5: its one byte names a channel that gets no more bytes.
pub const CLOSE: u8 = 255;

/// A subprotocol: how the error channel speaks, and how bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    /// From 4 on the end of the command is a Status; before, it is a plain text if it is a failure.
    pub version: u8,
    pub base64: bool,
}

impl Protocol {
    pub fn named(name: &str) -> Option<Self> {
        let (version, base64) = match name {
            "v5.channel.k8s.io" => (5, false),
            "v4.channel.k8s.io" => (4, false),
            "v4.base64.channel.k8s.io" => (4, true),
            "channel.k8s.io" => (1, false),
            "base64.channel.k8s.io" => (1, true),
            _ => return None,
        };
        Some(Self { version, base64 })
    }

    pub fn encode(self, channel: u8, bytes: &[u8]) -> Message {
        if self.base64 {
            return Message::text(format!("{channel}{}", BASE64_STANDARD.encode(bytes)));
        }
        let mut message = Vec::with_capacity(bytes.len() + 1);
        message.push(channel);
        message.extend_from_slice(bytes);
        Message::binary(message)
    }

    /// Channel and bytes of a message; `None` when it has no channel.
    pub fn decode(self, message: &Message) -> Option<(u8, Bytes)> {
        let payload = match message {
            Message::Binary(payload) => payload.clone(),
            Message::Text(text) => Bytes::from(text.clone()),
            _ => return None,
        };
        let first = *payload.first()?;
        let rest = payload.slice(1..);
        if !self.base64 {
            return Some((first, rest));
        }
        let channel = first.is_ascii_digit().then(|| first - b'0')?;
        Some((channel, BASE64_STANDARD.decode(&rest).ok()?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_went() {
        for name in
            ["v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "base64.channel.k8s.io"]
        {
            let protocol = Protocol::named(name).unwrap();
            let message = protocol.encode(STDERR, b"\x00hi\xff");
            assert_eq!(
                protocol.decode(&message),
                Some((STDERR, Bytes::from_static(b"\x00hi\xff"))),
                "{name}"
            );
        }
        assert_eq!(Protocol::named("SPDY/3.1+portforward.k8s.io"), None);
    }

    #[test]
    fn known_messages() {
        let binary = Protocol::named("v5.channel.k8s.io").unwrap();
        assert_eq!(binary.encode(STDOUT, b"a"), Message::binary(vec![1, b'a']));
        assert_eq!(binary.decode(&Message::binary(vec![255, 0])), Some((CLOSE, Bytes::from_static(&[0]))));
        assert_eq!(binary.decode(&Message::binary(Vec::new())), None);
        let text = Protocol::named("base64.channel.k8s.io").unwrap();
        assert_eq!(text.encode(STDOUT, b"hello"), Message::text("1aGVsbG8="));
        assert_eq!(text.decode(&Message::text("xaGVsbG8=")), None);
        assert_eq!(text.decode(&Message::text("0***")), None);
    }
}

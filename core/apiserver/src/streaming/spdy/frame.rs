//! Frames of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00, section 2.2), as a codec over bytes.
//!
//! ```text
//! control: 1 version:15 type:16 | flags:8 length:24 | payload
//! data:    0 stream:31          | flags:8 length:24 | payload
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

const VERSION: u16 = 3;
const CONTROL: u16 = 0x8000;
const HEAD: usize = 8;
const FIN: u8 = 0x01;
/// Larger frames are refused: peers send pieces of some kilobytes.
const LARGEST: usize = 4 << 20;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// A frame. Header blocks are as they travel: compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    SynStream {
        stream: u32,
        fin: bool,
        headers: Bytes,
    },
    SynReply {
        stream: u32,
        fin: bool,
        headers: Bytes,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    /// Entries as they are: (flags and id, value).
    Settings(Vec<(u32, u32)>),
    Ping(u32),
    GoAway {
        last_stream: u32,
        status: u32,
    },
    Headers {
        stream: u32,
        fin: bool,
        headers: Bytes,
    },
    WindowUpdate {
        stream: u32,
        delta: u32,
    },
    Data {
        stream: u32,
        fin: bool,
        data: Bytes,
    },
    /// A control frame of a type this codec doesn't know.
    Unknown {
        kind: u16,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("SPDY frame of {0} bytes is too large")]
    TooLarge(usize),
    #[error("SPDY version {0} is not supported")]
    Version(u16),
    #[error("SPDY frame of type {0} is too short")]
    Short(u16),
    #[error("connection broke")]
    Io(#[from] std::io::Error),
}

/// The codec; it has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Codec;

impl Decoder for Codec {
    type Item = Frame;
    type Error = FrameError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
        let Some(head) = buffer.get(..HEAD) else { return Ok(None) };
        let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
        if length > LARGEST {
            return Err(FrameError::TooLarge(length));
        }
        if buffer.len() < HEAD + length {
            buffer.reserve(HEAD + length - buffer.len());
            return Ok(None);
        }
        let mut head = buffer.split_to(HEAD);
        let payload = buffer.split_to(length).freeze();
        let first = head.get_u32();
        let fin = head.get_u8() & FIN != 0;
        if first >> 31 == 0 {
            return Ok(Some(Frame::Data { stream: first, fin, data: payload }));
        }
        let (version, kind) = ((first >> 16) as u16 & !CONTROL, first as u16);
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        control(kind, fin, payload).map(Some)
    }
}

fn control(kind: u16, fin: bool, mut payload: Bytes) -> Result<Frame, FrameError> {
    let least = match kind {
        SYN_STREAM => 10,
        SYN_REPLY | SETTINGS | PING | HEADERS => 4,
        RST_STREAM | GOAWAY | WINDOW_UPDATE => 8,
        _ => return Ok(Frame::Unknown { kind }),
    };
    if payload.len() < least {
        return Err(FrameError::Short(kind));
    }
    let first = payload.get_u32();
    let stream = first & 0x7fff_ffff;
    Ok(match kind {
        SYN_STREAM => {
            // The associated stream, priority and slot mean nothing here.
            payload.advance(6);
            Frame::SynStream { stream, fin, headers: payload }
        }
        SYN_REPLY => Frame::SynReply { stream, fin, headers: payload },
        RST_STREAM => Frame::Reset { stream, status: payload.get_u32() },
        SETTINGS => {
            let mut entries = Vec::new();
            while payload.len() >= 8 && entries.len() < first as usize {
                entries.push((payload.get_u32(), payload.get_u32()));
            }
            Frame::Settings(entries)
        }
        PING => Frame::Ping(first),
        GOAWAY => Frame::GoAway { last_stream: stream, status: payload.get_u32() },
        HEADERS => Frame::Headers { stream, fin, headers: payload },
        _ => Frame::WindowUpdate { stream, delta: payload.get_u32() & 0x7fff_ffff },
    })
}

impl Encoder<Frame> for Codec {
    type Error = FrameError;

    fn encode(&mut self, frame: Frame, buffer: &mut BytesMut) -> Result<(), FrameError> {
        match frame {
            Frame::SynStream { stream, fin, headers } => {
                control_head(buffer, SYN_STREAM, fin, 10 + headers.len())?;
                buffer.put_u32(stream);
                buffer.put_bytes(0, 6);
                buffer.put(headers);
            }
            Frame::SynReply { stream, fin, headers } => {
                with_headers(buffer, SYN_REPLY, stream, fin, headers)?
            }
            Frame::Headers { stream, fin, headers } => with_headers(buffer, HEADERS, stream, fin, headers)?,
            Frame::Reset { stream, status } => two_words(buffer, RST_STREAM, stream, status)?,
            Frame::GoAway { last_stream, status } => two_words(buffer, GOAWAY, last_stream, status)?,
            Frame::WindowUpdate { stream, delta } => two_words(buffer, WINDOW_UPDATE, stream, delta)?,
            Frame::Settings(entries) => {
                control_head(buffer, SETTINGS, false, 4 + 8 * entries.len())?;
                buffer.put_u32(entries.len() as u32);
                for (id, value) in entries {
                    buffer.put_u32(id);
                    buffer.put_u32(value);
                }
            }
            Frame::Ping(id) => {
                control_head(buffer, PING, false, 4)?;
                buffer.put_u32(id);
            }
            Frame::Data { stream, fin, data } => {
                buffer.put_u32(stream & 0x7fff_ffff);
                flags_and_length(buffer, fin, data.len())?;
                buffer.put(data);
            }
            Frame::Unknown { kind } => control_head(buffer, kind, false, 0)?,
        }
        Ok(())
    }
}

fn with_headers(
    buffer: &mut BytesMut,
    kind: u16,
    stream: u32,
    fin: bool,
    headers: Bytes,
) -> Result<(), FrameError> {
    control_head(buffer, kind, fin, 4 + headers.len())?;
    buffer.put_u32(stream);
    buffer.put(headers);
    Ok(())
}

fn two_words(buffer: &mut BytesMut, kind: u16, first: u32, second: u32) -> Result<(), FrameError> {
    control_head(buffer, kind, false, 8)?;
    buffer.put_u32(first);
    buffer.put_u32(second);
    Ok(())
}

fn control_head(buffer: &mut BytesMut, kind: u16, fin: bool, length: usize) -> Result<(), FrameError> {
    if length > LARGEST {
        return Err(FrameError::TooLarge(length));
    }
    buffer.put_u16(CONTROL | VERSION);
    buffer.put_u16(kind);
    flags_and_length(buffer, fin, length)
}

fn flags_and_length(buffer: &mut BytesMut, fin: bool, length: usize) -> Result<(), FrameError> {
    if length > LARGEST {
        return Err(FrameError::TooLarge(length));
    }
    buffer.reserve(4 + length);
    buffer.put_u32(u32::from(if fin { FIN } else { 0 }) << 24 | length as u32);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Bytes> {
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let stream = 0..0x8000_0000u32;
        prop_oneof![
            (stream.clone(), any::<bool>(), bytes()).prop_map(|(stream, fin, headers)| Frame::SynStream {
                stream,
                fin,
                headers
            }),
            (stream.clone(), any::<bool>(), bytes()).prop_map(|(stream, fin, headers)| Frame::SynReply {
                stream,
                fin,
                headers
            }),
            (stream.clone(), any::<bool>(), bytes()).prop_map(|(stream, fin, headers)| Frame::Headers {
                stream,
                fin,
                headers
            }),
            (stream.clone(), any::<bool>(), bytes()).prop_map(|(stream, fin, data)| Frame::Data {
                stream,
                fin,
                data
            }),
            (stream.clone(), any::<u32>()).prop_map(|(stream, status)| Frame::Reset { stream, status }),
            (stream.clone(), any::<u32>())
                .prop_map(|(last_stream, status)| Frame::GoAway { last_stream, status }),
            (stream.clone(), stream).prop_map(|(stream, delta)| Frame::WindowUpdate { stream, delta }),
            any::<u32>().prop_map(Frame::Ping),
            proptest::collection::vec(any::<(u32, u32)>(), 0..5).prop_map(Frame::Settings),
            (10..200u16).prop_map(|kind| Frame::Unknown { kind }),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_back_from_any_pieces(frames in proptest::collection::vec(frame(), 1..8), piece in 1..64usize) {
            let mut wire = BytesMut::new();
            for frame in &frames {
                Codec.encode(frame.clone(), &mut wire).unwrap();
            }
            let (mut buffer, mut decoded) = (BytesMut::new(), Vec::new());
            for part in wire.chunks(piece) {
                buffer.extend_from_slice(part);
                while let Some(frame) = Codec.decode(&mut buffer).unwrap() {
                    decoded.push(frame);
                }
            }
            prop_assert_eq!(decoded, frames);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut buffer = BytesMut::from(&garbage[..]);
            while let Ok(Some(_)) = Codec.decode(&mut buffer) {}
        }
    }

    #[test]
    fn known_bytes() {
        let mut wire = BytesMut::new();
        Codec
            .encode(Frame::Data { stream: 3, fin: true, data: Bytes::from_static(b"hi") }, &mut wire)
            .unwrap();
        assert_eq!(&wire[..], b"\0\0\0\x03\x01\0\0\x02hi");
        wire.clear();
        Codec.encode(Frame::Ping(1), &mut wire).unwrap();
        assert_eq!(&wire[..], b"\x80\x03\0\x06\0\0\0\x04\0\0\0\x01");
        let mut too_large = BytesMut::from(&b"\0\0\0\x01\0\xff\xff\xff"[..]);
        assert!(matches!(Codec.decode(&mut too_large), Err(FrameError::TooLarge(_))));
        let mut old = BytesMut::from(&b"\x80\x02\0\x06\0\0\0\x04\0\0\0\x01"[..]);
        assert!(matches!(Codec.decode(&mut old), Err(FrameError::Version(2))));
    }
}

//! The decoders, for tests that feed them with anything.

use super::{
    Refusal,
    draft::Draft,
    elastic, loki, otlp,
    syslog::{Frames, Message},
};

pub type Decoder = fn(&[u8]) -> Result<Draft, Refusal>;

pub const OTLP_PROTOBUF: Decoder = otlp::decode_proto;
pub const OTLP_JSON: Decoder = otlp::decode_json;
pub const LOKI_PROTOBUF: Decoder = loki::decode_proto;
pub const LOKI_JSON: Decoder = loki::decode_json;
pub const BULK: Decoder = elastic::decode;

/// What syslog's pieces of a connection are understood as.
pub fn syslog<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut frames, mut bodies) = (Frames::default(), Vec::new());
    for piece in pieces {
        frames.push(piece, |frame| bodies.push(Message::of(frame, 0).body(&mut Default::default())));
    }
    frames.finish(|frame| bodies.push(Message::of(frame, 0).body(&mut Default::default())));
    bodies
}

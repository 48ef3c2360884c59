//! As much SPDY/3.1 as a client of a kubelet needs.
//!
//! [`frame`] is the codec of frames, [`headers`] the compression of header blocks.
//! Streams are opened by the client (odd ids from 1), carry DATA frames both ways
//! and end by FIN or RST_STREAM. There is no flow control: the peers of this world
//! neither send nor heed WINDOW_UPDATE, so back-pressure is TCP's.

pub mod frame;
pub mod headers;

//! Prometheus' remote write, 1.0 and 2.0.
//!
//! Sources: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and
//! <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>. The messages are written out
//! by their field numbers.

mod histogram;
pub mod http;
pub mod one;
pub mod two;

pub use histogram::{WireHistogram, histogram};

use super::{Refusal, intake::Sent};
use crate::series::{Meta, MetricKind};

/// What a request says.
#[derive(Debug, Default, PartialEq)]
pub struct Request {
    pub series: Vec<Sent>,
    pub metadata: Vec<(String, Meta)>,
}

/// Series of one request.
const MOST_SERIES: usize = 200_000;

/// Which form a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// # Errors
/// It is no such message.
pub fn decode(version: Version, bytes: &[u8]) -> Result<Request, Refusal> {
    match version {
        Version::One => one::decode(bytes),
        Version::Two => two::decode(bytes),
    }
}

fn broken(error: &prost::DecodeError) -> Refusal {
    Refusal::malformed(format!("a series is no message of this kind: {error}"))
}

/// Whether there may be one more series than so many. How large one is, the body's own bounds say, and what
/// its labels may be, the store: one that is too large must not cost those beside it.
fn check(count: usize) -> Result<(), Refusal> {
    if count >= MOST_SERIES {
        return Err(Refusal::too_large(format!(
            "the request has more than {MOST_SERIES} series: send less at once"
        )));
    }
    Ok(())
}

fn kind(number: i32) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

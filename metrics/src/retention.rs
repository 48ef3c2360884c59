//! How long something is kept in files, and how much of it: of decisions, events and spans.

use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const MEBIBYTE: u64 = 1 << 20;

/// What is older goes, and beyond so many bytes the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub age: Duration,
    pub bytes: u64,
}

impl Retention {
    /// Eight days, so that seven are whole, which forecasts look at. Of fifty autoscalers a week takes a
    /// tenth of the bytes.
    pub const DECISIONS: Self = Self { age: HOUR.saturating_mul(8 * 24), bytes: 512 * MEBIBYTE };
    pub const EVENTS: Self = Self { age: HOUR.saturating_mul(7 * 24), bytes: 256 * MEBIBYTE };
    pub const SPANS: Self = Self { age: HOUR.saturating_mul(3 * 24), bytes: 4096 * MEBIBYTE };

    /// Microseconds.
    pub fn micros(&self) -> i64 {
        i64::try_from(self.age.as_micros()).unwrap_or(i64::MAX)
    }
}

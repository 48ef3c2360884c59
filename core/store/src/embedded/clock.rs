//! Times of leases: on disk as wall clock, since they outlive the process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the Unix epoch, `after` from now.
pub fn unix_millis_in(after: Duration) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    millis(now.saturating_add(after))
}

/// What is left of a lease: never more than its TTL, however the clock was set meanwhile.
pub fn remaining(ttl_ms: u64, deadline_ms: u64) -> Duration {
    let left = deadline_ms.saturating_sub(unix_millis_in(Duration::ZERO));
    Duration::from_millis(left.min(ttl_ms))
}

//! What controllers read off a Pod: whether it counts, its readiness, its availability.

use jiff::Timestamp;
use tiphys_client::LeanPod;

/// Counts as a replica: neither finished nor going away.
pub fn active(pod: &LeanPod) -> bool {
    !pod.finished() && pod.deletion.is_none()
}

pub fn ready(pod: &LeanPod) -> bool {
    pod.condition("Ready").is_some_and(|ready| ready.holds)
}

/// Since when it is ready; `None` when it isn't or doesn't say.
pub fn ready_since(pod: &LeanPod) -> Option<Timestamp> {
    pod.condition("Ready").filter(|ready| ready.holds)?.since
}

/// Ready for at least `min_ready_seconds`.
pub fn available(pod: &LeanPod, min_ready_seconds: i32, now: Timestamp) -> bool {
    ready(pod)
        && (min_ready_seconds == 0
            || ready_since(pod)
                .is_some_and(|since| now.as_second() - since.as_second() >= i64::from(min_ready_seconds)))
}

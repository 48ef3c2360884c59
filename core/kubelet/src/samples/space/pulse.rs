//! Whether a thread comes on with what it asks the kernel: who waits for a file system that
//! doesn't answer can't be woken, but others can see that it is silent. It takes no lock.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// It asks nothing.
const RESTS: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Pulse {
    begun: Instant,
    /// Milliseconds since then at its last sign.
    at: AtomicU64,
}

impl Pulse {
    pub fn new() -> Self {
        Self { begun: Instant::now(), at: AtomicU64::new(RESTS) }
    }

    /// It asks, or was answered and asks for more.
    pub fn sign(&self) {
        let at = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(0);
        self.at.store(at, Ordering::Relaxed);
    }

    pub fn rest(&self) {
        self.at.store(RESTS, Ordering::Relaxed);
    }

    /// How long it has waited for an answer.
    pub fn silent(&self, now: Instant) -> Duration {
        match self.at.load(Ordering::Relaxed) {
            RESTS => Duration::ZERO,
            at => now.saturating_duration_since(self.begun).saturating_sub(Duration::from_millis(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_silent_and_who_rests_is_not() {
        let pulse = Pulse::new();
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(pulse.silent(later), Duration::ZERO);
        pulse.sign();
        assert!(pulse.silent(later) > Duration::from_secs(1800), "{pulse:?}");
        pulse.rest();
        assert_eq!(pulse.silent(later), Duration::ZERO);
    }
}

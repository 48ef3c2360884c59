//! How long a container that ended waits before it is started again. Pure.
//!
//! The first restart is immediate, the second waits 10 s after the end of the
//! container, and each further one twice as long, up to 5 min; a container that
//! ran for 10 min starts over. The pause a container had is written on it, so the
//! next one is known after a restart of the kubelet, too.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>

use std::time::Duration;

use jiff::Timestamp;

use super::runtime::Container;

const FIRST: Duration = Duration::from_secs(10);
const MOST: Duration = Duration::from_secs(300);
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// The pause between the end of this container and its next start.
pub fn pause_after(ended: &Container) -> Duration {
    let Some(exit) = ended.exit() else { return Duration::ZERO };
    let ran = exit.started_at.map_or(Duration::ZERO, |started| between(started, exit.finished_at));
    if ended.attempt == 0 || ran >= FORGET_AFTER {
        return Duration::ZERO;
    }
    if ended.delay.is_zero() { FIRST } else { (ended.delay * 2).min(MOST) }
}

/// What is left of the pause now; zero when the container may start.
pub fn remaining(ended: &Container, now: Timestamp) -> Duration {
    let Some(exit) = ended.exit() else { return Duration::ZERO };
    pause_after(ended).saturating_sub(between(exit.finished_at, now))
}

/// From `a` to `b`; zero when the clock went backwards.
pub fn between(a: Timestamp, b: Timestamp) -> Duration {
    Duration::try_from(b.duration_since(a)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::runtime::{Exit, State};

    fn ended(attempt: u32, delay_s: u64, ran_s: i64) -> Container {
        let exit = Exit {
            code: 1,
            started_at: Some(Timestamp::from_second(1000).expect("a time")),
            finished_at: Timestamp::from_second(1000 + ran_s).expect("a time"),
            reason: "Error".into(),
            message: String::new(),
        };
        Container {
            id: "a".into(),
            sandbox: "s".into(),
            name: "web".into(),
            attempt,
            state: State::Exited(exit),
            image: String::new(),
            image_ref: String::new(),
            hash: String::new(),
            delay: Duration::from_secs(delay_s),
            log_path: String::new(),
            created_at: 0,
        }
    }

    #[test]
    fn pauses_double_and_are_forgotten() {
        for (attempt, delay, ran, expected) in [
            (0, 0, 1, 0),
            (1, 0, 1, 10),
            (2, 10, 1, 20),
            (3, 20, 1, 40),
            (7, 160, 1, 300),
            (8, 300, 1, 300),
            (8, 300, 601, 0),
        ] {
            let pause = pause_after(&ended(attempt, delay, ran)).as_secs();
            assert_eq!(pause, expected, "attempt {attempt} after {delay} s");
        }
    }

    #[test]
    fn the_pause_counts_from_the_end() {
        let container = ended(2, 10, 5);
        let at = |second| remaining(&container, Timestamp::from_second(second).expect("a time")).as_secs();
        assert_eq!((at(1005), at(1015), at(1025), at(900)), (20, 10, 0, 20));
    }
}

//! The time by which records age, which is not always what the node's clock shows.
//!
//! A clock can be wrong: it stands at 1970 until the network is there, or in 2099 for a
//! minute. What is deleted by it is gone for good, so this one never goes back, and goes
//! forward by more than an hour at once only when the node's clock has said so for an hour
//! of its own. While it runs it counts what passes; the manifest has where it stood.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::time;

/// A step forward that is believed at once: so much may be deleted too early.
const TOLERATED: i64 = 3600 * time::SECOND;
/// A longer one is believed when it has stood for so long.
const DOUBTED: Duration = Duration::from_secs(3600);

/// What the node's clock shows, and how long this process has been up.
type Source = dyn Fn() -> (i64, Duration) + Send + Sync;

/// A clock to delete by.
pub struct Clock {
    source: Box<Source>,
    aging: Mutex<Aging>,
}

/// What it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// How far records have aged.
    pub aged: i64,
    /// What the node's clock shows.
    pub wall: i64,
    /// The node's clock is far ahead, and it isn't known yet whether it is right.
    pub is_doubted: bool,
}

impl Now {
    /// Up to here a time has passed whichever of the two is right.
    pub fn passed(&self) -> i64 {
        self.aged.min(self.wall)
    }

    /// What is made now is not older than this whichever is right.
    pub fn made(&self) -> i64 {
        self.aged.max(self.wall)
    }
}

#[derive(Debug, Default)]
struct Aging {
    /// `None`: what the node's clock shows first.
    time: Option<i64>,
    /// When `time` was so.
    up: Duration,
    /// What the node's clock showed when the doubt began, and when.
    doubt: Option<(i64, Duration)>,
}

impl Clock {
    /// Goes on from where it stood, if it ever did.
    pub fn new(stood: Option<i64>) -> Self {
        let started = Instant::now();
        Self::of(stood, move || (time::now(), started.elapsed()))
    }

    pub fn of(stood: Option<i64>, source: impl Fn() -> (i64, Duration) + Send + Sync + 'static) -> Self {
        let aging = Aging { time: stood, ..Aging::default() };
        Self { source: Box::new(source), aging: Mutex::new(aging) }
    }

    pub fn now(&self) -> Now {
        let (wall, up) = (self.source)();
        self.aging.lock().read(wall, up)
    }
}

impl Aging {
    fn read(&mut self, wall: i64, up: Duration) -> Now {
        let passed = |since: Duration| i64::try_from(up.saturating_sub(since).as_nanos()).unwrap_or(i64::MAX);
        let mut time = self.time.map_or(wall, |time| time.saturating_add(passed(self.up)));
        if wall.saturating_sub(time) <= TOLERATED {
            (time, self.doubt) = (time.max(wall), None);
        } else {
            let stands = |(from, since): &(i64, Duration)| {
                wall.abs_diff(from.saturating_add(passed(*since))) <= TOLERATED.unsigned_abs()
            };
            let (_, since) = *self.doubt.get_or_insert((wall, up));
            if !self.doubt.as_ref().is_some_and(stands) {
                self.doubt = Some((wall, up));
            } else if up.saturating_sub(since) >= DOUBTED {
                (time, self.doubt) = (wall, None);
            }
        }
        (self.time, self.up) = (Some(time), up);
        Now { aged: time, wall, is_doubted: self.doubt.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600 * time::SECOND;

    #[test]
    fn a_step_forward_is_believed_when_it_has_stood_and_none_goes_back() {
        let mut aging = Aging { time: Some(100 * HOUR), ..Aging::default() };
        // Minutes of uptime, hours that the wall shows then, hours aged, whether it is doubted.
        let steps = [
            (0, 100, 100, false),
            (60, 101, 101, false),
            // An hour of drift at once, and back.
            (60, 102, 102, false),
            (60, 101, 102, false),
            // Far in the future, for a minute.
            (60, 9000, 102, true),
            (60, 102, 102, false),
            // Now and then, each for too short a time.
            (120, 9000, 103, true),
            (180, 104, 104, false),
            (180, 9000, 104, true),
            (240, 7000, 105, true),
            (300, 7001, 7001, false),
            // In the past, for long.
            (360, 1, 7002, false),
            (60 * 24, 19, 7020, false),
        ];
        for (minutes, wall, aged, is_doubted) in steps {
            let now = aging.read(wall * HOUR, Duration::from_secs(minutes * 60));
            assert_eq!(now, Now { aged: aged * HOUR, wall: wall * HOUR, is_doubted }, "{minutes} {wall}");
        }
    }

    #[test]
    fn the_first_time_is_taken_as_it_is() {
        let mut aging = Aging::default();
        assert_eq!(aging.read(7, Duration::from_secs(9)).aged, 7);
    }
}

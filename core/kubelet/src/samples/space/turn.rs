//! Whose turn it is to look at files. One looks at a time, so that together they take no more than their
//! share; but who waits for a file system that doesn't answer loses the turn to the next, and looks on
//! beside it when there is an answer at last.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::pulse::Pulse;

#[derive(Debug)]
pub(super) struct Turn {
    holder: Mutex<Option<Arc<Pulse>>>,
    /// Woken when it is given back.
    free: Condvar,
    /// Whose file system is silent for so long loses it.
    silent: Duration,
}

impl Turn {
    pub fn new(silent: Duration) -> Self {
        Self { holder: Mutex::default(), free: Condvar::new(), silent }
    }

    /// Takes the turn within a time. Who has it gives signs by its pulse, or is not waited for.
    pub fn take(&self, pulse: &Arc<Pulse>, patience: Duration) -> Option<Held<'_>> {
        let until = Instant::now() + patience;
        let mut holder = self.holder.lock();
        loop {
            let now = Instant::now();
            let left = holder.as_ref().map(|other| self.silent.saturating_sub(other.silent(now)));
            let Some(left) = left.filter(|left| !left.is_zero()) else {
                *holder = Some(pulse.clone());
                return Some(Held { turn: self, pulse: pulse.clone() });
            };
            if now >= until {
                return None;
            }
            self.free.wait_until(&mut holder, until.min(now + left));
        }
    }
}

/// The turn, until this goes or is lost.
#[derive(Debug)]
pub(super) struct Held<'a> {
    turn: &'a Turn,
    pulse: Arc<Pulse>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut holder = self.turn.holder.lock();
        if holder.as_ref().is_some_and(|holder| Arc::ptr_eq(holder, &self.pulse)) {
            *holder = None;
            self.turn.free.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn who_has_it_keeps_it_while_it_gives_signs_and_gives_it_back() {
        let (turn, one, other) = (Turn::new(LONG), Arc::new(Pulse::new()), Arc::new(Pulse::new()));
        let first = turn.take(&one, Duration::ZERO).expect("nobody has it");
        // It has not asked anything yet; then it asks.
        assert!(turn.take(&other, Duration::ZERO).is_none());
        one.sign();
        assert!(turn.take(&other, Duration::ZERO).is_none());
        drop(first);
        assert!(turn.take(&other, Duration::ZERO).is_some());
    }

    #[test]
    fn who_waits_is_woken_when_it_is_given_back() {
        let (turn, one, other) = (Turn::new(LONG), Arc::new(Pulse::new()), Arc::new(Pulse::new()));
        let first = turn.take(&one, Duration::ZERO).expect("nobody has it");
        one.sign();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turn.take(&other, LONG).is_some());
            drop(first);
            assert!(waiting.join().expect("it ends"));
        });
    }

    #[test]
    fn who_is_silent_loses_it_and_takes_it_from_nobody_when_it_comes_back() {
        let (turn, one, other) =
            (Turn::new(Duration::from_millis(1)), Arc::new(Pulse::new()), Arc::new(Pulse::new()));
        let hung = turn.take(&one, Duration::ZERO).expect("nobody has it");
        one.sign();
        let next = turn.take(&other, LONG).expect("it is not waited for any more");
        // The one that hung has its answer: it gives back what is not its own any more.
        drop(hung);
        assert!(turn.holder.lock().as_ref().is_some_and(|holder| Arc::ptr_eq(holder, &other)));
        drop(next);
        assert!(turn.holder.lock().is_none());
    }
}

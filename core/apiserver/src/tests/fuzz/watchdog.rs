//! Makes visible what a test would not see: a panic in a task of its runtime, and a request that
//! keeps the thread busy for ever.

#![allow(clippy::print_stderr, reason = "the process is about to be ended")]

use std::{
    cell::Cell,
    sync::{Arc, Once},
    time::Instant,
};

use parking_lot::Mutex;

use super::checks::LIMIT;

thread_local! {
    /// Panics of this thread. The runtime of a test has one, so they are the test's own.
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// What is being done, since when.
type Now = Mutex<Option<(Instant, String)>>;

pub struct Watchdog {
    now: Arc<Now>,
}

pub fn start() -> Watchdog {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A thread that is ending has none any more; nobody asks it either.
            let _ = PANICS.try_with(|panics| panics.set(panics.get() + 1));
            former(panic);
        }));
    });
    let now = Arc::new(Now::default());
    let watched = Arc::downgrade(&now);
    std::thread::spawn(move || {
        while let Some(now) = watched.upgrade() {
            if let Some((since, what)) = &*now.lock()
                && since.elapsed() > 3 * LIMIT
            {
                eprintln!("no end in sight: {what}");
                std::process::abort();
            }
            drop(now);
            std::thread::sleep(LIMIT / 60);
        }
    });
    Watchdog { now }
}

impl Watchdog {
    /// Says what is done next.
    pub fn sees(&self, what: String) {
        *self.now.lock() = Some((Instant::now(), what));
    }

    /// Whether anything on this thread has panicked since this was asked last.
    pub fn panicked(&self) -> Result<(), String> {
        match PANICS.take() {
            0 => Ok(()),
            n => Err(format!("{n} panics, in tasks of the server")),
        }
    }
}

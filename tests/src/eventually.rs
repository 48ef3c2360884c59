//! A condition that must come true.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Tries until `check` succeeds, at most `limit`; gives its value and how long it took.
/// The last error is the failure's text.
pub fn eventually<T>(limit: Duration, mut check: impl FnMut() -> Result<T>) -> Result<(T, Duration)> {
    let started = Instant::now();
    loop {
        match check() {
            Ok(value) => return Ok((value, started.elapsed())),
            Err(error) if started.elapsed() > limit => {
                bail!("not within {:.0} s: {error:#}", limit.as_secs_f64());
            }
            // The tools asked here have no watch of their own; each try is a whole process.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

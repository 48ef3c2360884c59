//! Ctrl-C becomes an error, so that an interrupted run removes its files as a failed one does.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigHandler, Signal, signal};

use crate::Result;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: nix::libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From here on SIGINT and SIGTERM don't end the process. The children die by Ctrl-C at once, so
/// that what waits for one of them fails, too.
pub fn listen() -> Result<()> {
    for kind in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: all that the handler does is a store to an atomic.
        unsafe { signal(kind, SigHandler::Handler(note))? };
    }
    Ok(())
}

/// An error when a signal came.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err("interrupted".into()) } else { Ok(()) }
}

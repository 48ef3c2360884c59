//! `tiphys pause`: a Pod's first process. It holds the namespaces, reaps
//! orphans, and ends on SIGTERM or SIGINT.

use std::process::ExitCode;

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
};

use crate::failure::Outcome;

#[derive(Debug, clap::Args)]
pub struct Pause {}

impl Pause {
    pub fn run(self) -> Outcome<ExitCode> {
        let mut awaited = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
            awaited.add(signal);
        }
        awaited.thread_block()?;
        loop {
            match awaited.wait()? {
                Signal::SIGCHLD => reap()?,
                _ => return Ok(ExitCode::SUCCESS),
            }
        }
    }
}

/// Several children may have ended behind one signal.
fn reap() -> nix::Result<()> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

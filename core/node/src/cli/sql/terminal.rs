//! The terminal's modes, kept for whoever hands it to another program, or ends while one has changed them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    sys::termios::{SetArg, Termios, tcgetattr, tcsetattr},
    unistd::{getpgrp, tcgetpgrp},
};

/// A terminal with the modes that it had.
pub struct Terminal {
    terminal: OwnedFd,
    modes: Termios,
}

impl Terminal {
    /// As it is now; absent where neither stdin nor stdout is one.
    pub fn now() -> Option<Self> {
        Self::of(io::stdin().as_fd()).or_else(|| Self::of(io::stdout().as_fd()))
    }

    fn of(terminal: BorrowedFd<'_>) -> Option<Self> {
        let modes = tcgetattr(terminal).ok()?;
        Some(Self { terminal: terminal.try_clone_to_owned().ok()?, modes })
    }

    /// Gives it the modes again that it had.
    pub fn restore(&self) {
        // The kernel stops who changes its own terminal from the background; of another one it doesn't tell.
        if tcgetpgrp(&self.terminal).is_ok_and(|foreground| foreground != getpgrp()) {
            return;
        }
        // One that is closed has no modes.
        if let Err(error) = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.modes) {
            tracing::debug!(%error, "the terminal's modes can't be restored");
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::{
        pty::openpty,
        sys::termios::{LocalFlags, cfmakeraw},
    };

    use super::*;

    #[test]
    fn a_terminal_gets_its_modes_back() {
        let pair = openpty(None, None).expect("a terminal");
        let echoes = || {
            let modes = tcgetattr(&pair.slave).expect("a terminal's");
            modes.local_flags.contains(LocalFlags::ECHO | LocalFlags::ICANON)
        };
        let before = Terminal::of(pair.slave.as_fd()).expect("it is one");
        let mut raw = tcgetattr(&pair.slave).expect("a terminal's");
        cfmakeraw(&mut raw);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &raw).expect("set");
        assert!(!echoes());
        before.restore();
        assert!(echoes());
        let (end, _other) = io::pipe().expect("a pipe");
        assert!(Terminal::of(end.as_fd()).is_none());
    }
}

//! What goes to stderr: progress with times, warnings, errors.
//!
//! Lines only, no spinner; colour when stderr is a terminal and NO_COLOR is unset.

use std::{
    io::{IsTerminal, Write},
    sync::OnceLock,
    time::Instant,
};

use crate::failure::Failure;

fn coloured() -> bool {
    static COLOURED: OnceLock<bool> = OnceLock::new();
    *COLOURED.get_or_init(|| std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
}

fn paint(code: &str, text: &str) -> String {
    if coloured() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Writes a line to stderr; a closed stderr is not an error.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes data to stdout.
///
/// # Errors
/// A closed or full stdout.
pub fn data(text: &str) -> std::io::Result<()> {
    std::io::stdout().write_all(text.as_bytes())
}

pub fn error(failure: &Failure) {
    line(&format!("{} {}", paint("31", "error:"), failure.message()));
    line(&format!("{} {}", paint("36", "next:"), failure.next()));
}

pub fn warning(text: &str) {
    line(&format!("{} {text}", paint("33", "warning:")));
}

/// Progress of a command, each line with the seconds since its start.
#[derive(Clone, Copy)]
pub struct Progress {
    started: Instant,
}

impl Progress {
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub fn step(&self, text: &str) {
        let seconds = format!("{:6.1}s", self.started.elapsed().as_secs_f64());
        line(&format!("{}  {text}", paint("2", &seconds)));
    }
}

//! A text that is longer than the terminal goes through a pager, as psql does it: `$PSQL_PAGER`,
//! `$PAGER`, or less.
//!
//! It is waited for without holding up anything else, so that SIGTERM is seen meanwhile: whoever waits is
//! let go then, and with that the pager is ended, and the terminal is as it was. Ctrl-C is the pager's.

use std::{
    io::{self, IsTerminal, Write},
    process::Stdio,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    signal::unix::{SignalKind, signal},
};

use super::terminal::Terminal;
use crate::cluster::process::Process;

/// Ends at once where all fits, cuts no line in two and leaves the text on the screen.
const LESS: &str = "-SFX";
/// What a shell says of a program that there isn't.
const NOT_FOUND: i32 = 127;
/// How long a pager may take to end that is asked to.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one may take that is killed.
const KILLED_WITHIN: Duration = Duration::from_secs(5);

/// Columns and rows of the terminal that stdout is; absent where it is none.
pub fn size() -> Option<(usize, usize)> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let (columns, rows) = rustyline::DefaultEditor::new().ok()?.dimensions()?;
    Some((usize::from(columns), usize::from(rows)))
}

/// Writes the text to stdout, through a pager if it is wanted and there is more than fits.
///
/// # Errors
/// A closed stdout, or a shell that can't be started.
pub async fn show(text: &str, wanted: bool) -> io::Result<()> {
    let rows = if wanted { size().map(|(_, rows)| rows) } else { None };
    let paged = rows.is_some_and(|rows| is_longer(text, rows));
    if paged && through(text, &program(|name| std::env::var(name).ok())).await? {
        return Ok(());
    }
    io::stdout().write_all(text.as_bytes())
}

/// Whether more lines than fit above the prompt.
fn is_longer(text: &str, rows: usize) -> bool {
    rows > 0 && text.lines().count() >= rows
}

/// The pager's command line, by the environment; an empty one asks for none.
fn program(variable: impl Fn(&str) -> Option<String>) -> String {
    variable("PSQL_PAGER")
        .or_else(|| variable("PAGER"))
        .unwrap_or_else(|| "less".to_owned())
        .trim()
        .to_owned()
}

/// Whether there is such a pager, which has shown the text then. Let go before that, it ends the pager.
///
/// # Errors
/// A shell that can't be started.
pub async fn through(text: &str, program: &str) -> io::Result<bool> {
    if program.is_empty() {
        return Ok(false);
    }
    // Ctrl-C is told to all in the foreground, and would end us without the pager.
    let _interrupts = signal(SignalKind::interrupt())?;
    let mut command = Command::new("sh");
    command.args(["-c", program]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    let terminal = Terminal::now();
    let mut child = command.spawn()?;
    let pager = child.id().and_then(|pid| Process::of(pid.cast_signed()).ok());
    let open = Open { pager, terminal };
    let written = match child.stdin.take() {
        Some(mut input) => input.write_all(text.as_bytes()).await,
        None => Ok(()),
    };
    let status = child.wait().await?;
    open.ended();
    match written {
        // Who has seen enough leaves.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(status.code() != Some(NOT_FOUND)),
    }
}

/// A pager that has the terminal. Dropped, it is ended.
struct Open {
    pager: Option<Process>,
    terminal: Option<Terminal>,
}

impl Open {
    /// The user has left it.
    fn ended(mut self) {
        self.pager = None;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(pager) = self.pager.take() else { return };
        end(&pager, PATIENCE);
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
    }
}

/// Ends a pager with all that it started: the shell may have stayed above it. By force what takes longer
/// than this.
fn end(pager: &Process, patience: Duration) {
    let all = pager.with_descendants();
    for (signal, limit) in [(Signal::SIGTERM, patience), (Signal::SIGKILL, KILLED_WITHIN)] {
        for process in &all {
            if let Err(error) = process.signal(signal) {
                tracing::debug!(%error, pid = process.pid, "a pager can't be told to end");
            }
        }
        if end_within(&all, limit) {
            return;
        }
    }
}

/// Whether all have ended when the time is over. It is looked at again and again: what tells of the end of a
/// process that isn't our child has to be waited for, and whoever drops can't.
fn end_within(processes: &[Process], limit: Duration) -> bool {
    let began = Instant::now();
    loop {
        if !processes.iter().any(Process::is_alive) {
            return true;
        }
        if began.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_does_not_fit_is_paged() {
        for (text, rows, expected) in [("a\nb\n", 3, false), ("a\nb\nc\n", 3, true), ("a\n", 0, false)] {
            assert_eq!(is_longer(text, rows), expected, "{text:?} in {rows}");
        }
    }

    #[test]
    fn the_environment_names_the_pager() {
        let table: [(&[(&str, &str)], &str); 4] = [
            (&[], "less"),
            (&[("PAGER", "more")], "more"),
            (&[("PAGER", "more"), ("PSQL_PAGER", "less -R")], "less -R"),
            (&[("PAGER", " ")], ""),
        ];
        for (set, expected) in table {
            let told = program(|name| {
                set.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(told, expected, "{set:?}");
        }
    }

    #[tokio::test]
    async fn a_pager_that_is_not_there_is_told_apart() {
        assert!(!through("a", "").await.expect("none"));
        assert!(!through("a", "no-such-pager-of-tiphys 2> /dev/null").await.expect("a shell"));
        assert!(through("a", "cat > /dev/null").await.expect("a shell"));
        // One that reads nothing.
        assert!(through(&"a\n".repeat(1 << 20), "true").await.expect("a shell"));
    }

    #[tokio::test]
    async fn a_pager_is_given_all_of_the_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shown");
        let text = "a line\n".repeat(1 << 17);
        assert!(through(&text, &format!("cat > '{}'", path.display())).await.expect("a shell"));
        assert!(std::fs::read_to_string(path).expect("it is there") == text);
    }

    /// The processes whose numbers a pager has written into a file.
    async fn told_in(path: &Path) -> Vec<Process> {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if text.ends_with('\n') {
                let pids = text.split_whitespace().map(|pid| pid.parse::<i32>().expect("a number"));
                return pids.map(|pid| Process::of(pid).expect("it runs")).collect();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_pager_ends_with_whoever_waits_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let more_than_a_pipe_takes = "a\n".repeat(1 << 20);
        // One that takes the shell's place, and one below it; neither reads anything.
        let table = [
            ("exec", "echo $$ > '@'; exec sleep 600", "a"),
            ("below", "sleep 600 & echo $$ $! > '@'; wait", "a"),
            ("full", "sleep 600 & echo $$ $! > '@'; wait", more_than_a_pipe_takes.as_str()),
        ];
        for (name, program, text) in table {
            let path = folder.path().join(name);
            let program = program.replace('@', &path.display().to_string());
            let pager = tokio::select! {
                shown = through(text, &program) => panic!("{name}: nobody has left it: {shown:?}"),
                pager = told_in(&path) => pager,
            };
            assert!(!pager.is_empty() && !pager.iter().any(Process::is_alive), "{name}: {pager:?}");
        }
    }

    #[tokio::test]
    async fn a_pager_that_does_not_listen_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("told");
        let program = format!("trap '' TERM; sleep 600 & echo $$ $! > '{}'; wait", path.display());
        let mut child = Command::new("sh").args(["-c", &program]).spawn().expect("a shell");
        let pager = told_in(&path).await;
        end(&pager[0], Duration::ZERO);
        assert!(pager.len() == 2 && !pager.iter().any(Process::is_alive), "{pager:?}");
        child.wait().await.expect("reaped");
    }
}

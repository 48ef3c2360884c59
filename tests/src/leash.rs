//! A program of one test that hangs on a pipe of this process, so that it doesn't outlive it,
//! however it ends.
//!
//! Its port was free when it was looked for, and may have become somebody else's since. So that
//! somebody takes connections there is not enough: the program must listen itself.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::machine::has_ended;

const LIMIT: Duration = Duration::from_secs(120);
/// Runs a program until the standard input ends.
const LEASH: &str = r#""$@" >&2 & echo $!; read -r _; kill -9 $!; wait $!"#;

/// Killed with -9 when dropped.
pub struct Leashed {
    pid: Pid,
    leash: Child,
}

impl Leashed {
    /// Starts a program with these arguments; what it says goes into the file.
    ///
    /// # Errors
    /// There is no shell.
    pub fn start(program: &Command, log: File) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh"]).arg(program.get_program()).args(program.get_args());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut leash = command.spawn().context("a shell")?;
        let mut pid = String::new();
        let said = leash.stdout.take().context("stdout was piped")?;
        BufReader::new(said).read_line(&mut pid)?;
        let pid = Pid::from_raw(pid.trim().parse::<i32>().context("the shell tells a process id")?);
        Ok(Self { pid, leash })
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it listens on this port of loopback; false if it ended by itself.
    pub fn comes_to_listen(&self, port: u16) -> bool {
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            if listens(&self.folder(), port) {
                return true;
            }
            if has_ended(&self.folder()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.pid))
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill(self.pid, Signal::SIGKILL);
        drop(self.leash.stdin.take());
        let _ = self.leash.wait();
    }
}

/// Whether the process of this folder of `/proc` itself listens there.
fn listens(process: &Path, port: u16) -> bool {
    let table = fs::read_to_string(process.join("net/tcp")).unwrap_or_default();
    let sockets: Vec<_> = table.lines().filter_map(|line| listener(line, port)).collect();
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    let mut targets = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// The name of a socket that listens on this port of loopback, of a line of the kernel's table.
fn listener(line: &str, port: u16) -> Option<String> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (place, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    (*place == format!("0100007F:{port:04X}") && *state == "0A").then(|| format!("socket:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;

    #[test]
    fn a_port_that_somebody_else_listens_on_is_not_the_programs() {
        let others = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = others.local_addr().expect("an address").port();
        let log = tempfile::tempfile().expect("a file");
        let program = Leashed::start(Command::new("sleep").arg("600"), log).expect("started");
        assert!(listens(Path::new("/proc/self"), port));
        assert!(!listens(&program.folder(), port));
    }

    #[test]
    fn one_that_ends_by_itself_never_listens() {
        let log = tempfile::tempfile().expect("a file");
        let program = Leashed::start(&Command::new("true"), log).expect("started");
        assert!(!program.comes_to_listen(1));
    }

    #[test]
    fn only_who_listens_on_the_port_counts() {
        let line =
            |place: &str, state: &str| format!("   1: {place} 00000000:0000 {state} 0:0 00:0 0 0 0 4711 1");
        assert_eq!(listener(&line("0100007F:1770", "0A"), 6000).as_deref(), Some("socket:[4711]"));
        for (place, state) in [("0100007F:1771", "0A"), ("0100007F:1770", "01"), ("0200007F:1770", "0A")] {
            assert_eq!(listener(&line(place, state), 6000), None, "{place} {state}");
        }
    }
}

//! Processes by identity: a pid and when it started, so that a pid used again
//! by a stranger is never taken for ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::io::{Interest, unix::AsyncFd};

use super::remains::all_pids;

/// A process that was started once, alive or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    /// Clock ticks since boot, field 22 of /proc/<pid>/stat.
    pub started: u64,
}

impl Process {
    /// The identity of a process that runs now.
    ///
    /// # Errors
    /// It is gone already.
    pub fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, started: stat(pid)?.started })
    }

    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id().cast_signed())
    }

    /// Whether this very process still runs; a zombie does not.
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_ok_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// This process with those that it started, and those that they did; without those whose parent has
    /// ended, who have another one by now.
    pub fn with_descendants(&self) -> Vec<Self> {
        let told = |pid: i32| Some((pid, stat(pid).ok()?));
        let all: BTreeMap<i32, Stat> = all_pids().filter_map(told).collect();
        if all.get(&self.pid).is_none_or(|stat| stat.started != self.started) {
            return Vec::new();
        }
        let parents = all.iter().map(|(pid, stat)| (*pid, stat.parent)).collect();
        let found = descendants(self.pid, &parents);
        let started = |pid: i32| Some(Self { pid, started: all.get(&pid)?.started });
        found.into_iter().filter_map(started).collect()
    }

    /// Sends a signal if the process still runs.
    ///
    /// # Errors
    /// Not allowed to.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for its end, at most `limit`; whether it ended.
    pub async fn wait_for_end(&self, limit: Duration) -> bool {
        let gone = async {
            // A process that is not our child has no event to wait for but its pidfd.
            match PidFd::open(self) {
                Ok(Some(fd)) => fd.ended().await,
                Ok(None) => {}
                Err(error) => tracing::debug!(pid = self.pid, %error, "pidfd can't be had"),
            }
        };
        let _ = tokio::time::timeout(limit, gone).await;
        !self.is_alive()
    }

    /// Asks it to end, then makes it end.
    ///
    /// # Errors
    /// Not allowed to, or it survives even that.
    pub async fn stop(&self, patience: Duration) -> io::Result<()> {
        self.signal(Signal::SIGTERM)?;
        if self.wait_for_end(patience).await {
            return Ok(());
        }
        self.signal(Signal::SIGKILL)?;
        if self.wait_for_end(Duration::from_secs(10)).await {
            return Ok(());
        }
        Err(io::Error::other(format!("process {} does not end", self.pid)))
    }
}

/// What the kernel says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// A letter.
    state: char,
    parent: i32,
    started: u64,
}

fn stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat can't be read")))
}

/// The command name, in brackets, may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let after_name = &text[text.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace();
    // The state is field 3, the parent the next; the start time is field 22.
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { state, parent, started: fields.nth(17)?.parse().ok()? })
}

/// A process with all that are below it, where each has its parent. Pure.
fn descendants(root: i32, parents: &BTreeMap<i32, i32>) -> BTreeSet<i32> {
    let mut found = BTreeSet::from([root]);
    loop {
        let is_next = |pid: i32, parent: i32| found.contains(&parent) && !found.contains(&pid);
        let next = parents.iter().filter(|(pid, parent)| is_next(**pid, **parent));
        let next: Vec<i32> = next.map(|(pid, _)| *pid).collect();
        if next.is_empty() {
            return found;
        }
        found.extend(next);
    }
}

/// Readable when its process ends.
struct PidFd(AsyncFd<std::os::fd::OwnedFd>);

impl PidFd {
    /// `None` when the process is gone.
    fn open(process: &Process) -> io::Result<Option<Self>> {
        use std::os::fd::FromRawFd;
        // SAFETY: pidfd_open takes a pid and flags and returns a new descriptor or -1.
        let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, process.pid, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(nix::libc::ESRCH) { Ok(None) } else { Err(error) };
        }
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) };
        if !process.is_alive() {
            return Ok(None);
        }
        // SAFETY: the AsyncFd owns the descriptor, so it stays open as long as it is registered.
        let fd =
            unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.map_err(io::Error::from)?;
        Ok(Some(Self(fd)))
    }

    async fn ended(&self) {
        // An error would mean that the runtime stops; there is nothing to wait for then.
        let _ = self.0.readable().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1000 1";
        assert_eq!(parse_stat(text), Some(Stat { state: 'S', parent: 1, started: 4242 }));
    }

    #[test]
    fn who_was_started_by_whom_is_told_by_parents() {
        let parents = BTreeMap::from([(1, 0), (7, 1), (8, 7), (3, 8), (9, 1), (10, 9)]);
        let table: [(i32, &[i32]); 3] = [(7, &[3, 7, 8]), (9, &[9, 10]), (10, &[10])];
        for (root, expected) in table {
            assert_eq!(descendants(root, &parents), BTreeSet::from_iter(expected.iter().copied()), "{root}");
        }
        let own = Process::current().expect("it runs");
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("started");
        let process = Process::of(child.id().cast_signed()).expect("running");
        let found = own.with_descendants();
        let stranger = Process { started: process.started + 1, ..process.clone() };
        let (alone, none) = (process.with_descendants(), stranger.with_descendants());
        child.kill().and_then(|()| child.wait()).expect("reaped");
        assert!(found.contains(&own) && found.contains(&process), "{found:?}");
        assert_eq!((alone, none), (vec![process], Vec::new()));
    }

    #[tokio::test]
    async fn a_process_is_stopped_and_known_to_be_gone() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("started");
        let process = Process::of(child.id().cast_signed()).expect("running");
        assert!(process.is_alive());
        let stopped = process.stop(Duration::from_secs(120));
        let reaped = tokio::task::spawn_blocking(move || child.wait());
        stopped.await.expect("ended");
        reaped.await.expect("joined").expect("reaped");
        assert!(!process.is_alive());
    }
}

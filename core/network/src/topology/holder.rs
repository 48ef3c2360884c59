//! The holder: a process that does nothing but keep a node's namespaces.
//!
//! Agent, containerd and containers come and go; the node's network and mounts
//! must outlive each of them. So the binary runs itself once a node with a hidden
//! subcommand that ends in [`holder_main`]: it makes the namespaces, mounts the
//! node's folders, says "ready" on its standard output, and waits for SIGTERM.
//! It leads a session of its own, so a Ctrl-C in the terminal does not reach it.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{SigSet, Signal},
    unistd,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::Error;

use super::{Namespaces, lock::HostLock, mount_points, mounts, resolver::Resolver};

const READY: &str = "ready";

/// What a holder is told, as JSON on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderSpec {
    /// The node's name; also its host name.
    pub node: String,
    /// The node's data folder. Its folders `run`, `log`, `kubelet`, `containerd`,
    /// `cni` and `net.d` are made and mounted over /run, /var/log,
    /// /var/lib/kubelet, /var/lib/containerd, /var/lib/cni and /etc/cni/net.d.
    pub data: PathBuf,
}

/// A running holder. The time of its start tells it from a later process with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// Start of the process in clock ticks since boot.
    pub started: u64,
}

impl Holder {
    /// Starts a holder and waits until its namespaces are there. `command` is this
    /// binary with the hidden subcommand.
    pub async fn spawn(mut command: Command, spec: &HolderSpec) -> Result<Self, Error> {
        let failed = |message: String| Error::Holder { node: spec.node.clone(), message };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io(format!("start the namespace holder of node {}", spec.node)))?;
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let stdout = child.stdout.take().expect("standard output is piped");
        let text = serde_json::to_vec(spec).expect("a spec of texts and paths is valid JSON");
        // When it died at once, its answer (or the lack of one) tells more than the broken pipe.
        let _ = stdin.write_all(&text).await;
        drop(stdin);
        let mut answer = String::new();
        let read = BufReader::new(stdout).read_line(&mut answer).await;
        read.map_err(Error::io("read the holder's answer"))?;
        if answer.trim_end() != READY {
            let message = if answer.is_empty() { "it ended without an answer".to_owned() } else { answer };
            return Err(failed(message.trim_end().to_owned()));
        }
        let pid = child.id().ok_or_else(|| failed("it ended at once".to_owned()))?;
        let started = start_of(pid).ok_or_else(|| failed("it ended at once".to_owned()))?;
        Ok(Self { pid, started })
    }

    /// Whether the process is still there.
    pub fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.started)
    }

    /// The node's namespaces.
    pub fn namespaces(&self) -> Result<Namespaces, Error> {
        Namespaces::of(self.pid)
    }

    /// The processes in the node's mount namespace, the holder among them: agent,
    /// containerd, its shims; not the containers, which have namespaces of their own.
    pub fn members(&self) -> Vec<u32> {
        let namespace_of = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let Some(own) = self.is_alive().then(|| namespace_of(self.pid)).flatten() else { return Vec::new() };
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| namespace_of(*pid).as_ref() == Some(&own)).collect()
    }

    /// Ends the process, by SIGKILL when SIGTERM doesn't within `limit`. None there is no error.
    pub async fn terminate(&self, limit: Duration) -> Result<(), Error> {
        let holder = self.clone();
        let ended = tokio::task::spawn_blocking(move || holder.end(limit)).await;
        let action = format!("end the namespace holder with pid {}", self.pid);
        ended.map_err(io::Error::other).and_then(|ended| ended).map_err(Error::io(action))
    }

    fn end(&self, limit: Duration) -> io::Result<()> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(()) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // The handle is on the process that has the number now: is it still ours?
        if !self.is_alive() {
            return Ok(());
        }
        let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::KILL] {
            match pidfd_send_signal(&handle, signal) {
                Ok(()) => {}
                Err(rustix::io::Errno::SRCH) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit))? > 0 {
                return Ok(());
            }
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }
}

/// When process `pid` started, in clock ticks since boot: field 22 of its stat.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The whole life of a holder. For the main thread of a process that has no other
/// thread yet; returns after SIGTERM, or with the error that it has also reported
/// to whoever started it.
pub fn holder_main() -> Result<(), Error> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTERM);
    stop.thread_block().map_err(Error::io("block SIGTERM"))?;
    let made = read_spec().and_then(|spec| make(&spec.node, &spec.data));
    let answer = match &made {
        Ok(()) => READY.to_owned(),
        Err(error) => with_cause(error),
    };
    writeln!(io::stdout(), "{answer}").map_err(Error::io("answer"))?;
    made?;
    detach_from_terminal()?;
    stop.wait().map_err(Error::io("wait for SIGTERM"))?;
    Ok(())
}

fn with_cause(error: &Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default()).replace('\n', " ")
}

fn read_spec() -> Result<HolderSpec, Error> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(Error::io("read the holder's spec"))?;
    serde_json::from_str(&text).map_err(Error::io("understand the holder's spec"))
}

/// Makes the namespaces and mounts the node's folders.
fn make(node: &str, data: &Path) -> Result<(), Error> {
    // Already a leader: as good.
    let _ = unistd::setsid();
    // Held until the mounts are there: a cluster that goes down meanwhile would
    // take an unused mount point for its own to remove.
    let lock = HostLock::take()?;
    for target in mounts::targets() {
        mount_points::ensure(&target, &lock)?;
    }
    let resolver = Resolver::read();
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(Error::io("make namespaces"))?;
    unistd::sethostname(node).map_err(Error::io("set the host name"))?;
    mounts::separate()?;
    // Only what was opened in this mount namespace can be mounted in it.
    mounts::Sources::open(data)?.mount()?;
    drop(lock);
    if let Some(resolver) = resolver {
        resolver.install(data)?;
    }
    mounts::share_within()
}

/// Lets go of the standard streams and the working directory.
fn detach_from_terminal() -> Result<(), Error> {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(Error::io("open /dev/null"))?;
    unistd::dup2_stdin(&null).map_err(Error::io("close standard input"))?;
    unistd::dup2_stdout(&null).map_err(Error::io("close standard output"))?;
    unistd::dup2_stderr(&null).map_err(Error::io("close standard error"))?;
    unistd::chdir("/").map_err(Error::io("change to /"))
}

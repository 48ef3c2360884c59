//! The supervisor's children: started, told apart, started again when they die.
//!
//! A child leads a session of its own, so a Ctrl-C in the terminal reaches the
//! supervisor alone, which then ends them in order; and a dead supervisor does
//! not take them along.

use std::{
    fs::{File, OpenOptions},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use tiphys_lifecycle::{Backoff, OnError, Tasks};
use tiphys_network::topology::Namespaces;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{process::Process, strays};
use crate::{notify, roles::own_log};

/// How long a child may take until it does its work: longer than an agent waits for containerd, so that it says
/// what failed.
const READY_WITHIN: Duration = Duration::from_secs(150);
/// How long it may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// What to start.
#[derive(Clone)]
pub struct ChildSpec {
    /// `server`, or the node's name: of its log file and its readiness socket.
    pub name: String,
    /// The cluster's, with which the child and what it starts are marked.
    pub folder: PathBuf,
    pub arguments: Vec<String>,
    pub log: PathBuf,
    /// Where the child tells that it is ready.
    pub notify: PathBuf,
    pub namespaces: Option<Namespaces>,
}

/// Called with the new identity each time the child is started.
pub type OnStart = Box<dyn Fn(Process) + Send + Sync>;

/// Starts a child, waits until it is ready, and keeps it running until `tasks` stops.
///
/// # Errors
/// It can't be started, ends at once, or is not ready in time.
pub async fn keep(tasks: &Tasks, spec: ChildSpec, on_start: OnStart) -> anyhow::Result<()> {
    // Who gives up meanwhile ends what was recorded.
    let child = Running::start(&spec, &on_start, &CancellationToken::new()).await?;
    let name = format!("child {}", spec.name);
    tasks.spawn_draining(name, OnError::Log, move |stop| supervise(child, spec, on_start, stop));
    Ok(())
}

async fn supervise(
    mut child: Running,
    spec: ChildSpec,
    on_start: OnStart,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    loop {
        tokio::select! {
            () = stop.cancelled() => return child.end().await,
            ended = child.child.wait() => {
                let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                tracing::warn!(child = %spec.name, %status, "child ended and is started again");
            }
        }
        child = loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(backoff.next_pause()) => {}
            }
            match Running::start(&spec, &on_start, &stop).await {
                Ok(child) => break child,
                Err(_) if stop.is_cancelled() => return Ok(()),
                Err(error) => {
                    tracing::error!(child = %spec.name, error = %format!("{error:#}"), "child can't be started")
                }
            }
        };
        backoff.reset();
    }
}

struct Running {
    child: tokio::process::Child,
    process: Process,
}

impl Running {
    /// One that is not ready in time, or before `stop`, is ended.
    async fn start(spec: &ChildSpec, on_start: &OnStart, stop: &CancellationToken) -> anyhow::Result<Self> {
        let listener = notify::Listener::bind(spec.notify.clone())
            .with_context(|| format!("{} can't be made", spec.notify.display()))?;
        let log = open_log(&spec.log)?;
        let mut command = own_binary()?;
        command.args(&spec.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let (variable, path) = listener.variable();
        command.env(variable, path).env(own_log::VARIABLE, &spec.log);
        strays::mark(&mut command, &spec.folder);
        in_own_session(&mut command);
        if let Some(namespaces) = &spec.namespaces {
            namespaces.enter_on_exec(command.as_std_mut());
        }
        let child = command.spawn().with_context(|| format!("{} can't be started", spec.name))?;
        let pid = child.id().context("it ended at once")?;
        let process = Process::of(pid.cast_signed())?;
        on_start(process.clone());
        let mut running = Self { child, process };
        let hint = || format!("{} failed; its log is {}", spec.name, spec.log.display());
        let failure = tokio::select! {
            ready = listener.wait(READY_WITHIN) => match ready {
                Ok(()) => return Ok(running),
                Err(error) => anyhow::Error::from(error).context(hint()),
            },
            ended = running.child.wait() => {
                anyhow::bail!("{}: it ended with {}: {}", hint(), ended?, last_line(&spec.log))
            }
            () = stop.cancelled() => anyhow::anyhow!("{} is not wanted any more", spec.name),
        };
        // Two of it would work on the same things.
        running.end().await?;
        Err(failure)
    }

    async fn end(mut self) -> anyhow::Result<()> {
        let stop = self.process.stop(ENDS_WITHIN);
        let (stopped, _) = tokio::join!(stop, self.child.wait());
        stopped.with_context(|| format!("process {}", self.process.pid))
    }
}

/// A command of this same binary.
///
/// # Errors
/// The binary was removed.
pub fn own_binary() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("the path of the tiphys binary can't be found")?))
}

/// Makes the child lead a session of its own.
pub fn in_own_session(command: &mut Command) {
    // SAFETY: setsid is async-signal-safe and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into));
    }
}

fn open_log(path: &std::path::Path) -> anyhow::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("{} can't be opened", path.display()))
}

/// The last line a child wrote: most often why it ended.
fn last_line(path: &std::path::Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}

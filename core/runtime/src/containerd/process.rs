//! containerd as a process: started in its own session, or adopted.
//!
//! Readiness is a condition, not a pause: the version call answers on the
//! socket. The end of the process is seen through a pidfd, which works for a
//! child and for an adopted one alike; then it is started again with back-off.

use std::{
    fs::OpenOptions,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    path::Path,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tiphys_lifecycle::{Backoff, CancellationToken, OnError, Tasks, limit_files_as_before};
use tokio::{io::unix::AsyncFd, process::Command, time::Instant};

use super::{Settings, config_toml};
use crate::{Error, Result, cgroup::Hierarchy};

/// How long a start may take.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A containerd that answers on its socket and is started again when it ends.
pub struct Containerd {
    settings: Settings,
    supervision: CancellationToken,
}

impl Containerd {
    /// Writes the configuration, adopts the containerd that answers on the socket
    /// or starts one, waits until it answers, and supervises it within `tasks`.
    /// It goes on when `tasks` ends.
    pub async fn start(settings: Settings, tasks: &Tasks) -> Result<Self> {
        let version = version(&settings.program).await?;
        write_config(&settings, version.0)?;
        let process = match answering(&settings.socket).await {
            Some(pid) => {
                tracing::info!(pid, "containerd runs already and is adopted");
                pid
            }
            None => launch(&settings).await?,
        };
        let supervision = CancellationToken::new();
        let task = supervise(settings.clone(), process, supervision.clone());
        tasks.spawn("containerd", OnError::Stop, task);
        Ok(Self { settings, supervision })
    }

    pub fn socket(&self) -> &Path {
        &self.settings.socket
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Stops it. Running containers go on under their shims: stop them before.
    pub async fn stop(&self) -> Result<()> {
        self.supervision.cancel();
        let Some(pid) = answering(&self.settings.socket).await else { return Ok(()) };
        let ended = pidfd(pid)?;
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        if tokio::time::timeout(Duration::from_secs(10), exited(ended)).await.is_err() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            exited(pidfd(pid)?).await?;
        }
        Ok(())
    }
}

/// Major and minor version of the program.
pub async fn version(program: &str) -> Result<(u32, u32)> {
    let missing = |_| Error::NotInstalled(program.to_owned());
    let output = Command::new(program).arg("--version").output().await.map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(parse_version(&text).unwrap_or((1, 0)))
}

/// `containerd github.com/containerd/containerd v1.7.2 0cae52...`
fn parse_version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut parts = word.trim_start_matches('v').split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

fn write_config(settings: &Settings, major: u32) -> Result<()> {
    for folder in [&settings.root, &settings.state, &settings.cni_conf_dir] {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    for file in [&settings.config_file, &settings.log_file] {
        let folder = file.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let text = config_toml(settings, major);
    std::fs::write(&settings.config_file, text).map_err(Error::io("write", &settings.config_file))
}

/// The process that answers on the socket, if one does.
async fn answering(socket: &Path) -> Option<i32> {
    let stream = tokio::net::UnixStream::connect(socket).await.ok()?;
    let pid = stream.peer_cred().ok()?.pid()?;
    let channel = crate::cri::channel(socket);
    let mut client = containerd_client::services::v1::version_client::VersionClient::new(channel);
    let answer = tokio::time::timeout(Duration::from_secs(5), client.version(())).await;
    answer.ok()?.ok().map(|_| pid)
}

async fn launch(settings: &Settings) -> Result<i32> {
    let log = OpenOptions::new().create(true).append(true).open(&settings.log_file);
    let log = log.map_err(Error::io("open", &settings.log_file))?;
    let errors = log.try_clone().map_err(Error::io("open", &settings.log_file))?;
    let mut command = Command::new(&settings.program);
    // Readiness is told by who starts containerd, not by containerd.
    command.env_remove("NOTIFY_SOCKET");
    command.arg("--config").arg(&settings.config_file);
    command.stdin(Stdio::null()).stdout(log).stderr(errors).kill_on_drop(false);
    // SAFETY: both are system calls that touch no memory of this process.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(std::io::Error::from));
        // It hands its limit on to containers.
        command.pre_exec(limit_files_as_before);
    }
    let mut child = command.spawn().map_err(|_| Error::NotInstalled(settings.program.clone()))?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
    if let Some(cgroup) = &settings.cgroup {
        Hierarchy::detect()?.enter(cgroup, pid)?;
    }
    let deadline = Instant::now() + READY_WITHIN;
    while answering(&settings.socket).await != Some(pid) {
        // Nothing tells when a socket begins to answer; this asks it.
        let ended = tokio::time::timeout(Duration::from_millis(10), child.wait()).await.is_ok();
        if ended || Instant::now() > deadline {
            let log = settings.log_file.clone();
            return Err(Error::NotReady { seconds: READY_WITHIN.as_secs(), log });
        }
    }
    tracing::info!(pid, "containerd is ready");
    Ok(pid)
}

async fn supervise(settings: Settings, mut pid: i32, stopped: CancellationToken) -> Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    loop {
        let since = Instant::now();
        tokio::select! {
            () = stopped.cancelled() => return Ok(()),
            ended = async { exited(pidfd(pid)?).await } => ended?,
        }
        if since.elapsed() > Duration::from_secs(60) {
            backoff.reset();
        }
        tracing::warn!(pid, "containerd ended and is started again");
        pid = loop {
            tokio::select! {
                () = stopped.cancelled() => return Ok(()),
                () = tokio::time::sleep(backoff.next_pause()) => {}
            }
            match launch(&settings).await {
                Ok(pid) => break pid,
                Err(error) => tracing::error!(%error, "containerd does not start"),
            }
        };
    }
}

fn pidfd(pid: i32) -> Result<Option<OwnedFd>> {
    // SAFETY: a system call with two integers; the descriptor it gives is ours alone.
    let descriptor = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) };
    if descriptor >= 0 {
        let descriptor = i32::try_from(descriptor).expect("descriptors are small");
        // SAFETY: just opened, owned by nobody else.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }));
    }
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(nix::libc::ESRCH) {
        return Ok(None);
    }
    Err(Error::Io { action: "watch", path: format!("/proc/{pid}").into(), source: error })
}

/// Resolves when the process behind the descriptor has ended.
async fn exited(pidfd: Option<OwnedFd>) -> Result<()> {
    let Some(pidfd) = pidfd else { return Ok(()) };
    let number = pidfd.as_fd().as_raw_fd();
    let failed = || Error::io("watch", format!("/proc/self/fd/{number}"));
    // SAFETY: an owned descriptor stays the same and open until the AsyncFd is dropped.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, tokio::io::Interest::READABLE) };
    let watched = watched.map_err(|error| failed()(error.into()))?;
    let _ready = watched.readable().await.map_err(failed())?;
    // A child is left as a zombie until it is waited for; an adopted one is not ours to wait for.
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let _ = waitid(Id::PIDFd(watched.get_ref().as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_both_spellings() {
        let check = |text, expected| assert_eq!(parse_version(text), expected, "{text}");
        check("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", Some((1, 6)));
        check("containerd github.com/containerd/containerd/v2 v2.0.1 88aa2f5", Some((2, 0)));
        check("", None);
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_seen() {
        let mut child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("sleep exists");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
        let ended = exited(pidfd(pid).expect("it runs"));
        child.start_kill().expect("it runs");
        tokio::time::timeout(Duration::from_secs(120), ended).await.expect("ends").expect("is watched");
        assert!(matches!(pidfd(i32::MAX), Ok(None) | Err(_)));
    }
}

//! containerd as a process: started in its own session, or adopted.
//!
//! Readiness is a condition, not a pause: the version call answers on the
//! socket. The end of the process is seen through a pidfd, which works for a
//! child and for an adopted one alike; then it is started again with back-off.
//!
//! ```text
//! who answers? ─ somebody ─> adopted
//!      └─ nobody ─> started ─ answers itself ─> ready
//!                      ├─ another one answers ─> killed, the other is adopted
//!                      └─ too late ─> killed: it would keep the lock that the next one waits for
//! ```

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
use tokio::{
    io::unix::AsyncFd,
    process::{Child, Command},
    time::Instant,
};

use super::{Settings, config_toml, environment};
use crate::{Error, Result, cgroup::Hierarchy};

/// How long a start may take. Less than the supervisor gives an agent: so it hears why.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How long it may take at most where it is started again: each try has twice as long as the one before,
/// so that a machine on which none is long enough is not restarted for ever.
const READY_WITHIN_AT_MOST: Duration = Duration::from_secs(900);

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
        let process = launch(&settings, READY_WITHIN, || answering(&settings.socket)).await?;
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

/// The process that answers: the one that does already, or one that is started. `who_answers` asks.
async fn launch<Asked>(settings: &Settings, within: Duration, who_answers: impl Fn() -> Asked) -> Result<i32>
where
    Asked: Future<Output = Option<i32>>,
{
    if let Some(pid) = who_answers().await {
        tracing::info!(pid, "containerd runs already and is adopted");
        return Ok(pid);
    }
    let starting = spawn(settings)?;
    let pid = starting.pid;
    if let Some(cgroup) = &settings.cgroup {
        Hierarchy::detect()?.enter(cgroup, pid)?;
    }
    let not_ready = || Error::NotReady { seconds: within.as_secs(), log: settings.log_file.clone() };
    ready(starting, within, who_answers).await.ok_or_else(not_ready)
}

fn spawn(settings: &Settings) -> Result<Starting> {
    let log = OpenOptions::new().create(true).append(true).open(&settings.log_file);
    let log = log.map_err(Error::io("open", &settings.log_file))?;
    let errors = log.try_clone().map_err(Error::io("open", &settings.log_file))?;
    let mut command = Command::new(&settings.program);
    command.env_clear().envs(environment::of_containerd());
    command.arg("--config").arg(&settings.config_file);
    command.stdin(Stdio::null()).stdout(log).stderr(errors).kill_on_drop(false);
    // SAFETY: both are system calls that touch no memory of this process.
    unsafe {
        command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(std::io::Error::from));
        // It hands its limit on to containers.
        command.pre_exec(limit_files_as_before);
    }
    let child = command.spawn().map_err(|_| Error::NotInstalled(settings.program.clone()))?;
    Ok(Starting::of(child))
}

/// One that does not answer yet. It ends with this value, unless it is released.
struct Starting {
    child: Option<Child>,
    pid: i32,
}

impl Starting {
    fn of(child: Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        Self { child: Some(child), pid }
    }

    /// From here on it goes on without us.
    fn release(mut self) -> i32 {
        drop(self.child.take());
        self.pid
    }

    /// Whether it ends within `time`.
    async fn ends_within(&mut self, time: Duration) -> bool {
        let Some(child) = &mut self.child else { return true };
        tokio::time::timeout(time, child.wait()).await.is_ok()
    }

    /// Kills it and waits until it has gone, and its locks with it.
    async fn end(mut self) {
        let Some(child) = &mut self.child else { return };
        if let Err(error) = child.kill().await {
            tracing::warn!(pid = self.pid, %error, "containerd is not ready and can't be ended");
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // Nobody else would know of it. The runtime reaps it.
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
    }
}

/// Waits until it answers, or another one does, whose process that is. Of what isn't ready nothing is left.
async fn ready<Asked>(
    mut starting: Starting,
    within: Duration,
    who_answers: impl Fn() -> Asked,
) -> Option<i32>
where
    Asked: Future<Output = Option<i32>>,
{
    let deadline = Instant::now() + within;
    loop {
        match who_answers().await {
            Some(pid) if pid == starting.pid => {
                tracing::info!(pid, "containerd is ready");
                return Some(starting.release());
            }
            Some(other) => {
                tracing::info!(pid = other, "another containerd answers and is adopted");
                starting.end().await;
                return Some(other);
            }
            None => {}
        }
        // Nothing tells when a socket begins to answer; this asks it.
        if starting.ends_within(Duration::from_millis(10)).await || Instant::now() > deadline {
            starting.end().await;
            return None;
        }
    }
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
        let mut time_to_start = Backoff::new(READY_WITHIN, READY_WITHIN_AT_MOST);
        pid = loop {
            tokio::select! {
                () = stopped.cancelled() => return Ok(()),
                () = tokio::time::sleep(backoff.next_pause()) => {}
            }
            let launched = launch(&settings, time_to_start.next_pause(), || answering(&settings.socket));
            let launched = tokio::select! {
                () = stopped.cancelled() => return Ok(()),
                launched = launched => launched,
            };
            match launched {
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

    /// A program that runs and never answers.
    fn starting() -> Starting {
        let child = Command::new("sleep").arg("600").spawn().expect("sleep exists");
        Starting::of(child)
    }

    /// Not even a zombie is left.
    fn is_gone(pid: i32) -> bool {
        kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH)
    }

    #[tokio::test]
    async fn what_is_not_ready_in_time_is_ended() {
        let slow = starting();
        let pid = slow.pid;
        assert!(pid > 0 && !is_gone(pid));
        assert_eq!(ready(slow, Duration::ZERO, || std::future::ready(None)).await, None);
        assert!(is_gone(pid), "it would keep the lock of the database");
    }

    #[tokio::test]
    async fn who_answers_itself_goes_on() {
        let own = starting();
        let pid = own.pid;
        let asked = std::cell::Cell::new(0);
        let slowly = || {
            asked.set(asked.get() + 1);
            std::future::ready((asked.get() > 3).then_some(pid))
        };
        assert_eq!(ready(own, Duration::from_secs(600), slowly).await, Some(pid));
        assert_eq!(asked.get(), 4);
        assert!(!is_gone(pid));
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    }

    #[tokio::test]
    async fn another_one_that_answers_is_adopted() {
        let second = starting();
        let pid = second.pid;
        let first = || std::future::ready(Some(7));
        assert_eq!(ready(second, Duration::from_secs(600), first).await, Some(7));
        assert!(is_gone(pid), "it would wait for the first one's lock for ever");
        // It is asked before one is started at all.
        let settings = Settings { program: "/nowhere/containerd".into(), ..Settings::standard("pause:1") };
        assert_eq!(launch(&settings, Duration::ZERO, first).await.expect("adopted"), 7);
    }

    #[tokio::test]
    async fn a_start_that_is_given_up_leaves_nothing() {
        let given_up = starting();
        let ended = exited(pidfd(given_up.pid).expect("it runs"));
        drop(given_up);
        tokio::time::timeout(Duration::from_secs(120), ended).await.expect("ends").expect("is watched");
    }

    #[tokio::test]
    async fn of_a_program_that_ends_the_log_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { program: "false".into(), ..Settings::below(folder.path(), "pause:1") };
        let nobody = || std::future::ready(None);
        let error = launch(&settings, Duration::from_secs(600), nobody).await.expect_err("it ends");
        assert!(error.to_string().contains("containerd.log"), "{error}");
    }
}

//! The task group.
//!
//! ```text
//! spawn ──> runs until done, or dropped at an await point when the group stops
//! spawn_draining ──> is handed the token and finishes by itself
//! spawn_restarting ──> made again after an error, with back-off
//! ```

use std::{
    borrow::Cow,
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::Backoff;

/// Any error a task may end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a task's error means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// It is logged, the others go on.
    Log,
    /// It is logged, and [`Tasks::failed`] resolves: the process cannot do its work without this task.
    Stop,
}

/// A group of named tasks. Clones share the group.
#[derive(Clone)]
pub struct Tasks {
    group: Arc<Group>,
}

struct Group {
    token: CancellationToken,
    tracker: TaskTracker,
    running: Arc<Mutex<BTreeMap<u64, Cow<'static, str>>>>,
    next_id: Arc<AtomicU64>,
    failure: Arc<Failure>,
    fallen: Arc<Mutex<Vec<String>>>,
}

#[derive(Default)]
struct Failure {
    first: Mutex<Option<String>>,
    happened: Notify,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// A group of its own, with no task.
    pub fn new() -> Self {
        Self {
            group: Arc::new(Group {
                token: CancellationToken::new(),
                tracker: TaskTracker::new(),
                running: Arc::default(),
                next_id: Arc::default(),
                failure: Arc::default(),
                fallen: Arc::default(),
            }),
        }
    }

    /// A group that stops with this one, or earlier by its own [`Tasks::shutdown`].
    /// A [`OnError::Stop`] in it fails this group too.
    pub fn child(&self) -> Self {
        self.child_with(self.group.fallen.clone())
    }

    /// As [`Tasks::child`], for a part that is asked how it is: its [`Tasks::fallen`] are its own.
    pub fn part(&self) -> Self {
        self.child_with(Arc::default())
    }

    fn child_with(&self, fallen: Arc<Mutex<Vec<String>>>) -> Self {
        Self {
            group: Arc::new(Group {
                token: self.group.token.child_token(),
                tracker: self.group.tracker.clone(),
                running: self.group.running.clone(),
                next_id: self.group.next_id.clone(),
                failure: self.group.failure.clone(),
                fallen,
            }),
        }
    }

    /// The tasks of this group and its children that ended by an error or a panic, and why.
    pub fn fallen(&self) -> Vec<String> {
        lock(&self.group.fallen).clone()
    }

    /// Cancelled when the group stops.
    pub fn token(&self) -> CancellationToken {
        self.group.token.clone()
    }

    /// Runs `work` until it ends, or drops it when the group stops.
    pub fn spawn<F, E>(&self, name: impl Into<Cow<'static, str>>, on_error: OnError, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send,
    {
        let token = self.token();
        self.track(name.into(), on_error, async move {
            tokio::select! {
                () = token.cancelled() => Ok(()),
                result = work => result.map_err(Into::into),
            }
        });
    }

    /// Runs `work` to its end; it watches the token it is handed and drains by itself.
    pub fn spawn_draining<F, E>(
        &self,
        name: impl Into<Cow<'static, str>>,
        on_error: OnError,
        work: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send,
    {
        let work = work(self.token());
        self.track(name.into(), on_error, async move { work.await.map_err(Into::into) });
    }

    /// Runs what `make` gives, again and again: after an error with a pause of
    /// 0.2 s doubling to 30 s, until it ends well or the group stops.
    pub fn spawn_restarting<F, E>(
        &self,
        name: impl Into<Cow<'static, str>>,
        mut make: impl FnMut() -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send,
    {
        let name = name.into();
        let label = name.clone();
        self.spawn(name, OnError::Log, async move {
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
            loop {
                let started = Instant::now();
                let Err(error) = make().await.map_err(Into::into) else {
                    return Ok::<(), BoxError>(());
                };
                if started.elapsed() > Duration::from_secs(60) {
                    backoff.reset();
                }
                let pause = backoff.next_pause();
                tracing::warn!(task = %label, error = %chain(&*error), ?pause, "task failed and starts again");
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// Resolves with the first error of a task whose policy is [`OnError::Stop`].
    pub async fn failed(&self) -> String {
        loop {
            let happened = self.group.failure.happened.notified();
            if let Some(error) = lock(&self.group.failure.first).clone() {
                return error;
            }
            happened.await;
        }
    }

    /// Stops the group and waits for its tasks, at most `limit`.
    /// Gives the names of those that had not ended by then.
    pub async fn shutdown(&self, limit: Duration) -> Vec<String> {
        self.group.token.cancel();
        self.group.tracker.close();
        match tokio::time::timeout(limit, self.group.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => lock(&self.group.running).values().map(ToString::to_string).collect(),
        }
    }

    fn track(
        &self,
        name: Cow<'static, str>,
        on_error: OnError,
        work: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) {
        let id = self.group.next_id.fetch_add(1, Ordering::Relaxed);
        lock(&self.group.running).insert(id, name.clone());
        let fallen = self.group.fallen.clone();
        let entry =
            Entry { id, name: name.clone(), running: self.group.running.clone(), fallen: fallen.clone() };
        let failure = self.group.failure.clone();
        let span = tracing::debug_span!(parent: None, "task", name = %name);
        self.group.tracker.spawn(
            async move {
                let _entry = entry;
                let Err(error) = work.await else { return };
                let error = chain(&*error);
                tracing::error!(task = %name, %error, "task failed");
                lock(&fallen).push(format!("{name}: {error}"));
                if on_error == OnError::Stop {
                    lock(&failure.first).get_or_insert(format!("{name}: {error}"));
                    failure.happened.notify_waiters();
                }
            }
            .instrument(span),
        );
    }
}

/// Takes the task out of the list of running ones, also when it panics.
struct Entry {
    id: u64,
    name: Cow<'static, str>,
    running: Arc<Mutex<BTreeMap<u64, Cow<'static, str>>>>,
    fallen: Arc<Mutex<Vec<String>>>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.running).remove(&self.id);
        if std::thread::panicking() {
            lock(&self.fallen).push(format!("{}: panicked", self.name));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shutdown_drops_tasks_and_names_the_ones_that_stay() {
        let tasks = Tasks::new();
        tasks.spawn("ends at once", OnError::Log, std::future::pending::<Result<(), BoxError>>());
        tasks.spawn_draining("stays", OnError::Log, |_| std::future::pending::<Result<(), BoxError>>());
        assert_eq!(tasks.shutdown(Duration::from_millis(50)).await, ["stays"]);
    }

    #[tokio::test]
    async fn a_fatal_error_is_reported_with_the_name_of_its_task() {
        let tasks = Tasks::new();
        tasks.child().spawn("listener", OnError::Stop, async { Err("port taken") });
        assert_eq!(tasks.failed().await, "listener: port taken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_restarting_task_is_made_again_after_an_error() {
        let tasks = Tasks::new();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut round = 0;
        tasks.spawn_restarting("flaky", move || {
            round += 1;
            let (round, sender) = (round, sender.clone());
            async move {
                sender.send(round).map_err(|_| "closed")?;
                if round < 3 { Err("again") } else { Ok(()) }
            }
        });
        for expected in 1..=3 {
            assert_eq!(receiver.recv().await, Some(expected));
        }
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn a_part_knows_which_of_its_tasks_fell() {
        let tasks = Tasks::new();
        let (part, other) = (tasks.part(), tasks.part());
        let nothing = part.fallen().pop();
        let panics = async move {
            nothing.expect("a test's panic");
            Ok::<(), BoxError>(())
        };
        part.spawn("done", OnError::Log, async { Ok::<(), BoxError>(()) });
        part.child().spawn("fails", OnError::Log, async { Err("no disk") });
        part.spawn("panics", OnError::Log, panics);
        part.spawn("stopped", OnError::Log, std::future::pending::<Result<(), BoxError>>());
        while part.fallen().len() < 2 {
            tokio::task::yield_now().await;
        }
        tasks.shutdown(Duration::from_secs(30)).await;
        let mut fallen = part.fallen();
        fallen.sort();
        assert_eq!(fallen, ["fails: no disk", "panics: panicked"]);
        assert!(other.fallen().is_empty() && tasks.fallen().is_empty());
    }

    #[tokio::test]
    async fn a_child_group_stops_alone() {
        let parent = Tasks::new();
        let child = parent.child();
        child.token().cancel();
        assert!(!parent.token().is_cancelled());
    }
}

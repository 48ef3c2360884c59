//! The one task that appends and commits: what it reads of log files, and what comes by
//! the doors.
//!
//! It never waits for anything but its own events: a commit runs on a blocking
//! thread while reading goes on, and when memory is full reading stops until the
//! commit is through. That is all the backpressure there is: log files wait,
//! and senders are told to.

use std::{io, sync::Arc, time::Duration};

use futures::FutureExt;
use tiphys_lifecycle::CancellationToken;
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    intake::{Arrival, Arrivals},
    known::Known,
    long_lines::LongLines,
    policies::Policies,
};
use crate::{
    index::{IndexError, Pending, PodMeta, Store},
    journal::Journal,
    metric_names::Metrics,
    search::TailHub,
    tail::{Batch, Change, Owner, SYSTEM_NAMESPACE, StreamCheckpoint, Tailer, Turn, Watcher},
    time,
    wal::Mark,
};

/// What stands for the journals where others have a Pod's directory, which has a `_`.
const JOURNAL: &str = "journal";
/// Turns of the tailer between looks at other events.
const TURNS: usize = 8;
/// A deleted file's records are durable after this.
const VANISHED: Duration = Duration::from_secs(1);
/// The pace at which records are let go that were held back for the rest of a trace: often enough
/// that what is held for five looks waits for little more than four.
const HELD: Duration = Duration::from_millis(25);
/// The pace at which followers are told up to when all was read.
const REACHED: Duration = Duration::from_secs(1);
/// So often the kernel is asked for changes until it has no more; each time it gives some hundred.
const CHANGES: usize = 64;
/// Until what couldn't be opened is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Between upkeeps, unless another pace is given.
const UPKEEP: Duration = Duration::from_secs(600);
/// After a commit that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Reads all log files of the node into the store.
pub struct Ingest {
    store: Arc<Store>,
    hub: Arc<TailHub>,
    metrics: Metrics,
    tailer: Tailer,
    journal: Journal,
    /// It isn't known what is to become of its lines.
    journal_waits: bool,
    policies: Policies,
    long_lines: LongLines,
    /// Says of which Pods it is known what is to become of their lines; without it all are read.
    known: Option<Known>,
    /// The directories of those.
    released: (mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>),
    arrivals: Arrivals,
    /// What an earlier process acknowledged has not all come.
    has_left: bool,
    commit_after: Duration,
    /// When the next commit is due; `None` while everything is durable.
    due: Option<Instant>,
    /// When the next look at held records is due.
    held: Option<Instant>,
    /// When what couldn't be opened is to be tried again.
    again: Option<Instant>,
    reached_due: Instant,
    commit: Option<Commit>,
    upkeep: Option<JoinHandle<()>>,
    /// Also a node that nothing is written on keeps no record beyond its time.
    upkeep_each: Duration,
    upkeep_due: Instant,
    /// There was a commit while it ran.
    upkeep_again: bool,
    stalled: bool,
}

impl Ingest {
    pub fn new(
        store: Arc<Store>,
        hub: Arc<TailHub>,
        metrics: Metrics,
        tailer: Tailer,
        known: Option<Known>,
        arrivals: Arrivals,
        commit_after: Duration,
    ) -> Self {
        let policies = Policies::new(store.clone(), metrics.clone());
        let tailer = if known.is_some() { tailer.holding_unknown() } else { tailer };
        Self {
            store,
            hub,
            metrics,
            tailer,
            journal: Journal::default(),
            journal_waits: known.is_some(),
            policies,
            long_lines: LongLines::default(),
            known,
            released: mpsc::unbounded_channel(),
            arrivals,
            has_left: true,
            commit_after,
            due: None,
            held: None,
            again: None,
            reached_due: Instant::now(),
            commit: None,
            upkeep: None,
            upkeep_each: UPKEEP,
            upkeep_due: Instant::now() + UPKEEP,
            upkeep_again: false,
            stalled: false,
        }
    }

    /// Reads these journals too.
    pub fn with_journal(self, journal: Journal) -> Self {
        Self { journal, ..self }
    }

    /// Looks at this pace at what is to be deleted.
    pub fn with_upkeep_each(self, pace: Duration) -> Self {
        Self { upkeep_each: pace, upkeep_due: Instant::now() + pace, ..self }
    }

    /// Works until the token is cancelled, then commits what is in memory.
    pub async fn run(mut self, mut watcher: Watcher, token: CancellationToken) -> Result<(), IndexError> {
        self.look(&Change::Everything, &mut watcher);
        if let Some(known) = &self.known {
            let owner = Owner { namespace: SYSTEM_NAMESPACE.to_owned(), pod: None };
            known.ask(JOURNAL.to_owned(), owner, self.released.0.clone());
        }
        // A crash may have come between a commit and its acknowledgements.
        self.due = Some(Instant::now() + VANISHED);
        loop {
            let may_take = !self.is_stalled();
            let journal_has_more = self.journal.has_more() && !self.journal_waits;
            let may_read = (self.tailer.has_more() || journal_has_more) && may_take;
            let due = self.due.filter(|_| self.commit.is_none());
            tokio::select! {
                () = token.cancelled() => break,
                changes = watcher.changes() => self.take_changes(changes, &mut watcher)?,
                done = finished(&mut self.commit) => self.committed(done),
                Some(arrival) = self.arrivals.receiver.recv(), if may_take => self.take_in(arrival)?,
                // What is in memory goes by a commit, the rest by the upkeep after it.
                () = self.store.purge_wanted() => self.due_by(Duration::ZERO),
                () = ended(&mut self.upkeep) => if std::mem::take(&mut self.upkeep_again) {
                    self.start_upkeep();
                },
                () = at(Some(self.upkeep_due)) => self.start_upkeep(),
                () = at(due) => self.start_commit()?,
                () = at(self.held) => self.let_go()?,
                () = at(self.again) => self.try_again(&mut watcher),
                () = at(Some(self.reached_due)) => self.tell_reached(&mut watcher)?,
                Some(pod) = self.released.1.recv() => match pod.as_str() {
                    JOURNAL => self.journal_waits = false,
                    pod => self.tailer.release(pod),
                },
                () = std::future::ready(()), if may_read => {}
            }
            self.read()?;
            // Everything above may be ready at once, again and again: let others run.
            tokio::task::yield_now().await;
        }
        self.drain().await
    }

    fn look(&mut self, change: &Change, watcher: &mut Watcher) {
        self.tailer.apply(change, watcher);
        self.journal.apply(change, watcher);
    }

    fn take_changes(
        &mut self,
        changes: io::Result<Vec<Change>>,
        watcher: &mut Watcher,
    ) -> Result<(), IndexError> {
        let changes = changes.map_err(IndexError::io("can't watch", "the log directory".as_ref()))?;
        changes.iter().for_each(|change| self.look(change, watcher));
        Ok(())
    }

    /// Tells followers up to when all that was written has been read and handed on.
    fn tell_reached(&mut self, watcher: &mut Watcher) -> Result<(), IndexError> {
        self.reached_due = Instant::now() + REACHED;
        self.has_left = self.has_left && self.arrivals.has_left();
        // While memory is full, what came by the doors waits, too.
        if self.hub.followers() == 0 || self.has_left || self.store.is_full() {
            return Ok(());
        }
        // What was written before now, the kernel tells before it has no more to tell.
        let now = time::now();
        for _ in 0..CHANGES {
            let Some(changes) = watcher.changes().now_or_never() else {
                let reached = self.tailer.reached(now).zip(self.journal.reached(now));
                reached.into_iter().for_each(|(files, journal)| self.hub.reached(files.min(journal)));
                break;
            };
            self.take_changes(changes, watcher)?;
        }
        Ok(())
    }

    fn try_again(&mut self, watcher: &mut Watcher) {
        self.again = None;
        self.tailer.try_again(watcher);
    }

    fn read(&mut self) -> Result<(), IndexError> {
        for _ in 0..TURNS {
            if self.is_stalled() {
                break;
            }
            match self.tailer.turn() {
                Turn::Batch(batch) => {
                    let info = batch.info.clone();
                    self.append(batch)?;
                    if self.store.is_open(&info) {
                        self.tailer.stay();
                    }
                }
                // Also a piece of a line, or an empty file, is acknowledged in the end.
                Turn::Nothing => self.due_by(self.commit_after),
                Turn::Idle => break,
            }
        }
        if !self.is_stalled() && !self.journal_waits {
            self.journal.turn().into_iter().try_for_each(|batch| self.append(batch))?;
        }
        self.ask();
        self.metrics.damaged_files.inc_by(self.tailer.take_damaged());
        self.metrics.open_failures.inc_by(self.tailer.take_refusals());
        if self.again.is_none() && self.tailer.has_refused() {
            self.again = Some(Instant::now() + AGAIN);
        }
        if self.tailer.take_vanished() {
            self.due_by(VANISHED.min(self.commit_after));
        }
        if self.commit.is_none() && self.store.wants_commit() {
            self.start_commit()?;
        }
        if self.held.is_none() && self.tailer.is_holding() {
            self.held = Some(Instant::now() + HELD);
        }
        Ok(())
    }

    /// Records whose traces didn't go on.
    fn let_go(&mut self) -> Result<(), IndexError> {
        self.held = None;
        self.tailer.tick().into_iter().try_for_each(|batch| self.append(batch))
    }

    /// Asks what is to become of the lines of Pods that are new.
    fn ask(&mut self) {
        let Some(known) = &self.known else { return };
        for (directory, owner) in self.tailer.take_asked() {
            known.ask(directory, owner, self.released.0.clone());
        }
        let (pods, bytes) = self.tailer.waiting();
        self.metrics.waiting_pods.set(i64::try_from(pods).unwrap_or(i64::MAX));
        self.metrics.waiting_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.metrics.waiting_lost.inc_by(self.tailer.take_lost());
    }

    /// The checkpoints that cover exactly what was appended.
    fn checkpoints(&mut self) -> Result<Vec<StreamCheckpoint>, IndexError> {
        while let Some(batch) = self.tailer.take_left_over() {
            self.append(batch)?;
        }
        let notes = self.policies.take_notes();
        self.index(notes)?;
        self.store.journal_appended(self.journal.checkpoint());
        let mut checkpoints = self.tailer.checkpoints();
        self.policies.give_back(&mut checkpoints);
        Ok(checkpoints)
    }

    fn append(&mut self, batch: Batch) -> Result<(), IndexError> {
        self.metrics.records.inc_by(batch.records.len() as u64);
        self.metrics.bytes.inc_by(batch.records.iter().map(|record| record.body.len() as u64).sum());
        self.metrics.cut_records.inc_by(self.long_lines.begun_in(&batch));
        self.due_by(self.commit_after);
        let batch = self.policies.take(batch, None);
        self.index(batch)
    }

    fn index(&self, batches: impl IntoIterator<Item = Batch>) -> Result<(), IndexError> {
        let append = |batch| self.store.append(batch);
        batches.into_iter().try_for_each(|batch| self.hub.hand_on(batch, append))
    }

    /// Records that came by a door: they are in the write-ahead log already, as their namespace
    /// wants them.
    fn take_in(&mut self, arrival: Arrival) -> Result<(), IndexError> {
        for stream in arrival.streams {
            let (info, pods) = (stream.info, self.store.pods());
            let meta = PodMeta {
                namespace: info.namespace.clone(),
                name: info.pod.clone(),
                labels: stream.labels,
                node: info.node.clone(),
                // No Pod of the cluster, so nothing says when it ends: it goes with its records.
                gone: true,
                ..PodMeta::default()
            };
            pods.update(&info.uid, meta.clone());
            self.index([Batch { info: info.clone(), records: stream.records }])?;
            // Upkeep may have forgotten it while it had no record.
            self.store.pods().update(&info.uid, meta);
        }
        self.store.appended(arrival.mark);
        self.due_by(self.commit_after);
        if let Some(receipt) = arrival.receipt {
            receipt.sign();
        }
        Ok(())
    }

    /// The next commit comes after `pause` or earlier.
    fn due_by(&mut self, pause: Duration) {
        let then = Instant::now() + pause;
        self.due = Some(self.due.map_or(then, |due| due.min(then)));
    }

    /// Memory is full until the commit that runs is through.
    fn is_stalled(&mut self) -> bool {
        let stalled = self.store.is_full();
        if stalled && !std::mem::replace(&mut self.stalled, stalled) {
            self.metrics.stalls.inc();
        }
        self.stalled = stalled;
        stalled
    }

    fn start_commit(&mut self) -> Result<(), IndexError> {
        let checkpoints = self.checkpoints()?;
        self.due = None;
        match self.store.begin_commit(checkpoints) {
            Ok(pending) => self.commit = Some(blocking(self.store.clone(), pending)),
            Err(error) => self.failed(&error),
        }
        Ok(())
    }

    fn committed(&mut self, done: Result<Covered, IndexError>) {
        match done {
            Ok(covered) => {
                self.metrics.commits.inc();
                self.tailer.committed(&covered.checkpoints);
                self.arrivals.covered.send_replace(covered.wal.number);
                self.start_upkeep();
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &IndexError) {
        self.metrics.commit_failures.inc();
        tracing::error!(error = %chain(error), retry = ?RETRY, "logs can't be made durable, they stay in their files and in memory");
        let retry = Instant::now() + RETRY;
        self.due = Some(self.due.map_or(retry, |due| due.max(retry)));
    }

    /// Merges and expires on a blocking thread, one at a time.
    fn start_upkeep(&mut self) {
        self.upkeep_due = Instant::now() + self.upkeep_each;
        if self.upkeep.is_some() {
            self.upkeep_again = true;
            return;
        }
        let store = self.store.clone();
        // What is still to be read of a Pod that is gone needs its labels and its rules.
        let read = self.tailer.streams().map(|info| (info.uid.clone(), info.namespace.clone()));
        let read: Vec<_> = read.collect();
        self.upkeep = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = store.upkeep(&read) {
                tracing::warn!(error = %chain(&error), "upkeep of the log index failed and is tried again");
            }
        }));
    }

    /// What is in memory becomes durable, so that the next start has nothing to read again.
    async fn drain(mut self) -> Result<(), IndexError> {
        if self.commit.is_some() {
            let done = finished(&mut self.commit).await;
            self.committed(done);
        }
        // What is still under way comes from the write-ahead log after the next start.
        self.arrivals.receiver.close();
        while let Ok(arrival) = self.arrivals.receiver.try_recv() {
            self.take_in(arrival)?;
        }
        let checkpoints = self.checkpoints()?;
        if self.store.has_uncommitted() {
            let pending = self.store.begin_commit(checkpoints)?;
            self.commit = Some(blocking(self.store.clone(), pending));
            let covered = finished(&mut self.commit).await?;
            self.tailer.committed(&covered.checkpoints);
        }
        if let Some(upkeep) = self.upkeep.take() {
            // It logged its own error.
            let _ = upkeep.await;
        }
        Ok(())
    }
}

/// What a commit made durable.
struct Covered {
    checkpoints: Arc<[StreamCheckpoint]>,
    wal: Mark,
}

type Commit = JoinHandle<Result<Covered, IndexError>>;

fn blocking(store: Arc<Store>, pending: Pending) -> Commit {
    tokio::task::spawn_blocking(move || {
        store.finish_commit(&pending)?;
        Ok(Covered { checkpoints: pending.checkpoints, wal: pending.wal })
    })
}

/// Pends while there is none.
async fn ended(upkeep: &mut Option<JoinHandle<()>>) {
    let Some(running) = upkeep else { return std::future::pending().await };
    // It logged its own error.
    let _ = running.await;
    *upkeep = None;
}

/// The commit's result; pends while there is none.
async fn finished(commit: &mut Option<Commit>) -> Result<Covered, IndexError> {
    let Some(running) = commit else { return std::future::pending().await };
    let done = running.await;
    *commit = None;
    done.unwrap_or_else(|error| {
        Err(IndexError::io("commit broke off in", "the index".as_ref())(std::io::Error::other(error)))
    })
}

pub async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
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

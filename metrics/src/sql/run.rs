//! Where statements run: each on a thread of its own, that can be given up.
//!
//! ```text
//! door ── plan or rows ──> a slot ──> thread (own runtime) ──> batches, two at most ──> door
//!                                        └ ends when: done · the deadline · nobody reads
//! ```
//!
//! A plan may compute for minutes without ever waiting, and a task that never waits
//! can't be aborted; on the server's own workers it would stop whoever shares them.
//! A thread can be left behind: its reader goes on at the deadline, the thread ends
//! at the next batch that [`guard`](super::guard) lets through, and until then it
//! keeps its slot, so that there are never more than [`SLOTS`].
//!
//! What it must not do: run what needs the server's own runtime (connections that
//! outlive a statement). That goes through [`Asker::outside`](super::Asker::outside).

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, SchemaRef},
    },
    common::{DataFusionError, config::ConfigNonZeroUsize},
    logical_expr::LogicalPlan,
    physical_plan::execute_stream,
    prelude::SessionContext,
};
use futures::{Stream, StreamExt};
use tiphys_api::auth::UserInfo;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{SqlError, constants, guard};
use crate::places::{Place, Places};

/// Statements that run at once; more wait.
pub const SLOTS: usize = 16;
/// ... of one user, so that others have their turn whatever one asks.
const SLOTS_OF_A_USER: usize = 6;
/// Batches that wait for their reader.
const WAITING: usize = 2;
/// Whoever takes no batch for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(60);
const STACK: usize = 8 << 20;

/// Until when a statement may run, and what ends it before.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Whose statement it is.
    pub user: String,
    pub deadline: Duration,
    pub patience: Duration,
    pub cancelled: CancellationToken,
}

impl Limits {
    pub fn of(deadline: Duration, user: &UserInfo) -> Self {
        Self { user: user.name.clone(), deadline, patience: PATIENCE, cancelled: CancellationToken::new() }
    }
}

/// Runs statements. Clones share the slots.
#[derive(Debug, Clone)]
pub struct Runner {
    slots: Places,
}

impl Default for Runner {
    fn default() -> Self {
        Self { slots: Places::new(SLOTS, SLOTS_OF_A_USER) }
    }
}

impl Runner {
    /// Runs short work, such as planning.
    ///
    /// # Errors
    /// The work's own; the deadline; it was cancelled.
    pub async fn value<T, W, F>(&self, limits: &Limits, work: W) -> Result<T, SqlError>
    where
        T: Send + 'static,
        W: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<T, SqlError>>,
    {
        let ends = Instant::now() + limits.deadline;
        let stop = limits.cancelled.child_token();
        let _stops = stop.clone().drop_guard();
        let slot = self.slot(limits, ends, &stop).await?;
        let (sender, receiver) = oneshot::channel();
        start(slot, stop.clone(), ends, async move || {
            // Nobody is there any more when it can't be told.
            let _ = sender.send(work().await);
        })?;
        tokio::select! {
            () = stop.cancelled() => Err(SqlError::Cancelled),
            result = tokio::time::timeout_at(ends, receiver) => match result {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(SqlError::Died),
                Err(_) => Err(limits.late()),
            },
        }
    }

    /// Executes a plan; its rows come as they are read.
    ///
    /// # Errors
    /// No slot was free before the deadline, or it was cancelled before it began.
    pub async fn rows(
        &self,
        limits: &Limits,
        session: SessionContext,
        plan: LogicalPlan,
    ) -> Result<Rows, SqlError> {
        let ends = Instant::now() + limits.deadline;
        let stop = limits.cancelled.child_token();
        let stops = stop.clone().drop_guard();
        let slot = self.slot(limits, ends, &stop).await?;
        let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
        let (sender, receiver) = mpsc::channel(WAITING);
        let (guarded, patience) = (stop.clone(), limits.patience);
        start(slot, stop.clone(), ends, async move || {
            execute(session, plan, guarded, patience, sender).await;
        })?;
        let late = Box::pin(tokio::time::sleep_until(ends));
        Ok(Rows { schema, receiver, late, limits: limits.clone(), _stops: stops, ended: false })
    }

    /// Statements that have a slot.
    #[cfg(test)]
    pub fn running(&self) -> usize {
        self.slots.taken()
    }

    async fn slot(
        &self,
        limits: &Limits,
        ends: Instant,
        stop: &CancellationToken,
    ) -> Result<Place, SqlError> {
        tokio::select! {
            () = stop.cancelled() => Err(SqlError::Cancelled),
            slot = tokio::time::timeout_at(ends, self.slots.take(&limits.user)) => {
                slot.map_err(|_| limits.late())
            }
        }
    }
}

impl Limits {
    fn late(&self) -> SqlError {
        SqlError::TooSlow(self.deadline)
    }
}

/// Starts the thread. It gives its slot back when its work has ended or was given up, in this order.
fn start<W, F>(slot: Place, stop: CancellationToken, ends: Instant, work: W) -> Result<(), SqlError>
where
    W: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let run = move || {
        let _slot = slot;
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::warn!(%error, "a statement got no runtime"),
        };
        runtime.block_on(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(ends) => {}
                () = work() => {}
            }
        });
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("sql".to_owned()).stack_size(STACK);
    thread.spawn(run).map(drop).map_err(|_| SqlError::Died)
}

async fn execute(
    session: SessionContext,
    plan: LogicalPlan,
    stop: CancellationToken,
    patience: Duration,
    sender: mpsc::Sender<Sent>,
) {
    let mut state = session.state();
    let begin = async {
        let rows = constants::rows(&plan)?;
        if let Some(rows) = rows {
            state.config_mut().options_mut().execution.batch_size = ConfigNonZeroUsize::try_new(rows)?;
        }
        let plan = state.create_physical_plan(&plan).await?;
        execute_stream(guard::watched(plan, &stop, rows)?, state.task_ctx())
    };
    let mut stream = match begin.await {
        Ok(stream) => stream,
        Err(error) => {
            let _ = sender.send(Err(SqlError::of(&error))).await;
            return;
        }
    };
    while let Some(batch) = stream.next().await {
        let batch = batch.map(Some).map_err(|error| SqlError::of(&error));
        let failed = batch.is_err();
        if failed && stop.is_cancelled() {
            // Its inputs end with an error then; that it was cancelled tells the channel's end.
            return;
        }
        match tokio::time::timeout(patience, sender.send(batch)).await {
            Ok(Ok(())) if !failed => {}
            // It failed, or the reader has gone or takes nothing: the channel's end tells the rest.
            _ => return,
        }
    }
    let _ = sender.send(Ok(None)).await;
}

/// What the thread tells: a batch, or that it was the last one. A channel that ends without
/// that word was broken off.
type Sent = Result<Option<RecordBatch>, SqlError>;

/// The types of `$1`, `$2` and so on, where the engine can tell.
///
/// # Errors
/// One is used as two types.
pub fn parameters(plan: &LogicalPlan) -> Result<Vec<Option<DataType>>, DataFusionError> {
    let types = plan.get_parameter_types()?;
    let number = |name: &String| name.trim_start_matches('$').parse::<usize>().ok();
    let by_number: BTreeMap<usize, Option<DataType>> =
        types.iter().filter_map(|(name, kind)| Some((number(name)?, kind.clone()))).collect();
    let most = by_number.keys().next_back().copied().unwrap_or(0);
    Ok((1..=most).map(|at| by_number.get(&at).cloned().flatten()).collect())
}

/// The rows of a statement, as they come. Dropped, it ends the statement.
pub struct Rows {
    schema: SchemaRef,
    receiver: mpsc::Receiver<Sent>,
    late: Pin<Box<Sleep>>,
    limits: Limits,
    _stops: DropGuard,
    ended: bool,
}

impl Rows {
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

impl Stream for Rows {
    type Item = Result<RecordBatch, SqlError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match self.receiver.poll_recv(cx) {
            Poll::Ready(Some(Ok(Some(batch)))) => return Poll::Ready(Some(Ok(batch))),
            Poll::Ready(Some(Ok(None))) => None,
            Poll::Ready(Some(Err(error))) => Some(error),
            Poll::Ready(None) if self.limits.cancelled.is_cancelled() => Some(SqlError::Cancelled),
            // The thread's clock may be the first.
            Poll::Ready(None) if self.late.is_elapsed() || self.late.deadline() <= Instant::now() => {
                Some(self.limits.late())
            }
            Poll::Ready(None) => Some(SqlError::SlowReader),
            Poll::Pending => {
                std::task::ready!(self.late.as_mut().poll(cx));
                Some(self.limits.late())
            }
        };
        self.ended = true;
        Poll::Ready(next.map(Err))
    }
}

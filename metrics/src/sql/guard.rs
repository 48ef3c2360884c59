//! What a running plan is watched by: at each batch of its leaves and joins it looks whether
//! the statement was given up, and lets others have a turn.
//!
//! Joins and recursion run for as long as their inputs have rows, without waiting for
//! anything; the inputs are where such a plan can be ended, and what a join makes of one batch
//! of them, which may be millions. A join whose condition is
//! never true reads little and compares for minutes: its condition is watched too.
//!
//! Where each row has long constants, batches are cut between any two parts of a plan, so that what
//! is made of one is never much.

use std::{
    fmt,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{FieldRef, Schema, SchemaRef},
    },
    common::{
        DataFusionError, Result,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext},
    logical_expr::ColumnarValue,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
        joins::{
            CrossJoinExec, HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
            utils::JoinFilter,
        },
    },
};
use futures::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;

/// Batches between two turns of others.
const TURN: u8 = 16;

/// The plan with its leaves and joins watched; `stop` ends it with an error. A batch has so many rows at
/// most, if that is said.
///
/// # Errors
/// A node refuses its children; none does.
pub fn watched(
    plan: Arc<dyn ExecutionPlan>,
    stop: &CancellationToken,
    rows: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let wrap = |node: Arc<dyn ExecutionPlan>| {
        if !node.children().is_empty() && !multiplies(&node) && rows.is_none() {
            return Ok(Transformed::no(node));
        }
        let inner = joined(&node, stop)?.unwrap_or(node);
        let rows = rows.unwrap_or(usize::MAX);
        let watched: Arc<dyn ExecutionPlan> = Arc::new(Watched { inner, stop: stop.clone(), rows });
        Ok(Transformed::yes(watched))
    };
    plan.transform_up(wrap).data()
}

/// Whether a few rows of its inputs may become any number.
fn multiplies(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() || node.is::<HashJoinExec>()
}

/// A join with its condition watched; absent: no join that has one.
fn joined(node: &Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let watched = |filter: &JoinFilter| {
        let inner = filter.expression().clone();
        let expression = Arc::new(WatchedExpr { inner, stop: stop.clone() });
        JoinFilter::new(expression, filter.column_indices().to_vec(), filter.schema().clone())
    };
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let built = NestedLoopJoinExecBuilder::from(join).with_filter(Some(watched(filter))).build()?;
        return Ok(Some(Arc::new(built)));
    }
    if let Some(join) = node.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        let built = HashJoinExecBuilder::from(join).with_filter(Some(watched(filter))).build()?;
        return Ok(Some(Arc::new(built)));
    }
    Ok(None)
}

fn given_up() -> DataFusionError {
    DataFusionError::Execution("the statement was given up".to_owned())
}

/// An expression that can be ended between two batches.
#[derive(Debug)]
struct WatchedExpr {
    inner: Arc<dyn PhysicalExpr>,
    stop: CancellationToken,
}

impl PartialEq for WatchedExpr {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for WatchedExpr {}

impl Hash for WatchedExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for WatchedExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for WatchedExpr {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.is_cancelled() {
            return Err(given_up());
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().unwrap_or_else(|| self.inner.clone());
        Ok(Arc::new(Self { inner, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[derive(Debug)]
struct Watched {
    inner: Arc<dyn ExecutionPlan>,
    stop: CancellationToken,
    /// Of a batch, at most.
    rows: usize,
}

impl DisplayAs for Watched {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_as(kind, f)
    }
}

impl ExecutionPlan for Watched {
    fn name(&self) -> &str {
        "Watched"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inner]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let inner = children.pop().unwrap_or_else(|| self.inner.clone());
        Ok(Arc::new(Self { inner, stop: self.stop.clone(), rows: self.rows }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inner = self.inner.execute(partition, context)?;
        Ok(Box::pin(WatchedStream { inner, stop: self.stop.clone(), turn: 0, rows: self.rows, rest: None }))
    }
}

struct WatchedStream {
    inner: SendableRecordBatchStream,
    stop: CancellationToken,
    turn: u8,
    rows: usize,
    /// What is left of a batch that has more.
    rest: Option<RecordBatch>,
}

impl WatchedStream {
    /// The first rows of a batch, as many as one has.
    fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        let rest = batch.num_rows().saturating_sub(self.rows);
        if rest == 0 {
            return batch;
        }
        self.rest = Some(batch.slice(self.rows, rest));
        batch.slice(0, self.rows)
    }
}

impl Stream for WatchedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.stop.is_cancelled() {
            return Poll::Ready(Some(Err(given_up())));
        }
        self.turn += 1;
        if self.turn == TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(self.cut(rest))));
        }
        let batch = ready!(self.inner.poll_next_unpin(cx));
        Poll::Ready(batch.map(|batch| batch.map(|batch| self.cut(batch))))
    }
}

impl RecordBatchStream for WatchedStream {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::array::{ArrayRef, Int64Array},
        datasource::MemTable,
        physical_plan::execute_stream,
        prelude::{SessionConfig, SessionContext},
    };

    use super::*;

    /// A session whose table has a thousand numbers in one batch.
    fn session() -> SessionContext {
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a batch");
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("a table");
        session.register_table("t", Arc::new(table)).expect("registered");
        session
    }

    /// How many rows the batches of a statement have.
    async fn batches(session: &SessionContext, statement: &str, rows: Option<usize>) -> Vec<usize> {
        let frame = session.sql(statement).await.expect("a statement");
        let plan = frame.create_physical_plan().await.expect("planned");
        let plan = watched(plan, &CancellationToken::new(), rows).expect("watched");
        let stream = execute_stream(plan, session.task_ctx()).expect("started");
        let all: Vec<Result<RecordBatch>> = stream.collect().await;
        all.into_iter().map(|batch| batch.expect("sound").num_rows()).collect()
    }

    #[tokio::test]
    async fn batches_are_cut_between_all_parts_of_a_plan() {
        let session = session();
        for statement in [
            "select n from t",
            "select n + 1, 'a' from t where n >= 0",
            "select n, row_number() over () from t",
            "select n from t order by n desc",
            "select n, count(*) from t group by n",
        ] {
            let cut = batches(&session, statement, Some(7)).await;
            assert_eq!((cut.iter().sum::<usize>(), cut.iter().max()), (1000, Some(&7)), "{statement}");
            let whole = batches(&session, statement, None).await;
            assert!(whole.iter().any(|rows| *rows > 7), "{statement}: {whole:?}");
        }
    }
}

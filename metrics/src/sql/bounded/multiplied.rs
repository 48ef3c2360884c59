//! Parts of a plan that repeat or gather what they get, with a bound on what they make. The engine counts
//! what a join has of its left side, but not what it makes, and nothing of `unnest` and of windows: a text of
//! a megabyte beside a list of a million is more than a machine has.
//!
//! ```text
//! unnest   rows ─> as many at once as make little, which is taken of the pool ─> unnest
//! join     left ── its widest row ──┐
//!          right ── its widest row ─┴─> a batch of such rows is taken of the pool ─> join, in small batches
//! windows  rows ─> as many at once as make little, which is taken of the pool ─> windows ─> what has gone on
//! ```
//!
//! The gates stand before these parts when all else is planned, and behind windows. What a gate has taken it
//! gives back when it is asked for more, or with itself. Joins of other kinds are refused: the session has
//! one partition and prefers hashes, so that none is planned.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::{
        DataFusionError, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion},
    },
    execution::{
        RecordBatchStream, SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
        ReplaceChildrenOptions,
        joins::{
            CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
            SymmetricHashJoinExec,
        },
        unnest::{ListUnnest, UnnestExec},
    },
};
use futures::{Stream, StreamExt};

use super::{
    function::MOST,
    repeats::{first, is_wide, unnested, widest},
    windows::{Slot, Windows, before_them, behind_them},
};

/// What `unnest` and windows make at once, if a row makes no more.
pub const PART: u64 = 4 << 20;
/// What whoever is refused can do. A function in the list of what is selected is applied behind the part
/// that makes too much; one in a subquery is applied before.
pub const LESS: &str =
    "select fewer columns, or less of each in a subquery, as (select left(body, 1000) as body from logs)";
/// Rows of a batch of a join whose rows may be wide.
const JOINED: usize = 256;
/// A batch of fewer bytes is gone before it matters.
const SMALL: u64 = 64 << 10;

/// What puts the gates into the plans of a session that is made with it.
pub fn gates() -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
    Arc::new(Gates)
}

#[derive(Debug)]
struct Gates;

impl PhysicalOptimizerRule for Gates {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        options: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| gated(node, options.execution.batch_size.into())).data()
    }

    fn name(&self) -> &str {
        "bounds of what is repeated"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The part of a plan with gates before it, if it is one that repeats or gathers.
fn gated(node: Arc<dyn ExecutionPlan>, rows: usize) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let (roles, behind) = if let Some(unnest) = node.downcast_ref::<UnnestExec>() {
        (vec![Role::Unnest(unnest.list_column_indices().into())], None)
    } else if let Some(windows) = Windows::of(&node)? {
        let slot = Slot::default();
        (vec![Role::Windows(Arc::new(windows), slot.clone())], Some(Role::Results(slot)))
    } else if is_wide_join(&node) {
        let widest = Arc::new(AtomicU64::new(0));
        (vec![Role::Left(widest.clone()), Role::Right(widest)], Some(Role::Join))
    } else if is_uncounted_join(&node) {
        return Err(uncounted(node.name()));
    } else {
        return Ok(Transformed::no(node));
    };
    let inputs = node.children().into_iter().cloned().zip(roles);
    let inputs = inputs.map(|(inner, role)| Arc::new(Gate { inner, role, rows }) as Arc<dyn ExecutionPlan>);
    let inputs = inputs.collect();
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    let inner = node.replace_children(inputs, options)?;
    let behind = behind.map(|role| {
        let rows = if matches!(role, Role::Join) { rows.min(JOINED) } else { rows };
        Arc::new(Gate { inner: inner.clone(), role, rows }) as Arc<dyn ExecutionPlan>
    });
    Ok(Transformed::yes(behind.unwrap_or(inner)))
}

/// Whether it is a join of which nobody counts what it makes.
fn is_uncounted_join(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<SortMergeJoinExec>()
        || node.is::<SymmetricHashJoinExec>()
        || node.is::<PiecewiseMergeJoinExec>()
}

fn uncounted(name: &str) -> DataFusionError {
    let said = format!("a join was planned as {name}, and the memory of such is not bounded");
    DataFusionError::Plan(format!("{said}: write the join in another way, and tell who runs the server"))
}

fn is_wide_join(node: &Arc<dyn ExecutionPlan>) -> bool {
    let is_join = node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() || node.is::<HashJoinExec>();
    is_join && node.schema().fields().iter().any(|field| is_wide(field.data_type()))
}

/// What a gate sees to.
#[derive(Debug, Clone)]
enum Role {
    /// Rows whose lists become rows.
    Unnest(Arc<[ListUnnest]>),
    /// Rows that windows hold, and make results of.
    Windows(Arc<Windows>, Slot),
    /// What those give.
    Results(Slot),
    /// Rows that a join holds, and counts itself: the bytes of the widest.
    Left(Arc<AtomicU64>),
    /// Rows that are joined with those.
    Right(Arc<AtomicU64>),
    /// A join whose batches are small; what stands before it has the session's.
    Join,
}

#[derive(Debug)]
struct Gate {
    inner: Arc<dyn ExecutionPlan>,
    role: Role,
    /// Rows of a batch of what stands behind it.
    rows: usize,
}

impl DisplayAs for Gate {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExecutionPlan for Gate {
    fn name(&self) -> &str {
        match self.role {
            Role::Unnest(_) => "BoundedUnnest",
            Role::Windows(..) => "BoundedRows",
            Role::Results(_) => "BoundedWindow",
            Role::Left(_) | Role::Right(_) => "BoundedInput",
            Role::Join => "BoundedJoin",
        }
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
        Ok(Arc::new(Self { inner, role: self.role.clone(), rows: self.rows }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inner = self.inner.execute(partition, in_batches(&context, self.rows))?;
        let taken = MemoryConsumer::new(self.name()).register(context.memory_pool());
        match &self.role {
            Role::Join => return Ok(inner),
            Role::Windows(windows, slot) => return Ok(before_them(windows, slot, inner, taken)),
            Role::Results(slot) => return Ok(behind_them(slot, inner)),
            Role::Unnest(_) | Role::Left(_) | Role::Right(_) => {}
        }
        let batch_rows = context.session_config().batch_size();
        Ok(Box::pin(Gated { inner, role: self.role.clone(), taken, batch_rows, rest: None }))
    }
}

/// The same, of a session whose batches have so many rows.
fn in_batches(context: &Arc<TaskContext>, rows: usize) -> Arc<TaskContext> {
    let config = context.session_config();
    if config.batch_size() == rows {
        return context.clone();
    }
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config.clone().with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}

struct Gated {
    inner: SendableRecordBatchStream,
    role: Role,
    taken: MemoryReservation,
    /// Rows that the engine makes a batch of.
    batch_rows: usize,
    /// What is left of a batch, and the bytes that each of its rows makes.
    rest: Option<(RecordBatch, Vec<u64>)>,
}

impl Gated {
    /// What of a batch goes on now; what is taken for it is taken before.
    fn let_in(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        match &self.role {
            Role::Unnest(lists) => {
                let bytes = unnested(&batch, lists)?;
                self.part(batch, bytes)
            }
            Role::Left(most) => {
                most.fetch_max(widest(&batch), Ordering::Relaxed);
                Ok(batch)
            }
            Role::Right(left) => {
                let row = left.load(Ordering::Relaxed).saturating_add(widest(&batch));
                let bytes = row.saturating_mul(self.batch_rows as u64);
                let (bytes, taken) = (as_size(bytes), self.taken.size());
                if bytes > taken && bytes as u64 > SMALL {
                    let more = self.taken.try_grow(bytes - taken);
                    more.map_err(|error| too_wide(self.batch_rows, row, &error))?;
                }
                Ok(self.cut(batch))
            }
            Role::Join | Role::Windows(..) | Role::Results(_) => Ok(batch),
        }
    }

    /// The first rows of a batch, as many as make little.
    fn part(&mut self, batch: RecordBatch, bytes: Vec<u64>) -> Result<RecordBatch> {
        let (rows, made) = first(&bytes, 0..bytes.len(), PART);
        if made > MOST.max(PART) {
            return Err(too_much());
        }
        self.taken.try_resize(as_size(made))?;
        let part = batch.slice(0, rows);
        if rows < bytes.len() {
            self.rest = Some((batch.slice(rows, bytes.len() - rows), bytes[rows..].to_vec()));
        }
        Ok(part)
    }

    /// The first rows of a batch, as many as the engine makes one of: a cross join gives as many as it gets.
    fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        let rows = self.batch_rows.min(batch.num_rows());
        if rows < batch.num_rows() {
            self.rest = Some((batch.slice(rows, batch.num_rows() - rows), Vec::new()));
        }
        batch.slice(0, rows)
    }
}

/// As many bytes as can be asked for.
pub fn as_size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn too_much() -> DataFusionError {
    let said = format!("unnest makes more than {} MiB of a row, as it repeats what is beside it", MOST >> 20);
    let said = format!("{said}; select fewer columns, or less of each, as with left()");
    DataFusionError::ResourcesExhausted(said)
}

fn too_wide(rows: usize, row: u64, error: &DataFusionError) -> DataFusionError {
    let said = format!("a join makes {rows} rows at once, of which one may have {} KiB", row >> 10);
    DataFusionError::ResourcesExhausted(format!("{said}; {LESS}: {error}"))
}

impl Stream for Gated {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let unnests = matches!(self.role, Role::Unnest(_));
        if unnests {
            // What was made of the part before is the plan's by now.
            self.taken.free();
        }
        if let Some((batch, bytes)) = self.rest.take() {
            let part = if unnests { self.part(batch, bytes) } else { Ok(self.cut(batch)) };
            return Poll::Ready(Some(part));
        }
        let batch = ready!(self.inner.poll_next_unpin(cx));
        Poll::Ready(batch.map(|batch| batch.and_then(|batch| self.let_in(batch))))
    }
}

impl RecordBatchStream for Gated {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::{
            array::{ArrayRef, Int64Array, ListArray, StringArray},
            datatypes::Int64Type,
        },
        datasource::MemTable,
        execution::{SessionStateBuilder, runtime_env::RuntimeEnvBuilder},
        prelude::{SessionConfig, SessionContext},
    };

    use super::*;

    /// A session that may hold so many bytes. Its table `t` has `rows` numbers, each with a text of
    /// `length` bytes and a list of `elements`; `b` has 5000 numbers and a name each.
    fn session(bytes: usize, rows: i64, length: usize, elements: usize) -> SessionContext {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0).build_arc().expect("a runtime");
        let config = SessionConfig::new().with_target_partitions(1);
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime);
        let state = state.with_default_features().with_physical_optimizer_rule(gates());
        let session = SessionContext::new_with_state(state.build());
        let text = "x".repeat(length);
        let lists = (0..rows).map(|_| Some(vec![Some(1_i64); elements]));
        let columns: [(&str, ArrayRef); 3] = [
            ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
            ("s", Arc::new(StringArray::from_iter_values((0..rows).map(|_| text.as_str())))),
            ("l", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))),
        ];
        let names = (0..5000).map(|n| format!("name {n}"));
        let others: [(&str, ArrayRef); 2] = [
            ("m", Arc::new(Int64Array::from_iter_values(0..5000))),
            ("k", Arc::new(StringArray::from_iter_values(names))),
        ];
        let register = |name: &str, batch: RecordBatch| {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("a table");
            session.register_table(name, Arc::new(table)).expect("registered");
        };
        register("t", RecordBatch::try_from_iter(columns).expect("a batch"));
        register("b", RecordBatch::try_from_iter(others).expect("a batch"));
        session
    }

    async fn rows(session: &SessionContext, statement: &str) -> Result<usize> {
        let mut stream = session.sql(statement).await?.execute_stream().await?;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows();
        }
        Ok(rows)
    }

    async fn refused(session: &SessionContext, statement: &str, expected: &str) {
        let refused = rows(session, statement).await.expect_err(statement).to_string();
        assert!(refused.contains(expected), "{statement}: {refused}");
    }

    #[tokio::test]
    async fn abuse_35_a_long_text_beside_a_long_list_is_refused() {
        let session = session(64 << 20, 1, 1 << 20, 100_000);
        refused(&session, "select s, unnest(l) from t", "unnest makes more than 64 MiB of a row").await;
        let nested = "select s, unnest(unnest(make_array(l))) from t";
        refused(&session, nested, "unnest makes more than 64 MiB").await;
        assert_eq!(rows(&session, "select n, unnest(l) from t").await.expect("little"), 100_000);
    }

    #[tokio::test]
    async fn abuse_35_what_unnest_makes_is_made_in_parts_and_counted() {
        // Of all rows together it would be 50 MB, and of one it is one.
        let large = session(8 << 20, 50, 10_000, 100);
        assert_eq!(rows(&large, "select s, unnest(l) from t").await.expect("in parts"), 5000);
        let small = session(512 << 10, 50, 10_000, 100);
        refused(&small, "select s, unnest(l) from t", "Resources exhausted").await;
    }

    #[tokio::test]
    async fn abuse_35_a_join_of_long_texts_with_many_rows_is_refused() {
        let wide = session(64 << 20, 2, 1 << 20, 1);
        for join in [
            "t cross join b",
            "b cross join t",
            "t join b on t.n < b.m",
            "b left join t on t.n > b.m",
            "t join b on t.n = b.m % 2",
            "t right join b on t.n = b.m % 2 and t.n < b.m",
        ] {
            let statement = format!("select t.s, b.k from {join}");
            refused(&wide, &statement, "a join makes 256 rows at once, of which one may have 10").await;
        }
        // Without them it is little, and so is less of each, as the message says.
        assert_eq!(rows(&wide, "select t.n, b.k from t cross join b").await.expect("little"), 10_000);
        refused(&wide, "select left(t.s, 9), b.k from t cross join b", "less of each in a subquery").await;
        let less = "select l.s, b.k from (select left(s, 9) as s from t) l cross join b";
        assert_eq!(rows(&wide, less).await.expect("little"), 10_000);
    }

    #[tokio::test]
    async fn abuse_35_a_join_that_nobody_counts_is_refused() {
        let config = SessionConfig::new().with_target_partitions(4);
        let config = config.set_bool("datafusion.optimizer.prefer_hash_join", false);
        let state = SessionStateBuilder::new().with_config(config).with_default_features();
        let state = state.with_physical_optimizer_rule(gates()).build();
        let session = SessionContext::new_with_state(state);
        let numbers = |name: &str| format!("(select value as {name} from generate_series(1, 9))");
        let join = format!("select * from {} join {} on x = y", numbers("x"), numbers("y"));
        refused(&session, &join, "a join was planned as SortMergeJoinExec").await;
    }

    #[tokio::test]
    async fn joins_of_wide_rows_give_what_they_gave() {
        let gated = session(64 << 20, 20, 1000, 1);
        let table = [
            ("t cross join b", 100_000),
            ("t join b on t.n < b.m", 20 * 5000 - 210),
            ("t join b on t.n = b.m % 20", 5000),
            ("t left join b on t.n = b.m and b.m < 5", 20),
        ];
        for (join, expected) in table {
            let statement = format!("select t.s, b.k from {join}");
            assert_eq!(rows(&gated, &statement).await.expect("rows"), expected, "{join}");
        }
    }

    #[tokio::test]
    async fn abuse_35_rows_of_a_window_count_that_are_all_held() {
        let statement = "select n, s, max(n) over () from t";
        let large = session(16 << 20, 500, 10_000, 1);
        assert_eq!(rows(&large, statement).await.expect("within it"), 500);
        let small = session(8 << 20, 500, 10_000, 1);
        refused(&small, statement, "MiB at once; select fewer columns, or less of each in a subquery").await;
        // What is not held doesn't count.
        let running = "select n, s, row_number() over () from t";
        assert_eq!(rows(&small, running).await.expect("nothing is held"), 500);
    }

    #[tokio::test]
    async fn abuse_35_rows_that_a_window_looks_at_or_waits_for_count() {
        let (large, small) = (session(32 << 20, 500, 10_000, 1), session(10 << 20, 500, 10_000, 1));
        for window in [
            "max(n) over (rows between 400 preceding and current row)",
            "max(n) over (rows between current row and 400 following)",
            "lag(n, 400) over ()",
            "lead(n, 400) over ()",
            "nth_value(n, 2) over (rows between unbounded preceding and current row)",
        ] {
            let statement = format!("select n, s, {window} from t");
            assert_eq!(rows(&large, &statement).await.expect(window), 500);
            refused(&small, &statement, "windows hold rows of").await;
        }
        for window in [
            "max(n) over (rows between 9 preceding and 9 following)",
            "max(n) over (rows between unbounded preceding and current row)",
            "lag(n, 9) over ()",
            "last_value(n) over (rows between unbounded preceding and current row)",
        ] {
            let statement = format!("select n, s, {window} from t");
            assert_eq!(rows(&small, &statement).await.expect(window), 500);
        }
    }

    #[tokio::test]
    async fn abuse_35_a_long_text_in_the_results_of_a_window_counts_for_each() {
        let session = session(64 << 20, 1, 100_000, 1);
        // One row of 5000 has the text.
        let from = "from (select b.m, t.s from b left join t on t.n = b.m)";
        for window in [
            "max(s) over ()",
            "max(s) over (order by m rows between current row and 5000 following)",
            "lead(m, 5000) over (order by m), first_value(s) over (order by m)",
        ] {
            let statement = format!("select m, {window} {from}");
            refused(&session, &statement, "results, of which one may have 97 KiB; select fewer").await;
        }
        let few = format!("select m, max(s) over (order by m rows unbounded preceding) as s {from}");
        assert_eq!(rows(&session, &few).await.expect("some at a time"), 5000);
        let less = format!("select m, max(left(s, 9)) over () {from}");
        assert_eq!(rows(&session, &less).await.expect("little"), 5000);
    }
}

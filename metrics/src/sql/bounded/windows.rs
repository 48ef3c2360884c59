//! What windows hold of their rows, and what they make of them: the engine counts neither.
//!
//! ```text
//! rows ─> as many as make little, which is taken of the pool ─> window ─> rows with results
//!                    └───────── an account of both ends ─────────────┘
//! ```
//!
//! A window whose frame has no end holds all rows. Others hold those that have no result yet, and before
//! them those that their frames reach back to, of a partition that has not ended. What there is of views they
//! hold to the end: joined ones keep the texts of all. A result is a value of some row of its partition, in
//! each row: a text of a megabyte in ten thousand.

use std::{
    iter, mem,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use datafusion::{
    arrow::{
        array::{Array, RecordBatch, new_null_array},
        datatypes::{DataType, SchemaRef},
    },
    common::{Result, ScalarValue},
    execution::{RecordBatchStream, SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits, window_state::WindowAggState},
    physical_expr::window::StandardWindowExpr,
    physical_plan::{
        ExecutionPlan, InputOrderMode, PhysicalExpr, WindowExpr,
        windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr},
    },
};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use super::{
    account::{Account, Holds, Row},
    arg::Arg,
    multiplied::as_size,
    partitions::Partitions,
    repeats::{is_wide, widths},
};

/// A window whose frame has no end holds its rows, and puts them together.
const TWICE: u64 = 2;
/// Others hold them for themselves and for their partition, and put one of both together anew.
const THRICE: u64 = 3;
/// The place of a row that no frame reaches back from to the first one.
const FAR: usize = usize::MAX / 4;

/// What is known of the windows of a part of a plan.
#[derive(Debug)]
pub struct Windows {
    /// Those whose results may be of any length.
    wide: Vec<Arc<dyn WindowExpr>>,
    /// What rows of a partition have in common, if they come sorted by it.
    keys: Vec<Arc<dyn PhysicalExpr>>,
    holds: Holds,
    /// How often a row is held.
    copies: u64,
}

impl Windows {
    /// Absent: the part is none of windows.
    ///
    /// # Errors
    /// None in practice: such a part would not have been planned.
    pub fn of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let (all, is_sorted, behind, copies) = if let Some(all) = node.downcast_ref::<WindowAggExec>() {
            (all.window_expr(), true, None, TWICE)
        } else if let Some(some) = node.downcast_ref::<BoundedWindowAggExec>() {
            let reached = some.window_expr().iter().map(reached_back).collect::<Result<Vec<_>>>()?;
            let behind = reached.into_iter().try_fold(0, |most: u64, own| Some(most.max(own?)));
            let is_sorted = some.input_order_mode == InputOrderMode::Sorted;
            // Each of many partitions beside each other would hold so many rows.
            (some.window_expr(), is_sorted, behind.filter(|_| is_sorted), THRICE)
        } else {
            return Ok(None);
        };
        let (mut wide, mut has_views) = (Vec::new(), false);
        for window in all {
            let field = window.field()?;
            if is_wide(field.data_type()) {
                has_views |= is_viewed(field.data_type());
                wide.push(window.clone());
            }
        }
        // Windows of a part have the same, and the engine looks at those of the first.
        let keys = all.first().filter(|_| is_sorted).map(|first| first.partition_by().to_vec());
        let lets_go = is_sorted && node.is::<BoundedWindowAggExec>();
        let holds = Holds { behind, lets_go, results: has_views && all.len() > 1 };
        Ok(Some(Self { wide, keys: keys.unwrap_or_default(), holds, copies }))
    }

    /// Bytes of the widest results that some rows may give, of all windows together.
    fn widest(&self, batch: &RecordBatch, parts: &[Range<usize>]) -> Result<Vec<u64>> {
        let mut widest = vec![0_u64; parts.len()];
        for value in self.wide.iter().flat_map(values) {
            let value = Arg::of(&value.evaluate(batch)?)?;
            let rows = match value.is_constant() {
                true => vec![value.row(0); batch.num_rows()],
                false => widths(iter::once(value.array()), batch.num_rows()),
            };
            for (bytes, part) in widest.iter_mut().zip(parts) {
                let own = rows[part.clone()].iter().max().copied().unwrap_or(0);
                *bytes = bytes.saturating_add(own);
            }
        }
        Ok(widest)
    }

    /// The rows of a batch; each of `parts` is of one partition, and `begins` tells whether the first one
    /// begins with it.
    fn rows(&self, batch: &RecordBatch, parts: &[Range<usize>], begins: bool) -> Result<Vec<Row>> {
        let of = |viewed: bool| {
            let columns = batch.columns().iter().filter(|column| is_viewed(column.data_type()) == viewed);
            widths(columns, batch.num_rows())
        };
        let (held, kept) = (of(false), of(true));
        let mut rows = Vec::with_capacity(batch.num_rows());
        for (part, result) in parts.iter().zip(self.widest(batch, parts)?) {
            for at in part.clone() {
                let begins = at == part.start && (at > 0 || begins);
                let held = held[at].saturating_mul(self.copies);
                rows.push(Row { held, kept: kept[at], result, begins });
            }
        }
        Ok(rows)
    }
}

/// What a result of a window may be: what it is given for a row, and what it is given for all.
fn values(window: &Arc<dyn WindowExpr>) -> Vec<Arc<dyn PhysicalExpr>> {
    let standard = window.as_any().downcast_ref::<StandardWindowExpr>();
    let function = standard.map(StandardWindowExpr::get_standard_func_expr);
    let named = function.and_then(|function| function.as_any().downcast_ref::<WindowUDFExpr>());
    named.map_or_else(|| window.expressions(), |named| named.args().to_vec())
}

/// Whether columns of a type refer to texts that stand elsewhere.
fn is_viewed(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8View | DataType::BinaryView => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => is_viewed(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| is_viewed(field.data_type())),
        DataType::Dictionary(_, values) => is_viewed(values),
        _ => false,
    }
}

/// How many rows before the last one with a result are still looked at; absent: any number.
fn reached_back(window: &Arc<dyn WindowExpr>) -> Result<Option<u64>> {
    let frame = window.get_window_frame();
    let Some(standard) = window.as_any().downcast_ref::<StandardWindowExpr>() else {
        return Ok(before(frame));
    };
    let mut evaluator = standard.get_standard_func_expr().create_evaluator()?;
    if !evaluator.uses_window_frame() {
        return Ok(near(evaluator.get_range(FAR, FAR + 1)?));
    }
    if !frame.start_bound.is_unbounded() {
        return Ok(before(frame));
    }
    // Some of them need what they have seen no more, and say so of a state.
    let field = window.field()?;
    let mut state = WindowAggState::new(field.data_type())?;
    state.window_frame_range = 0..FAR;
    state.out_col = new_null_array(field.data_type(), 1);
    evaluator.memoize(&mut state)?;
    let kept = near(state.window_frame_range.start..FAR);
    Ok(kept.zip(before(frame)).map(|(kept, before)| kept.max(before)))
}

/// How far a range that ends at a far row begins before it.
fn near(range: Range<usize>) -> Option<u64> {
    let rows = FAR.saturating_sub(range.start);
    (rows < FAR).then_some(rows as u64)
}

/// Rows before its own that a frame begins at; one without a beginning is looked at from its end.
fn before(frame: &WindowFrame) -> Option<u64> {
    let bound = if frame.start_bound.is_unbounded() { &frame.end_bound } else { &frame.start_bound };
    match (frame.units, bound) {
        (_, WindowFrameBound::Following(_)) => Some(0),
        (WindowFrameUnits::Rows, WindowFrameBound::CurrentRow) => Some(0),
        (WindowFrameUnits::Rows, WindowFrameBound::Preceding(ScalarValue::UInt64(rows))) => *rows,
        // All of its peers have their results at once.
        (_, WindowFrameBound::CurrentRow) if frame.start_bound.is_unbounded() => Some(0),
        _ => None,
    }
}

/// The account of windows that run, and what was taken for them.
#[derive(Debug)]
struct Open {
    windows: Arc<Windows>,
    account: Mutex<Account>,
    taken: MemoryReservation,
}

impl Open {
    /// Takes what the first of some rows need; how many those are.
    fn take(&self, rows: &[Row]) -> Result<usize> {
        let mut account = self.account.lock();
        let count = account.first(rows);
        account.comes(&rows[..count]);
        let taken = self.taken.try_resize(as_size(account.needs()));
        taken.map_err(|error| account.refused(&error))?;
        Ok(count)
    }

    fn give_back(&self, rows: u64) -> Result<()> {
        let mut account = self.account.lock();
        account.goes(rows, self.windows.holds);
        self.taken.try_resize(as_size(account.needs()).min(self.taken.size()))
    }
}

/// Where what stands before windows leaves their account for what stands behind them: both are begun at once,
/// one by the other.
#[derive(Debug, Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Arc<Open>>>>);

/// The rows that go into windows, some at a time.
pub fn before_them(
    windows: &Arc<Windows>,
    slot: &Slot,
    inner: SendableRecordBatchStream,
    taken: MemoryReservation,
) -> SendableRecordBatchStream {
    let open = Arc::new(Open { windows: windows.clone(), account: Mutex::default(), taken });
    *slot.0.lock() = Some(open.clone());
    Box::pin(Before { inner, open, partitions: Partitions::new(&windows.keys), rest: None })
}

/// What comes out of them.
pub fn behind_them(slot: &Slot, inner: SendableRecordBatchStream) -> SendableRecordBatchStream {
    Box::pin(Behind { inner, open: slot.0.lock().take(), gone: 0 })
}

struct Before {
    inner: SendableRecordBatchStream,
    open: Arc<Open>,
    partitions: Partitions,
    /// What is left of a batch.
    rest: Option<(RecordBatch, Vec<Row>)>,
}

impl Before {
    fn let_in(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let (parts, begins) = self.partitions.of(&batch)?;
        let rows = self.open.windows.rows(&batch, &parts, begins)?;
        self.part(batch, rows)
    }

    /// The first rows of a batch, as many as make little.
    fn part(&mut self, batch: RecordBatch, rows: Vec<Row>) -> Result<RecordBatch> {
        let count = self.open.take(&rows)?;
        if count < rows.len() {
            self.rest = Some((batch.slice(count, rows.len() - count), rows[count..].to_vec()));
        }
        Ok(batch.slice(0, count))
    }
}

impl Stream for Before {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((batch, rows)) = self.rest.take() {
            return Poll::Ready(Some(self.part(batch, rows)));
        }
        let batch = ready!(self.inner.poll_next_unpin(cx));
        Poll::Ready(batch.map(|batch| batch.and_then(|batch| self.let_in(batch))))
    }
}

impl RecordBatchStream for Before {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

struct Behind {
    inner: SendableRecordBatchStream,
    open: Option<Arc<Open>>,
    /// Rows of the batch before, which is the plan's when the next one is asked for.
    gone: u64,
}

impl Stream for Behind {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let gone = mem::take(&mut self.gone);
        if let Some(open) = self.open.as_ref().filter(|_| gone > 0) {
            open.give_back(gone)?;
        }
        let batch = ready!(self.inner.poll_next_unpin(cx));
        if let Some(Ok(batch)) = &batch {
            self.gone = batch.num_rows() as u64;
        }
        Poll::Ready(batch)
    }
}

impl RecordBatchStream for Behind {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::array::{ArrayRef, Int64Array, StringArray},
        datasource::MemTable,
        execution::{SessionStateBuilder, runtime_env::RuntimeEnvBuilder},
        prelude::{SessionConfig, SessionContext, col},
    };

    use super::*;
    use crate::sql::bounded::gates;

    const ROWS: i64 = 1000;

    /// A session that may hold so many bytes. Its table `t` has numbers `n`, each with its partition `p` and
    /// a text of some length, and is sorted: nothing else of a plan takes memory.
    fn session(bytes: usize, partition: fn(i64) -> i64, length: fn(i64) -> usize) -> SessionContext {
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0).build_arc().expect("a runtime");
        let config = SessionConfig::new().with_target_partitions(1);
        let state = SessionStateBuilder::new().with_config(config).with_runtime_env(runtime);
        let state = state.with_default_features().with_physical_optimizer_rule(gates());
        let session = SessionContext::new_with_state(state.build());
        let texts = (0..ROWS).map(|n| "x".repeat(length(n)));
        let columns: [(&str, ArrayRef); 3] = [
            ("p", Arc::new(Int64Array::from_iter_values((0..ROWS).map(partition)))),
            ("n", Arc::new(Int64Array::from_iter_values(0..ROWS))),
            ("s", Arc::new(StringArray::from_iter_values(texts))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let batches = (0..10).map(|at| batch.slice(at * 100, 100)).collect();
        let table = MemTable::try_new(batch.schema(), vec![batches]).expect("a table");
        let order = vec![col("p").sort(true, false), col("n").sort(true, false)];
        let table = table.with_sort_order(vec![order]);
        session.register_table("t", Arc::new(table)).expect("registered");
        session
    }

    async fn rows(session: &SessionContext, window: &str) -> Result<usize> {
        let statement = format!("select p, n, s, {window} from t");
        let batches = session.sql(&statement).await?.collect().await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    async fn refused(session: &SessionContext, window: &str, expected: &str) {
        let refused = rows(session, window).await.expect_err(window).to_string();
        assert!(refused.contains(expected), "{window}: {refused}");
    }

    #[tokio::test]
    async fn abuse_35_rows_count_until_their_partition_ends() {
        // Some 30 MB are held of all, and 200 KB of a partition of seven.
        let many = session(8 << 20, |n| n / 7, |_| 10_000);
        let one = session(8 << 20, |_| 0, |_| 10_000);
        for window in [
            "max(n) over (partition by p order by n range between 5 preceding and current row)",
            "max(n) over (partition by p order by n groups between 2 preceding and current row)",
            "lag(n, 3) ignore nulls over (partition by p order by n)",
        ] {
            assert_eq!(rows(&many, window).await.expect(window), 1000);
            refused(&one, window, "windows hold rows of").await;
        }
    }

    #[tokio::test]
    async fn abuse_35_a_long_text_counts_for_the_rows_of_its_partition() {
        let length = |n: i64| if n == 500 { 100_000_usize } else { 1 };
        let many = session(8 << 20, |n| n / 7, length);
        let large = session(8 << 20, |n| n / 900, length);
        for window in ["max(s) over (partition by p)", "last_value(s) over (partition by p)"] {
            assert_eq!(rows(&many, window).await.expect(window), 1000);
            refused(&large, window, "MiB of results, of which one may have 97 KiB").await;
        }
    }

    #[test]
    fn frames_tell_how_far_they_reach_back() {
        use WindowFrameBound::{CurrentRow, Following, Preceding};
        use WindowFrameUnits::{Groups, Range, Rows};
        let rows = |count: u64| ScalarValue::UInt64(Some(count));
        let all = || ScalarValue::UInt64(None);
        let table = [
            (Rows, Preceding(rows(7)), CurrentRow, Some(7)),
            (Rows, Preceding(all()), CurrentRow, Some(0)),
            (Rows, Preceding(all()), Preceding(rows(9)), Some(9)),
            (Rows, CurrentRow, Following(rows(3)), Some(0)),
            (Rows, Following(rows(1)), Following(rows(3)), Some(0)),
            (Range, Preceding(all()), CurrentRow, Some(0)),
            (Range, Preceding(ScalarValue::Int64(Some(5))), CurrentRow, None),
            (Range, CurrentRow, CurrentRow, None),
            (Groups, Preceding(rows(2)), CurrentRow, None),
        ];
        for (units, start, end, expected) in table {
            let frame = WindowFrame::new_bounds(units, start, end);
            assert_eq!(before(&frame), expected, "{frame}");
        }
        assert_eq!((near(FAR - 3..FAR), near(0..FAR)), (Some(3), None));
    }
}

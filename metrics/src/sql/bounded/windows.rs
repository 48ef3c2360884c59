//! What windows hold of their rows, and what they make of them: the engine counts neither.
//!
//! ```text
//! rows ─> as many as make little, which is taken of the pool ─> window ─> rows with results
//!                    └───────── an account of both ends ─────────────┘
//! ```
//!
//! A window whose frame has no end holds all rows. Others hold those that have no result yet, and before
//! them those that their frames reach back to. What there is of views they hold to the end: joined ones keep
//! the texts of all. A result is a value of some row, in each row: a text of a megabyte in ten thousand.

use std::{
    collections::VecDeque,
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
    common::{DataFusionError, Result, ScalarValue},
    execution::{RecordBatchStream, SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits, window_state::WindowAggState},
    physical_expr::window::StandardWindowExpr,
    physical_plan::{
        ExecutionPlan, PhysicalExpr, WindowExpr,
        windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr},
    },
};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use super::{
    arg::Arg,
    multiplied::{PART, as_size},
    repeats::{is_wide, widths},
};

/// A window whose frame has no end holds its rows, and puts them together. Results are values, and then
/// columns.
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
    /// Rows with a result that are held on; absent: any number.
    behind: Option<u64>,
    /// How often a row is held.
    copies: u64,
    /// Whether results are held when they have gone on: views that are joined with those that have not.
    keeps_results: bool,
}

impl Windows {
    /// Absent: the part is none of windows.
    ///
    /// # Errors
    /// None in practice: such a part would not have been planned.
    pub fn of(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Self>> {
        let (all, behind, copies) = if let Some(all) = node.downcast_ref::<WindowAggExec>() {
            (all.window_expr(), None, TWICE)
        } else if let Some(some) = node.downcast_ref::<BoundedWindowAggExec>() {
            let reached = some.window_expr().iter().map(reached_back).collect::<Result<Vec<_>>>()?;
            let behind = reached.into_iter().try_fold(0, |most: u64, own| Some(most.max(own?)));
            (some.window_expr(), behind, THRICE)
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
        Ok(Some(Self { wide, behind, copies, keeps_results: has_views && all.len() > 1 }))
    }

    /// Bytes of the widest results that these rows may give, of all windows together.
    fn widest(&self, batch: &RecordBatch) -> Result<u64> {
        let mut bytes = 0_u64;
        for value in self.wide.iter().flat_map(values) {
            let value = Arg::of(&value.evaluate(batch)?)?;
            let widest = match value.is_constant() {
                true => value.row(0),
                false => widths(iter::once(value.array()), batch.num_rows()).into_iter().max().unwrap_or(0),
            };
            bytes = bytes.saturating_add(widest);
        }
        Ok(bytes)
    }

    /// Bytes for each row: as long as it is held, and to the end.
    fn weights(&self, batch: &RecordBatch) -> Vec<Weight> {
        let of = |viewed: bool| {
            let columns = batch.columns().iter().filter(|column| is_viewed(column.data_type()) == viewed);
            widths(columns, batch.num_rows())
        };
        let held = of(false).into_iter().map(|bytes| bytes.saturating_mul(self.copies));
        held.zip(of(true)).map(|(held, kept)| Weight { held, kept }).collect()
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

/// Bytes for a row, or for some.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weight {
    /// As long as it is held.
    held: u64,
    /// To the end.
    kept: u64,
}

impl Weight {
    fn and(self, other: Self) -> Self {
        Self { held: self.held.saturating_add(other.held), kept: self.kept.saturating_add(other.kept) }
    }

    fn sum(self) -> u64 {
        self.held.saturating_add(self.kept)
    }
}

/// The first of some rows that make little with a result each, one at least, and what they weigh.
fn first(rows: &[Weight], result: u64) -> (usize, Weight) {
    let (mut count, mut sum) = (0, Weight::default());
    for row in rows {
        let next = sum.and(*row);
        let results = result.saturating_mul(count as u64 + 1);
        if count > 0 && next.sum().saturating_add(results) > PART {
            break;
        }
        (count, sum) = (count + 1, next);
    }
    (count, sum)
}

/// What windows hold now.
#[derive(Debug, Default)]
struct Account {
    /// Rows that are held, as they came, and their bytes.
    held: VecDeque<(u64, u64)>,
    /// Bytes of all of those, and of what is held to the end.
    bytes: u64,
    /// How many of the first of them have gone on.
    gone: u64,
    /// Rows that have no result yet, or whose result is held.
    results: u64,
    /// Bytes of a result.
    widest: u64,
}

impl Account {
    fn comes(&mut self, rows: u64, weight: Weight) {
        self.held.push_back((rows, weight.held));
        self.bytes = self.bytes.saturating_add(weight.sum());
        self.results += rows;
    }

    fn goes(&mut self, rows: u64, windows: &Windows) {
        if !windows.keeps_results {
            self.results = self.results.saturating_sub(rows);
        }
        let Some(behind) = windows.behind else { return };
        self.gone += rows;
        while let Some((rows, bytes)) = self.held.front().copied()
            && self.gone >= rows.saturating_add(behind)
        {
            self.held.pop_front();
            self.gone -= rows;
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Bytes that are taken for it.
    fn needs(&self) -> u64 {
        let results = self.results.saturating_mul(self.widest).saturating_mul(TWICE);
        self.bytes.saturating_add(results)
    }

    fn refused(&self, error: &DataFusionError) -> DataFusionError {
        let results = match self.widest {
            0 => String::new(),
            widest => format!(" and {} results, of which one may have {} KiB", self.results, widest >> 10),
        };
        let said = format!("windows hold rows of {} MiB at once{results}", self.bytes >> 20);
        let said = format!("{said}; {}: {error}", super::multiplied::LESS);
        DataFusionError::ResourcesExhausted(said)
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
    fn take(&self, weights: &[Weight]) -> Result<usize> {
        let mut account = self.account.lock();
        let (rows, weight) = first(weights, account.widest.saturating_mul(TWICE));
        account.comes(rows as u64, weight);
        let taken = self.taken.try_resize(as_size(account.needs()));
        taken.map_err(|error| account.refused(&error))?;
        Ok(rows)
    }

    fn give_back(&self, rows: u64) -> Result<()> {
        let mut account = self.account.lock();
        account.goes(rows, &self.windows);
        self.taken.try_resize(as_size(account.needs()).min(self.taken.size()))
    }

    fn weighed(&self, batch: &RecordBatch) -> Result<Vec<Weight>> {
        let widest = self.windows.widest(batch)?;
        let mut account = self.account.lock();
        account.widest = account.widest.max(widest);
        Ok(self.windows.weights(batch))
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
    Box::pin(Before { inner, open, rest: None })
}

/// What comes out of them.
pub fn behind_them(slot: &Slot, inner: SendableRecordBatchStream) -> SendableRecordBatchStream {
    Box::pin(Behind { inner, open: slot.0.lock().take(), gone: 0 })
}

struct Before {
    inner: SendableRecordBatchStream,
    open: Arc<Open>,
    /// What is left of a batch.
    rest: Option<(RecordBatch, Vec<Weight>)>,
}

impl Before {
    fn part(&mut self, batch: RecordBatch, weights: Vec<Weight>) -> Result<RecordBatch> {
        let rows = self.open.take(&weights)?;
        if rows < weights.len() {
            self.rest = Some((batch.slice(rows, weights.len() - rows), weights[rows..].to_vec()));
        }
        Ok(batch.slice(0, rows))
    }
}

impl Stream for Before {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some((batch, weights)) = self.rest.take() {
            return Poll::Ready(Some(self.part(batch, weights)));
        }
        Poll::Ready(match ready!(self.inner.poll_next_unpin(cx)) {
            Some(Ok(batch)) => Some(match self.open.weighed(&batch) {
                Ok(weights) => self.part(batch, weights),
                Err(error) => Err(error),
            }),
            end => end,
        })
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
    use super::*;

    fn windows(behind: Option<u64>, keeps_results: bool) -> Windows {
        Windows { wide: Vec::new(), behind, copies: THRICE, keeps_results }
    }

    fn weight(held: u64) -> Weight {
        Weight { held, kept: 0 }
    }

    #[test]
    fn rows_count_until_they_and_what_reaches_back_to_them_have_gone() {
        let mut account = Account { widest: 5, ..Account::default() };
        account.comes(10, weight(100));
        account.comes(10, Weight { held: 200, kept: 7 });
        assert_eq!(account.needs(), 307 + 20 * 5 * TWICE);
        let reaching = windows(Some(4), false);
        account.goes(10, &reaching);
        assert_eq!(account.needs(), 307 + 10 * 5 * TWICE, "the next row looks at four of them");
        account.goes(4, &reaching);
        assert_eq!(account.needs(), 207 + 6 * 5 * TWICE);
        account.comes(1, weight(1));
        account.goes(7, &reaching);
        assert_eq!(account.needs(), 208);
        account.goes(3, &reaching);
        assert_eq!(account.needs(), 8, "views are held to the end");
    }

    #[test]
    fn what_is_held_to_the_end_counts_to_the_end() {
        let mut account = Account { widest: 5, ..Account::default() };
        account.comes(10, weight(100));
        account.goes(10, &windows(None, false));
        assert_eq!(account.needs(), 100);
        let mut account = Account { widest: 5, ..Account::default() };
        account.comes(10, weight(100));
        account.goes(10, &windows(Some(0), true));
        assert_eq!(account.needs(), 10 * 5 * TWICE);
    }

    #[test]
    fn few_rows_at_once_make_little_with_their_results() {
        let rows = [weight(PART / 4), weight(PART / 4), Weight { held: 0, kept: PART / 4 }, weight(PART)];
        let table = [(0, 3), (PART / 12, 3), (PART / 4, 2), (PART / 2, 1), (u64::MAX, 1)];
        for (result, expected) in table {
            assert_eq!(first(&rows, result).0, expected, "{result}");
        }
        assert_eq!((first(&rows[3..], 0).0, first(&[], 0).0), (1, 0));
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

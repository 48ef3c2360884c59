//! Constants of a statement: what functions make while it is planned, and long texts written in it.
//!
//! A plan is optimized by writing a constant wherever it is named, and a batch has it in each row. Both
//! multiply: a text of a megabyte that is named a thousand times, or stands in 8192 rows. So
//!
//! - what functions make of constants is bounded, the more so the more columns are named that it may be
//!   written for;
//! - the rows of a batch are fewer, the longer the constants are that each of them may have.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use datafusion::{
    common::{
        DataFusionError, Result, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan},
    prelude::SessionContext,
};

/// Bytes of one constant that a function makes.
const MOST: u64 = 16 << 20;
/// ... however many columns are named.
const LEAST: u64 = 4 << 10;
/// Bytes of all that functions make for a plan.
const ALL: u64 = 64 << 20;
/// Bytes of a constant, written wherever it may be named.
const COPIES: u64 = 256 << 20;
/// Bytes of the constants of a batch.
const BATCH: u64 = 64 << 20;
/// Rows of a batch of the engine.
const ROWS: u64 = 8192;
/// What is shorter is no long constant.
const SHORT: u64 = 64;
/// Bytes of what stands between the texts that `string_agg` gathers: only those are counted meanwhile.
const SEPARATOR: usize = 64;

/// What the constants of a session's statement may take.
#[derive(Debug)]
pub struct Constants {
    most: AtomicU64,
    made: AtomicU64,
}

impl Default for Constants {
    fn default() -> Self {
        Self { most: AtomicU64::new(MOST), made: AtomicU64::new(0) }
    }
}

impl Constants {
    fn of(session: &SessionContext) -> Option<Arc<Self>> {
        session.state_ref().read().config().get_extension()
    }

    fn named(&self, columns: u64) {
        let most = COPIES / columns.max(1);
        self.most.store(most.clamp(LEAST, MOST), Ordering::Relaxed);
    }

    /// Asks before a function makes a constant.
    ///
    /// # Errors
    /// It is too long.
    pub fn check(&self, function: &str, bytes: u64) -> Result<()> {
        let most = self.most.load(Ordering::Relaxed);
        if bytes <= most {
            return Ok(());
        }
        let said = format!("{function} makes a constant of more than {} KiB", most >> 10);
        Err(DataFusionError::ResourcesExhausted(format!("{said}; make it shorter, or name fewer columns")))
    }

    /// Counts one that was made.
    ///
    /// # Errors
    /// Together they are too long.
    pub fn count(&self, function: &str, bytes: usize) -> Result<()> {
        let bytes = bytes as u64;
        if self.made.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= ALL {
            return Ok(());
        }
        let said = format!("{function} and others make constants of more than {} MiB", ALL >> 20);
        Err(DataFusionError::ResourcesExhausted(format!("{said}; make fewer of them, or shorter ones")))
    }
}

/// A statement of this session is about to be planned.
pub fn begin(session: &SessionContext) {
    if let Some(constants) = Constants::of(session) {
        constants.most.store(MOST, Ordering::Relaxed);
        constants.made.store(0, Ordering::Relaxed);
    }
}

/// The optimized plan.
///
/// # Errors
/// The engine's; the statement has constants that are too long for the columns that it names.
pub fn optimized(session: &SessionContext, plan: &LogicalPlan) -> Result<LogicalPlan> {
    let weight = Weight::of(plan)?;
    if weight.longest.saturating_mul(weight.columns) > COPIES {
        let Weight { columns, longest, .. } = weight;
        let said = format!("a text of {} KiB in a statement that names {columns} columns", longest >> 10);
        let said = format!("{said} may be written for each of them; shorten it, or name fewer");
        return Err(DataFusionError::ResourcesExhausted(said));
    }
    if let Some(constants) = Constants::of(session) {
        constants.named(weight.columns);
    }
    session.state().optimize(plan)
}

/// How many rows the batches of a plan have at most; absent: as many as the engine makes them.
///
/// # Errors
/// A separator of `string_agg` is too long.
pub fn rows(plan: &LogicalPlan) -> Result<Option<usize>> {
    let all = Weight::of(plan)?.all;
    let rows = BATCH / all.max(1);
    Ok((rows < ROWS).then(|| usize::try_from(rows.max(1)).unwrap_or(1)))
}

/// What a plan has of long constants, and of places where one may be written.
#[derive(Debug, Default, PartialEq, Eq)]
struct Weight {
    columns: u64,
    longest: u64,
    all: u64,
}

impl Weight {
    fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut weight = Self::default();
        plan.apply_with_subqueries(|node| {
            // Each constant of a list of rows stands in one of them.
            if !matches!(node, LogicalPlan::Values(_)) {
                node.apply_expressions(|expr| weight.look(expr))?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(weight)
    }

    fn look(&mut self, expr: &Expr) -> Result<TreeNodeRecursion> {
        expr.apply(|part| self.part(part))
    }

    fn part(&mut self, part: &Expr) -> Result<TreeNodeRecursion> {
        match part {
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => self.columns += 1,
            Expr::Literal(value, _) => self.literal(bytes(value)),
            // What is only compared with is written nowhere.
            Expr::InList(list) => {
                self.look(&list.expr)?;
                return Ok(TreeNodeRecursion::Jump);
            }
            Expr::AggregateFunction(call) if call.func.name() == "string_agg" => {
                separated(call.params.args.get(1))?;
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn literal(&mut self, bytes: u64) {
        if bytes > SHORT {
            self.longest = self.longest.max(bytes);
            self.all = self.all.saturating_add(bytes);
        }
    }
}

fn bytes(value: &ScalarValue) -> u64 {
    match value.try_as_str() {
        Some(text) => text.map_or(0, str::len) as u64,
        None => value.size().saturating_sub(size_of::<ScalarValue>()) as u64,
    }
}

/// Refuses a separator that is longer than what it stands between may be.
fn separated(separator: Option<&Expr>) -> Result<()> {
    let Some(Expr::Literal(value, _)) = separator else { return Ok(()) };
    if bytes(value) <= SEPARATOR as u64 {
        return Ok(());
    }
    let said = format!("the separator of string_agg is longer than {SEPARATOR} bytes; shorten it");
    Err(DataFusionError::Plan(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn plan(statement: &str) -> LogicalPlan {
        SessionContext::new().state().create_logical_plan(statement).await.expect("planned")
    }

    #[tokio::test]
    async fn long_constants_make_batches_small() {
        let text = "x".repeat(1 << 20);
        let table = [
            ("select value, 'a' from generate_series(1, 2)".to_owned(), None),
            (format!("select value, '{text}' from generate_series(1, 2)"), Some(64)),
            (format!("select '{text}' || 'b', (select '{text}') from generate_series(1, 2)"), Some(32)),
            (format!("select value from generate_series(1, 2) where 'a' in ('{text}')"), None),
            (format!("select * from (values ('{text}'), ('{text}'))"), None),
        ];
        for (statement, expected) in table {
            let found = rows(&plan(&statement).await).expect("short separators");
            assert_eq!(found, expected, "{statement:.60}");
        }
    }

    #[tokio::test]
    async fn abuse_35_a_long_text_is_not_written_for_many_columns() {
        let statement = |columns: usize| {
            let text = "x".repeat(1 << 20);
            format!("select concat({}) from (select '{text}' as s)", vec!["s"; columns].join(", "))
        };
        let session = SessionContext::new();
        optimized(&session, &plan(&statement(2)).await).expect("few");
        let refused = optimized(&session, &plan(&statement(300)).await).expect_err("many").to_string();
        assert!(refused.contains("a text of 1024 KiB in a statement that names 300 columns"), "{refused}");
    }

    #[test]
    fn the_more_columns_are_named_the_shorter_is_a_constant() {
        let constants = Constants::default();
        let table = [(0, MOST), (16, MOST), (1024, 256 << 10), (u64::MAX, LEAST)];
        for (columns, most) in table {
            constants.named(columns);
            constants.check("f", most).expect("short");
            let refused = constants.check("f", most + 1).expect_err("long").to_string();
            let said = format!("f makes a constant of more than {} KiB", most >> 10);
            assert!(refused.contains(&said), "{refused}");
        }
    }

    #[test]
    fn constants_of_a_statement_are_short_together() {
        let constants = Constants::default();
        (0..4).for_each(|_| constants.count("f", 16 << 20).expect("short"));
        assert!(constants.count("f", 1).is_err());
    }

    #[tokio::test]
    async fn abuse_35_what_stands_between_gathered_texts_is_short() {
        let statement =
            |separator: &str| format!("select string_agg(a, '{separator}') from (values ('b')) t(a)");
        rows(&plan(&statement(", ")).await).expect("short");
        let refused = rows(&plan(&statement(&"x".repeat(65))).await).expect_err("long").to_string();
        assert!(refused.contains("the separator of string_agg is longer than 64 bytes"), "{refused}");
    }
}

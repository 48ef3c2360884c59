//! `count(*)` over `logs`, by names and by time, answered without a record: a rule that
//! puts a table of counts in the place of an aggregate.
//!
//! ```text
//! Aggregate(count(*) by pod, date_bin(..)) over TableScan(logs, conditions all exact)
//!   -> Projection over TableScan(counts: a row a group)
//! ```
//!
//! It speaks only where the collectors count what SQL would: keys that every record
//! has, spans of one width, conditions that the index answers exactly.

mod ask;
mod bins;
mod table;

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    catalog::default_table_source::{provider_as_source, source_as_provider},
    common::{Column, Result, ScalarValue, tree_node::Transformed},
    logical_expr::{
        Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableScan,
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{LogTable, predicate};
use bins::Bins;
use table::{Counts, Question};

/// Keys that collectors group by at once.
const MAX_KEYS: usize = 3;

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// A column that every record has, and that the collectors call the same.
    Name(&'static str),
    Restart,
    Severity,
    Time(Bins),
}

impl Key {
    /// The key that an expression over the table's columns is.
    fn of(expr: &Expr) -> Option<Self> {
        if let Expr::Column(column) = expr {
            const NAMES: [&str; 6] = ["namespace", "pod", "container", "node", "stream", "level"];
            let name = NAMES.into_iter().find(|name| *name == column.name).map(Self::Name);
            return name.or(match column.name.as_str() {
                "restart" => Some(Self::Restart),
                "severity" => Some(Self::Severity),
                _ => None,
            });
        }
        Bins::of(expr).map(Self::Time)
    }

    fn kind(self) -> DataType {
        match self {
            Self::Name(_) => DataType::Utf8,
            Self::Restart => DataType::Int64,
            Self::Severity => DataType::Int32,
            Self::Time(_) => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        }
    }

    /// What the collectors group by.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Restart => Some("restart"),
            Self::Severity => Some("level"),
            Self::Time(_) => None,
        }
    }
}

/// The rule.
#[derive(Debug)]
pub struct CountInTheIndex;

impl OptimizerRule for CountInTheIndex {
    fn name(&self) -> &str {
        "count_in_the_index"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(question) = question(aggregate) else { return Ok(Transformed::no(plan)) };
        Ok(Transformed::yes(counts(aggregate, question)?))
    }
}

/// The counts, under the names of the aggregate's columns.
fn counts(aggregate: &Aggregate, question: Question) -> Result<LogicalPlan> {
    let keys = question.keys.len();
    let table = Counts::new(question);
    let names: Vec<String> = table.columns().collect();
    let projected = aggregate.schema.iter().enumerate().map(|(at, (qualifier, field))| {
        // All aggregates are the same count.
        let name = &names[at.min(keys)];
        Expr::Column(Column::new(Some("counts"), name)).alias_qualified(qualifier.cloned(), field.name())
    });
    let projected: Vec<_> = projected.collect();
    LogicalPlanBuilder::scan("counts", provider_as_source(Arc::new(table)), None)?.project(projected)?.build()
}

/// What the aggregate asks, if the collectors can answer it.
fn question(aggregate: &Aggregate) -> Option<Question> {
    let input = Input::of(&aggregate.input)?;
    let keys: Vec<Key> =
        aggregate.group_expr.iter().map(|expr| Key::of(&input.resolved(expr)?)).collect::<Option<_>>()?;
    let names = keys.iter().filter_map(|key| key.name()).count();
    let distinct = keys.iter().enumerate().all(|(at, key)| {
        keys[..at].iter().all(|other| other != key && (key.name().is_some() || other.name().is_some()))
    });
    let same_kinds =
        keys.iter().zip(aggregate.schema.fields()).all(|(key, field)| key.kind() == *field.data_type());
    let counts = aggregate.aggr_expr.iter().all(|expr| is_count(expr, &input));
    if names > MAX_KEYS || !distinct || !same_kinds || !counts {
        return None;
    }
    let table = source_as_provider(&input.scan.source).ok()?;
    let table = table.downcast_ref::<LogTable>()?;
    let filters: Vec<_> = input.scan.filters.iter().collect();
    let exact = |support: &TableProviderFilterPushDown| *support == TableProviderFilterPushDown::Exact;
    if input.scan.fetch.is_some() || !predicate::support(&filters).iter().all(exact) {
        return None;
    }
    let pushed = predicate::push(&input.scan.filters);
    Some(Question { source: table.source.clone(), pushed, keys })
}

/// `count(*)`, or of what is never null.
fn is_count(expr: &Expr, input: &Input<'_>) -> bool {
    let expr = match expr {
        Expr::Alias(alias) => &*alias.expr,
        other => other,
    };
    let Expr::AggregateFunction(function) = expr else { return false };
    let params = &function.params;
    let plain = !params.distinct && params.filter.is_none() && params.order_by.is_empty();
    let of_all = |argument: &Expr| match input.resolved(argument) {
        Some(Expr::Literal(value, _)) => !value.is_null(),
        Some(Expr::Column(column)) => !matches!(column.name.as_str(), "labels" | "app"),
        _ => false,
    };
    function.func.name() == "count" && plain && params.args.iter().all(of_all)
}

/// What an aggregate reads: a scan, below names and projections.
struct Input<'a> {
    scan: &'a TableScan,
    /// The projections on the way, outermost first: what each name stands for below.
    projections: Vec<&'a [Expr]>,
}

impl<'a> Input<'a> {
    fn of(mut plan: &'a LogicalPlan) -> Option<Self> {
        let mut projections = Vec::new();
        loop {
            match plan {
                LogicalPlan::TableScan(scan) => return Some(Self { scan, projections }),
                LogicalPlan::SubqueryAlias(alias) => plan = &alias.input,
                LogicalPlan::Projection(projection) => {
                    projections.push(projection.expr.as_slice());
                    plan = &projection.input;
                }
                _ => return None,
            }
        }
    }

    /// The expression over the table's own columns; there is one table, so names will do.
    fn resolved(&self, expr: &Expr) -> Option<Expr> {
        use datafusion::common::tree_node::TreeNode;
        let mut expr = expr.clone();
        for projection in &self.projections {
            let below = |column: &Column| {
                let named = projection.iter().find(|expr| expr.qualified_name().1 == column.name)?;
                Some(named.clone().unalias())
            };
            let mut unknown = false;
            let replaced = expr.transform_up(|expr| {
                let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
                match below(column) {
                    Some(named) => Ok(Transformed::yes(named)),
                    None => {
                        unknown = true;
                        Ok(Transformed::no(expr))
                    }
                }
            });
            expr = replaced.ok().filter(|_| !unknown)?.data;
        }
        Some(expr.unalias())
    }
}

/// A literal, whatever it is called.
fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}

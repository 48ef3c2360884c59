//! A statement over a table whose rows come with time that says nothing of it is about the
//! last hour, and its answer says so. `order by time desc limit 5` is no exception: what is sorted
//! is read first, and that must not be a week.
//!
//! A rule of the optimizer: once predicates have come down to the scan, it is plain
//! whether one speaks of the time, however the statement was written.

use std::{sync::Arc, time::Duration};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, Result,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    logical_expr::{
        Expr, Filter, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableScan,
        TableScanBuilder, lit,
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use super::{Notes, wanted::time_value};

/// Those tables, and the column that they have.
const TABLES: [&str; 10] =
    ["node", "pod", "container", "volume", "disk", "logs", "samples", "spans", "events", "decisions"];
const TIME: &str = "time";

/// The rule.
#[derive(Debug)]
pub struct DefaultRange {
    range: Duration,
    notes: Notes,
}

impl DefaultRange {
    pub fn new(range: Duration, notes: Notes) -> Self {
        Self { range, notes }
    }

    /// The scan with its default range; `None` where it has one, or needs none.
    fn narrowed(&self, scan: &TableScan, above: &[&Expr]) -> Result<Option<LogicalPlan>> {
        let table = scan.table_name.table();
        let own = scan.table_name.schema().is_none_or(|schema| schema == "public");
        let of_time = |expr: &Expr| expr.column_refs().iter().any(|column| column.name == TIME);
        if !own || !TABLES.contains(&table) || scan.filters.iter().chain(above.iter().copied()).any(of_time) {
            return Ok(None);
        }
        let schema = scan.source.schema();
        let Ok(field) = schema.field_with_name(TIME) else { return Ok(None) };
        let DataType::Timestamp(unit, zone) = field.data_type() else { return Ok(None) };
        let range = i64::try_from(self.range.as_micros()).unwrap_or(i64::MAX);
        let since = jiff::Timestamp::now().as_microsecond().saturating_sub(range);
        let column = Expr::Column(Column::new(Some(scan.table_name.clone()), TIME));
        let filter = column.gt_eq(lit(time_value(since, *unit, zone.clone())));
        let place = schema.index_of(TIME)?;
        let exact = scan.source.supports_filters_pushdown(&[&filter])?.first()
            == Some(&TableProviderFilterPushDown::Exact);
        let shown = scan.projection.as_ref().is_none_or(|places| places.contains(&place));
        // A column that the statement doesn't read can't be filtered above the scan.
        if !exact && !shown {
            return self.with_time_read(scan, place, filter).map(Some);
        }
        let mut scan = scan.clone();
        scan.filters.push(filter.clone());
        let plan = if exact {
            LogicalPlan::TableScan(scan)
        } else {
            // The limit stands above too, and counts what the filter leaves.
            scan.fetch = None;
            LogicalPlan::Filter(Filter::try_new(filter, Arc::new(LogicalPlan::TableScan(scan)))?)
        };
        self.note(table);
        Ok(Some(plan))
    }

    /// The scan reads the time too, and a projection above leaves it away again.
    fn with_time_read(&self, scan: &TableScan, place: usize, filter: Expr) -> Result<LogicalPlan> {
        let before: Vec<Expr> = scan.projected_schema.columns().into_iter().map(Expr::Column).collect();
        let mut places = scan.projection.clone().unwrap_or_default();
        places.push(place);
        let mut filters = scan.filters.clone();
        filters.push(filter.clone());
        let wider = TableScanBuilder::new(scan.table_name.clone(), scan.source.clone())
            .with_projection(Some(places))
            .with_filters(filters)
            .build()?;
        let filtered = Filter::try_new(filter, Arc::new(LogicalPlan::TableScan(wider)))?;
        self.note(scan.table_name.table());
        LogicalPlanBuilder::from(LogicalPlan::Filter(filtered)).project(before)?.build()
    }

    fn note(&self, table: &str) {
        let minutes = self.range.as_secs() / 60;
        self.notes.remark(format!(
            "{table}: no time range was asked for, so this is about the last {minutes} minutes; \
             add where time > now() - interval '1 day', say"
        ));
    }
}

impl OptimizerRule for DefaultRange {
    fn name(&self) -> &str {
        "default_range"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match &plan {
            LogicalPlan::TableScan(scan) => Ok(match self.narrowed(scan, &[])? {
                Some(narrowed) => Transformed::yes(narrowed),
                None => Transformed::no(plan),
            }),
            // The predicate of a filter right above may be one that the scan only takes in part.
            LogicalPlan::Filter(filter) => {
                let LogicalPlan::TableScan(scan) = &*filter.input else { return Ok(Transformed::no(plan)) };
                match self.narrowed(scan, &[&filter.predicate])? {
                    Some(narrowed) => {
                        let filter = Filter::try_new(filter.predicate.clone(), Arc::new(narrowed))?;
                        Ok(Transformed::yes(LogicalPlan::Filter(filter)))
                    }
                    None => Ok(Transformed::new(plan, false, TreeNodeRecursion::Jump)),
                }
            }
            _ => Ok(Transformed::no(plan)),
        }
    }
}

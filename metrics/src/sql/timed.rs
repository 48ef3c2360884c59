//! A table whose rows are read by time: what a statement says of the column `time`
//! is asked of the source, so that files outside its range stay shut.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    catalog::{Session, TableProvider},
    common::{DataFusionError, Result, ScalarValue},
    datasource::memory::MemorySourceConfig,
    logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};

type Rows = dyn Fn(Range<i64>) -> Result<Vec<RecordBatch>> + Send + Sync;

struct Timed {
    schema: SchemaRef,
    rows: Arc<Rows>,
}

/// A table with these columns, `time` among them; `rows` is called once for each scan with a range
/// of microseconds, on a thread that may block.
pub fn timed(
    schema: SchemaRef,
    rows: impl Fn(Range<i64>) -> Result<Vec<RecordBatch>> + Send + Sync + 'static,
) -> Arc<dyn TableProvider> {
    Arc::new(Timed { schema, rows: Arc::new(rows) })
}

impl fmt::Debug for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Timed {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (rows, range) = (self.rows.clone(), range(filters));
        let batches = tokio::task::spawn_blocking(move || rows(range))
            .await
            .map_err(|error| DataFusionError::External(error.into()))??;
        let exec = MemorySourceConfig::try_new_exec(&[batches], self.schema.clone(), projection.cloned())?;
        Ok(exec)
    }
}

/// The widest range of `time` that all filters may hold in.
fn range(filters: &[Expr]) -> Range<i64> {
    let mut range = i64::MIN..i64::MAX;
    for filter in filters {
        narrow(filter, &mut range);
    }
    range
}

fn narrow(filter: &Expr, range: &mut Range<i64>) {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return };
    if *op == Operator::And {
        narrow(left, range);
        narrow(right, range);
        return;
    }
    let (op, time) = match (&**left, &**right) {
        (Expr::Column(column), Expr::Literal(value, _)) if column.name == "time" => (*op, value),
        (Expr::Literal(value, _), Expr::Column(column)) if column.name == "time" => match op.swap() {
            Some(op) => (op, value),
            None => return,
        },
        _ => return,
    };
    let Some(time) = micros(time) else { return };
    match op {
        Operator::Gt | Operator::GtEq => range.start = range.start.max(time),
        Operator::Lt | Operator::LtEq => range.end = range.end.min(time.saturating_add(1)),
        Operator::Eq => {
            range.start = range.start.max(time);
            range.end = range.end.min(time.saturating_add(1));
        }
        _ => {}
    }
}

fn micros(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampSecond(time, _) => (*time)?.checked_mul(1_000_000),
        ScalarValue::TimestampMillisecond(time, _) => (*time)?.checked_mul(1000),
        ScalarValue::TimestampMicrosecond(time, _) => *time,
        ScalarValue::TimestampNanosecond(time, _) => Some((*time)?.div_euclid(1000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    #[test]
    fn a_range_of_time_is_read_from_filters() {
        let at = |micros| lit(ScalarValue::TimestampMicrosecond(Some(micros), None));
        let nanos = lit(ScalarValue::TimestampNanosecond(Some(5_999), None));
        let filters = [col("time").gt_eq(at(3)).and(col("time").lt(at(9))), nanos.lt_eq(col("time"))];
        assert_eq!(range(&filters), 5..10);
        assert_eq!(range(&[col("time").eq(at(7)), col("other").lt(at(1))]), 7..8);
        assert_eq!(range(&[col("time").lt(at(7)).or(col("time").gt(at(9)))]), i64::MIN..i64::MAX);
    }
}

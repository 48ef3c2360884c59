//! The SQL table `logs`: log search as a table of the metrics server's sessions.
//! Here the two meet, since neither may know the other.
//!
//! ```text
//! statement -> predicate (what the index can answer), bounds (the span of time)
//!           -> scan: pages of records, newest first, as they are wanted
//!           -> counting: count(*) by names and time, answered without records
//! match(body, '...'): pushed into the index with the rest, or evaluated row by row
//! ```
//!
//! Who may see what is the log root's to decide, as for every search: the rows of
//! namespaces where the user may `get pods/log`. A node that doesn't answer is a
//! note of the answer.

mod bodies;
mod bounds;
mod columns;
mod counting;
mod matching;
mod predicate;
mod scan;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    catalog::{Session, TableProvider},
    common::{DataFusionError, Result},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
    prelude::SessionContext,
};
use tiphys_logging::{root::LogRoot, wire::LogRecord};
use tiphys_metrics::{Asker, Extension};

/// The columns of `logs`.
pub fn logs_schema() -> SchemaRef {
    columns::schema()
}

/// Records as rows of `logs`.
///
/// # Errors
/// A record without a time.
pub fn rows_of(records: &[LogRecord]) -> Result<RecordBatch> {
    let schema = columns::schema();
    let places: Vec<_> = (0..schema.fields().len()).collect();
    columns::rows(&schema, &places, records)
}

/// Brings `logs` into SQL.
pub struct LogTables {
    root: LogRoot,
}

impl LogTables {
    pub fn new(root: LogRoot) -> Self {
        Self { root }
    }
}

impl Extension for LogTables {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let source = Source { root: self.root.clone(), asker: asker.clone() };
        session.register_table("logs", Arc::new(LogTable { source, schema: columns::schema() }))?;
        session.register_udf(matching::function());
        session.add_optimizer_rule(Arc::new(counting::CountInTheIndex));
        Ok(())
    }
}

/// Log search on behalf of one statement's user.
#[derive(Clone)]
struct Source {
    root: LogRoot,
    asker: Asker,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("user", &self.asker.user.name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct LogTable {
    source: Source,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for LogTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(predicate::support(filters))
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let places = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let pushed = predicate::push(filters);
        Ok(Arc::new(scan::LogScan::new(self.source.clone(), &self.schema, places, pushed, limit)?))
    }
}

#[cfg(test)]
mod tests;

//! A table whose rows are computed when it is read.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    catalog::{Session, TableProvider},
    common::Result,
    datasource::memory::MemorySourceConfig,
    logical_expr::{Expr, TableType},
    physical_plan::ExecutionPlan,
};

type Rows = dyn Fn() -> Result<Vec<RecordBatch>> + Send + Sync;

struct Computed {
    schema: SchemaRef,
    rows: Box<Rows>,
}

/// A table with these columns; `rows` is called once for each scan.
pub fn computed(
    schema: SchemaRef,
    rows: impl Fn() -> Result<Vec<RecordBatch>> + Send + Sync + 'static,
) -> Arc<dyn TableProvider> {
    Arc::new(Computed { schema, rows: Box::new(rows) })
}

impl fmt::Debug for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Computed").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Computed {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = (self.rows)()?;
        let exec = MemorySourceConfig::try_new_exec(&[batches], self.schema.clone(), projection.cloned())?;
        Ok(exec)
    }
}

//! The table `spans`. A condition on `time` chooses files; rows come as they are read.

use std::{fmt, io, ops::Range, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{Array, AsArray, BooleanArray, RecordBatch},
        compute::filter_record_batch,
        datatypes::SchemaRef,
    },
    catalog::{Session, TableProvider, streaming::StreamingTable},
    common::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, stream::RecordBatchReceiverStream, streaming::PartitionStream},
    prelude::SessionContext,
};

use super::{
    Spans,
    span::{batch, schema},
};
use crate::{
    scope::Scope,
    sql::{Asker, Extension, Notes, time_range},
};

const BATCH: usize = 8192;
/// Batches that wait for who asks.
const WAITING: usize = 2;

/// Brings the table into each statement's session.
pub struct SpansTable {
    spans: Arc<Spans>,
}

impl SpansTable {
    pub fn new(spans: Arc<Spans>) -> Self {
        Self { spans }
    }
}

impl Extension for SpansTable {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<()> {
        let scope = Scope::of(asker.user.clone(), asker.authorizer.clone());
        let notes = asker.notes.clone();
        let table = Table { spans: self.spans.clone(), scope, notes, schema: schema() };
        session.register_table("spans", Arc::new(table)).map(drop)
    }
}

/// The table, bound to what a user may see.
#[derive(Clone)]
struct Table {
    spans: Arc<Spans>,
    scope: Scope,
    notes: Notes,
    schema: SchemaRef,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // They choose files; the engine looks at each row once more.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // Conditions are told in milliseconds, and spans in microseconds.
        let millis = time_range(filters);
        let range = millis.start.saturating_mul(1000)..millis.end.saturating_mul(1000);
        let part = Part { table: self.clone(), range };
        StreamingTable::try_new(self.schema.clone(), vec![Arc::new(part)])?
            .scan(state, projection, &[], limit)
            .await
    }
}

struct Part {
    table: Table,
    range: Range<i64>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("range", &self.range).finish()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.table.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(self.table.schema.clone(), WAITING);
        let sender = stream.tx();
        let (table, range) = (self.table.clone(), self.range.clone());
        stream.spawn_blocking(move || {
            let (recent, files) = table.spans.within(&range)?;
            for part in recent.chunks(BATCH) {
                let rows = table.visible(&batch(part.iter().map(|span| &**span))?)?;
                // Nobody asks any more.
                if sender.blocking_send(Ok(rows)).is_err() {
                    return Ok(());
                }
            }
            for file in files {
                let reader = match file.read() {
                    Ok(reader) => reader,
                    // It was too old in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        table
                            .notes
                            .add(format!("spans of a damaged file are missing: {}", file.path.display()));
                        file.set_aside(&error);
                        continue;
                    }
                };
                for rows in reader {
                    let rows = table.visible(&rows?)?;
                    if sender.blocking_send(Ok(rows)).is_err() {
                        return Ok(());
                    }
                }
            }
            Ok::<(), DataFusionError>(())
        });
        stream.build()
    }
}

impl Table {
    /// The rows that the user may see.
    fn visible(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let namespaces = rows.column_by_name("namespace").and_then(|column| column.as_string_opt::<i32>());
        let missing = || DataFusionError::Execution("a file of spans has no column namespace".to_owned());
        let namespaces = namespaces.ok_or_else(missing)?;
        let mut last: Option<(&str, bool)> = None;
        let mut sees = |namespace| match last {
            Some((before, sees)) if before == namespace => sees,
            _ => {
                let sees = self.scope.sees_namespace(namespace);
                last = Some((namespace, sees));
                sees
            }
        };
        let kept: BooleanArray = (0..namespaces.len()).map(|at| Some(sees(namespaces.value(at)))).collect();
        Ok(filter_record_batch(rows, &kept)?)
    }
}

//! The one home of tables: a schema, and a reader that is told what a scan wants.
//!
//! ```text
//! conditions ─> Wanted ─┐
//! columns ──────────────┴─> reader (a thread that may block) ─> batches, two at most ─> the plan
//! ```
//!
//! Conditions choose what is read; the engine looks at each row once more. The reader is asked
//! anew for each scan, so that rights which change while a connection lasts are asked for again.
//! A reader that may come to hold much takes its [`Share`] of the statement's memory first.
//! What it must not do: know what a row is about.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{RecordBatch, RecordBatchOptions},
        datatypes::SchemaRef,
    },
    catalog::{Session, TableProvider},
    common::{DataFusionError, Result},
    execution::{
        SendableRecordBatchStream, TaskContext,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{
        ExecutionPlan,
        stream::RecordBatchReceiverStream,
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use tokio::sync::mpsc::Sender;

use super::Wanted;

/// Batches that wait for who asks.
const WAITING: usize = 2;

/// What a reader gives, as it is asked for. An empty batch says that it goes on, and is a moment to
/// notice that nobody asks any more: who reads much without finding anything gives some.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

type Reader = dyn Fn(Wanted, SchemaRef, Share) -> Result<Batches> + Send + Sync;

/// What a scan takes of its statement's memory, and whether anybody waits for it. What was taken is
/// given back with it.
#[derive(Debug)]
pub struct Share {
    held: MemoryReservation,
    sender: Sender<Result<RecordBatch>>,
}

impl Share {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// The statement has no more memory.
    pub fn take(&self, bytes: usize) -> Result<()> {
        self.held.try_grow(bytes)
    }

    /// Gives back all that was taken.
    pub fn give_back(&self) {
        self.held.free();
    }

    /// Whether nobody asks any more: the statement has its rows, or was given up.
    pub fn is_over(&self) -> bool {
        self.sender.is_closed()
    }
}

/// A table whose reader gives all columns, and counts what it holds.
pub fn counted(
    schema: SchemaRef,
    read: impl Fn(Wanted, Share) -> Result<Batches> + Send + Sync + 'static,
) -> Arc<dyn TableProvider> {
    let read = move |wanted: Wanted, asked: SchemaRef, share: Share| -> Result<Batches> {
        let batches = read(wanted, share)?;
        Ok(Box::new(batches.map(move |batch| projected(&batch?, &asked))))
    };
    Arc::new(Table { schema, read: Arc::new(read) })
}

/// A table whose reader makes the columns only that are asked for, in their order.
pub fn table_of_asked(
    schema: SchemaRef,
    read: impl Fn(Wanted, SchemaRef) -> Result<Batches> + Send + Sync + 'static,
) -> Arc<dyn TableProvider> {
    let read = move |wanted: Wanted, asked: SchemaRef, _: Share| read(wanted, asked);
    Arc::new(Table { schema, read: Arc::new(read) })
}

/// The columns that are asked for, in their order.
///
/// # Errors
/// One of them isn't there.
pub fn projected(batch: &RecordBatch, asked: &SchemaRef) -> Result<RecordBatch> {
    let missing = |name: &str| DataFusionError::Execution(format!("a reader gave no column {name}"));
    let columns: Result<Vec<_>> = asked
        .fields()
        .iter()
        .map(|field| batch.column_by_name(field.name()).cloned().ok_or_else(|| missing(field.name())))
        .collect();
    // Without a column, the count is all that the batch says.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(asked.clone(), columns?, &options)?)
}

struct Table {
    schema: SchemaRef,
    read: Arc<Reader>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("schema", &self.schema).finish_non_exhaustive()
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
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let asked = match projection {
            Some(places) => Arc::new(self.schema.project(places)?),
            None => self.schema.clone(),
        };
        let part = Part { asked: asked.clone(), wanted: Wanted::of(filters), read: self.read.clone() };
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(part)];
        Ok(Arc::new(StreamingTableExec::try_new(asked, parts, None, None, false, limit)?))
    }
}

/// One scan.
struct Part {
    asked: SchemaRef,
    wanted: Wanted,
    read: Arc<Reader>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.asked
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(self.asked.clone(), WAITING);
        let sender = stream.tx();
        let held = MemoryConsumer::new("a table's rows").register(context.memory_pool());
        let share = Share { held, sender: sender.clone() };
        let (read, wanted, asked) = (self.read.clone(), self.wanted.clone(), self.asked.clone());
        stream.spawn_blocking(move || {
            for batch in read(wanted, asked, share)? {
                let batch = batch?;
                // Nobody asks any more.
                if sender.is_closed() {
                    break;
                }
                if batch.num_rows() > 0 && sender.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }
}

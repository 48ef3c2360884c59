//! The table `samples`: everything scraped, sent or derived, a row a sample.
//!
//! Conditions on the name and on labels that have a column choose series before a sample is
//! unpacked, those on the time choose files and chunks. Rows come one series after the other,
//! as they are asked for. A user sees the series of the namespaces they may read, and those
//! without a namespace if they may read all.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray},
        datatypes::{Schema, SchemaRef, TimeUnit},
    },
    catalog::{Session, TableProvider, streaming::StreamingTable},
    common::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, stream::RecordBatchReceiverStream, streaming::PartitionStream},
    prelude::SessionContext,
};

use super::{
    extension::{Asker, Extension},
    samples_filter::{Wanted, wanted},
};
use crate::{
    scope::Scope,
    series::{Labels, Matcher, Missing, NAME, Scan, SeriesColumns, Store},
    tables::documented,
};

/// Labels that have a column of their own.
pub const LABELS: [(&str, &str); 6] = [
    ("namespace", "the label namespace"),
    ("pod", "the label pod"),
    ("container", "the label container"),
    ("node", "the label node"),
    ("job", "what was scraped"),
    ("instance", "where it was scraped"),
];
/// Rows of one batch at most.
const BATCH: usize = 8192;
/// Batches that wait for who asks.
const WAITING: usize = 2;

fn schema() -> SchemaRef {
    use datafusion::arrow::datatypes::DataType;
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let mut fields = vec![
        documented("time", time, false, "when it was measured"),
        documented("name", DataType::Utf8, false, "the metric"),
        documented("value", DataType::Float64, false, "the value; of a native histogram its sum"),
    ];
    fields.extend(LABELS.iter().map(|(name, about)| documented(name, DataType::Utf8, true, about)));
    fields.push(documented("labels", DataType::Utf8, false, "all labels but the name, as a JSON object"));
    Arc::new(Schema::new(fields))
}

/// Brings the table into each statement's session.
pub struct SamplesTable {
    store: Arc<Store>,
}

impl SamplesTable {
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl Extension for SamplesTable {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<()> {
        let table = Samples { store: self.store.clone(), asker: asker.clone(), schema: schema() };
        session.register_table("samples", Arc::new(table)).map(drop)
    }
}

/// The table, bound to what a user may see.
#[derive(Clone)]
struct Samples {
    store: Arc<Store>,
    asker: Asker,
    schema: SchemaRef,
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Samples {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // They choose series and files; the engine looks at each row once more.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Wanted { matchers, range } = wanted(filters);
        // Rights may change while a connection lasts: they are asked for at each scan.
        let scope = Scope::of_asker(&self.asker);
        let part = Part { table: self.clone(), scope, matchers, range };
        StreamingTable::try_new(self.schema.clone(), vec![Arc::new(part)])?
            .scan(state, projection, &[], limit)
            .await
    }
}

/// What one statement asks of the table.
struct Part {
    table: Samples,
    scope: Scope,
    matchers: Vec<Matcher>,
    range: Range<i64>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("matchers", &self.matchers).field("range", &self.range).finish()
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.table.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(self.table.schema.clone(), WAITING);
        let sender = stream.tx();
        let (table, scope) = (self.table.clone(), self.scope.clone());
        let (matchers, range) = (self.matchers.clone(), self.range.clone());
        stream.spawn_blocking(move || {
            let failed = |error: crate::series::SelectError| DataFusionError::External(Box::new(error));
            let missing = Missing::default();
            let mut scan = table.store.scan(&matchers, &range, &missing).map_err(failed)?;
            let mut rows = Rows::new(table.schema.clone());
            while let Some(batch) = rows.next(&mut scan, &scope)? {
                // Nobody asks any more.
                if sender.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            // The answer ends when this does.
            missing.sentences().into_iter().for_each(|what| table.asker.notes.add(what));
            Ok(())
        });
        stream.build()
    }
}

/// Puts series together to batches.
struct Rows {
    schema: SchemaRef,
    /// A series whose samples did not all fit.
    rest: Option<(SeriesColumns, usize)>,
}

impl Rows {
    fn new(schema: SchemaRef) -> Self {
        Self { schema, rest: None }
    }

    fn next(&mut self, scan: &mut Scan, scope: &Scope) -> Result<Option<RecordBatch>> {
        let (mut times, mut values) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let mut series: Vec<(Labels, usize)> = Vec::new();
        while times.len() < BATCH {
            let (columns, from) = match self.rest.take() {
                Some(rest) => rest,
                None => match scan.next() {
                    Some(columns) => {
                        (columns.map_err(|error| DataFusionError::External(Box::new(error)))?, 0)
                    }
                    None => break,
                },
            };
            if from == 0 && !scope.sees_series(&columns.labels) {
                continue;
            }
            let taken = (columns.times.len() - from).min(BATCH - times.len());
            times.extend_from_slice(&columns.times[from..from + taken]);
            values.extend_from_slice(&columns.values[from..from + taken]);
            let mut count = taken;
            // A row of sums, once the numbers are through.
            if from + taken == columns.times.len() {
                times.extend(columns.histograms.iter().map(|(time, _)| *time));
                values.extend(columns.histograms.iter().map(|(_, histogram)| histogram.sum));
                count += columns.histograms.len();
            }
            series.push((columns.labels.clone(), count));
            if from + taken < columns.times.len() {
                self.rest = Some((columns, from + taken));
            }
        }
        if times.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
            Arc::new(repeated(&series, |labels| labels.get(NAME).map(str::to_owned))),
            Arc::new(Float64Array::from(values)),
        ];
        for (name, _) in LABELS {
            columns.push(Arc::new(repeated(&series, |labels| labels.get(name).map(str::to_owned))));
        }
        columns.push(Arc::new(repeated(&series, |labels| Some(json(labels)))));
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
    }
}

fn repeated(series: &[(Labels, usize)], value: impl Fn(&Labels) -> Option<String>) -> StringArray {
    let each = series.iter().map(|(labels, count)| (value(labels), *count)).collect::<Vec<_>>();
    each.iter().flat_map(|(value, count)| std::iter::repeat_n(value.as_deref(), *count)).collect()
}

fn json(labels: &Labels) -> String {
    let pairs = labels.iter().filter(|(name, _)| *name != NAME);
    let object: serde_json::Map<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.into())).collect();
    serde_json::Value::Object(object).to_string()
}

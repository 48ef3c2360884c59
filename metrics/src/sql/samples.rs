//! The table `samples`: everything scraped, sent or derived, a row a sample.
//!
//! Conditions on the name and on labels that have a column choose series before a sample is
//! unpacked, those on the time choose files and chunks. Files are read one after the other, so
//! that what is held depends on none of the range, and rows come one series after the other, as
//! they are asked for. A user sees the series of the namespaces they may read, and those
//! without a namespace if they may read all.

use std::{ops::Range, sync::Arc, vec};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray},
        datatypes::{Schema, SchemaRef, TimeUnit},
    },
    common::{DataFusionError, Result},
    prelude::SessionContext,
};

use super::{
    Wanted,
    extension::{Asker, Extension, Notes},
    table::{Batches, table},
};
use crate::{
    scope::Scope,
    series::{Labels, Matcher, Missing, NAME, Scan, SelectError, SeriesColumns, Store},
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
/// Series that are passed over until somebody is looked for who asks.
const PASSED: usize = 1024;

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
        let (store, asker, schema) = (self.store.clone(), asker.clone(), schema());
        let rows = move |wanted: Wanted| -> Result<Batches> {
            Ok(Box::new(Rows::new(store.clone(), &asker, &wanted)))
        };
        session.register_table("samples", table(schema, rows)).map(drop)
    }
}

/// The label that a column shows.
fn label_of(column: &str) -> Option<&'static str> {
    if column == "name" {
        return Some(NAME);
    }
    LABELS.iter().map(|(label, _)| *label).find(|label| *label == column)
}

/// Puts series together to batches.
struct Rows {
    store: Arc<Store>,
    scope: Scope,
    notes: Notes,
    missing: Missing,
    schema: SchemaRef,
    matchers: Vec<Matcher>,
    /// What is still to be read, and what is read.
    parts: vec::IntoIter<Range<i64>>,
    scan: Option<Scan>,
    /// A series whose samples did not all fit.
    rest: Option<(SeriesColumns, usize)>,
}

impl Rows {
    fn new(store: Arc<Store>, asker: &Asker, wanted: &Wanted) -> Self {
        let parts = store.parts(&wanted.millis()).into_iter();
        let matchers = wanted.matchers(label_of);
        Self {
            store,
            scope: Scope::of_asker(asker),
            notes: asker.notes.clone(),
            missing: Missing::default(),
            schema: schema(),
            matchers,
            parts,
            scan: None,
            rest: None,
        }
    }

    /// The next series.
    fn series(&mut self) -> Result<Option<SeriesColumns>, SelectError> {
        loop {
            if let Some(scan) = &mut self.scan {
                if let Some(columns) = scan.next() {
                    return columns.map(Some);
                }
                self.scan = None;
            }
            let Some(part) = self.parts.next() else { return Ok(None) };
            self.scan = Some(self.store.scan(&self.matchers, &part, &self.missing)?);
        }
    }

    /// Absent: there are no more.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let (mut times, mut values) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let mut series: Vec<(Labels, usize)> = Vec::new();
        let mut passed = 0;
        while times.len() < BATCH && passed < PASSED {
            let (columns, from) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.series().map_err(|error| DataFusionError::External(Box::new(error)))? {
                    Some(columns) => (columns, 0),
                    None if times.is_empty() => return Ok(None),
                    None => break,
                },
            };
            if from == 0 && !self.scope.sees_series(&columns.labels) {
                passed += 1;
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

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch().transpose();
        if batch.is_none() {
            // The answer ends with this.
            self.missing.sentences().into_iter().for_each(|what| self.notes.add(what));
        }
        batch
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

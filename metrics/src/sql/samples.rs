//! The table `samples`: everything scraped, sent or derived, a row a sample.
//!
//! Conditions on the name and on labels that have a column choose series before a sample is
//! unpacked, those on the time choose files and chunks. Files are read one after the other, so
//! that what is held depends on none of the range, and rows come one series after the other, as
//! they are asked for. A user sees the series that [`Scope`] says. The marker of a series' end is
//! no sample, and no row.

use std::{ops::Range, sync::Arc, vec};

use datafusion::{
    arrow::{
        array::{
            ArrayRef, Float64Array, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
            TimestampMillisecondArray,
        },
        datatypes::{Schema, SchemaRef, TimeUnit},
    },
    common::{DataFusionError, Result},
    prelude::SessionContext,
};

use super::{
    Wanted,
    extension::{Asker, Extension, Notes},
    functions::native,
    table::{Batches, table_of_asked},
};
use crate::{
    scope::Scope,
    series::{Labels, Matcher, Missing, NAME, Scan, SelectError, SeriesColumns, Store, is_stale},
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
/// The column of native histograms.
const HISTOGRAM: &str = "histogram";
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
    let about = "a native histogram as a JSON object, for histogram_quantile, rate and increase: count, \
                 sum, schema, zero_threshold, zero_count, positive and negative with the index and count \
                 of each bucket; with schema -53 custom_bounds; null where the sample is a number";
    fields.push(documented(HISTOGRAM, DataType::Utf8, true, about));
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
        let (store, asker) = (self.store.clone(), asker.clone());
        let rows = move |wanted: Wanted, asked: SchemaRef| -> Result<Batches> {
            Ok(Box::new(Rows::new(store.clone(), &asker, &wanted, asked)))
        };
        session.register_table("samples", table_of_asked(schema(), rows)).map(drop)
    }
}

/// The label that a column shows.
fn label_of(column: &str) -> Option<&'static str> {
    if column == "name" {
        return Some(NAME);
    }
    LABELS.iter().map(|(label, _)| *label).find(|label| *label == column)
}

/// Whether a series is seen.
type Sees = dyn FnMut(&Labels) -> bool + Send;

/// Puts series together to batches.
struct Rows {
    store: Arc<Store>,
    sees: Box<Sees>,
    notes: Notes,
    missing: Missing,
    asked: SchemaRef,
    matchers: Vec<Matcher>,
    /// What is still to be read, and what is read.
    parts: vec::IntoIter<Range<i64>>,
    scan: Option<Scan>,
    /// A series whose samples did not all fit, and how many did.
    rest: Option<(SeriesColumns, usize)>,
}

impl Rows {
    fn new(store: Arc<Store>, asker: &Asker, wanted: &Wanted, asked: SchemaRef) -> Self {
        let parts = store.parts(&wanted.millis()).into_iter();
        let matchers = wanted.matchers(label_of);
        Self {
            store,
            sees: Box::new(Scope::of_asker(asker).sight()),
            notes: asker.notes.clone(),
            missing: Missing::default(),
            asked,
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
                    return columns.map(|columns| Some(without_markers(columns)));
                }
                self.scan = None;
            }
            let Some(part) = self.parts.next() else { return Ok(None) };
            self.scan = Some(self.store.scan(&self.matchers, &part, &self.missing)?);
        }
    }

    /// Absent: there are no more.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut filled = Filled::new(&self.asked);
        let mut passed = 0;
        while filled.times.len() < BATCH && passed < PASSED {
            let (columns, from) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.series().map_err(|error| DataFusionError::External(Box::new(error)))? {
                    Some(columns) => (columns, 0),
                    None if filled.times.is_empty() => return Ok(None),
                    None => break,
                },
            };
            if columns.is_empty() || (from == 0 && !(self.sees)(&columns.labels)) {
                passed += 1;
                continue;
            }
            let until = columns.len().min(from + BATCH - filled.times.len());
            filled.take(&columns, from..until);
            if until < columns.len() {
                self.rest = Some((columns, until));
            }
        }
        filled.batch(self.asked.clone()).map(Some)
    }
}

/// The samples without what only says that the series has ended.
fn without_markers(mut columns: SeriesColumns) -> SeriesColumns {
    if columns.values.iter().any(|value| is_stale(*value)) {
        let both = columns.times.iter().copied().zip(columns.values.iter().copied());
        let (times, values) = both.filter(|(_, value)| !is_stale(*value)).unzip();
        (columns.times, columns.values) = (times, values);
    }
    columns.histograms.retain(|(_, histogram)| !is_stale(histogram.sum));
    columns
}

/// The rows of a batch.
struct Filled {
    times: Vec<i64>,
    values: Vec<f64>,
    /// Absent: not asked for.
    histograms: Option<StringBuilder>,
    /// Whose rows they are, one after the other, and how many.
    series: Vec<(Labels, usize)>,
}

impl Filled {
    fn new(asked: &SchemaRef) -> Self {
        Self {
            times: Vec::with_capacity(BATCH),
            values: Vec::with_capacity(BATCH),
            histograms: asked.field_with_name(HISTOGRAM).is_ok().then(StringBuilder::new),
            series: Vec::new(),
        }
    }

    /// Adds samples of a series by their places: its numbers, and then its histograms.
    fn take(&mut self, columns: &SeriesColumns, places: Range<usize>) {
        let numbers = columns.times.len();
        let of_numbers = places.start.min(numbers)..places.end.min(numbers);
        self.times.extend_from_slice(&columns.times[of_numbers.clone()]);
        self.values.extend_from_slice(&columns.values[of_numbers.clone()]);
        let of_histograms = places.start.max(numbers) - numbers..places.end.max(numbers) - numbers;
        let histograms = &columns.histograms[of_histograms];
        self.times.extend(histograms.iter().map(|(time, _)| *time));
        self.values.extend(histograms.iter().map(|(_, histogram)| histogram.sum));
        if let Some(texts) = &mut self.histograms {
            of_numbers.for_each(|_| texts.append_null());
            histograms.iter().for_each(|(_, histogram)| texts.append_value(native::text(histogram)));
        }
        self.series.push((columns.labels.clone(), places.len()));
    }

    fn batch(mut self, asked: SchemaRef) -> Result<RecordBatch> {
        let rows = self.times.len();
        let columns = asked.fields().iter().map(|field| self.column(field.name())).collect();
        // Without a column, the count is all that the batch says.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(asked, columns, &options)?)
    }

    /// A column, which is asked for once.
    fn column(&mut self, name: &str) -> ArrayRef {
        match name {
            "time" => {
                let times = std::mem::take(&mut self.times);
                Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC"))
            }
            "value" => Arc::new(Float64Array::from(std::mem::take(&mut self.values))),
            "labels" => Arc::new(repeated(&self.series, |labels| Some(json(labels)))),
            HISTOGRAM => Arc::new(self.histograms.take().unwrap_or_default().finish()),
            name => {
                let label = label_of(name).unwrap_or(name);
                Arc::new(repeated(&self.series, |labels| labels.get(label).map(str::to_owned)))
            }
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

    use super::*;
    use crate::series::{Limits, Sample, Value};

    /// Lets read what is of one namespace, and counts how often it is asked.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Authorizer for Counting {
        fn authorize(&self, _: &UserInfo, asked: &Attributes) -> Result<(), String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match asked {
                Attributes::Resource { namespace, .. } if namespace == "shop" => Ok(()),
                _ => Err("no".into()),
            }
        }
    }

    /// Of so many series in each of two namespaces: the rows, and how often it was asked for rights.
    fn rows_and_rights(series: usize) -> (usize, usize) {
        let store = Store::in_memory(Limits::default());
        for pod in 0..series {
            for namespace in ["shop", "bank"] {
                let pod = pod.to_string();
                let labels = [(NAME, "kube_pod_info"), ("namespace", namespace), ("pod", pod.as_str())];
                let series = store.resolve(&Labels::new(labels)).expect("taken");
                store.append(&[Sample { series, time: 1, value: Value::Number(1.0) }]);
            }
        }
        let rights = Arc::new(Counting::default());
        let asker = Asker::new(UserInfo::named("anna", &[]), rights.clone());
        let rows = Rows::new(Arc::new(store), &asker, &Wanted::default(), schema());
        let rows = rows.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>();
        (rows, rights.0.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn rights_are_asked_for_once_however_many_series_there_are() {
        let (few, many) = (rows_and_rights(1), rows_and_rights(50));
        assert_eq!((few.0, many.0), (1, 50));
        assert_eq!(few.1, many.1);
    }
}

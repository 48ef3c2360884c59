//! The table `samples`: everything scraped, sent or derived, a row a sample.
//!
//! Conditions on the name and on labels, by their column or as `labels->>'code'`, choose series before a
//! sample is unpacked, those on the time choose files and chunks. Files are read one after the other, so
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
use serde::{Serialize, Serializer};

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
/// The column of all labels.
const ALL_LABELS: &str = "labels";
/// The column of native histograms.
const HISTOGRAM: &str = "histogram";
/// Rows of one batch at most.
const BATCH: usize = 8192;
/// Bytes that labels and histograms take in a batch at most, or one row: each row has its own copy of labels.
const BYTES: usize = 16 << 20;
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
    fields.push(documented(ALL_LABELS, DataType::Utf8, false, "all labels but the name, as a JSON object"));
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
        let mut matchers = wanted.matchers(label_of);
        matchers.extend(wanted.matchers_in(ALL_LABELS, |label| label != NAME));
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
        while !filled.is_full() && passed < PASSED {
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
            let until = filled.take(&columns, from);
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
    /// Whether all labels are asked for.
    shows_all: bool,
    /// Whether a column of one is.
    shows_one: bool,
    /// Whose rows they are, one after the other.
    series: Vec<Shown>,
    /// Of labels, in all rows.
    bytes: usize,
}

/// The labels of rows that follow each other.
struct Shown {
    labels: Labels,
    /// All of them as JSON; empty: not asked for.
    json: String,
    rows: usize,
}

impl Filled {
    fn new(asked: &SchemaRef) -> Self {
        Self {
            times: Vec::with_capacity(BATCH),
            values: Vec::with_capacity(BATCH),
            histograms: asked.field_with_name(HISTOGRAM).is_ok().then(StringBuilder::new),
            shows_all: asked.field_with_name(ALL_LABELS).is_ok(),
            shows_one: asked.fields().iter().any(|field| label_of(field.name()).is_some()),
            series: Vec::new(),
            bytes: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.times.len() >= BATCH || self.bytes >= BYTES
    }

    /// Adds the samples of a series from this place on, its numbers and then its histograms, as many as
    /// there is room for: one at least. The place of the next one.
    fn take(&mut self, columns: &SeriesColumns, from: usize) -> usize {
        let json = if self.shows_all { json(&columns.labels) } else { String::new() };
        // A bucket as text has an index and a count.
        let coming = columns.histograms.iter().skip(from.saturating_sub(columns.times.len())).take(BATCH);
        let longest =
            coming.map(|(_, one)| 48 * one.size() + 512).max().filter(|_| self.histograms.is_some());
        let of_labels = if self.shows_one { columns.labels.as_bytes().len() } else { 0 };
        let of_row = json.len() + longest.unwrap_or(0) + of_labels;
        let by_bytes = BYTES.saturating_sub(self.bytes) / of_row.max(1);
        let room = (BATCH - self.times.len()).min(by_bytes).max(1);
        let places = from..columns.len().min(from + room);
        self.put(columns, places.clone());
        self.bytes += of_row * places.len();
        self.series.push(Shown { labels: columns.labels.clone(), json, rows: places.len() });
        places.end
    }

    fn put(&mut self, columns: &SeriesColumns, places: Range<usize>) {
        let numbers = columns.times.len();
        let of_numbers = places.start.min(numbers)..places.end.min(numbers);
        self.times.extend_from_slice(&columns.times[of_numbers.clone()]);
        self.values.extend_from_slice(&columns.values[of_numbers.clone()]);
        let of_histograms = places.start.max(numbers) - numbers..places.end.max(numbers) - numbers;
        let histograms = &columns.histograms[of_histograms];
        self.times.extend(histograms.iter().map(|(time, _)| *time));
        self.values.extend(histograms.iter().map(|(_, histogram)| histogram.sum));
        if let Some(texts) = &mut self.histograms {
            texts.append_nulls(of_numbers.len());
            histograms.iter().for_each(|(_, histogram)| texts.append_value(native::text(histogram)));
        }
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
            ALL_LABELS => Arc::new(repeated(&self.series, |shown| Some(shown.json.as_str()))),
            HISTOGRAM => Arc::new(self.histograms.take().unwrap_or_default().finish()),
            name => {
                let label = label_of(name).unwrap_or(name);
                Arc::new(repeated(&self.series, |shown| shown.labels.get(label)))
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

/// What is said of each series, in each of its rows.
fn repeated(series: &[Shown], said: impl Fn(&Shown) -> Option<&str>) -> StringArray {
    let (rows, bytes) = series.iter().fold((0, 0), |(rows, bytes), shown| {
        (rows + shown.rows, bytes + shown.rows * said(shown).map_or(0, str::len))
    });
    let mut texts = StringBuilder::with_capacity(rows, bytes);
    for shown in series {
        match said(shown) {
            Some(text) => texts.append_value_n(text, shown.rows),
            None => texts.append_nulls(shown.rows),
        }
    }
    texts.finish()
}

/// Labels but for the name, as an object.
struct Object<'a>(&'a Labels);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter(|(name, _)| *name != NAME))
    }
}

fn json(labels: &Labels) -> String {
    serde_json::to_string(&Object(labels)).expect("texts are JSON")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use datafusion::{
        arrow::{
            array::{Array, AsArray},
            compute::concat_batches,
            datatypes::Float64Type,
        },
        logical_expr::ScalarUDF,
        prelude::{col, lit},
    };
    use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

    use super::*;
    use crate::{
        series::{Limits, Sample, Value},
        sql::{functions::json::JsonGet, tests::ByName},
    };

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

    /// Series with so many samples each, a millisecond after the other, with ascending values.
    fn stored(all: &[Labels], samples: i64) -> Store {
        let store = Store::in_memory(Limits::default());
        for (number, labels) in (0..).zip(all) {
            let series = store.resolve(labels).expect("taken");
            let sample = |time: i64| {
                let value = Value::Number((number * samples + time) as f64);
                Sample { series, time, value }
            };
            store.append(&(0..samples).map(sample).collect::<Vec<_>>());
        }
        store
    }

    fn batches(store: Store, wanted: &Wanted, asked: SchemaRef) -> Vec<RecordBatch> {
        let asker = Asker::new(UserInfo::named("admin", &[]), Arc::new(ByName));
        Rows::new(Arc::new(store), &asker, wanted, asked).map(|batch| batch.expect("a batch")).collect()
    }

    #[tokio::test]
    async fn each_row_has_the_labels_of_its_series() {
        let pairs: [&[(&str, &str)]; 3] = [
            &[(NAME, "m"), ("namespace", "shop"), ("code", "say \"hi\"")],
            &[(NAME, "m"), ("pod", "web-1")],
            &[(NAME, "n"), ("namespace", "bank"), ("instance", "\u{e9}")],
        ];
        let mut all: Vec<_> = pairs.iter().map(|pairs| Labels::new(pairs.iter().copied())).collect();
        all.sort();
        let batches = batches(stored(&all, 5000), &Wanted::default(), schema());
        assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [8192, 6808]);
        let whole = concat_batches(&schema(), &batches).expect("batches of one table");
        let values = whole.column_by_name("value").expect("a column").as_primitive::<Float64Type>();
        for row in 0..whole.num_rows() {
            let labels = &all[row / 5000];
            let said = |column: &str| {
                let texts = whole.column_by_name(column).expect("a column").as_string::<i32>();
                texts.is_valid(row).then(|| texts.value(row).to_owned())
            };
            assert_eq!(said("name").as_deref(), Some(labels.name()));
            for (label, _) in LABELS {
                assert_eq!(said(label).as_deref(), labels.get(label), "{label} in row {row}");
            }
            let others = labels.iter().filter(|(name, _)| *name != NAME);
            let pairs = others.map(|(name, value)| (name.to_owned(), value.into()));
            let object: serde_json::Map<String, serde_json::Value> = pairs.collect();
            assert_eq!(said(ALL_LABELS), Some(serde_json::Value::Object(object).to_string()));
            assert!((values.value(row) - row as f64).abs() < 0.5, "row {row}");
        }
    }

    #[test]
    fn labels_are_put_into_words_once_a_batch() {
        let labels = Labels::new([(NAME, "m"), ("pod", "web-1")]);
        let columns = SeriesColumns {
            labels,
            times: (0..9000).collect(),
            values: vec![1.0; 9000],
            ..SeriesColumns::default()
        };
        let mut filled = Filled::new(&schema());
        assert_eq!((filled.take(&columns, 0), filled.series.len()), (BATCH, 1));
        assert!(filled.is_full());
        let mut filled = Filled::new(&schema());
        assert_eq!((filled.take(&columns, BATCH), filled.series.len()), (9000, 1));
    }

    #[tokio::test]
    async fn long_labels_make_batches_of_few_rows() {
        let long = "x".repeat(4000);
        let names: Vec<_> = (0..60).map(|number| format!("label_{number}")).collect();
        let pairs = names.iter().map(|name| (name.as_str(), long.as_str())).chain([(NAME, "m")]);
        let all = [Labels::new(pairs)];
        let found = batches(stored(&all, 100), &Wanted::default(), schema());
        assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 100);
        for batch in &found {
            let texts = batch.column_by_name(ALL_LABELS).expect("a column").as_string::<i32>();
            assert!(texts.value_data().len() <= BYTES, "{} rows", batch.num_rows());
        }
        // Where they are not asked for, they take nothing.
        let asked = Arc::new(schema().project(&[0, 2]).expect("time and value"));
        assert_eq!(batches(stored(&all, 100), &Wanted::default(), asked).len(), 1);
    }

    #[tokio::test]
    async fn keys_of_labels_choose_series() {
        let codes: Vec<_> = (100..200).map(|code| code.to_string()).collect();
        let series = codes.iter().map(|code| Labels::new([(NAME, "m"), ("code", code.as_str())]));
        let all: Vec<_> = series.collect();
        let read = |key: &str, value: &str| {
            let member = ScalarUDF::from(JsonGet::new(true)).call(vec![col(ALL_LABELS), lit(key)]);
            let wanted = Wanted::of(&[member.eq(lit(value))]);
            batches(stored(&all, 1), &wanted, schema()).iter().map(RecordBatch::num_rows).sum::<usize>()
        };
        assert_eq!((read("code", "107"), read("code", "7"), read("other", "107")), (1, 0, 0));
        // It is no key there, which the engine finds.
        assert_eq!(read(NAME, "m"), 100);
    }
}

//! A search in a file of spans: which groups may have what is wanted, and of those which rows.
//!
//! ```text
//! groups ─ times, least and greatest texts, Bloom filters ─> a group ─ conditions, one by one ─> rows
//! ```
//!
//! Of a group a condition's column is read for the rows that those before have left, and what is
//! asked for of those that all leave. What it must not do: leave out a row that is wanted.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    ops::Range,
    sync::Arc,
    vec,
};

use datafusion::{
    arrow::{
        array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchReader},
        datatypes::{SchemaRef, TimestampMicrosecondType},
        error::ArrowError,
    },
    parquet::{
        arrow::{
            ProjectionMask,
            arrow_reader::{
                ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions,
                ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
            },
        },
        bloom_filter::Sbbf,
        errors::ParquetError,
        file::{
            metadata::{ColumnChunkMetaData, RowGroupMetaData},
            statistics::Statistics,
        },
    },
};

use super::{ROWS, Span};
use crate::{scope::Scope, sql::Wanted};

const TIME: &str = "time";
const NAMESPACE: &str = "namespace";

/// What is looked for. Clones share it.
#[derive(Clone)]
pub struct Search {
    wanted: Arc<Wanted>,
    /// Whose eyes it is for. Absent: all spans are seen.
    scope: Option<Scope>,
    /// The columns that are read.
    asked: SchemaRef,
}

impl Search {
    /// For these columns of the spans that are wanted and that somebody sees.
    pub fn new(wanted: Wanted, scope: Scope, asked: SchemaRef) -> Self {
        let scope = Some(scope).filter(|scope| !scope.sees_all());
        Self { wanted: Arc::new(wanted), scope, asked }
    }

    /// The times that are wanted, microseconds since the Unix epoch.
    pub fn micros(&self) -> Range<i64> {
        self.wanted.micros()
    }

    /// Leaves those of spans in memory that are found.
    pub fn keep_found(&self, spans: &mut Vec<Arc<Span>>) {
        let mut sees = self.scope.clone().map(seeing);
        spans.retain(|span| self.wants(span) && sees.as_mut().is_none_or(|sees| sees(&span.namespace)));
    }

    fn wants(&self, span: &Span) -> bool {
        let texts = [
            ("trace_id", &span.trace_id),
            ("span_id", &span.span_id),
            ("service", &span.service),
            ("name", &span.name),
            (NAMESPACE, &span.namespace),
        ];
        self.wanted.takes_time(span.time)
            && texts.iter().all(|(column, text)| self.wanted.takes(column, text))
    }

    /// Whether a group may have a row that is wanted.
    fn may_be_in(
        &self,
        file: &File,
        group: &RowGroupMetaData,
        schema: &SchemaRef,
    ) -> Result<bool, ParquetError> {
        for (place, field) in schema.fields().iter().enumerate() {
            let column = group.column(place);
            if field.name() == TIME {
                if let Some(Statistics::Int64(times)) = column.statistics()
                    && let (Some(first), Some(last)) = (times.min_opt(), times.max_opt())
                    && !self.wanted.overlaps(*first, *last)
                {
                    return Ok(false);
                }
            } else if let Some(values) = self.wanted.values(field.name())
                && !has_one_of(file, column, values)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The conditions on rows, the narrowest first.
    fn conditions(&self, metadata: &ArrowReaderMetadata) -> Vec<Box<dyn ArrowPredicate>> {
        let schema = metadata.schema();
        let mask = |place| ProjectionMask::roots(metadata.parquet_schema(), [place]);
        let mut conditions: Vec<Box<dyn ArrowPredicate>> = Vec::new();
        let of_texts = schema.fields().iter().map(|field| field.name()).enumerate();
        let is_said = |(_, name): &(usize, &String)| *name != TIME && self.wanted.names(name);
        let mut texts: Vec<_> = of_texts.filter(is_said).collect();
        texts.sort_by_key(|(_, name)| self.wanted.values(name).is_none());
        for (place, name) in texts {
            let (wanted, name) = (self.wanted.clone(), name.clone());
            let holds = move |rows: RecordBatch| texts_that(&rows, |text| wanted.takes(&name, text));
            conditions.push(Box::new(ArrowPredicateFn::new(mask(place), holds)));
        }
        if let Ok(place) = schema.index_of(TIME)
            && self.wanted.micros() != (i64::MIN..i64::MAX)
        {
            let wanted = self.wanted.clone();
            let holds = move |rows: RecordBatch| times_that(&rows, |time| wanted.takes_time(time));
            conditions.push(Box::new(ArrowPredicateFn::new(mask(place), holds)));
        }
        if let (Some(scope), Ok(place)) = (self.scope.clone(), schema.index_of(NAMESPACE)) {
            let mut sees = seeing(scope);
            let holds = move |rows: RecordBatch| texts_that(&rows, &mut sees);
            conditions.push(Box::new(ArrowPredicateFn::new(mask(place), holds)));
        }
        conditions
    }

    /// The columns that are read.
    fn columns(&self, metadata: &ArrowReaderMetadata) -> ProjectionMask {
        let schema = metadata.schema();
        let fields = self.asked.fields().iter();
        let mut places: Vec<usize> = fields.filter_map(|field| schema.index_of(field.name()).ok()).collect();
        if places.is_empty() || places.len() < self.asked.fields().len() {
            // Rows are counted by some column, and completed beside their time.
            places.extend(schema.index_of(TIME).ok());
        }
        ProjectionMask::roots(metadata.parquet_schema(), places)
    }
}

/// Tells of namespaces whether they are seen; of each it is asked once.
fn seeing(scope: Scope) -> impl FnMut(&str) -> bool + Send + 'static {
    let mut seen: HashMap<String, bool> = HashMap::new();
    move |namespace| {
        let known = seen.get(namespace).copied();
        known.unwrap_or_else(|| {
            let sees = scope.sees_namespace(namespace);
            seen.insert(namespace.to_owned(), sees);
            sees
        })
    }
}

/// Whether a group may have one of these texts in a column.
fn has_one_of(
    file: &File,
    column: &ColumnChunkMetaData,
    texts: &BTreeSet<String>,
) -> Result<bool, ParquetError> {
    let ends = column.statistics().map(|found| (found.min_bytes_opt(), found.max_bytes_opt()));
    // Of long texts the ends are cut off, and still no text is beyond them.
    let is_between = |text: &&String| match ends {
        Some((Some(least), Some(greatest))) => (least..=greatest).contains(&text.as_bytes()),
        _ => true,
    };
    let mut texts = texts.iter().filter(is_between).peekable();
    if texts.peek().is_none() {
        return Ok(false);
    }
    let filter = Sbbf::read_from_column_chunk(column, file)?;
    Ok(filter.is_none_or(|filter| texts.any(|text| filter.check(text.as_str()))))
}

fn texts_that(rows: &RecordBatch, mut holds: impl FnMut(&str) -> bool) -> Result<BooleanArray, ArrowError> {
    let texts = rows.column(0).as_string_opt::<i32>();
    let texts = texts.ok_or_else(|| ArrowError::SchemaError("a column of spans is no text".to_owned()))?;
    Ok((0..texts.len()).map(|at| Some(holds(texts.value(at)))).collect())
}

fn times_that(rows: &RecordBatch, holds: impl Fn(i64) -> bool) -> Result<BooleanArray, ArrowError> {
    let times = rows.column(0).as_primitive_opt::<TimestampMicrosecondType>();
    let times = times.ok_or_else(|| ArrowError::SchemaError("the time of spans is none".to_owned()))?;
    Ok(times.values().iter().map(|time| Some(holds(*time))).collect())
}

/// What a search finds in a file, in order. A batch without rows says that it goes on.
pub struct SearchedRows {
    file: File,
    metadata: ArrowReaderMetadata,
    search: Search,
    groups: vec::IntoIter<usize>,
    reader: Option<ParquetRecordBatchReader>,
    read: usize,
}

impl SearchedRows {
    /// # Errors
    /// The file is damaged, or can't be read now.
    pub fn open(file: File, search: &Search) -> Result<Self, ParquetError> {
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
        let mut groups = Vec::new();
        for (place, group) in metadata.metadata().row_groups().iter().enumerate() {
            if search.may_be_in(&file, group, metadata.schema())? {
                groups.push(place);
            }
        }
        let (search, groups) = (search.clone(), groups.into_iter());
        Ok(Self { file, metadata, search, groups, reader: None, read: 0 })
    }

    /// Groups that had to be read so far.
    pub fn read(&self) -> usize {
        self.read
    }

    fn begin(&mut self, group: usize) -> Result<RecordBatch, ArrowError> {
        self.read += 1;
        let conditions = self.search.conditions(&self.metadata);
        let columns = self.search.columns(&self.metadata);
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone())
                .with_batch_size(ROWS)
                .with_row_groups(vec![group])
                .with_projection(columns)
                .with_row_filter(RowFilter::new(conditions));
        let reader = builder.build().map_err(ArrowError::from)?;
        let empty = RecordBatch::new_empty(reader.schema());
        self.reader = Some(reader);
        Ok(empty)
    }
}

impl Iterator for SearchedRows {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(rows) = self.reader.as_mut().and_then(Iterator::next) {
            return Some(rows);
        }
        self.reader = None;
        let group = self.groups.next()?;
        Some(self.begin(group))
    }
}

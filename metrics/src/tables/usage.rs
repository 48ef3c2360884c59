//! `node`, `pod` and `container`: one table each over memory's series of that level.
//! Who it is, then a column a figure and a column a rate.
//!
//! Only what a statement asks for is made: predicates over time and names leave out
//! points and series, and a column that isn't wanted isn't built. What is pushed down
//! here is filtered again above, so leaving out too little is never wrong.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{
            ArrayRef, Float64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
            TimestampMicrosecondBuilder, UInt64Builder,
        },
        datatypes::{DataType, Schema, SchemaRef},
    },
    catalog::{Session, TableProvider},
    common::Result,
    datasource::memory::MemorySourceConfig,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::ExecutionPlan,
};

use super::{documented, time_column};
use crate::{
    figures::{FIGURES, Figure, Kind},
    memory::{Level, Memory, Point, SeriesKey, rate},
    scope::Scope,
    sql::{Asker, Wanted},
};

/// Rows of one batch at most.
const BATCH: usize = 8192;

/// The columns that say who it is.
fn names_of(level: Level) -> &'static [(&'static str, &'static str)] {
    match level {
        Level::Node => &[("node", "the node")],
        Level::Pod => &[("namespace", "the Pod's namespace"), ("pod", "the Pod"), ("node", "where it ran")],
        Level::Container => &[
            ("namespace", "the Pod's namespace"),
            ("pod", "the Pod"),
            ("container", "the container"),
            ("node", "where it ran"),
        ],
    }
}

fn name_in<'a>(key: &'a SeriesKey, column: &str) -> &'a str {
    match column {
        "namespace" => &key.namespace,
        "pod" => &key.pod,
        "container" => &key.container,
        _ => &key.node,
    }
}

/// The columns of `node`, `pod` or `container`.
pub fn usage_schema(level: Level) -> SchemaRef {
    let mut fields = vec![time_column("when the figures were read")];
    let names = names_of(level).iter();
    fields.extend(names.map(|(name, about)| documented(name, DataType::Utf8, false, about)));
    for figure in FIGURES {
        if let Kind::Counter { rate, about, .. } = figure.kind {
            fields.push(documented(rate, DataType::Float64, true, about));
        }
        fields.push(documented(figure.name, DataType::UInt64, false, figure.about));
    }
    Arc::new(Schema::new(fields))
}

/// One of the three tables, for one user.
pub struct UsageTable {
    level: Level,
    schema: SchemaRef,
    memory: Arc<Memory>,
    asker: Asker,
}

impl UsageTable {
    pub fn new(level: Level, memory: Arc<Memory>, asker: Asker) -> Self {
        Self { level, schema: usage_schema(level), memory, asker }
    }
}

impl fmt::Debug for UsageTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsageTable").field("level", &self.level).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for UsageTable {
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
        let schema = match projection {
            Some(places) => Arc::new(self.schema.project(places)?),
            None => self.schema.clone(),
        };
        let wanted = Wanted::of(filters);
        let batches =
            usage_rows(self.level, &self.memory, &Scope::of_asker(&self.asker), &wanted, schema.clone())?;
        let exec = MemorySourceConfig::try_new_exec(&[batches], schema, None)?;
        Ok(exec)
    }
}

/// The rows of a level that a user sees and a statement wants, in order of series and time;
/// with the columns of `schema` only.
///
/// # Errors
/// None in practice: the columns are made from the same list as the schema.
fn usage_rows(
    level: Level,
    memory: &Memory,
    scope: &Scope,
    wanted: &Wanted,
    schema: SchemaRef,
) -> Result<Vec<RecordBatch>> {
    let mut rows = UsageRows::new(schema);
    let mut result = Ok(());
    memory.visit(level, |key, ring| {
        let matches = names_of(level).iter().all(|(name, _)| wanted.takes(name, name_in(key, name)));
        let visible = || match level {
            Level::Node => scope.sees_nodes(),
            Level::Pod | Level::Container => scope.sees_namespace(&key.namespace),
        };
        if result.is_err() || !matches || !visible() {
            return;
        }
        let mut before = None;
        for point in ring.points() {
            if wanted.takes_time(point.time) {
                rows.push(key, before.as_ref(), &point);
            }
            before = Some(point);
            if rows.length == BATCH {
                result = rows.finish();
            }
        }
    });
    result?;
    rows.finish()?;
    Ok(rows.batches)
}

/// A column that is being built.
enum Column {
    Time(TimestampMicrosecondBuilder),
    Name(String, StringBuilder),
    Rate(&'static Figure, f64, Float64Builder),
    Value(&'static Figure, UInt64Builder),
}

impl Column {
    fn named(name: &str) -> Self {
        match Figure::named(name) {
            None if name == "time" => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            None => Self::Name(name.to_owned(), StringBuilder::new()),
            Some(figure) => match figure.kind {
                Kind::Counter { rate, scale, .. } if rate == name => {
                    Self::Rate(figure, scale, Float64Builder::new())
                }
                _ => Self::Value(figure, UInt64Builder::new()),
            },
        }
    }

    fn push(&mut self, key: &SeriesKey, before: Option<&Point>, point: &Point) {
        match self {
            Self::Time(times) => times.append_value(point.time),
            Self::Name(name, names) => names.append_value(name_in(key, name)),
            Self::Rate(figure, scale, rates) => {
                rates.append_option(before.map(|before| rate(figure, before, point) * *scale));
            }
            Self::Value(figure, values) => values.append_value((figure.value)(&point.usage)),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Time(times) => {
                let finished = times.finish();
                *times = TimestampMicrosecondBuilder::new().with_timezone("UTC");
                Arc::new(finished)
            }
            Self::Name(_, names) => Arc::new(names.finish()),
            Self::Rate(_, _, rates) => Arc::new(rates.finish()),
            Self::Value(_, values) => Arc::new(values.finish()),
        }
    }
}

struct UsageRows {
    schema: SchemaRef,
    columns: Vec<Column>,
    length: usize,
    batches: Vec<RecordBatch>,
}

impl UsageRows {
    fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| Column::named(field.name())).collect();
        Self { schema, columns, length: 0, batches: Vec::new() }
    }

    fn push(&mut self, key: &SeriesKey, before: Option<&Point>, point: &Point) {
        self.columns.iter_mut().for_each(|column| column.push(key, before, point));
        self.length += 1;
    }

    fn finish(&mut self) -> Result<()> {
        if self.length == 0 {
            return Ok(());
        }
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        // Without a column, the count is all that the batch says.
        let options = RecordBatchOptions::new().with_row_count(Some(self.length));
        self.batches.push(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?);
        self.length = 0;
        Ok(())
    }
}

//! The table of counts: a row a group, asked for when it is read.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::{
        array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    catalog::{Session, TableProvider},
    common::{Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableType},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::stream;
use tiphys_logging::{record::Level, time};

use super::{
    super::{Source, predicate::Pushed},
    Key,
    ask::{self, Group},
};

/// What is counted, for whom, by what.
#[derive(Debug, Clone)]
pub struct Question {
    pub source: Source,
    pub pushed: Pushed,
    pub keys: Vec<Key>,
}

/// The counts as a table: a column a key, then the count.
#[derive(Debug)]
pub struct Counts {
    question: Question,
    schema: SchemaRef,
}

impl Counts {
    pub fn new(question: Question) -> Self {
        let keys = question.keys.iter().enumerate();
        let mut fields: Vec<_> =
            keys.map(|(at, key)| Field::new(format!("key_{at}"), key.kind(), false)).collect();
        fields.push(Field::new("count", DataType::Int64, false));
        Self { question, schema: Arc::new(Schema::new(fields)) }
    }

    pub fn columns(&self) -> impl Iterator<Item = String> {
        self.schema.fields().iter().map(|field| field.name().clone())
    }
}

#[async_trait]
impl TableProvider for Counts {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let places = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema: SchemaRef = Arc::new(self.schema.project(&places)?);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        let (question, schema) = (self.question.clone(), self.schema.clone());
        Ok(Arc::new(LogCounts { question, schema, places, properties }))
    }
}

#[derive(Debug, Clone)]
struct LogCounts {
    question: Question,
    /// Of all columns.
    schema: SchemaRef,
    places: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl LogCounts {
    async fn rows(self) -> Result<RecordBatch> {
        let mut groups = match self.question.pushed.is_nothing() {
            true => Vec::new(),
            false => ask::groups(&self.question).await?,
        };
        if self.question.keys.is_empty() && groups.is_empty() {
            groups.push((Group::default(), 0));
        }
        let text = |at: usize| groups.iter().map(move |(group, _)| group.names[at].as_str());
        let mut columns: Vec<ArrayRef> = Vec::new();
        let mut names = 0..;
        for key in &self.question.keys {
            columns.push(match key {
                Key::Time(_) => {
                    let times = TimestampNanosecondArray::from_iter_values(
                        groups.iter().map(|(group, _)| group.time),
                    );
                    Arc::new(times.with_timezone("UTC"))
                }
                Key::Name(_) => {
                    Arc::new(StringArray::from_iter_values(text(names.next().unwrap_or_default())))
                }
                Key::Restart => {
                    // The collectors write numbers, and nothing else.
                    let restart = |name: &str| name.parse::<i64>().unwrap_or_default();
                    Arc::new(Int64Array::from_iter_values(
                        text(names.next().unwrap_or_default()).map(restart),
                    ))
                }
                Key::Severity => {
                    let severity = |name: &str| Level::from_word(name).unwrap_or_default() as i32;
                    Arc::new(Int32Array::from_iter_values(
                        text(names.next().unwrap_or_default()).map(severity),
                    ))
                }
            });
        }
        let count = |count: &u64| i64::try_from(*count).unwrap_or(i64::MAX);
        columns.push(Arc::new(Int64Array::from_iter_values(groups.iter().map(|(_, sum)| count(sum)))));
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?.project(&self.places)?)
    }
}

impl DisplayAs for LogCounts {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { pushed, keys, .. } = &self.question;
        write!(f, "LogCounts: query=[{}]", pushed.query)?;
        for (name, end) in [("since", pushed.bounds.since), ("until", pushed.bounds.until)] {
            if let Some(end) = end {
                write!(f, ", {name}={}", time::format(end))?;
            }
        }
        let names: Vec<_> = keys.iter().filter_map(|key| key.name()).collect();
        write!(f, ", by=[{}]", names.join(", "))?;
        keys.iter().try_for_each(|key| match key {
            Key::Time(bins) => write!(f, ", every={}ns", bins.width),
            _ => Ok(()),
        })
    }
}

impl ExecutionPlan for LogCounts {
    fn name(&self) -> &str {
        "LogCounts"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = stream::once(self.clone().rows());
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

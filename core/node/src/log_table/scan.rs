//! Reads records in pages, newest first, as far as they are wanted.
//!
//! Bounds: one page is held. The order is told to the engine, so that `ORDER BY time
//! DESC LIMIT n` reads n records and no more.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{
        array::RecordBatch,
        compute::SortOptions,
        datatypes::{Schema, SchemaRef},
    },
    common::{DataFusionError, Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::stream;
use tiphys_logging::{
    root::RootError,
    time,
    wire::{MAX_LIMIT, NodeError, SearchAnswer, SearchRequest, StatsAnswer, StatsRequest},
};

use super::{Source, columns, predicate::Pushed};

/// Records of the first page; whoever wants more gets larger ones.
const FIRST_PAGE: usize = 1000;

/// A scan of `logs`.
#[derive(Debug, Clone)]
pub struct LogScan {
    source: Source,
    table: SchemaRef,
    /// Columns of the table, in the order of the answer.
    places: Vec<usize>,
    pushed: Pushed,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl LogScan {
    pub fn new(
        source: Source,
        table: &SchemaRef,
        places: Vec<usize>,
        pushed: Pushed,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let schema: SchemaRef = Arc::new(table.project(&places)?);
        let properties = Arc::new(properties(&schema));
        Ok(Self { source, table: table.clone(), places, pushed, fetch, properties })
    }

    fn request(&self, cursor: Option<String>, limit: usize) -> SearchRequest {
        SearchRequest {
            query: self.pushed.query.to_string(),
            since: self.pushed.bounds.since.map(time::format),
            until: self.pushed.bounds.until.map(time::format),
            limit: Some(limit),
            cursor,
            namespace: None,
            oldest_first: false,
            watermarks: false,
            since_of: None,
            // A statement has a time of its own, and goes on with what came.
            within: None,
            without_body: !columns::at("body").is_some_and(|body| self.places.contains(&body)),
        }
    }

    /// One page, and where the next begins.
    async fn page(&self, at: Progress) -> Result<(RecordBatch, Option<Progress>)> {
        let size = if at.cursor.is_some() { MAX_LIMIT } else { FIRST_PAGE };
        let size = at.left.map_or(size, |left| left.min(MAX_LIMIT));
        let request = self.request(at.cursor, size);
        let answer = self.source.search(request).await?;
        self.source.note(&answer.partial, answer.restricted);
        let batch = columns::rows(&self.table, &self.places, &answer.records)?;
        let left = at.left.map(|left| left.saturating_sub(batch.num_rows()));
        let cursor = answer.cursor.filter(|_| left != Some(0));
        Ok((batch, cursor.map(|cursor| Progress { cursor: Some(cursor), left })))
    }
}

/// How far a scan is.
struct Progress {
    cursor: Option<String>,
    left: Option<usize>,
}

impl Source {
    /// Asks the collectors, from the server's runtime: connections to them outlive a statement.
    pub async fn search(&self, request: SearchRequest) -> Result<SearchAnswer> {
        let (root, user) = (self.root.clone(), self.asker.user.clone());
        self.asker.outside(async move { root.search(&user, &request).await }).await?.map_err(refused)
    }

    /// Likewise, for what they count.
    pub async fn stats(&self, request: StatsRequest) -> Result<StatsAnswer> {
        let (root, user) = (self.root.clone(), self.asker.user.clone());
        self.asker.outside(async move { root.stats(&user, &request).await }).await?.map_err(refused)
    }

    /// Tells the reader what an answer lacks.
    pub fn note(&self, partial: &[NodeError], restricted: bool) {
        for missing in partial {
            self.asker
                .notes
                .add(format!("logs: {} is missing from this answer: {}", missing.node, missing.error));
        }
        if restricted {
            let note = "logs: only namespaces where you may get pods/log are in this answer";
            self.asker.notes.add(note.to_owned());
        }
    }
}

fn refused(error: RootError) -> DataFusionError {
    DataFusionError::Execution(error.to_string())
}

/// Newest first, if the time is there to be seen.
fn properties(schema: &Schema) -> PlanProperties {
    let newest_first = SortOptions { descending: true, nulls_first: true };
    let order = schema.index_of("time").ok().map(|at| {
        let time: Arc<dyn PhysicalExpr> = Arc::new(Column::new("time", at));
        [PhysicalSortExpr::new(time, newest_first)]
    });
    let equivalences = EquivalenceProperties::new_with_orderings(Arc::new(schema.clone()), order);
    PlanProperties::new(
        equivalences,
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
}

impl DisplayAs for LogScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogScan: query=[{}]", self.pushed.query)?;
        for (name, end) in [("since", self.pushed.bounds.since), ("until", self.pushed.bounds.until)] {
            if let Some(end) = end {
                write!(f, ", {name}={}", time::format(end))?;
            }
        }
        let names: Vec<_> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        write!(f, ", columns=[{}]", names.join(", "))?;
        self.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))
    }
}

impl ExecutionPlan for LogScan {
    fn name(&self) -> &str {
        "LogScan"
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
        let wanted = self.fetch != Some(0) && !self.pushed.is_nothing();
        let start = wanted.then_some(Progress { cursor: None, left: self.fetch });
        let scan = self.clone();
        let pages = stream::try_unfold(start, move |at| {
            let scan = scan.clone();
            async move {
                let Some(at) = at else { return Ok(None) };
                scan.page(at).await.map(Some)
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), pages)))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch: limit, ..self.clone() }))
    }
}

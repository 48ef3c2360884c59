//! SQL over the tables, read-only and within limits.
//!
//! ```text
//! HTTP · Postgres ─> session (tables of this user) ─> plan ─> run (a thread a statement) ─> rows ─> format
//!                                                     └ default_range        └ guard
//! ```
//!
//! Each statement has tables bound to what its user may see, a share of memory and a
//! deadline; one bad statement hurts no other. Only queries run: no DDL, no COPY, no
//! files, no settings.

mod bounded;
mod constants;
mod credentials;
mod default_range;
mod describe;
mod error;
mod extension;
pub mod flight;
mod format;
mod functions;
mod guard;
mod held;
mod http;
mod parquet;
mod pool;
pub mod postgres;
mod run;
mod samples;
mod session;
mod stream;
mod table;
mod wanted;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use datafusion::{
    arrow::datatypes::{DataType, Schema},
    common::ParamValues,
    logical_expr::LogicalPlan,
    prelude::{SQLOptions, SessionContext},
};
use futures::{Stream, StreamExt};

pub use credentials::Credentials;
pub use error::{SqlError, Wrong};
pub use extension::{Asker, Extension, Notes};
pub use format::Format;
pub use http::routes;
pub use parquet::{ParquetFile, notes_of};
pub use run::{Limits, Rows};
pub use samples::SamplesTable;
pub use stream::Streamed;
pub(crate) use table::{Batches, Share, counted, projected, table_of_asked};
pub use wanted::Wanted;

use crate::{decisions::Decisions, memory::Memory, series::Store};
use held::Held;
use pool::Common;

/// The most bytes of one answer that is written whole.
const ANSWER_LIMIT: usize = 64 << 20;
/// Memory that one session may hold, bytes.
const MEMORY_LIMIT: usize = 256 << 20;
/// All sessions together hold so many times as much.
const TOGETHER: usize = 4;
const DEADLINE: Duration = Duration::from_secs(30);
/// The same for an answer that is written out as it comes, and holds no memory.
const EXPORT_DEADLINE: Duration = Duration::from_secs(600);
/// What a statement over measurements is about that says nothing of time.
const DEFAULT_RANGE: Duration = Duration::from_secs(3600);

/// What statements are answered from. Clones share it.
#[derive(Clone)]
pub struct Engine {
    memory: Arc<Memory>,
    /// What is older.
    series: Option<Arc<Store>>,
    decisions: Arc<Decisions>,
    extensions: Vec<Arc<dyn Extension>>,
    deadline: Duration,
    default_range: Option<Duration>,
    /// Bytes that one session may hold.
    memory_limit: usize,
    /// ... and all of them.
    common: Arc<Common>,
    runner: run::Runner,
}

/// An answer that was written whole.
#[derive(Debug)]
pub struct Answer {
    pub text: String,
    /// What it lacks, in sentences.
    pub notes: Vec<String>,
}

impl Engine {
    pub fn new(memory: Arc<Memory>, decisions: Arc<Decisions>, extensions: Vec<Arc<dyn Extension>>) -> Self {
        Self {
            memory,
            series: None,
            decisions,
            extensions,
            deadline: DEADLINE,
            default_range: Some(DEFAULT_RANGE),
            memory_limit: MEMORY_LIMIT,
            common: Arc::new(Common::new(TOGETHER * MEMORY_LIMIT)),
            runner: run::Runner::default(),
        }
    }

    /// The same engine with the store of series behind memory: what `node`, `pod` and `container`
    /// have of the time before it.
    #[must_use]
    pub fn with_series(self, series: Arc<Store>) -> Self {
        Self { series: Some(series), ..self }
    }

    /// The range of time of statements that say none; `None` is all there is.
    #[must_use]
    pub fn with_default_range(self, default_range: Option<Duration>) -> Self {
        Self { default_range, ..self }
    }

    /// The memory that one session may hold, bytes; all together hold four times as much.
    #[must_use]
    pub fn with_memory_limit(self, memory_limit: usize) -> Self {
        let common = Arc::new(Common::new(memory_limit.saturating_mul(TOGETHER)));
        Self { memory_limit, common, ..self }
    }

    /// How long a statement may take that is answered as a whole.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Statements that run now.
    #[cfg(test)]
    pub fn running(&self) -> usize {
        self.runner.running()
    }

    /// The same engine with what another part brings.
    #[must_use]
    pub fn with(mut self, extension: Arc<dyn Extension>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Answers one statement for one user, as text in `format`.
    ///
    /// # Errors
    /// The statement is wrong or outgrows its limits.
    pub async fn answer(&self, statement: &str, format: Format, asker: Asker) -> Result<Answer, SqlError> {
        let mut rows = self.rows(statement, &asker, &Limits::of(self.deadline, &asker.user)).await?;
        let (mut batches, mut held) = (Vec::new(), Held::default());
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            if held.add(&batch) > ANSWER_LIMIT {
                return Err(SqlError::TooLarge(ANSWER_LIMIT >> 20));
            }
            batches.push(batch);
        }
        let notes = asker.notes.list();
        Ok(Answer { text: format.write(&rows.schema(), &batches, &notes)?, notes })
    }

    /// Answers one statement in pieces, as they come; nothing waits that isn't asked for.
    /// An error ends it.
    ///
    /// # Errors
    /// The statement is wrong.
    pub async fn stream(
        &self,
        statement: &str,
        form: Streamed,
        asker: Asker,
    ) -> Result<impl Stream<Item = Result<Bytes, SqlError>> + Send + use<>, SqlError> {
        let rows = self.rows(statement, &asker, &Limits::of(EXPORT_DEADLINE, &asker.user)).await?;
        stream::pieces(rows, form, asker.notes)
    }

    /// Answers one statement as a Parquet file; the notes are in it.
    ///
    /// # Errors
    /// The statement is wrong.
    pub async fn export(
        &self,
        statement: &str,
        asker: Asker,
    ) -> Result<impl Stream<Item = Result<Bytes, SqlError>> + Send + use<>, SqlError> {
        self.stream(statement, Streamed::Parquet, asker).await
    }

    /// Plans one statement and starts it.
    ///
    /// # Errors
    /// The statement is wrong.
    pub async fn rows(&self, statement: &str, asker: &Asker, limits: &Limits) -> Result<Rows, SqlError> {
        let (session, plan) = self.planned(statement, asker, limits, None).await?;
        self.runner.rows(limits, session, plan).await
    }

    /// The plan of a statement with these parameters, and the session that it is of.
    async fn planned(
        &self,
        statement: &str,
        asker: &Asker,
        limits: &Limits,
        values: Option<ParamValues>,
    ) -> Result<(SessionContext, LogicalPlan), SqlError> {
        let session = self.session(asker).map_err(|error| SqlError::of(&error))?;
        let (planning, text) = (session.clone(), statement.to_owned());
        let work = async move || {
            describe::register(&planning).await.map_err(|error| SqlError::of(&error))?;
            plan(&planning, &text, values).await
        };
        Ok((session, self.runner.value(limits, work).await?))
    }

    /// What a statement gives and takes, without running it.
    async fn described(&self, statement: &str, asker: &Asker) -> Result<Described, SqlError> {
        let session = self.session(asker).map_err(|error| SqlError::of(&error))?;
        let text = statement.to_owned();
        let work = async move || {
            describe::register(&session).await.map_err(|error| SqlError::of(&error))?;
            let plan = logical(&session, &text).await?;
            let parameters = run::parameters(&plan).map_err(|error| SqlError::of(&error))?;
            // What the engine can't tell is a text.
            let parameters = parameters.into_iter().map(|kind| kind.unwrap_or(DataType::Utf8)).collect();
            Ok(Described { schema: plan.schema().as_arrow().clone(), parameters })
        };
        self.runner.value(&Limits::of(self.deadline, &asker.user), work).await
    }
}

/// A statement that was planned, and not run.
struct Described {
    schema: Schema,
    parameters: Vec<DataType>,
}

/// What may be asked: queries, nothing that changes anything.
fn only_queries() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
}

/// The plan of a statement as it was written.
async fn logical(session: &SessionContext, statement: &str) -> Result<LogicalPlan, SqlError> {
    let planned = async {
        constants::begin(session);
        let plan = session.state().create_logical_plan(statement).await?;
        only_queries().verify_plan(&plan)?;
        Ok(plan)
    };
    match planned.await {
        Ok(plan) => Ok(plan),
        Err(error) => Err(SqlError::within(&error, session).await),
    }
}

/// The optimized plan of a statement, with its parameters in it.
async fn plan(
    session: &SessionContext,
    statement: &str,
    values: Option<ParamValues>,
) -> Result<LogicalPlan, SqlError> {
    let plan = logical(session, statement).await?;
    let plan = match values {
        Some(values) => plan.replace_params_with_values(&values),
        None => Ok(plan),
    };
    plan.and_then(|plan| constants::optimized(session, &plan)).map_err(|error| SqlError::of(&error))
}

#[cfg(test)]
pub mod tests;

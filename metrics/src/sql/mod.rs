//! SQL over the tables, read-only and within limits.
//!
//! Each statement gets a session of its own, with tables bound to what its user
//! may see, a share of memory and a deadline; one bad statement hurts no other.
//! Only queries run: no DDL, no COPY, no files, no settings.

mod describe;
mod extension;
mod format;
mod http;
mod parquet;
mod provider;
mod samples;
mod samples_filter;
mod timed;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use datafusion::{
    common::DataFusionError,
    config::Dialect,
    execution::{
        SendableRecordBatchStream,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::FairSpillPool,
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::{SQLOptions, SessionConfig, SessionContext},
    sql::sqlparser::parser::ParserError,
};
use futures::{Stream, StreamExt, stream};

pub use extension::{Asker, Extension, Notes};
pub use format::Format;
pub use http::routes;
pub use parquet::{ParquetFile, notes_of};
pub(crate) use provider::computed;
pub use samples::SamplesTable;
pub use samples_filter::time_range;

use crate::{
    decisions::Decisions,
    memory::{Level, Memory},
    scope::Scope,
    tables,
};

/// Memory that one statement may hold, bytes.
const MEMORY_LIMIT: usize = 256 << 20;
/// The most bytes of one answer, before it is written as text.
const ANSWER_LIMIT: usize = 64 << 20;
const DEADLINE: Duration = Duration::from_secs(30);
/// The same for an answer that is written out as it comes, and holds no memory.
const EXPORT_DEADLINE: Duration = Duration::from_secs(600);

/// Why a statement gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The statement is wrong, or not a query.
    #[error("{0}")]
    Invalid(String),
    #[error("the statement did not end within {0} s; narrow it by time or add a limit")]
    TooSlow(u64),
    #[error("the answer is larger than {} MB; add a limit or select fewer columns", ANSWER_LIMIT >> 20)]
    TooLarge,
    #[error("the answer could not be written: {0}")]
    Format(String),
}

/// What statements are answered from.
#[derive(Clone)]
pub struct Engine {
    memory: Arc<Memory>,
    decisions: Arc<Decisions>,
    extensions: Vec<Arc<dyn Extension>>,
    deadline: Duration,
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
        Self { memory, decisions, extensions, deadline: DEADLINE }
    }

    /// Answers one statement for one user, as text in `format`.
    ///
    /// # Errors
    /// The statement is wrong or outgrows its limits.
    pub async fn answer(&self, statement: &str, format: Format, asker: Asker) -> Result<Answer, SqlError> {
        let work = async {
            let mut stream = self.rows(statement, &asker).await?;
            let (mut batches, mut size) = (Vec::new(), 0);
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(invalid)?;
                size += batch.get_array_memory_size();
                if size > ANSWER_LIMIT {
                    return Err(SqlError::TooLarge);
                }
                batches.push(batch);
                // A plan that never waits would never see the deadline.
                tokio::task::yield_now().await;
            }
            let notes = asker.notes.list();
            Ok(Answer { text: format.write(&stream.schema(), &batches, &notes)?, notes })
        };
        tokio::time::timeout(self.deadline, work)
            .await
            .map_err(|_| SqlError::TooSlow(self.deadline.as_secs()))?
    }

    /// Answers one statement as a Parquet file, in pieces; nothing waits that isn't
    /// asked for. The notes are in the file. An error ends it.
    ///
    /// # Errors
    /// The statement is wrong.
    pub async fn export(
        &self,
        statement: &str,
        asker: Asker,
    ) -> Result<impl Stream<Item = Result<Bytes, SqlError>> + Send + use<>, SqlError> {
        let ends = tokio::time::Instant::now() + EXPORT_DEADLINE;
        let late = || SqlError::TooSlow(EXPORT_DEADLINE.as_secs());
        let rows =
            tokio::time::timeout_at(ends, self.rows(statement, &asker)).await.map_err(|_| late())??;
        let file = ParquetFile::new(rows.schema()).map_err(|error| SqlError::Format(error.to_string()))?;
        let failed = |error: datafusion::parquet::errors::ParquetError| SqlError::Format(error.to_string());
        Ok(stream::try_unfold(Some((rows, file)), move |state| {
            let notes = asker.notes.clone();
            async move {
                let Some((mut rows, mut file)) = state else { return Ok(None) };
                let next = tokio::time::timeout_at(ends, rows.next()).await.map_err(|_| late())?;
                let Some(batch) = next else {
                    let end = file.finish(&notes.list()).map_err(failed)?;
                    return Ok(Some((Bytes::from(end), None)));
                };
                let bytes = file.write(&batch.map_err(invalid)?).map_err(failed)?;
                tokio::task::yield_now().await;
                Ok(Some((Bytes::from(bytes), Some((rows, file)))))
            }
        }))
    }

    /// Plans one statement and starts it.
    async fn rows(&self, statement: &str, asker: &Asker) -> Result<SendableRecordBatchStream, SqlError> {
        let session = self.session(asker).map_err(invalid)?;
        describe::register(&session).await.map_err(invalid)?;
        let options =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = session.sql_with_options(statement, options).await.map_err(invalid)?;
        frame.execute_stream().await.map_err(invalid)
    }

    fn session(&self, asker: &Asker) -> Result<SessionContext, DataFusionError> {
        let scope = Scope::of(asker.user.clone(), asker.authorizer.clone());
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(MEMORY_LIMIT)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut config = SessionConfig::new().with_information_schema(true).with_target_partitions(2);
        // What psql's users write; and to the generic one `match(...)` is MySQL's, with `against`.
        config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
        let session = SessionContext::new_with_config_rt(config, runtime);
        for (name, level) in [("node", Level::Node), ("pod", Level::Pod), ("container", Level::Container)] {
            let (memory, scope) = (self.memory.clone(), scope.clone());
            let rows = move || tables::usage_rows(level, &memory, &scope);
            session.register_table(name, provider::computed(tables::usage_schema(level), rows))?;
        }
        let decisions = self.decisions.clone();
        let rows = move |range| tables::decision_rows(&decisions.within(range), &scope);
        session.register_table("decisions", timed::timed(tables::decisions_schema(), rows))?;
        for extension in &self.extensions {
            extension.register(&session, asker)?;
        }
        Ok(session)
    }
}

/// What the engine says in front of its sentence, for those who work on it.
const LAYERS: [&str; 6] = [
    "Error during planning: ",
    "Execution error: ",
    "Schema error: ",
    "SQL error: ",
    "This feature is not implemented: ",
    "Arrow error: ",
];
/// How it refuses what [`SQLOptions`] rule out, and more than one statement.
const REFUSALS: [&str; 4] = [
    "DDL not supported",
    "DML not supported",
    "Statement not supported",
    "The context currently only supports a single SQL statement",
];

/// The engine's message, without the names of its own layers.
fn invalid(error: DataFusionError) -> SqlError {
    if let DataFusionError::SQL(wrong, _) = error.find_root() {
        let (ParserError::ParserError(message) | ParserError::TokenizerError(message)) = &**wrong else {
            return SqlError::Invalid("the statement is nested too deeply".to_owned());
        };
        return SqlError::Invalid(message.clone());
    }
    let mut inner = &error;
    while let DataFusionError::Context(_, cause) = inner {
        inner = cause;
    }
    let message = inner.strip_backtrace();
    let message =
        LAYERS.iter().fold(&*message, |message, layer| message.strip_prefix(layer).unwrap_or(message));
    if REFUSALS.iter().any(|refusal| message.starts_with(refusal)) {
        let what = "one question at a time is answered: SELECT, WITH, SHOW, DESCRIBE or EXPLAIN";
        return SqlError::Invalid(format!("{what} ({message})"));
    }
    SqlError::Invalid(message.to_owned())
}

#[cfg(test)]
mod tests;

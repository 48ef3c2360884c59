//! The session of a user: the tables bound to what they may see, a share of memory,
//! and nothing that reaches beyond.

use std::sync::Arc;

use datafusion::{
    common::DataFusionError,
    config::Dialect,
    execution::{
        SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        runtime_env::RuntimeEnvBuilder,
    },
    prelude::{SessionConfig, SessionContext},
};

use super::{
    Asker, Engine,
    bounded::{self, Sizes},
    constants::Constants,
    default_range::DefaultRange,
    functions,
    pool::Pool,
};
use crate::{decisions, memory::Level, tables::usage::usage_table};

/// What clients that show a database's name are shown.
pub const CATALOG: &str = "tiphys";

impl Engine {
    /// The session of a statement, or of a connection.
    pub(super) fn session(&self, asker: &Asker) -> Result<SessionContext, DataFusionError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(Pool::new(self.memory_limit, self.common.clone())))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, "public")
            .with_information_schema(true)
            .with_extension(Arc::new(Constants::default()))
            // A statement has one thread: parts of a plan would take turns on it, and hand over to each
            // other, group by group, what one of them does alone.
            .with_target_partitions(1);
        let parser = &mut config.options_mut().sql_parser;
        // What psql's users write; and to the generic one `match(...)` is MySQL's, with `against`.
        parser.dialect = Dialect::PostgreSQL;
        // Errors say where.
        parser.collect_spans = true;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_type_planner(Arc::new(Sizes::default()))
            .with_physical_optimizer_rule(bounded::gates());
        let session = SessionContext::new_with_state(state.build());
        bounded::register(&session)?;
        functions::register(&session)?;
        // Before the rules of extensions: they see the range as if it had been written.
        if let Some(range) = self.default_range {
            session.add_optimizer_rule(Arc::new(DefaultRange::new(range, asker.notes.clone())));
        }
        for (name, level) in [("node", Level::Node), ("pod", Level::Pod), ("container", Level::Container)] {
            let table = usage_table(level, self.memory.clone(), self.series.clone(), asker.clone());
            session.register_table(name, table)?;
        }
        session.register_table("decisions", decisions::table(self.decisions.clone(), asker.clone()))?;
        for extension in &self.extensions {
            extension.register(&session, asker)?;
        }
        Ok(session)
    }
}
